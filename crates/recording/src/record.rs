//! What a session file holds: one [`Entry`] per frame.
//!
//! Fields borrow where the gateway has the bytes already (`Cow`), so that recording a statement allocates nothing;
//! read back, they are owned. In the file every record lies behind a relative pointer, so a record kind added later
//! does not move the ones before it. The fields of a record and the order of variants never change within a format
//! version: new ones are new variants at the end.

use std::borrow::Cow;

use rkyv::with::{AsBox, AsOwned, Map};
use rkyv::{Archive, Deserialize, Serialize};

use crate::host::Host;
use crate::limits::FACTS_NAMES_MAX;
use crate::text::Text;

/// One record and when it was made.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Entry<'a> {
    /// Nanoseconds since 1970 UTC.
    pub at_unix_ns: u64,
    /// What happened.
    pub record: Record<'a>,
}

/// The kinds of record.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub enum Record<'a> {
    /// First in every file: who connected, seen by the kernel.
    Opened(Box<Opened<'a>>),
    /// The client's login, and the server's answer to the gateway's.
    Login(Box<Login<'a>>),
    /// A command arrived; written before it is judged.
    Statement(#[rkyv(with = AsBox)] Statement<'a>),
    /// What was decided; written before anything is forwarded.
    Verdict(#[rkyv(with = AsBox)] Verdict<'a>),
    /// What the server answered, summed up.
    Response(#[rkyv(with = AsBox)] Response<'a>),
    /// Last in a file whose session ended in order.
    Closed(#[rkyv(with = AsBox)] Closed<'a>),
    /// How both legs are carried; after the login, where any of it is not plain.
    Transport(#[rkyv(with = AsBox)] Transport<'a>),
    /// The client left while the server was at work for it.
    Abandoned(#[rkyv(with = AsBox)] Abandoned<'a>),
    /// What is forwarded in place of a permitted statement's own text; written before it is.
    Forwarded(#[rkyv(with = AsBox)] Forwarded<'a>),
    /// Which selector the caller fits; behind `Opened`, where a selector chose its cgroup.
    Chosen(#[rkyv(with = AsBox)] Chosen<'a>),
    /// Signs all that came before it.
    Checkpoint(#[rkyv(with = AsBox)] Signature),
    /// Last of all in a file that was closed: signs it as a whole.
    Sealed(#[rkyv(with = AsBox)] Signature),
    /// What a statement does to what; behind its verdict.
    Facts(#[rkyv(with = AsBox)] Facts<'a>),
    /// Rows of a result, where they are asked for.
    Rows(#[rkyv(with = AsBox)] Rows<'a>),
    /// What befell the host: in host recordings alone.
    Host(Box<Host<'a>>),
}

/// Who opened the session, where it was going and as whom the gateway goes there.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Opened<'a> {
    /// UUID in its printed form; the same as in the header.
    #[rkyv(with = AsOwned)]
    pub session_id: Cow<'a, str>,
    /// SPIFFE ID; none when no workload could be found.
    #[rkyv(with = Map<AsOwned>)]
    pub workload: Option<Cow<'a, str>>,
    /// Names of the workload's groups.
    #[rkyv(with = AsOwned)]
    pub groups: Cow<'a, [String]>,
    /// What the kernel said about the socket.
    pub evidence: Evidence<'a>,
    /// Address and port that the client called.
    #[rkyv(with = AsOwned)]
    pub original_destination: Cow<'a, str>,
    /// Address and port that the client called from.
    #[rkyv(with = AsOwned)]
    pub client_address: Cow<'a, str>,
    /// Name of the server in the config; none when the destination is no configured server.
    #[rkyv(with = Map<AsOwned>)]
    pub server: Option<Cow<'a, str>>,
    /// Name of the database account that the gateway uses; never its secret.
    #[rkyv(with = Map<AsOwned>)]
    pub credential: Option<Cow<'a, str>>,
    /// Version of the gateway that wrote the file.
    #[rkyv(with = AsOwned)]
    pub gateway_version: Cow<'a, str>,
}

/// The kernel's record of the connecting socket, at connect time.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Evidence<'a> {
    /// cgroup v2 id of the caller.
    pub cgroup_id: u64,
    /// cgroup v2 id of the tagged ancestor; 0 when none was.
    pub tagged_cgroup_id: u64,
    /// Path of the caller's cgroup below the cgroup v2 mount, where it could still be found.
    #[rkyv(with = Map<AsOwned>)]
    pub cgroup_path: Option<Cow<'a, str>>,
    /// User id of the caller.
    pub uid: u32,
    /// Group id of the caller.
    pub gid: u32,
    /// Process id of the caller in the first pid namespace. Pids are reused: a hint, not an identity.
    pub pid: u32,
    /// Thread name of the caller, which the caller chose itself: a hint.
    #[rkyv(with = AsOwned)]
    pub comm: Cow<'a, str>,
    /// The kernel's cookie of the caller's network namespace.
    pub netns_cookie: u64,
    /// The kernel's cookie of the socket.
    pub socket_cookie: u64,
}

/// One login, accepted or refused.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Login<'a> {
    /// User name as the client sent it; it proves nothing.
    #[rkyv(with = AsOwned)]
    pub user: Cow<'a, str>,
    /// Default schema that the client asked for.
    #[rkyv(with = Map<AsOwned>)]
    pub schema: Option<Cow<'a, str>>,
    /// Connection attributes as the client sent them (program, driver, system).
    #[rkyv(with = AsOwned)]
    pub client_attributes: Cow<'a, [(String, String)]>,
    /// Version from the server's greeting.
    #[rkyv(with = AsOwned)]
    pub server_version: Cow<'a, str>,
    /// The server's own id of the connection, as its logs show it.
    pub server_connection_id: u32,
    /// Whether the session may go on.
    pub accepted: bool,
    /// Why not.
    pub error: Option<ErrorText<'a>>,
}

/// One command of the client.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Statement<'a> {
    /// Counts from 1 in the session; verdict and response carry the same number.
    pub number: u64,
    /// Which command of the protocol.
    pub command: Command,
    /// Number of the statement that prepared this one.
    pub prepared: Option<u64>,
    /// The SQL text, or what the command says instead (the schema of `InitDb`, the table of `FieldList`).
    pub sql: Text<'a>,
    /// Default schema when it arrived.
    #[rkyv(with = Map<AsOwned>)]
    pub schema: Option<Cow<'a, str>>,
    /// Parameters of a prepared statement, as text, in order.
    #[rkyv(with = AsOwned)]
    pub parameters: Cow<'a, [Text<'a>]>,
}

/// Commands of the MySQL protocol that the gateway knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub enum Command {
    /// `COM_QUERY`
    Query,
    /// `COM_STMT_PREPARE`
    Prepare,
    /// `COM_STMT_EXECUTE`
    Execute,
    /// `COM_STMT_FETCH`
    Fetch,
    /// `COM_STMT_SEND_LONG_DATA`
    SendLongData,
    /// `COM_STMT_RESET`
    Reset,
    /// `COM_STMT_CLOSE`
    Close,
    /// `COM_INIT_DB`
    InitDb,
    /// `COM_FIELD_LIST`
    FieldList,
    /// `COM_PING`
    Ping,
    /// `COM_STATISTICS`
    Statistics,
    /// `COM_SET_OPTION`
    SetOption,
    /// `COM_RESET_CONNECTION`
    ResetConnection,
    /// `COM_CHANGE_USER`
    ChangeUser,
    /// `COM_QUIT`
    Quit,
    /// A file that `LOAD DATA LOCAL INFILE` asks the client for; the text is its name.
    LocalInfile,
    /// A command that the gateway does not let through, by its first byte.
    Refused {
        /// First byte of the command packet.
        code: u8,
    },
    /// `COM_STMT_BULK_EXECUTE`
    BulkExecute,
    /// Another command that goes to the server when policy permits it, by its first byte.
    Admin {
        /// First byte of the command packet.
        code: u8,
    },
}

/// What was decided about a statement. There is no default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub enum Decision {
    /// It was forwarded.
    Allow,
    /// It was not, and the client was told.
    Deny,
    /// It was forwarded although policy denies it: the daemon only observed.
    WouldDeny,
}

/// The verdict about one statement.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Verdict<'a> {
    /// Of the statement.
    pub number: u64,
    /// Whether it was forwarded.
    pub decision: Decision,
    /// Statement class (`select`, `drop`, `unparsed`).
    #[rkyv(with = AsOwned)]
    pub class: Cow<'a, str>,
    /// Ids of the policies that decided.
    #[rkyv(with = AsOwned)]
    pub policies: Cow<'a, [String]>,
    /// Why, in a sentence.
    #[rkyv(with = AsOwned)]
    pub reason: Cow<'a, str>,
}

/// The server's answer to one statement, summed up.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Response<'a> {
    /// Of the statement.
    pub number: u64,
    /// Rows in all result sets.
    pub rows: u64,
    /// Result sets with columns.
    pub result_sets: u32,
    /// Bytes forwarded to the client, packet headers included.
    pub bytes: u64,
    /// Rows changed, as the server counts them.
    pub affected_rows: u64,
    /// As the server says; 0 when there is none.
    pub last_insert_id: u64,
    /// Warnings, as the server counts them.
    pub warnings: u32,
    /// The error that ended the answer.
    pub error: Option<ErrorText<'a>>,
    /// Nanoseconds from forwarding to the end of the answer.
    pub duration_ns: u64,
    /// Nanoseconds from forwarding to the answer's first byte.
    pub first_byte_ns: u64,
}

/// An error as the client read it.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct ErrorText<'a> {
    /// MySQL error number.
    pub code: u16,
    /// Five characters.
    #[rkyv(with = AsOwned)]
    pub sqlstate: Cow<'a, str>,
    /// The message.
    #[rkyv(with = AsOwned)]
    pub message: Cow<'a, str>,
}

/// How the session ended.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Closed<'a> {
    /// Why, in a sentence.
    #[rkyv(with = AsOwned)]
    pub reason: Cow<'a, str>,
    /// Statements that were recorded.
    pub statements: u64,
    /// Bytes sent to the client.
    pub bytes_to_client: u64,
    /// Bytes sent to the server.
    pub bytes_to_server: u64,
}

/// What each leg is carried by; absent fields mean plain.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Transport<'a> {
    /// Protocol version, cipher suite and what was verified, towards the client.
    #[rkyv(with = Map<AsOwned>)]
    pub client_tls: Option<Cow<'a, str>>,
    /// The same towards the server.
    #[rkyv(with = Map<AsOwned>)]
    pub server_tls: Option<Cow<'a, str>>,
    /// `zlib` or `zstd`, towards the client.
    #[rkyv(with = Map<AsOwned>)]
    pub client_compression: Option<Cow<'a, str>>,
    /// The same towards the server.
    #[rkyv(with = Map<AsOwned>)]
    pub server_compression: Option<Cow<'a, str>>,
}

/// A statement whose client left before the answer was over.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Abandoned<'a> {
    /// Of the statement.
    pub number: u64,
    /// Whether the gateway has the server end it.
    pub killed: bool,
    /// What came of it, in a sentence.
    #[rkyv(with = AsOwned)]
    pub detail: Cow<'a, str>,
}

/// The canonical text of a statement, where the client's own bytes held something that another reader could take otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Forwarded<'a> {
    /// Of the statement.
    pub number: u64,
    /// What the server read.
    pub sql: Text<'a>,
}

