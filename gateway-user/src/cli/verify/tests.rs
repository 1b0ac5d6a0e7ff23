//! `verify` over files that the recorder wrote and somebody changed.

use std::fs;

use portreeve_recording::{Abandoned, Closed, Entry, Record};

use super::*;
use crate::recorder::{Recorder, SessionFile};

const CREATED_NS: u64 = 1_795_231_554_000_000_000;

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
    dir.closed(1);
    let running = dir.session(2);
    let files = all(&dir.0).unwrap();
    let found: Vec<_> = files.iter().map(|path| check(path)).map(|found| (found.state, found.frames)).collect();
    assert_eq!(found, [(State::Sound, 4), (State::Open, 3)]);
    let mut out = Vec::new();
    let code = verify(&files, false, &mut out).unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), "2 of 2 recordings are sound\n");
    assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::SUCCESS));

    drop(running);
    let killed = check(&dir.path(2));
    assert_eq!((killed.state, killed.frames), (State::Unfinished, 3));
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
        let found = check(&path);
        assert_eq!((found.state, found.frames), (state, frames), "{found:?}");
        assert_eq!(found.byte, if frames == 4 { whole.len() as u64 } else { starts[frames as usize] as u64 });
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
    reads_as(&[&whole, frame(3)], State::Damaged, 4, "after the record that closed");
}

#[test]
fn a_file_in_anothers_place_and_one_that_is_no_recording_are_found() {
    let dir = StateDir::new("placed");
    let path = dir.closed(1);
    let other = dir.closed(2);
    fs::copy(&other, &path).unwrap();
    let found = check(&path);
    assert_eq!(found.state, State::Damaged);
    assert!(found.problem.unwrap().contains("under another's name"));
    // A copy under a name of one's own is as good.
    let copy = dir.0.join("evidence.prs");
    fs::copy(&other, &copy).unwrap();
    assert_eq!(check(&copy).state, State::Sound);

    let empty = dir.0.join("a\nb.prs");
    fs::write(&empty, "").unwrap();
    let mut out = Vec::new();
    let code = verify(&[empty, dir.0.join("absent.prs"), copy], false, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(text.contains(r"a\nb.prs: the file has no header") && text.ends_with("1 of 3 recordings are sound\n"));
    assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::from(1)));
}

#[test]
fn json_has_one_object_per_file() {
    let dir = StateDir::new("json");
    let path = dir.closed(1);
    let mut out = Vec::new();
    verify(std::slice::from_ref(&path), true, &mut out).unwrap();
    let found: serde_json::Value = serde_json::from_slice(&out).unwrap();
    let bytes = fs::metadata(&path).unwrap().len();
    let expected = serde_json::json!({"path": path, "state": "sound", "frames": 4, "byte": bytes, "problem": null});
    assert_eq!(found, expected);
}
