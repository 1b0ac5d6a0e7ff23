//! The moment in which a cgroup appears: it is tagged at once, and not at the next look only.

use std::{os::fd::AsFd as _, path::Path, thread, time::Duration};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::inotify::{AddWatchFlags, InitFlags, Inotify},
};

/// Of the folders that are watched. Without a watch cgroups are found by looking alone, which is slower.
#[derive(Debug)]
pub(super) struct Appearing(Option<Inotify>);

impl Appearing {
    pub(super) fn new() -> Self {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC);
        let told = inotify.inspect_err(|error| {
            tracing::warn!("cgroups that appear are not told of (fs.inotify.max_user_instances): {error}");
        });
        Self(told.ok())
    }

    /// Tells of cgroups that are made in this folder from here on. Again, it is nothing; a folder that is gone has none.
    pub(super) fn watch(&self, folder: &Path) {
        if let Some(inotify) = &self.0 {
            // Where there are too many watches already (`fs.inotify.max_user_watches`), looking finds them.
            let _ = inotify.add_watch(folder, AddWatchFlags::IN_CREATE | AddWatchFlags::IN_ONLYDIR);
        }
    }

    /// Waits until some appeared since the last call, for this long at most, and says whether they did.
    pub(super) fn wait(&self, most: Duration) -> bool {
        let Some(inotify) = &self.0 else {
            thread::sleep(most);
            return false;
        };
        let told = is_told(inotify, PollTimeout::try_from(most).unwrap_or(PollTimeout::MAX));
        // Which they are is found by looking.
        while matches!(inotify.read_events(), Ok(_) | Err(Errno::EINTR)) {}
        told
    }

    /// Whether the next [`Appearing::wait`] will not wait.
    pub(super) fn is_told(&self) -> bool {
        self.0.as_ref().is_some_and(|inotify| is_told(inotify, PollTimeout::ZERO))
    }
}

fn is_told(inotify: &Inotify, timeout: PollTimeout) -> bool {
    poll(&mut [PollFd::new(inotify.as_fd(), PollFlags::POLLIN)], timeout).is_ok_and(|ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_made_is_told_of_once() {
        let folder = std::env::temp_dir().join(format!("portreeve-appearing-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let appearing = Appearing::new();
        appearing.watch(&folder);
        appearing.watch(&folder);
        std::fs::create_dir(folder.join("a")).unwrap();
        let before = appearing.is_told();
        let told = [20_000, 50].map(|most| appearing.wait(Duration::from_millis(most)));
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!((before, told, appearing.is_told()), (true, [true, false], false));
    }
}
