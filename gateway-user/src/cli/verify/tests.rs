//! `verify` over files that the recorder wrote and somebody changed.

use std::fs::{self, File};

use portreeve_recording::{
    Abandoned, Closed, Encoder, Entry, Format, Header, Host, Kind, Record, Removed, Signed, SigningKey, Stream,
};
use uuid::Uuid;

use super::file::State;
use super::*;
use crate::recorder::{KeyPair, Recorder, SessionFile, directory};

const CREATED_NS: u64 = 1_795_231_554_000_000_000;

fn check(path: &Path, trusted: &[PublicKey]) -> Finding {
    file::check(path, Against { trusted, is_served: true })
}

/// A state directory of one test, gone at its end.
struct StateDir(PathBuf);

impl StateDir {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("portreeve-verify-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// A session with `number` for an id and three records, still being written.
    fn session(&self, number: u128) -> SessionFile {
        let mut file = Recorder::new(&self.0).create(Uuid::from_u128(number), CREATED_NS).unwrap();
        for number in 0..3 {
            let record = Record::Abandoned(Abandoned { number, killed: false, detail: "a record".into() });
            file.append(&Entry { at_unix_ns: CREATED_NS, record }).unwrap();
        }
        file
    }

    /// The same, closed; where it lies.
    fn closed(&self, number: u128) -> PathBuf {
        let mut file = self.session(number);
        let closed = Closed { reason: "client quit".into(), statements: 0, bytes_to_client: 0, bytes_to_server: 0 };
        file.append(&Entry { at_unix_ns: CREATED_NS, record: Record::Closed(closed) }).unwrap();
        file.close().unwrap();
        self.path(number)
    }

    fn key(&self) -> PublicKey {
        KeyPair::open(&self.0).unwrap().public
    }

    fn path(&self, number: u128) -> PathBuf {
        self.0.join(format!("sessions/2026-11-21/{}.prs", Uuid::from_u128(number)))
    }
}

impl Drop for StateDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Where the frames of a file begin, and where the last ends.
fn starts(path: &Path) -> Vec<usize> {
    let mut stream = Stream::open(File::open(path).unwrap()).unwrap();
    let mut starts = Vec::new();
    loop {
        starts.push(usize::try_from(stream.position().offset).unwrap());
        if stream.next_frame().unwrap().is_err() {
            return starts;
        }
    }
}

#[test]
fn closed_and_running_sessions_are_sound() {
    let dir = StateDir::new("sound");
    let paths = [dir.closed(1), dir.path(2)];
    let running = dir.session(2);
    let key = [dir.key()];
    let found: Vec<_> = paths.iter().map(|path| check(path, &key)).collect();
    let found: Vec<_> = found.iter().map(|found| (found.state, found.frames, found.signed_frames)).collect();
    // A seal as well.
    assert_eq!(found, [(State::Sound, 5, 5), (State::Open, 3, 0)]);
    let mut out = Vec::new();
    let code = report(paths.iter().map(|path| check(path, &[])), false, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.starts_with("2 of 2 recordings are sound\nheld against the keys they name"), "{text}");
    assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::SUCCESS));

    drop(running);
    let killed = check(&dir.path(2), &key);
    assert_eq!((killed.state, killed.frames), (State::Unfinished, 3));
    assert!(killed.problem.unwrap().contains("none of them is signed"));
}

