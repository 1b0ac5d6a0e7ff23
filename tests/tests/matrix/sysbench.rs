//! sysbench with prepared statements: so many of each kind, whichever way they go. Its rows differ at each run, for all its
//! seed.

use crate::work::{PATIENCE, direct_login, scene, shown};
use portreeve_tests::{
    cgroup::Cgroup,
    client::{self, Login},
    servers::{Flavour, Server},
};
use std::process::Command;

const SCHEMA: &str = "matrix_sysbench";

pub(crate) fn check(flavour: Flavour) {
    let scene = scene(flavour);
    let direct = work(&scene.server, None, &direct_login(&scene, SCHEMA));
    let through = work(&scene.server, Some(&scene.reporting), &scene.login().schema(SCHEMA));
    assert_eq!(through, direct);
    // 50 transactions of 14 reads, 4 writes, and BEGIN and COMMIT.
    for part in ["read: 700", "write: 200", "other: 100", "transactions: 50", "ignored errors: 0", "1000\t1000"] {
        assert!(through.contains(part), "no `{part}` in {through}");
    }
    let records = scene.gateway.records(&[]).unwrap();
    let prepared = records.iter().filter_map(|record| record["sql"]["text"].as_str());
    assert!(prepared.into_iter().any(|text| text.starts_with("SELECT c FROM sbtest") && text.contains('?')));
    scene.server.sql(&format!("DROP DATABASE {SCHEMA}")).unwrap();
}

/// What it counted, and the rows that there are in the end: each that it deletes it inserts again.
fn work(server: &Server, cgroup: Option<&Cgroup>, login: &Login) -> String {
    server.sql(&format!("DROP DATABASE IF EXISTS {SCHEMA}; CREATE DATABASE {SCHEMA}")).unwrap();
    let mut counted = String::new();
    for action in ["prepare", "run"] {
        let mut command = Command::new("sysbench");
        command.args(["oltp_read_write", "--db-driver=mysql", "--db-ps-mode=auto", "--threads=1"]);
        command.args(["--tables=2", "--table-size=1000", "--events=50", "--time=0"]);
        command.args([
            format!("--mysql-host={}", login.host),
            format!("--mysql-user={}", login.user),
            format!("--mysql-password={}", login.password),
            format!("--mysql-db={SCHEMA}"),
        ]);
        command.arg(action);
        let answer = client::run_for(cgroup, command, PATIENCE).unwrap();
        assert!(answer.ok(), "{}", shown(&answer));
        counted = answer.stdout;
    }
    let counts = counted.lines().filter_map(|line| {
        let (what, count) = line.trim().split_once(':')?;
        let wanted = ["read", "write", "other", "transactions", "queries", "ignored errors", "reconnects"];
        // What follows in parentheses is per second.
        wanted.contains(&what).then(|| format!("{what}: {}", count.split_whitespace().next().unwrap_or_default()))
    });
    let counts: Vec<_> = counts.collect();
    let rows = format!("SELECT (SELECT COUNT(*) FROM {SCHEMA}.sbtest1), (SELECT COUNT(*) FROM {SCHEMA}.sbtest2)");
    format!("{}\n{}", counts.join("\n"), server.sql(&rows).unwrap())
}
