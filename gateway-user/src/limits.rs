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
/// Uids of one workload.
pub(crate) const UIDS_MAX: usize = 64;
/// Refused and redirected connects that the daemon keeps for `portreeve tail --connects`.
pub(crate) const CONNECTS_KEPT_MAX: usize = 1024;
/// Names of one server: each is in every certificate that its clients are shown.
pub(crate) const HOSTS_MAX: usize = 32;
/// Certificates kept for clients: one for each name by which they call a destination.
pub(crate) const CERTIFICATES_MAX: usize = 1024;
/// `sockaddr_un.sun_path` is 108 bytes with its closing NUL (unix(7)).
pub(crate) const SOCKET_PATH_BYTES_MAX: usize = 107;

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

const _: () = assert!(CONTROL_CLIENT_TIMEOUT.as_millis() > CONTROL_SERVER_TIMEOUT.as_millis());
const _: () = assert!(TRUST_DOMAIN_BYTES_MAX + NAME_BYTES_MAX < SPIFFE_ID_BYTES_MAX);
