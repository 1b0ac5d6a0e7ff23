//! Tests of MariaDB's own suite that are quick and cover most of the protocol; `cargo xtask conformance` runs all of it.

use crate::room;
use portreeve_tests::{
    host,
    mysqltest::{Class, Suite, Trial},
};

/// Every test of the list gives directly what it gives through the daemon. One after the other: their servers share a port.
#[test]
fn mariadb_s_own_tests_give_the_same() {
    room();
    check(&[], include_str!("suite/text.list"));
    check(&["--ps-protocol"], include_str!("suite/prepared.list"));
    check(&["--cursor-protocol"], include_str!("suite/cursors.list"));
}

fn check(options: &[&str], list: &str) {
    let suite = Suite::find("main").unwrap();
    let tests: Vec<_> =
        list.lines().filter(|line| !line.starts_with('#')).flat_map(str::split_whitespace).map(str::to_owned).collect();
    let options: Vec<_> = options.iter().map(|&option| option.to_owned()).collect();
    let folder = host::run_dir("differential").unwrap();
    let trial = Trial { suite: &suite, options: &options, folder: folder.clone(), keep_direct: false };
    let verdicts = trial.judge_quickly(&tests, &mut |_| ()).unwrap();
    let others: Vec<_> = verdicts.iter().filter(|verdict| verdict.class != Class::Same).collect();
    assert!(others.is_empty(), "{options:?}, outputs are in {}: {others:#?}", folder.display());
    // A test that the runner does not know would pass unseen.
    for test in &tests {
        assert!(verdicts.iter().any(|verdict| verdict.test() == test), "`{test}` was not run");
    }
    host::remove_run_dir(&folder).unwrap();
}
