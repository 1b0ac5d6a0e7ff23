//! sysbench, with statements prepared by the protocol and without.

use crate::run::{Work, shown};
use portreeve_tests::{
    cgroup::Cgroup,
    client::{self, Answer, Login},
    servers::Flavour,
};
use std::{process::Command, time::Duration};

const POLICY: &str = r#"
@id("bench-session") permit (principal, action in Action::"session", resource in Server::"shop-db");
@id("bench-rows")
permit (
  principal,
  action in [Action::"select", Action::"insert", Action::"update", Action::"delete"],
  resource in Schema::"shop-db/SCHEMA"
);
@id("bench-tables")
permit (principal, action in [Action::"create", Action::"drop", Action::"index"], resource in Schema::"shop-db/SCHEMA");
"#;

pub(crate) fn oltp_read_write(flavour: Flavour) {
    let work = Work::new(flavour, "everyday_sysbench", POLICY);
    let mut answers = Vec::new();
    for prepare in ["auto", "disable"] {
        work.fresh("");
        for action in ["prepare", "run", "cleanup"] {
            let direct = sysbench(None, &work.direct_login(), prepare, action);
            assert!(direct.ok(), "directly: {}", shown(&direct));
        }
        work.fresh("");
        let through = ["prepare", "run", "cleanup"];
        answers.extend(through.map(|action| sysbench(Some(&work.scene.reporting), &work.login(), prepare, action)));
    }
    work.check(&answers.iter().collect::<Vec<_>>());
}

fn sysbench(cgroup: Option<&Cgroup>, login: &Login, prepare: &str, action: &str) -> Answer {
    let mut command = Command::new("sysbench");
    command.args(["oltp_read_write", "--db-driver=mysql", "--threads=2", "--tables=2", "--table-size=500"]);
    command.args(["--events=50", "--time=0", &format!("--db-ps-mode={prepare}")]);
    command.args([
        format!("--mysql-host={}", login.host),
        format!("--mysql-user={}", login.user),
        format!("--mysql-password={}", login.password),
        format!("--mysql-db={}", login.schema.clone().unwrap_or_default()),
    ]);
    command.arg(action);
    client::run_for(cgroup, command, Duration::from_secs(60)).unwrap()
}
