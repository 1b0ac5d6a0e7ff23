//! The session file against what may happen to a daemon: killed, out of disk, restarted.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::thread;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use portreeve_recording::{Closed, End, Record, Started, Statement, Stream, Text};

use super::file::CHUNK_LEN_MIN;
use super::*;

const DAY_START_NS: u64 = 1_795_219_200_000_000_000;
const CHILD_DIR: &str = "PORTREEVE_TEST_RECORDER_DIR";

impl Recorder {
    /// With a key and a host recording of its own.
    pub(crate) fn new(state_dir: impl Into<PathBuf>) -> Self {
        Self::begun_at(state_dir, DAY_START_NS)
    }

    /// The same of a daemon that began then.
    pub(crate) fn begun_at(state_dir: impl Into<PathBuf>, unix_ns: u64) -> Self {
        let state_dir = state_dir.into();
        let (key, host) = (KeyPair::open(&state_dir).unwrap().signing, host_begun_at(&state_dir, unix_ns));
        Self::of(state_dir, key, host)
    }
}

/// The host recording of a daemon that began then.
pub(crate) fn host_begun_at(state_dir: &Path, unix_ns: u64) -> Arc<HostRecording> {
    let key = KeyPair::open(state_dir).unwrap().signing;
    HostRecording::begin(state_dir, key, Retention::default(), Durability::Kernel, started(), unix_ns).unwrap()
}

fn started() -> Started<'static> {
    Started {
        id: "".into(),
        continues: None,
        gateway_version: "0.1.0".into(),
        pid: 4711,
        kernel: "6.1.0".into(),
        boot_id: "none".into(),
        config_path: "/etc/portreeve/portreeve.toml".into(),
        config_sha256: "".into(),
        policies_sha256: "".into(),
        observe: false,
    }
}

/// A directory of this test alone, empty.
pub(crate) fn directory(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("portreeve-recorder-{}-{name}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

fn statement(number: u64, sql: &str) -> Entry<'_> {
    let statement = Statement {
        number,
        command: portreeve_recording::Command::Query,
        prepared: None,
        sql: Text::of_sql(sql.as_bytes(), None),
        schema: None,
        parameters: (&[]).into(),
    };
    Entry { at_unix_ns: number, record: Record::Statement(statement) }
}

fn closed(reason: &'static str) -> Entry<'static> {
    let closed = Closed { reason: reason.into(), statements: 1, bytes_to_client: 0, bytes_to_server: 0 };
    Entry { at_unix_ns: 9, record: Record::Closed(closed) }
}

/// The statement numbers in a file, and how it ends.
fn numbers(path: &Path) -> (Vec<u64>, End) {
    let mut stream = Stream::open(File::open(path).unwrap()).unwrap();
    let mut numbers = Vec::new();
    loop {
        match stream.next_frame().unwrap() {
            Ok(frame) => {
                if let Record::Statement(statement) = frame.to_entry().unwrap().record {
                    numbers.push(statement.number);
                }
            }
            Err(end) => return (numbers, end),
        }
    }
}

#[test]
fn a_session_lies_in_the_directory_of_its_day_and_only_the_owner_reads_it() {
    let state_dir = directory("day");
    let id = Uuid::from_u128(7);
    let file = Recorder::new(&state_dir).create(id, DAY_START_NS + 1).unwrap();
    assert_eq!(file.file.path(), state_dir.join(format!("sessions/2026-11-21/{id}.prs")));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(file.file.path()), mode(file.file.path().parent().unwrap())), (0o600, 0o700));
    Recorder::new(&state_dir).create(Uuid::from_u128(6), DAY_START_NS - 1).unwrap();
    assert_eq!(directory::days(&state_dir).unwrap(), ["2026-11-20", "2026-11-21"]);
    let found = directory::sessions(&state_dir, "2026-11-21").unwrap();
    assert_eq!(found.iter().map(|session| session.id).collect::<Vec<_>>(), [id]);
    let again = Recorder::new(&state_dir).create(id, DAY_START_NS).unwrap_err();
    assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
    fs::remove_dir_all(state_dir).unwrap();
}

