//! Every limit of the daemon and its command line, named once, with its unit.

use std::time::Duration;

/// A configuration file longer than this is not a configuration file.
pub(crate) const CONFIG_BYTES_MAX: u64 = 1024 * 1024;
/// The kernel programs hold the guarded ports in a map of this many entries.
pub(crate) const GUARDED_PORTS_MAX: usize = 16;
/// And those that workloads may not connect to in another of as many.
pub(crate) const REFUSED_PORTS_MAX: usize = 16;
/// Names of workloads, groups, servers and accounts.
pub(crate) const NAME_BYTES_MAX: usize = 128;
/// SPIFFE-ID standard, section 2.3: "SPIFFE implementations MUST NOT generate URIs of length greater than 2048 bytes".
pub(crate) const SPIFFE_ID_BYTES_MAX: usize = 2048;
/// SPIFFE-ID standard, section 2.3: the trust domain name is at most 255 bytes.
pub(crate) const TRUST_DOMAIN_BYTES_MAX: usize = 255;
/// Groups of one workload.
pub(crate) const GROUPS_MAX: usize = 64;
/// A password file longer than this is some other file.
pub(crate) const SECRET_BYTES_MAX: u64 = 4096;
/// A PEM file longer than this is some other file: a system's roots have a quarter of a MiB.
pub(crate) const PEM_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Destinations that one workload's egress lists.
pub(crate) const EGRESS_ALLOW_MAX: usize = 64;
/// `[[workload.select]]` tables of one workload.
pub(crate) const SELECTS_MAX: usize = 64;
/// `**` in one pattern: trying all of them takes time with the power of their number.
pub(crate) const DOUBLE_STARS_MAX: usize = 2;
/// Characters that a container's id must be given with, of 64.
pub(crate) const CONTAINER_ID_CHARS_MIN: usize = 12;
/// Cgroups under `refuse_unmatched`.
pub(crate) const REFUSE_UNMATCHED_MAX: usize = 64;
/// An executable longer than this is not hashed, and fits no selector.
pub(crate) const EXECUTABLE_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Hashes of executables that are remembered.
pub(crate) const EXECUTABLES_KEPT_MAX: usize = 1024;
/// Between two looks at the cgroup tree, when cgroups appear all the time.
pub(crate) const CGROUPS_LOOK_MIN: Duration = Duration::from_millis(5);
/// And so many times as long as the last look took.
pub(crate) const CGROUPS_LOOK_SHARE: u32 = 4;
/// Uids of one workload.
pub(crate) const UIDS_MAX: usize = 64;
/// Refused and redirected connects that the daemon keeps for `portreeve tail --connects`.
pub(crate) const CONNECTS_KEPT_MAX: usize = 1024;
/// Bytes after which a host recording goes on in another file.
pub(crate) const HOST_RECORDING_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Between two looks whether recordings are too old or too many, in nanoseconds.
pub(crate) const RETENTION_EVERY_NS: u64 = 60_000_000_000;
/// How long `keep_bytes` leaves a recording alone after its last record, in nanoseconds: a day.
pub(crate) const KEEP_BYTES_SPARES_NS: u64 = 24 * 60 * 60 * 1_000_000_000;
/// How far the clock may run ahead of the time that has passed since the daemon began, in nanoseconds, and still be believed where
/// something is removed by its age: an hour.
pub(crate) const CLOCK_AHEAD_MAX_NS: u64 = 60 * 60 * 1_000_000_000;
/// Days that recordings may be asked to be kept: a hundred years.
pub(crate) const KEEP_DAYS_MAX: u32 = 36_525;
/// Kinds of connect (reason, workload, destination, uid) that a host recording tells apart in one minute: whoever connects chooses the
/// destination. So many records of some 300 bytes are 110 MB a day at most, each kind twice.
pub(crate) const CONNECT_KINDS_PER_MINUTE_MAX: usize = 128;
/// Names of one server: each is in every certificate that its clients are shown.
pub(crate) const HOSTS_MAX: usize = 32;
/// Certificates kept for clients: one for each name by which they call a destination.
pub(crate) const CERTIFICATES_MAX: usize = 1024;
/// `sockaddr_un.sun_path` is 108 bytes with its closing NUL (unix(7)).
pub(crate) const SOCKET_PATH_BYTES_MAX: usize = 107;