#[test]
fn what_was_altered_cut_or_moved_is_told_by_its_frame() {
    let dir = StateDir::new("changed");
    let path = dir.closed(1);
    let whole = fs::read(&path).unwrap();
    let starts = starts(&path);
    let frame = |index: usize| &whole[starts[index]..starts[index + 1]];
    let reads_as = |parts: &[&[u8]], state, frames, problem: &str| {
        fs::write(&path, parts.concat()).unwrap();
        let found = check(&path, &[]);
        assert_eq!((found.state, found.frames), (state, frames), "{found:?}");
        assert_eq!(found.byte, if frames == 5 { whole.len() as u64 } else { starts[frames as usize] as u64 });
        assert!(found.problem.as_deref().unwrap().contains(problem), "{found:?}");
    };
    let (head, tail) = (&whole[..starts[1]], &whole[starts[3]..]);
    let mut altered = frame(1).to_vec();
    altered[48] ^= 1;
    reads_as(&[head, &altered, &whole[starts[2]..]], State::Damaged, 1, "frame 1, at byte");
    reads_as(&[head, frame(2), frame(1), tail], State::Damaged, 1, "does not continue the hash chain");
    reads_as(&[head, frame(1), tail], State::Damaged, 2, "does not continue the hash chain");
    reads_as(&[head, frame(1), frame(1)], State::Damaged, 2, "does not continue the hash chain");
    reads_as(&[head, &frame(1)[..60]], State::Damaged, 1, "ends inside a frame");
    reads_as(&[head, frame(1)], State::Unfinished, 2, "ends after 2 frames");
    reads_as(&[&whole[..starts[4]]], State::Damaged, 4, "frame 4, at byte");
    reads_as(&[&whole, frame(3)], State::Damaged, 5, "after the record that closed");
}

/// Whoever writes the file can compute its chain anew, and sign it with a key of their own.
#[test]
fn a_file_made_anew_is_told_by_its_signature() {
    let dir = StateDir::new("forged");
    let path = dir.closed(1);
    let entries = entries(&path);
    let forge = |header: &Header, key: Option<&SigningKey>, entries: &[Entry<'static>]| {
        let (mut encoder, start) = Encoder::new(header);
        let mut bytes = start.to_vec();
        for entry in entries {
            encoder.encode(entry, &mut bytes).unwrap();
        }
        if let Some(key) = key {
            encoder.sign(Signed::Seal, key, &mut bytes).unwrap();
        }
        fs::write(&path, bytes).unwrap();
        check(&path, &[dir.key()])
    };
    let header = Header::new(Kind::Session, Uuid::from_u128(1).into_bytes(), CREATED_NS);
    let mut altered = entries.clone();
    altered[1].at_unix_ns += 1;
    let found = forge(&header, None, &altered);
    assert_eq!((found.state, found.frames), (State::Damaged, 4), "{found:?}");
    assert!(found.problem.unwrap().contains("frame 4, at byte"));
    let own = SigningKey::from_seed(&[1; 32]);
    let found = forge(&header, Some(&own), &altered[..4]);
    assert_eq!((found.state, found.frames), (State::WrongKey, 4), "{found:?}");
    let found = forge(&header, None, &altered[..4]);
    assert_eq!(found.state, State::Damaged, "{found:?}");
    assert!(found.problem.unwrap().contains("its seal is gone"));
    let found = forge(&Header { format: Format::One, ..header }, None, &altered[..4]);
    assert_eq!(found.state, State::Unsigned, "{found:?}");
}

fn entries(path: &Path) -> Vec<Entry<'static>> {
    let mut stream = Stream::open(File::open(path).unwrap()).unwrap();
    let mut entries = Vec::new();
    while let Ok(frame) = stream.next_frame().unwrap() {
        entries.push(frame.to_entry().unwrap());
    }
    entries
}

#[test]
fn a_file_in_anothers_place_and_one_that_is_no_recording_are_found() {
    let dir = StateDir::new("placed");
    let path = dir.closed(1);
    let other = dir.closed(2);
    fs::copy(&other, &path).unwrap();
    let found = check(&path, &[]);
    assert_eq!(found.state, State::Damaged);
    assert!(found.problem.unwrap().contains("under another's name"));
    // A copy under a name of one's own is as good.
    let copy = dir.0.join("evidence.prs");
    fs::copy(&other, &copy).unwrap();
    assert_eq!(check(&copy, &[]).state, State::Sound);

    let empty = dir.0.join("a\nb.prs");
    fs::write(&empty, "").unwrap();
    let mut out = Vec::new();
    let files = [empty, dir.0.join("absent.prs"), copy];
    let code = report(files.iter().map(|path| check(path, &[dir.key()])), false, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(text.contains(r"a\nb.prs: the file has no header") && text.ends_with("1 of 3 recordings are sound\n"));
    assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::from(1)));
}