#[test]
fn closing_cuts_the_file_to_its_records() {
    let state_dir = directory("close");
    let mut file = Recorder::new(&state_dir).create(Uuid::from_u128(1), DAY_START_NS).unwrap();
    let path = file.file.path().to_owned();
    file.append(&statement(1, "SELECT 1")).unwrap();
    file.append(&closed("client quit")).unwrap();
    let reader = File::open(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), CHUNK_LEN_MIN);
    assert!(directory::is_written(&reader));
    file.close().unwrap();
    assert!(fs::metadata(&path).unwrap().len() < 1024);
    assert!(!directory::is_written(&reader));
    assert_eq!(numbers(&path), (vec![1], End::Closed));
    fs::remove_dir_all(state_dir).unwrap();
}

#[test]
fn a_file_that_somebody_cuts_is_an_error_and_harms_no_other() {
    let state_dir = directory("cut");
    let recorder = Recorder::new(&state_dir);
    let mut cut = recorder.create(Uuid::from_u128(1), DAY_START_NS).unwrap();
    let mut other = recorder.create(Uuid::from_u128(2), DAY_START_NS).unwrap();
    cut.append(&statement(1, "SELECT 1")).unwrap();
    let path = cut.file.path().to_owned();
    let cutting = fs::OpenOptions::new().write(true).open(&path).unwrap();
    cutting.set_len(0).unwrap();
    for _ in 0..2 {
        // Over several pages, each of which is gone.
        let error = cut.append(&statement(2, &"x".repeat(20_000))).unwrap_err().to_string();
        assert!(error.contains("cannot append to `") && error.contains("SIGBUS"), "{error}");
        other.append(&statement(3, "SELECT 3")).unwrap();
    }
    assert_eq!(numbers(other.file.path()).0, [3, 3]);
    // What was there is lost; what comes is written to the file again, not to the memory in its place.
    cutting.set_len(CHUNK_LEN_MIN).unwrap();
    cut.append(&statement(4, "SELECT 'found'")).unwrap();
    let text = fs::read(&path).unwrap();
    assert!(text.windows(b"'found'".len()).any(|window| window == b"'found'"));
    fs::remove_dir_all(state_dir).unwrap();
}

#[test]
fn a_file_grows_over_many_windows_and_past_the_longest_record() {
    let state_dir = directory("grow");
    let mut file = Recorder::new(&state_dir).create(Uuid::from_u128(1), DAY_START_NS).unwrap();
    // Lengths with no common factor with the window's, so that records lie across every kind of border.
    let texts: Vec<String> = (0..300).map(|index| "x".repeat(index * 97 % 40_000)).collect();
    for (number, text) in texts.iter().enumerate() {
        file.append(&statement(number as u64, text)).unwrap();
    }
    let longest = "y".repeat(portreeve_recording::limits::TEXT_KEPT_MAX);
    for number in 300..310 {
        file.append(&statement(number, &longest)).unwrap();
    }
    let too_long = Entry {
        at_unix_ns: 1,
        record: Record::Closed(Closed {
            reason: "z".repeat(portreeve_recording::limits::PAYLOAD_LEN_MAX).into(),
            statements: 0,
            bytes_to_client: 0,
            bytes_to_server: 0,
        }),
    };
    let error = file.append(&too_long).unwrap_err().to_string();
    assert!(error.contains("cannot append to `") && error.contains("shorten"), "{error}");
    file.append(&statement(310, "after an error")).unwrap();
    let path = file.file.path().to_owned();
    let (found, end) = numbers(&path);
    assert_eq!(found, (0..=310).collect::<Vec<_>>());
    assert!(matches!(end, End::Open { .. }), "{end:?}");
    fs::remove_dir_all(state_dir).unwrap();
}