/// How long policy files may go on changing before they are read nevertheless.
pub(crate) const POLICY_BURST_MAX: Duration = Duration::from_secs(2);

/// A statement to explain: the longest that is looked at, and one more to be too long.
pub(crate) const EXPLAINED_BYTES_MAX: u64 = portreeve_policy::limits::TEXT_BYTES_MAX as u64 + 2;
/// A file of rules to import.
pub(crate) const IMPORTED_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Statements with another verdict that `policy replay` shows one by one; more are counted.
pub(crate) const CHANGES_KEPT_MAX: usize = 10_000;
/// Rows that `export` gathers for one group of a Parquet file.
pub(crate) const EXPORT_GROUP_ROWS_MAX: usize = 50_000;
/// And their bytes.
pub(crate) const EXPORT_GROUP_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Sessions that `watch` shows.
pub(crate) const WATCHED_SESSIONS_MAX: usize = 1000;
/// Lines of each that it keeps.
pub(crate) const WATCHED_LINES_MAX: usize = 500;
/// And characters of each line.
pub(crate) const WATCHED_LINE_CHARS_MAX: usize = 500;
/// How long a server may say nothing to a statement that `replay --against` runs again.
pub(crate) const REPEATED_ANSWER_MAX: Duration = Duration::from_secs(60);
/// Recorded texts whose facts commands remember.
pub(crate) const FACTS_KEPT_MAX: usize = 10_000;
/// And their bytes.
pub(crate) const FACTS_KEPT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The texts of one recorded session's prepared statements that are remembered while it is read, in bytes.
pub(crate) const RECORDED_PREPARED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Rows of one recorded answer that are kept while it is read: no more are taken beyond so many bytes.
pub(crate) const RECORDED_ROWS_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Names of what policy was asked about one recorded statement that are kept while it is read, in bytes: more than the names that a
/// text of 1 MiB can have.
pub(crate) const RECORDED_FACTS_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Statements of one recorded session that wait for their answer while it is read.
pub(crate) const RECORDED_PENDING_MAX: usize = 64;

/// How long a successor may take to serve: the verifier reads its kernel programs on a machine that is busy.
pub(crate) const SUCCESSOR_START_MAX: Duration = Duration::from_secs(60);
/// How long `portreeve upgrade` waits for the daemon's answer; longer than the daemon waits, so that its reason wins.
pub(crate) const UPGRADE_CLIENT_TIMEOUT: Duration = Duration::from_secs(75);
/// How long a draining daemon may take to say how many sessions it has: `status` asks each of them.
pub(crate) const PREDECESSOR_TIMEOUT: Duration = Duration::from_secs(1);
/// How long sessions may go on while the daemon stops, if the configuration does not say: shorter than the 10 s that drivers
/// commonly wait for a greeting, as new connections may be waiting meanwhile.
pub(crate) const STOP_DRAIN_SECONDS: u32 = 5;
/// And under a daemon that has a successor. Nobody waits for them.
pub(crate) const UPGRADE_DRAIN_SECONDS: u32 = 3600;
/// The longest that either may be set to: a week.
pub(crate) const DRAIN_SECONDS_MAX: u32 = 7 * 24 * 60 * 60;

/// One request on the control socket, its newline included.
pub(crate) const CONTROL_REQUEST_BYTES_MAX: usize = 64 * 1024;
/// One response on the control socket: a listing of every workload fits many times.
pub(crate) const CONTROL_RESPONSE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Control connections served at the same time; the next ones wait to be accepted.
pub(crate) const CONTROL_CONNECTIONS_MAX: usize = 16;
/// How long the daemon waits for a request that was begun, and for its reader to take the response.
pub(crate) const CONTROL_SERVER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a command waits for the daemon; longer than the daemon's own limit, so that its answer wins.
pub(crate) const CONTROL_CLIENT_TIMEOUT: Duration = Duration::from_secs(10);

