//! What encoding a statement costs in allocations: nothing, once the buffer has its length.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::borrow::Cow;

use portreeve_recording::{
    Command, Decision, Encoder, Entry, Facts, Header, Kind, Record, Response, Statement, Text, Verdict,
};

/// Everything that is recorded of one point select.
fn encode(encoder: &mut Encoder, number: u64, names: &[String], sql: &str, out: &mut Vec<u8>) {
    out.clear();
    let parameters = [Text::of_bytes(b"42")];
    let statement = Statement {
        number,
        command: Command::Execute,
        prepared: Some(1),
        sql: Text::of_sql(sql.as_bytes(), None),
        schema: Some("shop".into()),
        parameters: Cow::Borrowed(&parameters),
    };
    let verdict = Verdict {
        number,
        decision: Decision::Allow,
        class: "select".into(),
        policies: Cow::Borrowed(names),
        reason: "permitted by `reporting-reads-shop`".into(),
    };
    let facts = Facts { number, actions: Cow::Borrowed(names), resources: Cow::Borrowed(names) };
    let response = Response {
        number,
        rows: 1,
        result_sets: 1,
        bytes: 180,
        affected_rows: 0,
        last_insert_id: 0,
        warnings: 0,
        error: None,
        duration_ns: 60_000,
        first_byte_ns: 50_000,
    };
    let records =
        [Record::Statement(statement), Record::Verdict(verdict), Record::Facts(facts), Record::Response(response)];
    for record in records {
        encoder.encode(&Entry { at_unix_ns: number, record }, out).unwrap();
    }
}

#[test]
fn a_statement_is_encoded_without_an_allocation() {
    let (mut encoder, _) = Encoder::new(&Header::new(Kind::Session, [1; 16], 1));
    let names = ["reporting-reads-shop".to_owned(), "shop-db/shop.orders".to_owned()];
    let long = format!("SELECT item FROM orders WHERE note = '{}'", "x".repeat(1024));
    let mut out = Vec::new();
    let mut allocations = |number: u64, sql: &str| {
        allocation_counter::measure(|| encode(&mut encoder, number, &names, sql, &mut out)).count_total
    };
    assert!(allocations(1, &long) > 0, "a buffer grows: is anything counted?");
    assert_eq!(allocations(2, &long), 0);
    assert_eq!(allocations(3, "SELECT item FROM orders WHERE id = ?"), 0);
}
