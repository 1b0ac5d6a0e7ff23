//! What recording one statement costs: `cargo run --release -p portreeve-recording --example cost`.

use std::borrow::Cow;
use std::hint::black_box;
use std::time::Instant;

use portreeve_recording::{
    Command, Decision, EncodeError, Encoder, Entry, Facts, Header, Kind, Record, Response, Statement, Text, Verdict,
};

const ROUNDS: u64 = 200_000;

fn main() -> Result<(), EncodeError> {
    let (mut encoder, _) = Encoder::new(&Header::new(Kind::Session, [1; 16], 1));
    let policies = ["reporting-reads-shop".to_owned()];
    let (actions, resources) = (["select".to_owned()], ["orders/shop.sbtest1".to_owned()]);
    let mut out = Vec::new();
    let mut best_ns = f64::MAX;
    let mut frames_len = 0;
    for _ in 0..10 {
        let start = Instant::now();
        for number in 1..=ROUNDS {
            out.clear();
            encoder.encode(&black_box(statement(number)), &mut out)?;
            encoder.encode(&black_box(verdict(number, &policies)), &mut out)?;
            encoder.encode(&black_box(facts(number, &actions, &resources)), &mut out)?;
            encoder.encode(&black_box(response(number)), &mut out)?;
            frames_len = black_box(&out).len();
        }
        best_ns = best_ns.min(start.elapsed().as_nanos() as f64 / ROUNDS as f64);
    }
    println!("statement, verdict, facts and response: {best_ns:.0} ns, {frames_len} bytes");
    Ok(())
}

fn statement(number: u64) -> Entry<'static> {
    Entry {
        at_unix_ns: number,
        record: Record::Statement(Statement {
            number,
            command: Command::Query,
            prepared: None,
            sql: Text::of_sql(b"SELECT c FROM sbtest1 WHERE id=5023", None),
            schema: Some("sbtest".into()),
            parameters: Cow::Borrowed(&[]),
        }),
    }
}

fn verdict(number: u64, policies: &[String]) -> Entry<'_> {
    Entry {
        at_unix_ns: number,
        record: Record::Verdict(Verdict {
            number,
            decision: Decision::Allow,
            class: "select".into(),
            policies: policies.into(),
            reason: "permitted by `reporting-reads-shop`".into(),
        }),
    }
}

fn facts<'a>(number: u64, actions: &'a [String], resources: &'a [String]) -> Entry<'a> {
    let facts = Facts { number, actions: actions.into(), resources: resources.into() };
    Entry { at_unix_ns: number, record: Record::Facts(facts) }
}

fn response(number: u64) -> Entry<'static> {
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
    Entry { at_unix_ns: number, record: Record::Response(response) }
}
