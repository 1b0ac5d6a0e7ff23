//! One recording, from its header to its end.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use portreeve_recording::{
    Audit, End, Fault, Format, Frame, Kind, Position, Proof, PublicKey, ReadError, Stream, StreamError, TornWhy,
};
use serde::Serialize;
use uuid::Uuid;

use crate::recorder::directory;

/// Looks at a file that is written, for a frame that is half there to become whole, and the pause before each.
const LOOKS_AT_A_WRITER: u32 = 50;
const BETWEEN_LOOKS: Duration = Duration::from_millis(2);

/// How a file is; `docs/recordings.md` says what each means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    Sound,
    Open,
    Unfinished,
    Unsigned,
    WrongKey,
    Damaged,
    Unreadable,
    Missing,
    Unlisted,
}

/// What was found in one file.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) path: PathBuf,
    pub(super) state: State,
    /// Frames that are sound: also the number, from 0, of the frame that is not.
    pub(super) frames: u64,
    /// How many of them a signature covers.
    pub(super) signed_frames: u64,
    /// Where the sound frames end, in bytes.
    pub(super) byte: u64,
    /// Who signed.
    pub(super) key: Option<String>,
    /// The key is one that was asked for.
    pub(super) key_is_trusted: bool,
    pub(super) problem: Option<String>,
    /// After the sound frames; for the ledger.
    #[serde(skip)]
    pub(super) chain: [u8; 32],
    #[serde(skip)]
    pub(super) created_unix_ns: u64,
    /// There is no file.
    #[serde(skip)]
    pub(super) is_absent: bool,
}

impl Finding {
    pub(super) fn new(path: &Path, state: State, problem: Option<String>) -> Self {
        Self {
            path: path.to_owned(),
            state,
            frames: 0,
            signed_frames: 0,
            byte: 0,
            key: None,
            key_is_trusted: false,
            problem,
            chain: [0; 32],
            created_unix_ns: 0,
            is_absent: false,
        }
    }

    /// The same file, with a problem that only shows beside others.
    pub(super) fn found(self, state: State, problem: String) -> Self {
        Self { state, problem: Some(problem), ..self }
    }
}

/// What a file is held against.
#[derive(Debug, Clone, Copy)]
pub(super) struct Against<'k> {
    /// Keys that may sign; any one may, where there is none.
    pub(super) trusted: &'k [PublicKey],
    /// Whether a daemon may be writing: otherwise a lock on a file is somebody else's.
    pub(super) is_served: bool,
}

/// Reads a file to its end.
pub(super) fn check(path: &Path, against: Against<'_>) -> Finding {
    check_each(path, against, &mut |_| {})
}

/// The same, and shows each frame that is sound.
pub(super) fn check_each(path: &Path, against: Against<'_>, show: &mut dyn FnMut(&Frame<'_>)) -> Finding {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) => {
            let is_absent = error.kind() == io::ErrorKind::NotFound;
            return Finding { is_absent, ..Finding::new(path, State::Unreadable, Some(error.to_string())) };
        }
    };
    // Asked before reading: a session that closes meanwhile is then read to its close.
    let is_written = against.is_served && directory::is_written(&file);
    let stream = match Stream::open(file) {
        Ok(stream) => stream,
        Err(StreamError::Read(ReadError::Blank)) if is_written => return Finding::new(path, State::Open, None),
        Err(error) => return Finding::new(path, State::Unreadable, Some(error.to_string())),
    };
    if let Some(problem) = misnamed(path, stream.header().session_id) {
        return Finding::new(path, State::Damaged, Some(problem));
    }
    read(path, stream, is_written, against.trusted, show)
}