/// The states in the findings that are a problem, by the end of their path.
fn problems(dir: &StateDir) -> Vec<(String, State)> {
    let found = ledger::check_all(&dir.0, Against { trusted: &[dir.key()], is_served: true })
        .unwrap()
        .into_iter()
        .filter(|found| found.problem.is_some());
    let mut found: Vec<_> =
        found.map(|found| (found.path.file_name().unwrap().to_str().unwrap().to_owned(), found.state)).collect();
    found.sort_by(|one, other| one.0.cmp(&other.0));
    found
}

#[test]
fn the_ledger_tells_what_is_missing_what_was_cut_and_what_was_put_there() {
    let dir = StateDir::new("ledger");
    let paths = [dir.closed(1), dir.closed(2), dir.closed(3), dir.closed(4)];
    assert_eq!(problems(&dir), []);
    fs::remove_file(&paths[0]).unwrap();
    // Up to its last signature there is nothing to see in a file that was cut, but that it ended later.
    let (whole, starts) = (fs::read(&paths[1]).unwrap(), starts(&paths[1]));
    fs::write(&paths[1], &whole[..starts[3]]).unwrap();
    // A daemon elsewhere made one with the same key.
    let elsewhere = StateDir::new("elsewhere");
    fs::create_dir_all(elsewhere.0.join("keys")).unwrap();
    fs::copy(dir.0.join("keys/recording.key"), elsewhere.0.join("keys/recording.key")).unwrap();
    fs::copy(elsewhere.closed(9), dir.path(9)).unwrap();
    fs::copy(elsewhere.closed(3), &paths[2]).unwrap();
    let expected =
        [(name(&paths[0]), State::Missing), (name(&paths[1]), State::Damaged), (name(&dir.path(9)), State::Unlisted)];
    assert_eq!(problems(&dir), expected);
}

#[test]
fn a_host_recording_that_is_gone_or_was_cut_is_missed_by_the_next() {
    let dir = StateDir::new("hosts");
    drop(dir.closed(1));
    let first = directory::host_recordings(&dir.0).unwrap().remove(0).path;
    drop(dir.closed(2));
    assert_eq!(problems(&dir), []);
    let name = first.file_name().unwrap().to_str().unwrap().to_owned();

    let (whole, starts) = (fs::read(&first).unwrap(), starts(&first));
    fs::write(&first, &whole[..starts[1]]).unwrap();
    let found = problems(&dir);
    assert!(found.contains(&(name.clone(), State::Damaged)), "{found:?}");

    fs::remove_file(&first).unwrap();
    let found = problems(&dir);
    assert!(found.contains(&(name, State::Missing)), "{found:?}");
    fs::write(&first, whole).unwrap();
    assert_eq!(problems(&dir), []);
}

/// The host recording of the daemon that made a session, as it would be had that daemon been killed; and the session.
fn killed(dir: &StateDir, number: u128) -> (PathBuf, PathBuf) {
    let before = directory::host_recordings(&dir.0).unwrap();
    let session = dir.session(number);
    let host = directory::host_recordings(&dir.0).unwrap().into_iter().find(|one| !before.contains(one)).unwrap().path;
    let paths = [host, dir.path(number)];
    let bytes = paths.clone().map(|path| fs::read(path).unwrap());
    drop(session);
    paths.iter().zip(bytes).for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
    let [host, session] = paths;
    (host, session)
}

/// Goes on with a recording as one can who has no key: its chain is right, and nobody signs.
fn append(path: &Path, host: Host<'static>) {
    let header = *Stream::open(File::open(path).unwrap()).unwrap().header();
    let (mut encoder, start) = Encoder::new(&header);
    let mut bytes = start.to_vec();
    let more = Entry { at_unix_ns: CREATED_NS, record: Record::Host(Box::new(host)) };
    entries(path).iter().chain([&more]).for_each(|entry| encoder.encode(entry, &mut bytes).unwrap());
    fs::write(path, bytes).unwrap();
}

