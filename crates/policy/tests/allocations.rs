//! What a remembered verdict costs in allocations: nothing.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use portreeve_policy::{Context, Flavour, Policies, Question, Remembered, Source, Subject};

const POLICY: &str = include_str!("../../../policies/examples/reporting.cedar");

fn check(text: &str, alike: &str) {
    let policies = Policies::load(&[Source { name: "reporting.cedar", text: POLICY }]).unwrap();
    let subject = Subject { spiffe_id: "spiffe://example.org/r".to_owned(), groups: vec!["reporting".to_owned()] };
    let context = Context { default_schema: Some("shop"), ..Context::new("orders", Flavour::MySql) };
    let mut remembered = Remembered::default();
    let mut allocations = |sql: &str| {
        let question = Question {
            policies: &policies,
            generation: 1,
            subject: &subject,
            context,
            sql: sql.as_bytes(),
            facts: None,
            is_marked: |_| false,
        };
        let ask = || drop(std::hint::black_box(remembered.judge(question)));
        allocation_counter::measure(ask).count_total
    };
    assert!(allocations(text) > 10, "an analysis allocates: is anything counted?");
    assert_eq!(allocations(text), 0, "{text}");
    assert_eq!(allocations(alike), 0, "{alike}");
}

#[test]
fn a_remembered_verdict_allocates_nothing() {
    check("SELECT name FROM users WHERE id = 1", "SELECT name FROM users WHERE id = 2");
    check("INSERT INTO t VALUES (1, 'a'), (2, 'b')", "INSERT INTO t VALUES (3, 'ccc'), (4, '')");
    let long = |id: u32| format!("SELECT name FROM users WHERE note = '{}' AND id = {id}", "x".repeat(1024));
    check(&long(1), &long(2));
}
