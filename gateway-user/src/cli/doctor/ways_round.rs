//! Ways to a MySQL server on this host that interception does not see.

use super::Finding;
use crate::host;
use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::FileTypeExt as _,
    path::{Path, PathBuf},
};

/// Where distributions put the server's socket; others are found among the host's listening sockets.
const USUAL_SOCKETS: [&str; 5] = [
    "/run/mysqld/mysqld.sock",
    "/run/mysqld/mysqlx.sock",
    "/var/run/mysqld/mysqld.sock",
    "/var/lib/mysql/mysql.sock",
    "/tmp/mysql.sock",
];
/// The X protocol's port, its usual second, and the administration port (MySQL manual, "Server-Side Port Reference").
const SIDE_PORTS: std::ops::RangeInclusive<u16> = 33060..=33062;

pub(super) fn findings() -> Vec<Finding> {
    vec![sockets(), side_ports()]
}

fn sockets() -> Finding {
    const WHAT: &str = "Unix sockets of MySQL servers";
    let listening = fs::read_to_string("/proc/net/unix").unwrap_or_default();
    let candidates = USUAL_SOCKETS.iter().map(PathBuf::from).chain(mysql_sockets(&listening));
    let sockets: BTreeSet<PathBuf> =
        candidates.filter(|path| is_socket(path)).filter_map(|path| path.canonicalize().ok()).collect();
    if sockets.is_empty() {
        return Finding::ok(WHAT, "none");
    }
    let names: Vec<String> = sockets.iter().map(|path| path.display().to_string()).collect();
    Finding::warning(
        WHAT,
        names.join(", "),
        "agents that can reach one connect round interception; no credential of the gateway helps them, their own would",
        "keep agents out of its folder (mode 0750, group of the server), or mount over it in their namespace",
    )
}

fn is_socket(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

/// Bound paths in a `/proc/net/unix` (proc(5)) that a MySQL or MariaDB server gave them.
fn mysql_sockets(proc_net_unix: &str) -> Vec<PathBuf> {
    let path = |line: &str| {
        let path = line.get(line.find(" /")? + 1..)?;
        (path.contains("mysql") || path.contains("mariadb")).then(|| PathBuf::from(path))
    };
    proc_net_unix.lines().filter_map(path).collect()
}

fn side_ports() -> Finding {
    const WHAT: &str = "ports 33060 to 33062";
    let listening = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    let ports: BTreeSet<u16> = listening
        .iter()
        .flat_map(|text| host::listening_ports(text))
        .filter(|port| SIDE_PORTS.contains(port))
        .collect();
    if ports.is_empty() {
        return Finding::ok(WHAT, "nobody listens");
    }
    let names: Vec<String> = ports.iter().map(u16::to_string).collect();
    Finding::warning(
        WHAT,
        format!("somebody listens on {}", names.join(", ")),
        "the X protocol and the administration port are ways to a server that interception of port 3306 does not see",
        "start mysqld with `mysqlx=OFF`, and without `admin_address`, or keep agents from these ports by firewall",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_of_servers_are_found_wherever_they_are_bound() {
        let text = "\
Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 15231 /run/dbus/system_bus_socket
0000000000000000: 00000002 00000000 00010000 0001 01 15232 /srv/mysql one/a.sock
0000000000000000: 00000003 00000000 00000000 0001 03 15233
0000000000000000: 00000002 00000000 00010000 0001 01 15234 @mysql-abstract
";
        assert_eq!(mysql_sockets(text), [PathBuf::from("/srv/mysql one/a.sock")]);
    }

    #[test]
    fn a_folder_or_file_is_not_a_socket() {
        assert!(!is_socket(Path::new("/tmp")) && !is_socket(Path::new("/nonexistent/mysql.sock")));
        let path = std::env::temp_dir().join(format!("portreeve-doctor-{}.sock", std::process::id()));
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert!(is_socket(&path));
        drop(listener);
        fs::remove_file(path).unwrap();
    }
}
