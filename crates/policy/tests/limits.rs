//! Limits, at the limit and one past it, on the 2 MiB stack that test threads and the gateway's threads have.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::time::{Duration, Instant};

use portreeve_policy::limits::{
    JOINS_MAX, OPERATORS_MAX, PARENTHESES_DEPTH_MAX, PARSED_BYTES_MAX, REQUESTS_MAX, STATEMENTS_MAX, TEXT_BYTES_MAX,
    TOKENS_MAX,
};
use portreeve_policy::{Context, Facts, Flavour, analyse};

fn facts(sql: &str) -> Facts {
    let context = Context { default_schema: Some("shop"), version: 90_704, ..Context::new("orders", Flavour::MySql) };
    analyse(sql.as_bytes(), &context)
}

fn reason(sql: &str) -> Option<String> {
    facts(sql).statements.iter().find_map(|statement| statement.unparsed.clone())
}

/// Reads `within`, does not read `past`, and says that it is for the limit.
fn check(within: &str, past: &str, word: &str) {
    assert_eq!(reason(within), None);
    let found = reason(past).unwrap();
    assert!(found.contains(word), "{found}");
}

#[test]
fn operators_are_limited_before_they_overflow_the_stack() {
    let sum = |operators: usize| format!("SELECT 1{}", "+1".repeat(operators));
    check(&sum(OPERATORS_MAX), &sum(OPERATORS_MAX + 1), "operators");
    for link in
        [" OR a", " IS NULL", "->'$'", " COLLATE utf8mb4_bin", " LIKE 'x'", " IN (1)", " DIV 2", " UNION SELECT 1"]
    {
        let chain = |links: usize| format!("SELECT a{}", link.repeat(links));
        // Whatever the parser makes of it, the process must survive it.
        facts(&chain(OPERATORS_MAX));
        assert!(reason(&chain(OPERATORS_MAX + 1)).unwrap().contains("operators"), "{link}");
    }
    for prefix in ["NOT ", "!", "- ", "~", "BINARY ", "CASE WHEN ", "INTERVAL "] {
        facts(&format!("SELECT {}1", prefix.repeat(OPERATORS_MAX)));
    }
    assert!(reason(&format!("SELECT 1{}", "+1".repeat(100_000))).is_some());
}

#[test]
fn unions_are_read_to_the_limit() {
    let unions = |number: usize| format!("SELECT 1 FROM t{}", " UNION SELECT 1 FROM t".repeat(number));
    check(&unions(OPERATORS_MAX), &unions(OPERATORS_MAX + 1), "operators");
}

#[test]
fn joins_are_limited_with_and_without_conditions() {
    let plain = |number: usize| format!("SELECT 1 FROM t{}", " CROSS JOIN t".repeat(number));
    check(&plain(JOINS_MAX), &plain(JOINS_MAX + 1), "joins");
    facts(&format!("SELECT 1 FROM t{}", " JOIN t".repeat(JOINS_MAX)));
    facts(&format!("SELECT 1 FROM t{}{}", " JOIN t".repeat(JOINS_MAX), " ON 1".repeat(JOINS_MAX)));
    assert!(reason(&format!("SELECT 1 FROM t{}", " JOIN t".repeat(100_000))).is_some());
}

#[test]
fn nesting_is_limited() {
    let nested = |depth: usize| format!("SELECT {}1{}", "(".repeat(depth), ")".repeat(depth));
    facts(&nested(PARENTHESES_DEPTH_MAX));
    assert!(reason(&nested(PARENTHESES_DEPTH_MAX + 1)).unwrap().contains("deeper"));
    for depth in [5, PARENTHESES_DEPTH_MAX] {
        facts(&format!("{}SELECT 1{}", "SELECT * FROM (".repeat(depth), ") t".repeat(depth)));
        facts(&format!("SELECT {}1{}", "(SELECT ".repeat(depth), ")".repeat(depth)));
        facts(&format!("SELECT {}1{}", "f(".repeat(depth), ")".repeat(depth)));
    }
}

#[test]
fn statements_and_requests_are_limited() {
    let texts = |number: usize| "SELECT 1;".repeat(number);
    check(&texts(STATEMENTS_MAX), &texts(STATEMENTS_MAX + 1), "statements");
    let tables = |number: usize| {
        let list: Vec<_> = (0..number).map(|table| format!("t{table}")).collect();
        format!("SELECT 1 FROM {}", list.join(","))
    };
    check(&tables(REQUESTS_MAX), &tables(REQUESTS_MAX + 1), "touches more");
}

#[test]
fn lengths_are_limited() {
    let padded = |bytes: usize| format!("SELECT 1{}", " ".repeat(bytes - 8));
    check(&padded(PARSED_BYTES_MAX), &padded(PARSED_BYTES_MAX + 1), "longer");
    assert!(reason(&padded(TEXT_BYTES_MAX + 1)).unwrap().contains("longer"));
    let list = |tokens: usize| format!("SELECT 1 IN (1{})", ",1".repeat(tokens / 2));
    assert!(reason(&list(TOKENS_MAX + 8)).unwrap().contains("tokens"));
}

#[test]
fn long_inserts_of_values_are_read_quickly() {
    let rows: Vec<_> =
        (0..100_000).map(|row| format!("({row},-1.5,NULL,'{}',_binary'x',0x41)", "x".repeat(170))).collect();
    let values = format!("INSERT INTO `shop`.t (a, b, c, d, e, f) VALUES {}", rows.join(","));
    assert!(values.len() > 20_000_000);
    let start = Instant::now();
    let found = facts(&values);
    let took = start.elapsed();
    assert_eq!(found.statements.first().unwrap().requests.len(), 1);
    assert!(!found.has_unparsed());
    // Debug build on a busy machine; a release build takes a tenth of it.
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(reason(&format!("{values} ON DUPLICATE KEY UPDATE a = VALUES(a), b = 1;")), None);
    assert!(reason(&format!("{values}, ((SELECT 1), 1)")).is_some());
    assert!(reason(&format!("{values}; DELETE FROM t")).is_some());
    assert!(reason(&format!("{values} /*! , (1) */")).is_some());
    let one = format!("INSERT INTO t VALUES ('{}')", "y".repeat(20_000_000));
    assert_eq!(reason(&one), None);
}