/// What `records_survive_kill_9` is when it was started by itself: a writer that goes on until it is killed.
fn write_until_killed(state_dir: &str) -> ! {
    let mut file = Recorder::new(state_dir).create(Uuid::from_u128(1), DAY_START_NS).unwrap();
    let mut number = 0;
    loop {
        number += 1;
        file.append(&statement(number, "SELECT 'recorded before it is acknowledged'")).unwrap();
        println!("appended {number}");
    }
}

#[test]
fn records_survive_kill_9() {
    if let Ok(state_dir) = std::env::var(CHILD_DIR) {
        write_until_killed(&state_dir);
    }
    for round in 0..10_u64 {
        let state_dir = directory(&format!("kill-{round}"));
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "recorder::tests::records_survive_kill_9", "--nocapture"])
            .env(CHILD_DIR, &state_dir)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let number = |line: String| line.strip_prefix("appended ").and_then(|number| number.parse::<u64>().ok());
        // Far enough to be in another window each time.
        let mut acknowledged = lines.by_ref().filter_map(number).nth(usize::try_from(round * 300).unwrap()).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged = lines.filter_map(number).last().unwrap_or(acknowledged);

        let [session] = &directory::sessions(&state_dir, "2026-11-21").unwrap()[..] else { panic!("one session") };
        let (found, end) = numbers(&session.path);
        assert!(found.len() as u64 >= acknowledged, "{acknowledged} acknowledged, {} found", found.len());
        assert_eq!(found, (1..=found.len() as u64).collect::<Vec<_>>());
        assert!(matches!(end, End::Open { .. }), "{end:?}");
        assert!(!directory::is_written(&File::open(&session.path).unwrap()));
        fs::remove_dir_all(state_dir).unwrap();
    }
}

/// Needs root, as the daemon does. The mount is seen by this thread alone and goes with it.
#[test]
fn a_full_disk_is_an_error_and_the_file_stays_readable() {
    let state_dir = directory("full");
    let mount_point = state_dir.clone();
    let full = thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNS).expect("this test needs root");
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
        mount(Some("tmpfs"), &mount_point, Some("tmpfs"), MsFlags::empty(), Some("size=640k")).unwrap();
        fill_the_disk(&mount_point);
    });
    full.join().unwrap();
    fs::remove_dir_all(state_dir).unwrap();
}

fn fill_the_disk(state_dir: &Path) {
    let recorder = Recorder::new(state_dir);
    let other = state_dir.join("other");
    fs::write(&other, vec![1; 100 * 1024]).unwrap();
    let mut file = recorder.create(Uuid::from_u128(1), DAY_START_NS).unwrap();
    let text = "x".repeat(1000);
    let mut appended = Vec::new();
    let error = loop {
        let number = appended.len() as u64 + 1;
        match file.append(&statement(number, &text)) {
            Ok(()) => appended.push(number),
            Err(error) => break error,
        }
        assert!(number < 10_000, "the disk never fills");
    };
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    let path = file.file.path().to_owned();
    assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    assert!(error.to_string().ends_with("free space below `state_dir`"), "{error}");
    assert!(appended.len() > 300, "only {} records fitted", appended.len());
    let (found, end) = numbers(&path);
    assert_eq!(found, appended);
    assert!(matches!(end, End::Open { .. }), "{end:?}");

    let refused = recorder.create(Uuid::from_u128(2), DAY_START_NS).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::StorageFull);
    assert_eq!(directory::sessions(state_dir, "2026-11-21").unwrap().len(), 1, "a file without a header was left");

    // The chain has no gap where a record could not be written.
    fs::remove_file(other).unwrap();
    file.append(&statement(0, "space was freed")).unwrap();
    appended.push(0);
    file.append(&closed("disk was full")).unwrap();
    file.close().unwrap();
    assert_eq!(numbers(&path), (appended, End::Closed));
}
