//! New session files.

use std::path::{Path, PathBuf};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::follow::DAYS_LOOKED_AT;
use crate::recorder::directory;

/// Sees that there may be new session files, so that a day's folder is not read again and again. What is appended to one raises no
/// event: it is written through a mapping.
#[derive(Debug)]
pub(in crate::cli) struct Arrivals {
    state_dir: PathBuf,
    /// None where the kernel gives no watch, or there is no folder yet: then each look is a look at the folders.
    inotify: Option<Inotify>,
}

impl Arrivals {
    pub(in crate::cli) fn new(state_dir: &Path) -> Self {
        let mut arrivals = Self { state_dir: state_dir.to_owned(), inotify: None };
        arrivals.watch();
        arrivals
    }

    /// Whether there may be new files since the last call. Never waits.
    pub(in crate::cli) fn any(&mut self) -> bool {
        let is_quiet = self.inotify.as_ref().is_some_and(|inotify| inotify.read_events().is_err());
        if !is_quiet {
            // Before the folders are read: what comes after that is an event.
            self.watch();
        }
        !is_quiet
    }

    /// What to wait on.
    pub(in crate::cli) fn inotify(&self) -> Option<&Inotify> {
        self.inotify.as_ref()
    }

    fn watch(&mut self) {
        let inotify =
            self.inotify.take().or_else(|| Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).ok());
        let Some(inotify) = inotify else { return };
        let events = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_ONLYDIR;
        let days = directory::days(&self.state_dir).unwrap_or_default();
        let mut folders = vec![self.state_dir.join("sessions")];
        folders.extend(days.iter().rev().take(DAYS_LOOKED_AT).map(|day| directory::of_day(&self.state_dir, day)));
        // Watching one twice is watching it once.
        if folders.iter().all(|folder| inotify.add_watch(folder, events).is_ok()) {
            self.inotify = Some(inotify);
        }
    }
}
