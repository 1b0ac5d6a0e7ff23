//! Recordings that could not be read to their end.

use std::fmt::Display;
use std::fs::File;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use portreeve_recording::{ReadError, Stream, StreamError};

use crate::cli::{UNREAD, render};
use crate::recorder::{CHUNK_LEN_MIN, directory};

/// Tells of each on standard error, and remembers that there was one: an answer from what is left is no whole answer.
#[derive(Debug, Default)]
pub(in crate::cli) struct Unread(AtomicBool);

impl Unread {
    /// Says what is wrong with a recording.
    pub(in crate::cli) fn tell(&self, path: &Path, why: impl Display) {
        match Blank::of(path) {
            Some(Blank::BeingMade) => return,
            // Of a daemon that was killed as it made it.
            Some(Blank::NeverMade) => {}
            None => self.0.store(true, Ordering::Relaxed),
        }
        eprintln!("portreeve: {}", line(path, why));
    }

    /// How a command ends that would end otherwise if it had read everything.
    pub(in crate::cli) fn exit_code(&self, otherwise: ExitCode) -> ExitCode {
        if self.0.load(Ordering::Relaxed) { ExitCode::from(UNREAD) } else { otherwise }
    }
}

/// A file whose daemon has not come to its header: nothing of it is missing.
#[derive(Debug, PartialEq, Eq)]
enum Blank {
    BeingMade,
    NeverMade,
}

impl Blank {
    fn of(path: &Path) -> Option<Self> {
        let file = File::open(path).ok()?;
        let (is_written, length) = (directory::is_written(&file), file.metadata().ok()?.len());
        match Stream::open(file) {
            // A longer one had a header, which somebody has made zero.
            Err(StreamError::Read(ReadError::Blank)) if length <= CHUNK_LEN_MIN => {
                Some(if is_written { Self::BeingMade } else { Self::NeverMade })
            }
            Ok(_) | Err(StreamError::Read(_) | StreamError::Io(_)) => None,
        }
    }
}

/// Who brings a recording chooses its name, and what is in it.
fn line(path: &Path, why: impl Display) -> String {
    format!("`{}`: {}", render::path(path), render::escape(why.to_string().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_does_nothing_to_a_terminal() {
        let told = line(Path::new("a\x1b[2J\x1b]0;owned\x07b.prs"), "at byte 7: \u{9b}2J");
        assert_eq!(told, r"`a\u{1b}[2J\u{1b}]0;owned\u{7}b.prs`: at byte 7: \u{9b}2J");
    }

    #[test]
    fn one_that_was_not_read_decides_the_exit_code() {
        let unread = Unread::default();
        assert_eq!(unread.exit_code(ExitCode::from(1)), ExitCode::from(1));
        let being_made = std::env::temp_dir().join(format!("portreeve-being-made-{}", std::process::id()));
        std::fs::write(&being_made, [0; 4096]).unwrap();
        let daemon = File::open(&being_made).unwrap();
        daemon.lock().unwrap();
        unread.tell(&being_made, "it has no header");
        assert_eq!(unread.exit_code(ExitCode::SUCCESS), ExitCode::SUCCESS);
        drop(daemon);
        unread.tell(&being_made, "its daemon was killed");
        assert_eq!(unread.exit_code(ExitCode::SUCCESS), ExitCode::SUCCESS);
        std::fs::write(&being_made, [0; 128 * 1024]).unwrap();
        assert_eq!(Blank::of(&being_made), None);
        std::fs::remove_file(being_made).unwrap();
        unread.tell(Path::new("a.prs"), "damaged");
        assert_eq!(unread.exit_code(ExitCode::from(1)), ExitCode::from(UNREAD));
        assert_eq!(unread.exit_code(ExitCode::SUCCESS), ExitCode::from(UNREAD));
    }
}
