//! Every patience and bound of the harness, in one place.

use std::time::Duration;

/// A child that was asked to end (SIGTERM) is killed after this.
pub const END_WAIT_MAX: Duration = Duration::from_secs(10);
/// A database server must answer on its socket within this; generous because six builds may share two cores.
pub const SERVER_START_MAX: Duration = Duration::from_secs(60);
/// The daemon must answer `portreeve status` within this.
pub const GATEWAY_START_MAX: Duration = Duration::from_secs(30);
/// A client that has not ended by then is killed, and the run is an error.
pub const CLIENT_RUN_MAX: Duration = Duration::from_secs(30);
/// A statement that the harness itself sends over a server's Unix socket.
pub const ADMIN_SQL_MAX: Duration = Duration::from_secs(120);
/// Between two looks at something awaited.
pub const POLL_EVERY: Duration = Duration::from_millis(5);
/// A killed cgroup must be empty within this.
pub const CGROUP_EMPTY_MAX: Duration = Duration::from_secs(5);
/// A test of MariaDB's suite is killed after this many minutes; its runner counts in minutes.
pub const TEST_MINUTES_MAX: u32 = 2;
/// `sockaddr_un.sun_path` holds 108 bytes with its NUL (unix(7)).
pub const UNIX_PATH_BYTES_MAX: usize = 107;
/// Bytes kept of a log that goes into an error message: the end tells.
pub const LOG_TAIL_BYTES_MAX: usize = 4096;

const _: () = assert!(POLL_EVERY.as_millis() * 10 < CGROUP_EMPTY_MAX.as_millis());
const _: () = assert!(END_WAIT_MAX.as_secs() < SERVER_START_MAX.as_secs());
