//! Catalogue 5.5: what errors, warnings, counters and time tell.

use crate::case::Case;

pub(crate) fn cases() -> Vec<Case> {
    [texts(), answers(), times()].concat()
}

fn texts() -> Vec<Case> {
    let both = [
        ("a path of XML", "B099", "SELECT EXTRACTVALUE(1, CONCAT('~', (SELECT password FROM vault.users LIMIT 1)))"),
        (
            "another path of XML",
            "B099",
            "SELECT UPDATEXML(1, CONCAT('~', (SELECT password FROM vault.users LIMIT 1)), 1)",
        ),
        (
            "a path of XML in a condition",
            "B099",
            "SELECT 1 FROM orders WHERE 1 = EXTRACTVALUE(1, CONCAT('~', (SELECT password FROM vault.users LIMIT 1)))",
        ),
        (
            "a duplicate group",
            "B099",
            "SELECT COUNT(*), CONCAT((SELECT password FROM vault.users LIMIT 1), FLOOR(RAND(0) * 2)) AS x FROM information_schema.plugins GROUP BY x",
        ),
    ];
    let mut cases: Vec<_> = both.into_iter().map(|(name, id, text)| Case::leaks(name, id, &[text])).collect();
    // The warning's text holds it.
    cases.push(Case::leaks("a warning", "B104", &["SELECT 1 + password FROM vault.users", "SHOW WARNINGS"]));
    cases.push(Case::leaks(
        "a warning of a date",
        "B104",
        &["SELECT DATE(password) FROM vault.users", "SHOW WARNINGS"],
    ));
    let mysql = [
        ("a set of GTIDs", "B104", "SELECT GTID_SUBSET(password, 1) FROM vault.users"),
        ("a difference of GTIDs", "B104", "SELECT GTID_SUBTRACT(password, 1) FROM vault.users"),
        ("a UUID that is none", "B104", "SELECT UUID_TO_BIN(password) FROM vault.users"),
    ];
    cases.extend(mysql.into_iter().map(|(name, id, text)| Case::leaks(name, id, &[text]).mysql()));
    cases.push(Case::leaks(
        "diagnostics",
        "B103",
        &[
            "SELECT EXTRACTVALUE(1, CONCAT('~', (SELECT password FROM vault.users LIMIT 1)))",
            "GET DIAGNOSTICS CONDITION 1 @said = MESSAGE_TEXT",
            "SELECT @said",
        ],
    ));
    cases
}

fn answers() -> Vec<Case> {
    let yes = |name: &'static str, id: &'static str, text: &str| Case::shows(name, id, "it is so", &[text]);
    vec![
        yes("a guess", "B109", "SELECT 'it is', ' so', 'it is so' FROM vault.users WHERE password LIKE 'h%'"),
        yes(
            "a guess in a subquery",
            "B109",
            "SELECT IF((SELECT password FROM vault.users WHERE id = 1) > 'h', CONCAT('it is', ' so'), 'no')",
        ),
        yes(
            "a guess by EXISTS",
            "B109",
            "SELECT CONCAT('it is', ' so') FROM orders WHERE EXISTS (SELECT 1 FROM vault.users WHERE password REGEXP '^hunter')",
        ),
        yes(
            "a guess by groups",
            "B111",
            "SELECT CONCAT('it is', ' so') FROM vault.users GROUP BY password HAVING password LIKE 'h%'",
        ),
        yes(
            "a guess by a join",
            "B109",
            "SELECT CONCAT('it is', ' so') FROM orders JOIN vault.users ON password LIKE 'h%'",
        ),
        yes(
            "a guess by order",
            "B111",
            "SELECT CONCAT('it is', ' so') FROM orders ORDER BY (SELECT password FROM vault.users LIMIT 1)",
        ),
        yes(
            "a guess by a count",
            "B109",
            "SELECT CONCAT('it is', ' so') FROM (SELECT COUNT(*) AS n FROM vault.users) x WHERE n > 0",
        ),
        Case::runs("a row that may be there", "B113", "shop-db/", &["INSERT IGNORE INTO vault.users (id) VALUES (1)"]),
        Case::leaks("the last id", "B105", &["SELECT LAST_INSERT_ID((SELECT pin FROM vault.users WHERE id = 1))"]),
        Case::leaks(
            "the last id, asked afterwards",
            "B105",
            &["DO LAST_INSERT_ID((SELECT pin FROM vault.users WHERE id = 1))", "SELECT LAST_INSERT_ID()"],
        ),
        Case::leaks(
            "the last id by a limit",
            "B105",
            &["SELECT 1 FROM vault.users WHERE LAST_INSERT_ID(pin) > 99 LIMIT 1", "SELECT @@last_insert_id"],
        ),
    ]
}

fn times() -> Vec<Case> {
    vec![
        Case::waits("a sleep", "B115", 1_000, "`sleep`", "SELECT SLEEP(1)"),
        Case::waits(
            "a sleep in a condition",
            "B115",
            1_000,
            "vault",
            "SELECT 1 FROM vault.users WHERE id = 1 AND SLEEP(1)",
        ),
        Case::waits("a sleep in a comment", "B115", 1_000, "`sleep`", "SELECT 1 /*! + SLEEP(1) */"),
        Case::waits("a sleep in quotes", "B115", 1_000, "`sleep`", "SELECT 1, sLeEp (1)").not_directly(),
        Case::waits("a sleep by DO", "B115", 1_000, "`sleep`", "DO SLEEP(1)"),
        Case::waits("a sleep by SET", "B115", 1_000, "`sleep`", "SET @x = SLEEP(1)"),
        Case::runs("a benchmark", "B115", "`benchmark`", &["SELECT BENCHMARK(10, SHA2('x', 256))"]),
        Case::runs("a lock by name", "B115", "`get_lock`", &["SELECT GET_LOCK('x', 0)"]),
        Case::runs("a lock by name in DO", "B115", "`get_lock`", &["DO GET_LOCK('x', 0)"]),
        Case::runs("locks released", "B115", "`get_lock`", &["SELECT RELEASE_ALL_LOCKS()"]),
        Case::runs("a wait for replication", "B115", "shop-db", &["SELECT MASTER_GTID_WAIT('0-1-1', 0.01)"]).mariadb(),
        Case::runs(
            "a wait for GTIDs",
            "B115",
            "shop-db",
            &["SELECT WAIT_FOR_EXECUTED_GTID_SET('3E11FA47-71CA-11E1-9E33-C80AA9429562:1', 0.01)"],
        )
        .mysql()
        // It is refused where there are no GTIDs.
        .not_directly(),
    ]
}
