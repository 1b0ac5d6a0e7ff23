//! Fills a state directory with recordings, to measure commands that read them (docs/benchmarks.md):
//! `cargo run --release -p portreeve-recording --example fill -- DIR SESSIONS BYTES_OF_EACH [--open]`.
//! With `--open` the last session is not closed.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what cannot be written cannot be measured")]

use std::env;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use portreeve_recording::{
    Closed, Command, Decision, Encoder, Entry, Evidence, Header, Kind, Login, Opened, Record, Response, Signed,
    SigningKey, Statement, Text, Verdict,
};

/// 2026-11-25.
const START_NS: u64 = 1_795_564_800_000_000_000;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let [directory, sessions, bytes, rest @ ..] = args.as_slice() else {
        eprintln!("usage: fill DIR SESSIONS BYTES_OF_EACH [--open]");
        return ExitCode::from(2);
    };
    let day = Path::new(directory).join("sessions/2026-11-25");
    fs::create_dir_all(&day).unwrap();
    let (sessions, bytes): (u64, u64) = (sessions.parse().unwrap(), bytes.parse().unwrap());
    for number in 0..sessions {
        let is_open = number + 1 == sessions && rest.iter().any(|arg| arg == "--open");
        session(&day, number, bytes, is_open);
    }
    ExitCode::SUCCESS
}

fn session(day: &Path, number: u64, bytes: u64, is_open: bool) {
    let ms = START_NS / 1_000_000 + number;
    let id = format!("{:08x}-{:04x}-7000-8000-{number:012x}", ms >> 16, ms & 0xffff);
    let mut session_id = [0; 16];
    session_id.copy_from_slice(&u128::from_str_radix(&id.replace('-', ""), 16).unwrap().to_be_bytes());
    let key = SigningKey::from_seed(&[1; 32]);
    let (mut encoder, head) = Encoder::new(&Header::new(Kind::Session, session_id, START_NS + number * 1_000_000));
    let mut out = BufWriter::with_capacity(1 << 20, File::create(day.join(format!("{id}.prs"))).unwrap());
    out.write_all(&head).unwrap();
    let (mut frame, mut written, mut at_unix_ns) = (Vec::new(), 0, START_NS + number * 1_000_000);
    let mut append = |record: Record<'_>| {
        at_unix_ns += 1000;
        frame.clear();
        encoder.encode(&Entry { at_unix_ns, record }, &mut frame).unwrap();
        if encoder.is_checkpoint_due() {
            encoder.sign(Signed::Checkpoint, &key, &mut frame).unwrap();
        }
        out.write_all(&frame).unwrap();
        written += frame.len() as u64;
        written
    };
    append(opened(&id));
    append(login());
    let mut count = 0;
    loop {
        count += 1;
        let sql = format!("SELECT c FROM sbtest{} WHERE id = {}", count % 10, count * 7919 % 100_000);
        append(statement(count, &sql));
        append(verdict(count));
        if append(response(count)) >= bytes {
            break;
        }
    }
    if !is_open {
        append(Record::Closed(Closed {
            reason: "client quit".into(),
            statements: count,
            bytes_to_client: 1,
            bytes_to_server: 1,
        }));
    }
    out.flush().unwrap();
}

fn opened(id: &str) -> Record<'static> {
    let evidence = Evidence {
        cgroup_id: 1,
        tagged_cgroup_id: 1,
        cgroup_path: Some("/agents/reporting".into()),
        uid: 1000,
        gid: 1000,
        pid: 4242,
        comm: "sysbench".into(),
        netns_cookie: 1,
        socket_cookie: 2,
    };
    Record::Opened(Box::new(Opened {
        session_id: id.to_owned().into(),
        workload: Some("spiffe://example.org/reporting".into()),
        groups: vec!["reporting".to_owned()].into(),
        evidence,
        original_destination: "10.0.0.5:3306".into(),
        client_address: "10.0.0.9:50000".into(),
        server: Some("orders".into()),
        credential: Some("orders_ro".into()),
        gateway_version: "0.1.0".into(),
    }))
}

fn login() -> Record<'static> {
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

fn statement(number: u64, sql: &str) -> Record<'_> {
    Record::Statement(Statement {
        number,
        command: Command::Query,
        prepared: None,
        sql: Text::of_sql(sql.as_bytes(), None),
        schema: Some("shop".into()),
        parameters: (&[]).into(),
    })
}

fn verdict(number: u64) -> Record<'static> {
    Record::Verdict(Verdict {
        number,
        decision: Decision::Allow,
        class: "select".into(),
        policies: vec!["reporting-read".to_owned()].into(),
        reason: "permitted: `select` on `orders/shop.sbtest`".into(),
    })
}

fn response(number: u64) -> Record<'static> {
    Record::Response(Response {
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
    })
}