/// Between two looks for network namespaces of tagged workloads. A connect that comes from a new one meanwhile is held.
pub(crate) const NAMESPACES_LOOK_EVERY: Duration = Duration::from_secs(1);
/// And so many times as long as the last look took.
pub(crate) const NAMESPACES_LOOK_SHARE: u32 = 20;
/// How long a network namespace without tagged workloads keeps its listeners, and is kept alive by them.
pub(crate) const NAMESPACE_UNUSED_MAX: Duration = Duration::from_secs(2);
/// Between two lines in the log about the same network namespace.
pub(crate) const NAMESPACE_PROBLEM_EVERY: Duration = Duration::from_secs(60);
/// The pause after which a held SYN is sent again for the first time.
pub(crate) const HELD_SYN_AGAIN: Duration = Duration::from_millis(50);

/// A snapshot of a server's views and routines counts for so long, if no session changes any.
pub(crate) const CATALOGUE_AGE_MAX: Duration = Duration::from_secs(60);
/// One that could not be read is tried again after this.
pub(crate) const CATALOGUE_RETRY: Duration = Duration::from_secs(5);
/// Reading one, the login included.
pub(crate) const CATALOGUE_READ_MAX: Duration = Duration::from_secs(20);
/// Between two looks for a name that the snapshot does not have.
pub(crate) const CATALOGUE_LOOK_AGAIN_MIN: Duration = Duration::from_secs(1);
/// And so many times as long as the last look took.
pub(crate) const CATALOGUE_LOOK_AGAIN_SHARE: u32 = 20;
/// Tables, views and routines of one snapshot.
pub(crate) const CATALOGUE_NAMES_MAX: usize = 200_000;
/// Text of its views and routines, in bytes.
pub(crate) const CATALOGUE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Columns of its tables, where policies speak of columns; of more, none are kept, and names may be of any table.
pub(crate) const CATALOGUE_COLUMNS_MAX: usize = 500_000;
/// Routines of it whose text is asked for one by one.
pub(crate) const CATALOGUE_ROUTINES_MAX: usize = 10_000;
/// One row of a server's answer to the gateway's own questions, in bytes.
pub(crate) const OWN_ROW_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Prepared statements one session may have open. The server's own default for all sessions is 16,382.
pub(crate) const PREPARED_MAX: usize = 4096;
/// A prepared statement whose text is longer is not judged anew when definitions change, in bytes: it must be prepared again.
pub(crate) const PREPARED_TEXT_BYTES_MAX: usize = 64 * 1024;
/// The texts that are kept of one session's prepared statements, in bytes.
pub(crate) const PREPARED_TEXTS_BYTES_MAX: usize = 4 * 1024 * 1024;

const _: () = assert!(CATALOGUE_RETRY.as_millis() < CATALOGUE_AGE_MAX.as_millis());
const _: () = assert!(CATALOGUE_READ_MAX.as_millis() < CATALOGUE_AGE_MAX.as_millis());
const _: () = assert!(UPGRADE_CLIENT_TIMEOUT.as_millis() > SUCCESSOR_START_MAX.as_millis());
const _: () = assert!(PREDECESSOR_TIMEOUT.as_millis() < CONTROL_CLIENT_TIMEOUT.as_millis());
const _: () = assert!(STOP_DRAIN_SECONDS <= UPGRADE_DRAIN_SECONDS && UPGRADE_DRAIN_SECONDS <= DRAIN_SECONDS_MAX);
const _: () = assert!(CONTROL_CLIENT_TIMEOUT.as_millis() > CONTROL_SERVER_TIMEOUT.as_millis());
const _: () = assert!(TRUST_DOMAIN_BYTES_MAX + NAME_BYTES_MAX < SPIFFE_ID_BYTES_MAX);
