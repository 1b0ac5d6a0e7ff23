//! What a host recording holds: what befell the daemon, who connected, and the ledger of recordings.
//!
//! Fields are owned: these records are few. As in a session's file, new kinds come at the end and fields never change.

use std::borrow::Cow;

use rkyv::with::{AsOwned, Map};
use rkyv::{Archive, Deserialize, Serialize};

/// The kinds of record in a host recording.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub enum Host<'a> {
    /// First in every file.
    Started(Box<Started<'a>>),
    /// A host recording that was there before this one.
    Follows(Box<Follows<'a>>),
    /// The daemon ends, or goes on in another file.
    Stopped(Box<Stopped<'a>>),
    /// Connects that the kernel programs redirected or refused.
    Connects(Box<Connects<'a>>),
    /// A cgroup was tagged.
    Tagged(Box<Tagged<'a>>),
    /// The tag of a cgroup ended.
    Untagged(Box<Tagged<'a>>),
    /// Policies were read.
    PoliciesLoaded(Box<PoliciesLoaded<'a>>),
    /// Events that are not in this recording.
    Lost(Box<Lost>),
    /// The file of a session was made.
    SessionBegan(Box<SessionBegan<'a>>),
    /// The file of a session is written no longer.
    SessionEnded(Box<SessionEnded<'a>>),
    /// A recording is removed, as retention says.
    Removed(Box<Removed<'a>>),
}

/// Which daemon writes, under what rules.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Started<'a> {
    /// Id of this host recording, as in the header.
    #[rkyv(with = AsOwned)]
    pub id: Cow<'a, str>,
    /// The recording of the same daemon that this one continues; none at its start.
    #[rkyv(with = Map<AsOwned>)]
    pub continues: Option<Cow<'a, str>>,
    /// Version of the gateway.
    #[rkyv(with = AsOwned)]
    pub gateway_version: Cow<'a, str>,
    /// Process id of the daemon.
    pub pid: u32,
    /// The kernel's release.
    #[rkyv(with = AsOwned)]
    pub kernel: Cow<'a, str>,
    /// The kernel's id of this boot.
    #[rkyv(with = AsOwned)]
    pub boot_id: Cow<'a, str>,
    /// Path of the configuration.
    #[rkyv(with = AsOwned)]
    pub config_path: Cow<'a, str>,
    /// SHA-256 of its text when the daemon started, in hexadecimal.
    #[rkyv(with = AsOwned)]
    pub config_sha256: Cow<'a, str>,
    /// SHA-256 of the policies in force, in hexadecimal.
    #[rkyv(with = AsOwned)]
    pub policies_sha256: Cow<'a, str>,
    /// Nothing is denied: the daemon only observes.
    pub observe: bool,
}

/// How far another host recording went when this one began.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Follows<'a> {
    /// Its id.
    #[rkyv(with = AsOwned)]
    pub id: Cow<'a, str>,
    /// No daemon writes it any more: it ends after these frames.
    pub ended: bool,
    /// Frames that were in it.
    pub frames: u64,
    /// Its chain after them.
    pub chain: [u8; 32],
}

/// Why nothing more follows.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Stopped<'a> {
    /// In a sentence.
    #[rkyv(with = AsOwned)]
    pub reason: Cow<'a, str>,
    /// The recording in which the same daemon goes on.
    #[rkyv(with = Map<AsOwned>)]
    pub continued: Option<Cow<'a, str>>,
}

/// Connects of one minute that are the same but for process and time.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Connects<'a> {
    /// Why they were refused; none of those that were redirected.
    #[rkyv(with = Map<AsOwned>)]
    pub refused: Option<Cow<'a, str>>,
    /// Name of the workload.
    #[rkyv(with = Map<AsOwned>)]
    pub workload: Option<Cow<'a, str>>,
    /// Address and port that was called.
    #[rkyv(with = Map<AsOwned>)]
    pub destination: Option<Cow<'a, str>>,
    /// User id of the caller.
    pub uid: Option<u32>,
    /// Process id of the first caller.
    pub pid: Option<u32>,
    /// Thread name of the first caller.
    #[rkyv(with = Map<AsOwned>)]
    pub comm: Option<Cow<'a, str>>,
    /// cgroup v2 id of the first caller.
    pub cgroup_id: u64,
    /// The kernel's cookie of the first caller's network namespace.
    pub netns_cookie: Option<u64>,
    /// How many there were.
    pub count: u64,
    /// When the first was learned of, in nanoseconds since 1970 UTC.
    pub first_unix_ns: u64,
    /// And the last.
    pub last_unix_ns: u64,
}

/// Which cgroup is which workload.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Tagged<'a> {
    /// Below the cgroup v2 mount.
    #[rkyv(with = AsOwned)]
    pub cgroup: Cow<'a, str>,
    /// cgroup v2 id.
    pub cgroup_id: u64,
    /// Name of the workload.
    #[rkyv(with = AsOwned)]
    pub workload: Cow<'a, str>,
    /// Its SPIFFE ID.
    #[rkyv(with = AsOwned)]
    pub spiffe_id: Cow<'a, str>,
    /// Its groups.
    #[rkyv(with = AsOwned)]
    pub groups: Cow<'a, [String]>,
    /// By what: `configuration`, `selector` or `command`.
    #[rkyv(with = AsOwned)]
    pub by: Cow<'a, str>,
}

/// What came of reading the policies.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct PoliciesLoaded<'a> {
    /// SHA-256 of those in force from now on, in hexadecimal.
    #[rkyv(with = AsOwned)]
    pub sha256: Cow<'a, str>,
    /// How many they are.
    pub policies: u64,
    /// Why those in force stayed.
    #[rkyv(with = Map<AsOwned>)]
    pub error: Option<Cow<'a, str>>,
}

/// How many events went by unrecorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Lost {
    /// Connects that found the kernel's ring buffer full.
    pub connect_events: u64,
    /// Connects that found the minute's table full: counted, but not told apart.
    pub connects_unlisted: u64,
}

/// A session's file was made. Nothing is in it yet.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct SessionBegan<'a> {
    /// Id of the session.
    #[rkyv(with = AsOwned)]
    pub session_id: Cow<'a, str>,
}

/// A session's file is written no longer: it was sealed, or the daemon that follows a killed one found it so.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct SessionEnded<'a> {
    /// Id of the session.
    #[rkyv(with = AsOwned)]
    pub session_id: Cow<'a, str>,
    /// Frames of the file.
    pub frames: u64,
    /// Its chain after them.
    pub chain: [u8; 32],
}

/// Written before the file goes.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Removed<'a> {
    /// Id of the session, or of the host recording.
    #[rkyv(with = AsOwned)]
    pub id: Cow<'a, str>,
    /// It is a host recording.
    pub host: bool,
    /// Its length in bytes.
    pub bytes: u64,
    /// What rule it fell under, in a sentence.
    #[rkyv(with = AsOwned)]
    pub reason: Cow<'a, str>,
}
