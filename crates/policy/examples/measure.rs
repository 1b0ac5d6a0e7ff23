//! What analysis and judgement cost: `cargo run --release -p portreeve-policy --example measure`

#![allow(clippy::unwrap_used, reason = "a measurement that cannot start has nothing to say")]

use std::time::Instant;

use portreeve_policy::{Context, Flavour, Policies, Source, Subject, analyse};

fn main() {
    let text = include_str!("../../../policies/examples/reporting.cedar");
    let policies = Policies::load(&[Source { name: "reporting.cedar", text }]).unwrap();
    let subject = Subject { spiffe_id: "spiffe://example.org/r".to_owned(), groups: vec!["reporting".to_owned()] };
    let context = Context { default_schema: Some("shop"), version: 90_704, ..Context::new("orders", Flavour::MySql) };
    for sql in [
        "SELECT c FROM sbtest1 WHERE id=?",
        "SET NAMES utf8mb4",
        "SELECT u.name, count(*) FROM users u JOIN orders o ON o.user_id = u.id WHERE o.total > 5 GROUP BY u.name LIMIT 5",
    ] {
        let rounds = 2_000_u32;
        let start = Instant::now();
        for _ in 0..rounds {
            std::hint::black_box(analyse(sql.as_bytes(), &context));
        }
        let analysed = start.elapsed() / rounds;
        let facts = analyse(sql.as_bytes(), &context);
        let start = Instant::now();
        for _ in 0..rounds {
            std::hint::black_box(policies.judge(&subject, &facts, &context));
        }
        println!("{sql}: analysed in {analysed:?}, judged in {:?}", start.elapsed() / rounds);
    }
    let rows: Vec<_> = (0..100_000).map(|row| format!("({row},-1.5,NULL,'{}')", "x".repeat(190))).collect();
    let values = format!("INSERT INTO t VALUES {}", rows.join(","));
    let start = Instant::now();
    std::hint::black_box(analyse(values.as_bytes(), &context));
    println!("INSERT of {} bytes: {:?}", values.len(), start.elapsed());
}
