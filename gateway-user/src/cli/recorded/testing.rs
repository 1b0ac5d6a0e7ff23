//! Recordings for tests, written by the recorder itself.

use std::fs;
use std::path::{Path, PathBuf};

use portreeve_recording::limits::FACTS_NAMES_MAX;
use portreeve_recording::{
    Closed, Command, Decision, Entry, ErrorText, Evidence, Facts, Login, Opened, Record, Response, Statement, Text,
    Verdict,
};
use uuid::{NoContext, Timestamp, Uuid};

use crate::recorder::{Recorder, SessionFile};

pub(in crate::cli) const START_S: u64 = 1_795_231_554;
pub(in crate::cli) const START_NS: u64 = START_S * 1_000_000_000;

/// An empty state directory of one test alone.
pub(in crate::cli) fn state_dir(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("portreeve-recorded-{}-{name}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

pub(in crate::cli) fn id(number: u8) -> Uuid {
    let time = Timestamp::from_unix(NoContext, START_S + u64::from(number), 0);
    let mut bytes = Uuid::new_v7(time).into_bytes();
    // What is random otherwise.
    bytes[7..].fill(number);
    (bytes[6], bytes[8]) = (0x70, 0x80);
    Uuid::from_bytes(bytes)
}

/// A session that opened `number` seconds after the start.
pub(in crate::cli) fn session(state_dir: &Path, number: u8, workload: &str) -> SessionFile {
    let at = START_NS + u64::from(number) * 1_000_000_000;
    let mut file = Recorder::new(state_dir).create(id(number), at).unwrap();
    let opened = Opened {
        session_id: id(number).to_string().into(),
        workload: Some(format!("spiffe://example.org/{workload}").into()),
        groups: vec![workload.to_owned()].into(),
        evidence: Evidence {
            cgroup_id: 1,
            tagged_cgroup_id: 1,
            cgroup_path: None,
            uid: 1000,
            gid: 1000,
            pid: 4242,
            comm: "mysql".into(),
            netns_cookie: 1,
            socket_cookie: 2,
        },
        original_destination: "10.0.0.5:3306".into(),
        client_address: "10.0.0.9:50000".into(),
        server: Some("orders".into()),
        credential: Some("orders_ro".into()),
        gateway_version: "0.1.0".into(),
    };
    append(&mut file, u64::from(number) * 1000, Record::Opened(Box::new(opened)));
    file
}

pub(in crate::cli) fn append(file: &mut SessionFile, at_ms: u64, record: Record<'_>) {
    file.append(&Entry { at_unix_ns: START_NS + at_ms * 1_000_000, record }).unwrap();
}

/// A login at a MariaDB, with the schema `shop`.
pub(in crate::cli) fn login() -> Record<'static> {
    Record::Login(Box::new(Login {
        user: "app".into(),
        schema: Some("shop".into()),
        client_attributes: (&[]).into(),
        server_version: "10.11.14-MariaDB".into(),
        server_connection_id: 7,
        accepted: true,
        error: None,
    }))
}

pub(in crate::cli) fn statement(number: u64, sql: &[u8]) -> Record<'_> {
    Record::Statement(Statement {
        number,
        command: Command::Query,
        prepared: None,
        sql: Text::of_sql(sql, None),
        schema: None,
        parameters: (&[]).into(),
    })
}

/// The same with the default schema `shop`.
pub(in crate::cli) fn in_shop(number: u64, command: Command, prepared: Option<u64>, sql: &[u8]) -> Record<'_> {
    let schema = Some("shop".into());
    Record::Statement(Statement {
        number,
        command,
        prepared,
        sql: Text::of_sql(sql, None),
        schema,
        parameters: (&[]).into(),
    })
}

pub(in crate::cli) fn verdict(number: u64, decision: Decision) -> Record<'static> {
    verdict_on(number, decision, "select")
}

pub(in crate::cli) fn verdict_on(number: u64, decision: Decision, class: &'static str) -> Record<'static> {
    Record::Verdict(Verdict {
        number,
        decision,
        class: class.into(),
        policies: vec!["reporting-read".to_owned()].into(),
        reason: "`drop` on `orders/shop.orders` is forbidden".into(),
    })
}

pub(in crate::cli) fn response(number: u64, error: Option<ErrorText<'static>>) -> Record<'static> {
    Record::Response(Response {
        number,
        rows: 2,
        result_sets: 1,
        bytes: 100,
        affected_rows: 0,
        last_insert_id: 0,
        warnings: 0,
        error,
        duration_ns: 400_000,
        first_byte_ns: 300_000,
    })
}

pub(in crate::cli) fn closed() -> Record<'static> {
    Record::Closed(Closed { reason: "client quit".into(), statements: 1, bytes_to_client: 7, bytes_to_server: 8 })
}

/// A session of `reporting` in which three statements were permitted and one was denied.
pub(in crate::cli) fn busy_session(state_dir: &Path, number: u8) {
    let at = |ms: u64| u64::from(number) * 1000 + ms;
    let mut file = session(state_dir, number, "reporting");
    append(&mut file, at(1), login());
    append(&mut file, at(10), in_shop(1, Command::Query, None, b"SELECT id FROM orders WHERE id = 'needle'"));
    append(&mut file, at(11), verdict(1, Decision::Allow));
    append(&mut file, at(12), response(1, None));
    append(&mut file, at(20), in_shop(2, Command::Query, None, b"DELETE FROM customers"));
    append(&mut file, at(21), verdict_on(2, Decision::Deny, "delete"));
    append(&mut file, at(30), in_shop(3, Command::Prepare, None, b"INSERT INTO orders VALUES (?)"));
    append(&mut file, at(31), verdict_on(3, Decision::Allow, "insert"));
    append(&mut file, at(32), response(3, None));
    append(&mut file, at(40), in_shop(4, Command::Execute, Some(3), b""));
    append(&mut file, at(41), verdict_on(4, Decision::Allow, "insert"));
    let duplicate = ErrorText { code: 1062, sqlstate: "23000".into(), message: "Duplicate entry".into() };
    append(&mut file, at(42), response(4, Some(duplicate)));
    append(&mut file, at(50), in_shop(5, Command::Close, Some(3), b""));
    append(&mut file, at(60), closed());
    file.close().unwrap();
}

/// As many names of tables as one record of facts has.
pub(in crate::cli) fn full_of_tables() -> Vec<String> {
    (0..FACTS_NAMES_MAX).map(|number| format!("orders/shop.t{number}")).collect()
}

/// What the policies were asked.
pub(in crate::cli) fn facts(number: u64, actions: &[&str], resources: &[&str]) -> Record<'static> {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>().into();
    Record::Facts(Facts { number, actions: owned(actions), resources: owned(resources) })
}

/// Changes one byte of the oldest session, in the first place of its that has these.
pub(in crate::cli) fn damage_behind(state_dir: &Path, bytes: &[u8]) {
    let path = super::files(&state_dir.join("sessions")).unwrap().remove(0);
    let mut file = fs::read(&path).unwrap();
    let at = file.windows(bytes.len()).position(|part| part == bytes).unwrap();
    file[at] ^= 1;
    fs::write(path, file).unwrap();
}
