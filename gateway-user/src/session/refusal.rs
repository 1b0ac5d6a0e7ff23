//! What a client reads when the gateway says no: MySQL code, SQLSTATE and a text without secrets.

use portreeve_mysql::{outcome, packet};
use portreeve_policy::Verdict;

/// An error of the gateway's own, for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    code: u16,
    sqlstate: &'static [u8; 5],
    message: String,
}

impl Refusal {
    /// `ER_TABLEACCESS_DENIED_ERROR`: policy denied a statement. The session goes on.
    pub(super) fn denied(verdict: &Verdict, session: &str) -> Self {
        let by = if verdict.policies.is_empty() { "" } else { " " };
        let policies = verdict.policies.join(", ");
        Self::new(1142, b"42000", format!("denied by policy{by}{policies}: {} (session {session})", verdict.reason))
    }

    /// `ER_ACCESS_DENIED_ERROR`: this connection may not be.
    pub(super) fn access(reason: &str, session: &str) -> Self {
        Self::new(1045, b"28000", format!("Access denied by portreeve: {reason} (session {session})"))
    }

    /// `ER_DBACCESS_DENIED_ERROR`: the login's initial schema is denied.
    pub(super) fn schema(reason: &str, session: &str) -> Self {
        Self::new(1044, b"42000", format!("Access denied by portreeve: {reason} (session {session})"))
    }

    /// `ER_NOT_SUPPORTED_YET`: what the gateway cannot pass safely.
    pub(super) fn unsupported(what: &str, session: &str) -> Self {
        Self::new(1235, b"42000", format!("portreeve does not pass {what} (session {session})"))
    }

    /// `ER_SERVER_SHUTDOWN`, by whose SQLSTATE drivers know that there is no connection. The text is that of a client's own
    /// 2003, but not its code: MariaDB's clients take a code of the client's range that comes from a server for a malformed
    /// packet.
    pub(super) fn unreachable(server: &str, cause: &str, session: &str) -> Self {
        Self::new(1053, b"08S01", format!("Can't connect to MySQL server `{server}` ({cause}) (session {session})"))
    }

    /// `ER_UNKNOWN_STMT_HANDLER`: as the server answers to a statement id it does not know.
    pub(super) fn unknown_statement(statement_id: u32, asked: &str) -> Self {
        Self::new(1243, b"HY000", format!("Unknown prepared statement handler ({statement_id}) given to {asked}"))
    }

    /// `ER_NEED_REPREPARE`: the text may mean something else by now than when it was judged.
    pub(super) fn prepare_again(why: &str, session: &str) -> Self {
        Self::new(1615, b"HY000", format!("Prepared statement needs to be re-prepared: {why} (session {session})"))
    }

    /// `ER_UNKNOWN_COM_ERROR`: as the server answers to a byte that is no command, and to an empty packet.
    pub(super) fn unknown_command() -> Self {
        Self::new(1047, b"08S01", "Unknown command".to_owned())
    }

    /// `ER_NET_PACKETS_OUT_OF_ORDER`: as the server answers, before it ends the session.
    pub(super) fn out_of_order() -> Self {
        Self::new(1156, b"08S01", "Got packets out of order".to_owned())
    }

    /// `ER_MALFORMED_PACKET`: as the server answers to a command with fields missing.
    pub(super) fn malformed(what: &str, session: &str) -> Self {
        Self::new(1835, b"HY000", format!("Malformed communication packet: {what} (session {session})"))
    }

    /// `ER_MAX_PREPARED_STMT_COUNT_REACHED`
    pub(super) fn too_many_statements(max: usize) -> Self {
        Self::new(1461, b"42000", format!("portreeve keeps at most {max} prepared statements per session: close some"))
    }

    /// `ER_NET_PACKET_TOO_LARGE`
    pub(super) fn too_large(max: usize, session: &str) -> Self {
        let what = format!("Got a packet bigger than the {max} bytes that portreeve takes: send less at once");
        Self::new(1153, b"08S01", format!("{what} (session {session})"))
    }

    /// `ER_UNKNOWN_CHARACTER_SET`: text in it could be read otherwise than the server reads it.
    pub(super) fn character_set(collation: u16, session: &str) -> Self {
        let what = format!("collation {collation} is not one that portreeve reads: use utf8mb4");
        Self::new(1115, b"42000", format!("{what} (session {session})"))
    }

    /// `ER_CLIENT_LOCAL_FILES_DISABLED`: policy does not permit the file that the server asked the client for.
    pub(super) fn file(session: &str) -> Self {
        let why = "no policy permits `local_infile` for the file that the server asked for";
        Self::new(3948, b"42000", format!("Loading local data is denied: {why} (session {session})"))
    }

    /// `ER_UNKNOWN_ERROR`: the gateway itself cannot go on.
    pub(super) fn failed(what: &str, session: &str) -> Self {
        Self::new(1105, b"HY000", format!("portreeve: {what} (session {session})"))
    }

    fn new(code: u16, sqlstate: &'static [u8; 5], message: String) -> Self {
        Self { code, sqlstate, message }
    }

    pub(super) fn code(&self) -> u16 {
        self.code
    }

    pub(super) fn sqlstate(&self) -> &'static str {
        // SQLSTATEs are ASCII literals of this file.
        std::str::from_utf8(self.sqlstate).unwrap_or("HY000")
    }

    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// The ERR packet, as the answer to a packet with the sequence id before `sequence_id`.
    pub(super) fn packet(&self, sequence_id: u8) -> Vec<u8> {
        let mut sequence_id = sequence_id;
        let mut payload = Vec::new();
        outcome::error_payload(self.code, self.sqlstate, &self.message, true, &mut payload);
        let mut wire = Vec::new();
        packet::write_packet(&mut wire, &mut sequence_id, &payload);
        wire
    }
}
