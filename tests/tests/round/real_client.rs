//! The Rust crate mysql_async reads `@@socket` after its login, and leaves by it where it can.

use super::EVERYTHING;
use portreeve_tests::{
    cgroup::Cgroup,
    client, host,
    scene::{Scene, server},
    servers::Flavour,
};
use std::process::Command;

#[test]
fn mysql_async_stays() {
    for flavour in [Flavour::MariaDb, Flavour::MySql] {
        let scene = Scene::with(server(flavour).unwrap(), EVERYTHING, |_| ()).unwrap();
        scene.server.sql("CREATE USER direct@'%' IDENTIFIED BY 'anything'; GRANT ALL ON *.* TO direct@'%'").unwrap();
        scene.server.log_statements().unwrap();
        let connect = |cgroup: &Cgroup| {
            let before = scene.server.general_log().len();
            let mut command = Command::new(host::provisioned().join("clients/rust/debug/mysql_async"));
            // The program of the matrix: of its steps only the first finds here what it needs.
            command.args([&scene.server.address().to_string(), "direct", "anything", "shop", "/dev/null"]);
            let answer = client::run(Some(cgroup), command).unwrap();
            assert!(answer.stdout.contains("connect"), "{answer:?}");
            let log = scene.server.general_log().split_off(before);
            // Let in or not: MariaDB and MySQL write `direct@localhost`, and `'direct'@'localhost'` of a refused login.
            let by_socket = |line: &str| line.replace('\'', "").contains("direct@localhost");
            (log.lines().any(by_socket), log)
        };
        let (leaves, log) = connect(&Cgroup::create("untagged").unwrap());
        assert!(leaves, "{flavour:?}: it does not leave at all: {log}");
        let (leaves, log) = connect(&scene.reporting);
        assert!(!leaves, "{flavour:?}: {log}");
        assert!(log.contains("shop_reporting"), "{log}");
    }
}