/// Why a session is its workload's, where a selector chose the cgroup.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Chosen<'a> {
    /// The selector as the configuration writes it.
    #[rkyv(with = AsOwned)]
    pub selector: Cow<'a, str>,
    /// systemd's unit that the tagged cgroup is.
    #[rkyv(with = Map<AsOwned>)]
    pub unit: Option<Cow<'a, str>>,
    /// Id of the container that the tagged cgroup is.
    #[rkyv(with = Map<AsOwned>)]
    pub container: Option<Cow<'a, str>>,
    /// Uid of the pod that the tagged cgroup is or lies in.
    #[rkyv(with = Map<AsOwned>)]
    pub pod: Option<Cow<'a, str>>,
    /// Path of the caller's executable in its own mount namespace, where a selector asked for it.
    #[rkyv(with = Map<AsOwned>)]
    pub exe: Option<Cow<'a, str>>,
    /// SHA-256 of that file, in hexadecimal.
    #[rkyv(with = Map<AsOwned>)]
    pub sha256: Option<Cow<'a, str>>,
}

/// A signature over the recording so far. `docs/recording-format.md` says what is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Signature {
    /// Ed25519 public key of the daemon that signed.
    pub key: [u8; 32],
    /// Ed25519 signature (RFC 8032).
    pub signature: [u8; 64],
}

