//! What recording a statement costs in allocations, by everything between the session and its file.

use std::fs;

use portreeve_mysql::{
    capabilities::Capabilities,
    response::{Expect, Response as Followed},
};
use portreeve_policy::{Context, Flavour, Policies, Question, Remembered, Source, Subject};
use portreeve_recording::Evidence;
use uuid::Uuid;

use super::*;
use crate::recorder::{Recorder, tests::directory};

const POLICY: &str = include_str!("../../../../policies/examples/reporting.cedar");
/// 2026-11-21.
const NOW_NS: u64 = 1_795_219_200_000_000_000;

fn opened() -> Opened<'static> {
    let evidence = Evidence {
        cgroup_id: 1,
        tagged_cgroup_id: 1,
        cgroup_path: None,
        uid: 1000,
        gid: 1000,
        pid: 4242,
        comm: "python3".into(),
        netns_cookie: 1,
        socket_cookie: 2,
    };
    Opened {
        session_id: "".into(),
        workload: Some("spiffe://example.org/r".into()),
        groups: Cow::Borrowed(&[]),
        evidence,
        original_destination: "10.0.0.5:3306".into(),
        client_address: "10.0.0.9:50000".into(),
        server: Some("orders".into()),
        credential: None,
        gateway_version: "0.1.0".into(),
    }
}

fn verdict(sql: &str) -> PolicyVerdict {
    let policies = Policies::load(&[Source { name: "reporting.cedar", text: POLICY }]).unwrap();
    let subject = Subject { spiffe_id: "spiffe://example.org/r".to_owned(), groups: vec!["reporting".to_owned()] };
    let context = Context { default_schema: Some("shop"), ..Context::new("orders", Flavour::MySql) };
    let (sql, is_marked) = (sql.as_bytes(), |_: &[u8]| false);
    let question =
        Question { policies: &policies, generation: 1, subject: &subject, context, sql, facts: None, is_marked };
    Remembered::default().judge(question).verdict.clone()
}

#[test]
fn a_statement_is_recorded_without_an_allocation() {
    let state_dir = directory("journal-allocations");
    let file = Recorder::new(&state_dir).create(Uuid::from_u128(1), NOW_NS).unwrap();
    let mut journal = Journal::open(file, opened(), false, Durability::Kernel, false).unwrap();
    let sql = "SELECT name FROM users WHERE id = 1";
    let verdict = verdict(sql);
    assert!(!verdict.answers.is_empty(), "facts are recorded too");
    let followed = Followed::new(Expect::Query, Capabilities::CLIENT_PROTOCOL_41.into());
    let mut allocations = || {
        let record = || {
            let text = Text::of_sql(sql.as_bytes(), None);
            let arrived =
                Arrived { command: Command::Query, prepared: None, text, schema: Some("shop"), parameters: &[] };
            let number = journal.judged(arrived, "select", &verdict).unwrap();
            journal.answered(number, followed.summary(), Duration::ZERO, Duration::ZERO).unwrap();
        };
        allocation_counter::measure(record).count_total
    };
    assert!(allocations() > 0, "buffers are made once: is anything counted?");
    for _ in 0..100 {
        assert_eq!(allocations(), 0);
    }
    fs::remove_dir_all(state_dir).unwrap();
}