fn removed(number: u128) -> Host<'static> {
    let id = Uuid::from_u128(number).to_string();
    Host::Removed(Box::new(Removed { id: id.into(), host: false, bytes: 1, reason: "too old".into() }))
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn a_ledger_is_believed_as_far_as_it_is_signed() {
    let dir = StateDir::new("unsigned");
    let (host, session) = killed(&dir, 1);
    assert_eq!(problems(&dir), [(name(&session), State::Unfinished), (name(&host), State::Unfinished)]);
    append(&host, removed(1));
    fs::remove_file(&session).unwrap();
    let found = problems(&dir);
    assert!(!found.contains(&(name(&session), State::Unfinished)), "{found:?}");
    // What it lists is as little signed.
    drop(dir.closed(2));
    let found = problems(&dir);
    assert!(found.contains(&(name(&session), State::Missing)), "the next daemon saw it with both: {found:?}");
}

#[test]
fn nothing_can_be_added_behind_the_end_that_the_next_daemon_saw() {
    let dir = StateDir::new("added");
    let (host, session) = killed(&dir, 1);
    drop(dir.closed(2));
    append(&host, removed(1));
    fs::remove_file(&session).unwrap();
    let found = problems(&dir);
    assert!(found.contains(&(name(&host), State::Damaged)), "{found:?}");
}

/// Whoever holds the lock of a file is not therefore a daemon.
#[test]
fn without_a_daemon_no_recording_is_open() {
    let dir = StateDir::new("locked");
    let (host, session) = killed(&dir, 1);
    let locks = [host, session].map(|path| File::open(path).unwrap());
    locks.iter().for_each(|file| file.lock().unwrap());
    let found = |is_served| {
        let key = [dir.key()];
        let found = ledger::check_all(&dir.0, Against { trusted: &key, is_served }).unwrap();
        found.into_iter().map(|found| found.state).collect::<Vec<_>>()
    };
    assert_eq!(found(true), [State::Open, State::Open]);
    assert_eq!(found(false), [State::Unfinished, State::Unfinished]);
}

#[test]
fn without_host_recordings_nothing_is_proven() {
    let dir = StateDir::new("no-ledger");
    drop(dir.closed(1));
    fs::remove_dir_all(dir.0.join("host")).unwrap();
    assert_eq!(problems(&dir), [("host".to_owned(), State::Missing)]);
}

#[test]
fn bytes_behind_the_last_frame_are_found() {
    let dir = StateDir::new("behind");
    let path = dir.closed(1);
    let whole = fs::read(&path).unwrap();
    let state = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        check(&path, &[dir.key()]).state
    };
    // A daemon that was killed before it cut the file.
    assert_eq!(state(&[&whole[..], &[0; 4096]].concat()), State::Sound);
    assert_eq!(state(&[&whole[..], &[0; 4], b"hidden"].concat()), State::Damaged);
    // A frame that is made to look unwritten hides those behind it.
    let starts = starts(&path);
    let mut zeroed = whole.clone();
    zeroed[starts[2]..starts[2] + 4].fill(0);
    fs::write(&path, &zeroed).unwrap();
    let found = check(&path, &[]);
    assert_eq!(found.state, State::Unfinished);
    assert!(found.problem.unwrap().ends_with("or was made to look so"));
    let _lock = File::open(&path).map(|file| file.lock().map(|()| file)).unwrap().unwrap();
    assert_eq!(check(&path, &[]).state, State::Damaged);
}

#[test]
fn json_has_one_object_per_file() {
    let dir = StateDir::new("json");
    let path = dir.closed(1);
    let mut out = Vec::new();
    report([check(&path, &[dir.key()])].into_iter(), true, &mut out).unwrap();
    let found: serde_json::Value = serde_json::from_slice(&out).unwrap();
    let bytes = fs::metadata(&path).unwrap().len();
    let expected = serde_json::json!({
        "path": path, "state": "sound", "frames": 5, "signed_frames": 5, "byte": bytes, "key": dir.key().to_string(),
        "key_is_trusted": true, "problem": null
    });
    assert_eq!(found, expected);
}

#[test]
fn a_key_is_given_by_its_digits_or_by_a_file() {
    let dir = StateDir::new("key");
    let key = dir.key();
    assert_eq!(public_key(&key.to_string()).unwrap(), key);
    assert_eq!(public_key(recorder::public_path(&dir.0).to_str().unwrap()).unwrap(), key);
    let error = format!("{:#}", public_key("nonsense").unwrap_err());
    assert!(error.contains("is no file and no key: a public key has 64 hexadecimal digits"), "{error}");
}
