//! Every format, of the same session.

use std::collections::HashMap;
use std::fs;

use ::parquet::file::reader::{FileReader as _, SerializedFileReader};
use serde_json::Value;
use std::io::Write as _;

use portreeve_recording::Connects;

use super::*;
use crate::cli::recorded::testing::*;
use crate::recorder::Recorder;

fn exported(name: &str, format: Format, change: impl FnOnce(&mut ExportArgs)) -> Vec<u8> {
    let state_dir = state_dir(name);
    busy_session(&state_dir, 1);
    let output = state_dir.join("exported");
    let mut args = ExportArgs {
        format,
        output: Some(output.clone()),
        folder: FolderArgs { sessions: Some(state_dir.join("sessions")) },
        ..ExportArgs::default()
    };
    change(&mut args);
    run(&args, Path::new("/nowhere")).unwrap();
    let bytes = fs::read(&output).unwrap();
    let names: Vec<_> = fs::read_dir(&state_dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    // Sessions, the host's recordings and the key.
    assert_eq!(names.len(), 4, "something is left beside the output: {names:?}");
    fs::remove_dir_all(state_dir).unwrap();
    bytes
}

fn json_lines(bytes: Vec<u8>) -> Vec<Value> {
    String::from_utf8(bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn jsonl_has_a_row_for_each_statement_with_verdict_and_answer() {
    let rows = json_lines(exported("jsonl", Format::Jsonl, |_| ()));
    assert_eq!(rows.len(), 5);
    assert_eq!(rows[0]["at"], "2026-11-21T03:25:55.010000000Z");
    assert_eq!(rows[0]["session"], id(1).to_string());
    assert_eq!((&rows[0]["rows"], &rows[0]["decision"]), (&2.into(), &"allow".into()));
    assert_eq!(rows[0]["tables"], serde_json::json!(["shop.orders"]));
    assert_eq!((&rows[1]["decision"], &rows[1]["rows"]), (&"deny".into(), &Value::Null));
    assert_eq!((&rows[3]["sql"], &rows[3]["error_code"]), (&"INSERT INTO orders VALUES (?)".into(), &1062.into()));
    let denied = exported("denied", Format::Jsonl, |args| {
        args.filter.verdicts = vec![crate::cli::recorded::VerdictName::Deny];
    });
    assert_eq!(json_lines(denied).len(), 1);
}

#[test]
fn csv_has_a_heading_and_quotes_what_must_be() {
    let bytes = exported("csv", Format::Csv, |_| ());
    let mut reader = csv::Reader::from_reader(bytes.as_slice());
    let rows: Vec<HashMap<String, String>> = reader.deserialize().map(|row| row.unwrap()).collect();
    assert_eq!(rows.len(), 5);
    assert_eq!(rows[0]["sql"], "SELECT id FROM orders WHERE id = 'needle'");
    assert_eq!((rows[1]["rows"].as_str(), rows[1]["policies"].as_str()), ("", r#"["reporting-read"]"#));
    assert_eq!(rows[0].len(), crate::cli::recorded::COLUMNS.len());
}

#[test]
fn parquet_is_read_back_with_the_same_values() {
    let bytes = exported("parquet", Format::Parquet, |_| ());
    let reader = SerializedFileReader::new(parquet_bytes(bytes)).unwrap();
    assert_eq!(reader.metadata().file_metadata().num_rows(), 5);
    let value = |field: &::parquet::record::Field| field.to_string().trim_matches('"').to_owned();
    let rows: Vec<HashMap<String, String>> = reader
        .into_iter()
        .map(|row| row.unwrap().get_column_iter().map(|(name, field)| (name.clone(), value(field))).collect())
        .collect();
    assert_eq!(rows[0]["sql"], "SELECT id FROM orders WHERE id = 'needle'");
    assert_eq!((rows[1]["rows"].as_str(), rows[1]["decision"].as_str()), ("null", "deny"));
    assert_eq!((rows[3]["error_code"].as_str(), rows[3]["truncated"].as_str()), ("1062", "false"));
}

fn parquet_bytes(bytes: Vec<u8>) -> fs::File {
    let path = std::env::temp_dir().join(format!("portreeve-parquet-{}", std::process::id()));
    fs::write(&path, bytes).unwrap();
    let file = fs::File::open(&path).unwrap();
    fs::remove_file(path).unwrap();
    file
}

#[test]
fn ocsf_has_the_fields_that_the_class_requires() {
    let events = json_lines(exported("ocsf", Format::Ocsf, |_| ()));
    assert_eq!(events.len(), 5);
    for event in &events {
        assert_eq!((&event["class_uid"], &event["category_uid"]), (&6005.into(), &6.into()));
        let activity = event["activity_id"].as_u64().unwrap();
        assert_eq!(event["type_uid"], 600_500 + activity);
        for required in ["time", "severity_id", "metadata", "actor", "src_endpoint", "database"] {
            assert!(!event[required].is_null(), "no {required} in {event}");
        }
        assert!(event["metadata"]["product"]["vendor_name"].is_string() && event["metadata"]["version"].is_string());
    }
    assert_eq!((&events[0]["activity_id"], &events[0]["action_id"]), (&4.into(), &1.into()));
    assert_eq!(events[0]["src_endpoint"], serde_json::json!({"ip": "10.0.0.9", "port": 50000}));
    assert_eq!(events[0]["table"]["name"], "shop.orders");
    assert_eq!((&events[1]["activity_id"], &events[1]["disposition_id"]), (&7.into(), &2.into()));
    assert_eq!(events[1]["status_id"], 2);
    assert_eq!((&events[3]["status_code"], &events[3]["status_id"]), (&"1062".into(), &2.into()));
}

#[test]
fn connects_are_network_activity_and_refused_ones_are_denied() {
    let state_dir = state_dir("connects");
    let connect = |refused: Option<&'static str>, workload: &'static str, uid| Connects {
        refused: refused.map(Into::into),
        workload: Some(workload.into()),
        destination: Some("10.0.0.5:3306".into()),
        uid: Some(uid),
        pid: Some(4250),
        comm: Some("python".into()),
        cgroup_id: 7,
        netns_cookie: None,
        count: 1,
        first_unix_ns: 1_000_000,
        last_unix_ns: 3_000_000,
    };
    let recorder = Recorder::new(&state_dir);
    recorder.host().connect(2_000_000, connect(None, "reporting", 1000)).unwrap();
    recorder.host().connect(2_000_000, connect(Some("other-creator"), "reporting", 1001)).unwrap();
    recorder.host().connect(2_000_000, connect(Some("quota"), "etl", 1002)).unwrap();
    let export = |change: fn(&mut ExportArgs)| {
        let output = state_dir.join("exported");
        let mut args =
            ExportArgs { format: Format::Ocsf, host: true, output: Some(output.clone()), ..ExportArgs::default() };
        change(&mut args);
        host::run(&args, &state_dir).map(|_| json_lines(fs::read(&output).unwrap()))
    };
    let events = export(|_| ()).unwrap();
    let seen: Vec<_> = events.iter().map(|event| (event["type_uid"].as_u64(), event["action_id"].as_u64())).collect();
    assert_eq!(seen, [(Some(400_101), Some(1)), (Some(400_105), Some(2)), (Some(400_105), Some(2))]);
    for event in &events {
        for required in ["time", "severity_id", "metadata", "dst_endpoint", "device", "class_uid", "category_uid"] {
            assert!(!event[required].is_null(), "no {required} in {event}");
        }
    }
    assert_eq!(events[1]["status_detail"], "other-creator");
    assert_eq!(events[1]["dst_endpoint"], serde_json::json!({"ip": "10.0.0.5", "port": 3306}));
    assert_eq!((&events[1]["start_time"], &events[1]["end_time"]), (&1.into(), &3.into()));
    assert_eq!(export(|args| args.filter.workload = Some("spiffe://example.org/etl".into())).unwrap().len(), 1);
    assert_eq!(export(|args| args.filter.since = Some("2026-11-25".into())).unwrap().len(), 0);
    assert!(export(|args| args.format = Format::Csv).unwrap_err().to_string().contains("--format ocsf"));
    assert!(export(|args| args.filter.grep = Some("x".into())).unwrap_err().to_string().contains("--workload"));
    // What cannot be read to its end decides the exit code, as with statements.
    let host_recording = crate::recorder::directory::host_recordings(&state_dir).unwrap().remove(0).path;
    let mut bytes = fs::read(&host_recording).unwrap();
    let at = bytes.windows(5).position(|part| part == b"quota").unwrap();
    bytes[at] ^= 1;
    fs::write(&host_recording, bytes).unwrap();
    let output = Some(state_dir.join("exported"));
    let args = ExportArgs { format: Format::Ocsf, host: true, output, ..ExportArgs::default() };
    assert_eq!(host::run(&args, &state_dir).unwrap(), ExitCode::from(crate::cli::UNREAD));
    fs::remove_dir_all(state_dir).unwrap();
}

#[test]
fn an_output_that_cannot_be_finished_is_not_there() {
    let state_dir = state_dir("unfinished");
    let path = state_dir.join("out");
    let output = Output::new(Some(&path)).unwrap();
    output.writer().unwrap().write_all(b"half").unwrap();
    drop(output);
    assert_eq!(fs::read_dir(&state_dir).unwrap().count(), 0);
    // Whoever is root would replace the device.
    let error = Output::new(Some(Path::new("/dev/null"))).unwrap_err().to_string();
    assert!(error.contains("no regular file"), "{error}");
    fs::remove_dir_all(state_dir).unwrap();
}

#[test]
fn an_interrupted_export_leaves_nothing() {
    let state_dir = state_dir("interrupted");
    let mut file = session(&state_dir, 1, "reporting");
    for number in 1..1000 {
        append(&mut file, 1000 + number, statement(number, b"SELECT 1"));
        append(&mut file, 1000 + number, verdict(number, portreeve_recording::Decision::Allow));
    }
    // For this thread alone, which takes it over before it comes.
    let _ending = Ending::new().unwrap();
    nix::sys::signal::raise(nix::sys::signal::Signal::SIGINT).unwrap();
    let output = state_dir.join("exported");
    let folder = FolderArgs { sessions: Some(state_dir.join("sessions")) };
    let args = ExportArgs { output: Some(output), folder, ..ExportArgs::default() };
    let error = run(&args, Path::new("/nowhere")).unwrap_err();
    assert!(error.to_string().contains("interrupted: nothing was written"), "{error}");
    let names = fs::read_dir(&state_dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let left: Vec<_> = names.filter(|name| name.contains("exported")).collect();
    assert_eq!(left, [""; 0]);
    fs::remove_dir_all(state_dir).unwrap();
}

#[test]
fn an_export_of_damaged_recordings_has_what_is_sound_and_an_exit_code() {
    let state_dir = state_dir("export-damage");
    busy_session(&state_dir, 1);
    busy_session(&state_dir, 2);
    damage_behind(&state_dir, b"DELETE FROM");
    let output = state_dir.join("exported");
    let folder = FolderArgs { sessions: Some(state_dir.join("sessions")) };
    let args = ExportArgs { output: Some(output.clone()), folder, ..ExportArgs::default() };
    assert_eq!(run(&args, Path::new("/nowhere")).unwrap(), ExitCode::from(crate::cli::UNREAD));
    assert_eq!(json_lines(fs::read(output).unwrap()).len(), 1 + 5);
    fs::remove_dir_all(state_dir).unwrap();
}

/// The statements of a session whose client chose these, as the CSV has them.
fn texts_in_csv(name: &str, raw: bool, texts: &[&str]) -> Vec<String> {
    let state_dir = state_dir(name);
    let mut file = session(&state_dir, 1, "reporting");
    for (number, text) in (1..).zip(texts) {
        append(&mut file, 2000 + number, statement(number, text.as_bytes()));
    }
    append(&mut file, 3000, closed());
    file.close().unwrap();
    let output = state_dir.join("exported");
    let folder = FolderArgs { sessions: Some(state_dir.join("sessions")) };
    let args = ExportArgs { format: Format::Csv, raw, output: Some(output.clone()), folder, ..ExportArgs::default() };
    run(&args, Path::new("/nowhere")).unwrap();
    let mut reader = csv::Reader::from_path(output).unwrap();
    let rows: Vec<HashMap<String, String>> = reader.deserialize().map(|row| row.unwrap()).collect();
    fs::remove_dir_all(state_dir).unwrap();
    rows.into_iter().map(|mut row| row.remove("sql").unwrap()).collect()
}

#[test]
fn a_text_in_csv_is_no_formula() {
    let formulas = ["=HYPERLINK(\"http://x\")", "@SUM(A1)", "+1", "-- a comment\nSELECT 1", "\t=1", "\u{ff1d}1"];
    let texts = [&formulas[..], &["SELECT 1 = 1", "\u{1b}[2J"]].concat();
    let quoted: Vec<_> = formulas.iter().map(|text| format!("'{text}")).collect();
    let expected = [&quoted[..], &["SELECT 1 = 1".to_owned(), r"\u{1b}[2J".to_owned()]].concat();
    assert_eq!(texts_in_csv("formulas", false, &texts), expected);
    assert_eq!(texts_in_csv("raw", true, &texts), texts);
    let args = ExportArgs { raw: true, ..ExportArgs::default() };
    assert!(run(&args, Path::new("/nowhere")).unwrap_err().is::<Usage>());
}

struct Gone;

impl std::io::Write for Gone {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error_in_any_format() {
    let state_dir = state_dir("gone");
    busy_session(&state_dir, 1);
    let path = crate::cli::recorded::files(&state_dir.join("sessions")).unwrap().remove(0);
    let mut recording = Recording::open(&path).unwrap();
    let exchange = loop {
        match recording.next().unwrap().unwrap() {
            Event::Exchange(exchange) => break exchange,
            Event::Record(_) => {}
        }
    };
    let mut analyses = Analyses::default();
    for format in [Format::Jsonl, Format::Csv, Format::Parquet, Format::Ocsf] {
        let written = sink::new(format, false, Box::new(Gone)).and_then(|mut sink| {
            for _ in 0..1000 {
                sink.row(&Row::new(recording.about(), &exchange, &mut analyses))?;
            }
            sink.finish()
        });
        assert_eq!(crate::cli::report(&written.unwrap_err()), ExitCode::SUCCESS, "{format:?}");
    }
    fs::remove_dir_all(state_dir).unwrap();
}