fn read(
    path: &Path,
    mut stream: Stream<File>,
    is_written: bool,
    trusted: &[PublicKey],
    show: &mut dyn FnMut(&Frame<'_>),
) -> Finding {
    let mut audit = Audit::new(trusted);
    let (position, (state, problem)) = loop {
        let position = stream.position();
        let (frames, byte) = (position.index, position.offset);
        match stream.next_frame() {
            Ok(Ok(frame)) => match audit.take(&frame) {
                Ok(()) => show(&frame),
                Err(fault) => {
                    let state = match fault {
                        Fault::OtherKey(_) => State::WrongKey,
                        Fault::Signature | Fault::SecondKey(_) => State::Damaged,
                    };
                    break (position, (state, Some(format!("frame {frames}, at byte {byte}: {fault}"))));
                }
            },
            Ok(Err(end)) => match settled(&mut stream, end, is_written) {
                Ok(None) => {}
                Ok(Some(has_more)) => break (position, ended(end, &audit, &position, is_written, has_more)),
                Err(error) => break (position, (State::Unreadable, Some(error.to_string()))),
            },
            Err(error) => break (position, (State::Unreadable, Some(error.to_string()))),
        }
    };
    let frames = position.index;
    let signed_frames = match audit.proof() {
        Proof::None => 0,
        Proof::Checkpoint { frames } => frames,
        Proof::Sealed => frames,
    };
    Finding {
        frames,
        signed_frames,
        byte: position.offset,
        key: audit.key().map(|key| key.to_string()),
        key_is_trusted: audit.key().is_some() && !trusted.is_empty(),
        chain: position.chain(),
        created_unix_ns: position.header().created_unix_ns,
        ..Finding::new(path, state, problem)
    }
}

/// Whether there is something behind the end of the frames; none where a daemon has gone on meanwhile.
fn settled(stream: &mut Stream<File>, end: End, is_written: bool) -> io::Result<Option<bool>> {
    let torn = matches!(end, End::Torn { .. });
    if torn || stream.ends_in_zeros()? {
        return Ok(Some(false));
    }
    // A frame that is being written is there within microseconds.
    for _ in 0..if is_written { LOOKS_AT_A_WRITER } else { 0 } {
        thread::sleep(BETWEEN_LOOKS);
        if stream.has_next()? || stream.ends_in_zeros()? {
            return Ok(None);
        }
    }
    Ok(Some(true))
}

fn ended(
    end: End,
    audit: &Audit<'_>,
    position: &Position,
    is_written: bool,
    has_more: bool,
) -> (State, Option<String>) {
    let (frames, byte) = (position.index, position.offset);
    match (end, position.header().format, audit.proof()) {
        (End::Torn { why, .. }, ..) => (State::Damaged, Some(damaged(frames, byte, why))),
        (End::Closed, ..) if has_more => (State::Damaged, Some(damaged(frames, byte, TornWhy::AfterClosed))),
        (End::Open { .. }, Format::Two, _) if has_more && is_written => {
            let why = "behind its frames lie bytes that no daemon writes there: a frame was made to look unwritten";
            (State::Damaged, Some(format!("frame {frames}, at byte {byte}: {why}")))
        }
        (End::Closed, _, Proof::Sealed) => (State::Sound, None),
        (End::Closed | End::Open { .. }, Format::One, _) => (State::Unsigned, Some(UNSIGNED.to_owned())),
        (End::Closed, Format::Two, Proof::None | Proof::Checkpoint { .. }) => {
            let why = "its seal is gone, which was written in one piece with the closing record: the file was altered";
            (State::Damaged, Some(format!("frame {frames}, at byte {byte}: {why}")))
        }
        (End::Open { .. }, Format::Two, _) if is_written => (State::Open, None),
        (End::Open { .. }, Format::Two, proof) => (State::Unfinished, Some(unfinished(frames, proof, has_more))),
    }
}

const UNSIGNED: &str = "it is of format 1, which has no signatures: it was written by an older portreeve, or made anew";

/// A file put in the place of another has a sound chain of its own. Only names that are ids are compared: who
/// keeps a copy calls it as they like.
fn misnamed(path: &Path, session_id: [u8; 16]) -> Option<String> {
    let id = Uuid::from_bytes(session_id);
    let named = Uuid::try_parse(path.file_stem()?.to_str()?).ok()?;
    (named != id).then(|| format!("this is the recording of session {id}, under another's name"))
}

fn unfinished(frames: u64, proof: Proof, has_more: bool) -> String {
    let signed = match proof {
        Proof::None => "none of them is signed".to_owned(),
        Proof::Checkpoint { frames } => format!("the first {frames} are signed"),
        Proof::Sealed => "all are signed".to_owned(),
    };
    let rest =
        if has_more { "; bytes lie behind, of a frame that was never whole, or was made to look so" } else { "" };
    format!(
        "it ends after {frames} frames without a closing record, {signed}: its daemon was killed, or the file was cut there{rest}"
    )
}

fn damaged(frame: u64, byte: u64, why: TornWhy) -> String {
    format!("frame {frame}, at byte {byte}: {why}")
}

/// Whether the file is what its folder says.
pub(super) fn of_kind(path: &Path, wanted: Kind) -> bool {
    let Ok(file) = File::open(path) else { return true };
    Stream::open(file).map_or(true, |stream| stream.header().kind == wanted)
}
