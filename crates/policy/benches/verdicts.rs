//! What a verdict costs: `cargo bench -p portreeve-policy`, or `cargo xtask bench --only verdicts`.

#![allow(clippy::unwrap_used, reason = "a measurement that cannot start has nothing to say")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use portreeve_policy::{Context, Flavour, Policies, Question, Remembered, Source, Subject, analyse};

const POLICY: &str = include_str!("../../../policies/examples/reporting.cedar");
const POINT_SELECT: &str = "SELECT c FROM sbtest1 WHERE id=";

/// What an application writes: joins, a subquery, some sixty columns and conditions, 1 KB of it.
fn one_kilobyte(id: usize) -> String {
    let mut text = String::from("SELECT o.id, o.created_at, u.name, SUM(i.amount * i.price) AS total");
    for column in 0.. {
        if text.len() > 625 {
            break;
        }
        text.push_str(&format!(", COALESCE(o.attribute_{column}, 'none') AS a{column}"));
    }
    text.push_str(" FROM orders o JOIN users u ON u.id = o.user_id LEFT JOIN items i ON i.order_id = o.id");
    text.push_str(" WHERE o.state IN ('new', 'paid', 'sent') AND o.created_at BETWEEN '2026-01-01' AND '2026-12-31'");
    text.push_str(" AND o.user_id IN (SELECT user_id FROM subscriptions WHERE plan = 'gold' AND active = 1)");
    text.push_str(&format!(" AND u.country LIKE 'd%' AND o.id > {id}"));
    text.push_str(" GROUP BY o.id, o.created_at, u.name HAVING COUNT(*) > 1 ORDER BY total DESC LIMIT 100");
    text
}

struct Setting {
    policies: Policies,
    subject: Subject,
    context: Context<'static>,
}

impl Setting {
    fn new() -> Self {
        let context = Context { default_schema: Some("shop"), ..Context::new("orders", Flavour::MySql) };
        Self {
            policies: Policies::load(&[Source { name: "reporting.cedar", text: POLICY }]).unwrap(),
            subject: Subject { spiffe_id: "spiffe://example.org/r".to_owned(), groups: vec!["reporting".to_owned()] },
            context,
        }
    }

    fn question<'q>(&'q self, sql: &'q str) -> Question<'q> {
        Question {
            policies: &self.policies,
            generation: 1,
            subject: &self.subject,
            context: self.context,
            sql: sql.as_bytes(),
            facts: None,
            is_marked: |_| false,
        }
    }
}

fn remembered(criterion: &mut Criterion) {
    let setting = Setting::new();
    for (name, text) in [("point select", format!("{POINT_SELECT}1")), ("1 KB", one_kilobyte(1))] {
        let mut remembered = Remembered::default();
        criterion.bench_function(&format!("verdict, same text, {name}"), |bencher| {
            bencher.iter(|| black_box(remembered.judge(setting.question(black_box(&text)))));
        });
    }
}

fn alike(criterion: &mut Criterion) {
    let setting = Setting::new();
    let point_selects: Vec<_> = (0..512).map(|id| format!("{POINT_SELECT}{id}")).collect();
    let kilobytes: Vec<_> = (0..512).map(one_kilobyte).collect();
    for (name, texts) in [("point select", point_selects), ("1 KB", kilobytes)] {
        let mut remembered = Remembered::default();
        let mut texts = texts.iter().cycle();
        criterion.bench_function(&format!("verdict, other values, {name}"), |bencher| {
            bencher.iter(|| texts.next().map(|text| black_box(remembered.judge(setting.question(text)))));
        });
    }
}

fn uncached(criterion: &mut Criterion) {
    let setting = Setting::new();
    for (name, text) in [("point select", format!("{POINT_SELECT}1")), ("1 KB", one_kilobyte(1))] {
        assert!(name != "1 KB" || (1024..1100).contains(&text.len()), "{} bytes", text.len());
        criterion.bench_function(&format!("verdict, new text, {name}"), |bencher| {
            bencher.iter(|| black_box(Remembered::default().judge(setting.question(black_box(&text)))));
        });
        criterion.bench_function(&format!("analysis alone, {name}"), |bencher| {
            bencher.iter(|| black_box(analyse(black_box(text.as_bytes()), &setting.context)));
        });
        let facts = analyse(text.as_bytes(), &setting.context);
        assert!(!facts.has_unparsed(), "{facts:?}");
        criterion.bench_function(&format!("judgement alone, {name}"), |bencher| {
            bencher.iter(|| black_box(setting.policies.judge(&setting.subject, &facts, &setting.context)));
        });
    }
}

criterion_group!(benches, remembered, alike, uncached);
criterion_main!(benches);
