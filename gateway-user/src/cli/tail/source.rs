//! One session file being read for `tail`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use portreeve_recording::{End, Entry, Stream};
use uuid::Uuid;

use super::Shown;
use super::selection::{Choosing, Selection};
use crate::cli::recorded::{About, Analyses, Filter, Unread};
use crate::cli::render::json;
use crate::cli::render::text::SessionText;
use crate::recorder::directory::{self, SessionPath};

/// A session file and how its records are shown.
#[derive(Debug)]
pub(super) struct Source {
    stream: Stream<File>,
    path: PathBuf,
    unread: Rc<Unread>,
    id: String,
    about: About,
    selection: Selection,
    text: Option<SessionText>,
}

/// What a session file gives next.
#[derive(Debug)]
pub(super) enum Next {
    Entry(Entry<'static>),
    /// Nothing yet: a daemon still writes it.
    Later,
    /// Nothing more; damage was reported.
    Ended,
}

impl Source {
    /// Opens a file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn open(session: &SessionPath, shown: &Shown<'_>) -> anyhow::Result<Self> {
        let stream = Stream::open(File::open(&session.path)?)?;
        let id = Uuid::from_bytes(stream.header().session_id);
        Ok(Self {
            stream,
            path: session.path.clone(),
            unread: Rc::clone(&shown.unread),
            id: id.to_string(),
            about: About::new(id),
            selection: Selection::default(),
            text: (!shown.args.json).then(|| SessionText::new(id)),
        })
    }

    /// The next record; errors and damage are a line on stderr.
    pub(super) fn next(&mut self) -> Next {
        let mut orphaned = false;
        loop {
            let end = match self.stream.next_frame() {
                Ok(Ok(frame)) => {
                    return match frame.to_entry() {
                        Ok(entry) => self.note(entry),
                        Err(why) => self.damaged(&why.to_string()),
                    };
                }
                Ok(Err(end)) => end,
                Err(error) => return self.damaged(&error.to_string()),
            };
            match end {
                End::Open { .. } if directory::is_written(self.stream.get_ref()) => return Next::Later,
                // The daemon was killed: what it had recorded is complete.
                End::Open { .. } if orphaned => return Next::Ended,
                // It may have written and closed between the look at the file and the look at its lock.
                End::Open { .. } => orphaned = true,
                End::Closed => return Next::Ended,
                End::Torn { offset, why } => {
                    return self.damaged(&format!("at byte {offset}: {why}; records after it are not shown"));
                }
            }
        }
    }

    fn damaged(&self, what: &str) -> Next {
        self.unread.tell(&self.path, what);
        Next::Ended
    }

    fn note(&mut self, entry: Entry<'static>) -> Next {
        self.about.learn(&entry.record);
        Next::Entry(entry)
    }

    /// Leaves out what a long file has before its last so many lines, now that it is known whose it is; whether it did. The record
    /// that says whose it is, is not shown then.
    pub(super) fn skip_to_last(&mut self, opened: &Entry<'_>, lines: usize) -> bool {
        // A statement and its verdict are one line.
        let frames = (lines as u64).saturating_mul(2).saturating_add(2);
        match self.stream.skip_near_end(frames) {
            Ok(true) => {
                if let Some(text) = &mut self.text {
                    text.take(opened, &mut |_, _| ());
                }
                true
            }
            // What is wrong shows when it is read.
            Ok(false) | Err(_) => false,
        }
    }

    /// Whether the session is one that is asked for; known after its first record.
    pub(super) fn is_wanted(&self, filter: &Filter) -> bool {
        filter.is_session(&self.about)
    }

    /// Hands the lines for a record to `line`, each with its time.
    pub(super) fn lines(
        &mut self,
        entry: Entry<'static>,
        filter: &Filter,
        analyses: &mut Analyses,
        line: &mut impl FnMut(u64, String),
    ) {
        let Self { path, unread, id, about, selection, text, .. } = self;
        let mut by = Choosing { about, filter, analyses };
        selection.take(entry, &mut by, &mut |entry| shown(text, (path, unread, id, about), entry, line));
    }

    /// Hands over what waited for a further record.
    pub(super) fn flush(&mut self, filter: &Filter, analyses: &mut Analyses, line: &mut impl FnMut(u64, String)) {
        let Self { path, unread, id, about, selection, text, .. } = self;
        let mut by = Choosing { about, filter, analyses };
        selection.release(&mut by, &mut |entry| shown(text, (path, unread, id, about), entry, line));
        if let Some(text) = text {
            text.flush(line);
        }
    }
}

/// Hands the lines of a record to `line`.
fn shown(
    text: &mut Option<SessionText>,
    (path, unread, id, about): (&Path, &Unread, &str, &About),
    entry: &Entry<'_>,
    line: &mut impl FnMut(u64, String),
) {
    match text {
        Some(text) => text.take(entry, line),
        None => match json::object(id, about.workload.as_deref(), entry) {
            Ok(object) => line(entry.at_unix_ns, object),
            Err(error) => unread.tell(path, format_args!("cannot show a record: {error}")),
        },
    }
}