/// What policy was asked about a statement, or a part of it: see [`Facts::is_followed`].
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Facts<'a> {
    /// Of the statement.
    pub number: u64,
    /// Names of the actions (`select`, `drop`), each once in a record; at most [`FACTS_NAMES_MAX`].
    #[rkyv(with = AsOwned)]
    pub actions: Cow<'a, [String]>,
    /// Tables and other resources as policy calls them (`orders/shop.users`), each once in a record; at most [`FACTS_NAMES_MAX`].
    #[rkyv(with = AsOwned)]
    pub resources: Cow<'a, [String]>,
}

impl Facts<'_> {
    /// Whether another record has more of the same statement's: where a list is full, if only to say that there is nothing more.
    #[must_use]
    pub fn is_followed(&self) -> bool {
        self.actions.len() >= FACTS_NAMES_MAX || self.resources.len() >= FACTS_NAMES_MAX
    }
}

/// Some rows of a result set, in order, as the client received them.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Rows<'a> {
    /// Of the statement.
    pub number: u64,
    /// Which of the answer's result sets, from 0.
    pub result_set: u32,
    /// Number of the first of these rows in its result set, from 0.
    pub first: u64,
    /// Names of the columns.
    #[rkyv(with = AsOwned)]
    pub columns: Cow<'a, [String]>,
    /// Row after row, one value for each column; none is `NULL`. Values of the binary protocol are written as text.
    #[rkyv(with = AsOwned)]
    pub values: Cow<'a, [Option<Text<'a>>]>,
    /// Rows that follow in this answer were not kept.
    pub truncated: bool,
}

// The root of every payload: were it to change size, no older file could be read.
const _: () = assert!(size_of::<ArchivedEntry<'static>>() == 16 && align_of::<ArchivedEntry<'static>>() == 8);

/// What a record says about those that may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Anywhere,
    /// Nothing but a seal follows.
    Closing,
    /// Nothing follows.
    Last,
}

impl ArchivedEntry<'_> {
    pub(crate) fn place(&self) -> Place {
        match &self.record {
            ArchivedRecord::Closed(_) => Place::Closing,
            ArchivedRecord::Sealed(_) => Place::Last,
            ArchivedRecord::Opened(_)
            | ArchivedRecord::Login(_)
            | ArchivedRecord::Statement(_)
            | ArchivedRecord::Verdict(_)
            | ArchivedRecord::Response(_)
            | ArchivedRecord::Transport(_)
            | ArchivedRecord::Abandoned(_)
            | ArchivedRecord::Forwarded(_)
            | ArchivedRecord::Chosen(_)
            | ArchivedRecord::Checkpoint(_)
            | ArchivedRecord::Facts(_)
            | ArchivedRecord::Rows(_)
            | ArchivedRecord::Host(_) => Place::Anywhere,
        }
    }
}
