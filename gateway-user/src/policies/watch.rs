//! Sees that policy files may have changed.
//!
//! Watched are folders, not files: editors and deployment tools put a new file in the place of the old one, and a watch on
//! a file would stay with the old. What exactly happened does not matter: whoever is told reads the files again.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    sys::inotify::{AddWatchFlags, InitFlags, Inotify},
};

/// What may make files say something else. Reading them is no event here: it would be one of our own.
const EVENTS: AddWatchFlags = AddWatchFlags::IN_CLOSE_WRITE
    .union(AddWatchFlags::IN_CREATE)
    .union(AddWatchFlags::IN_DELETE)
    .union(AddWatchFlags::IN_MOVED_FROM)
    .union(AddWatchFlags::IN_MOVED_TO)
    .union(AddWatchFlags::IN_ATTRIB)
    .union(AddWatchFlags::IN_MOVE_SELF)
    .union(AddWatchFlags::IN_DELETE_SELF)
    .union(AddWatchFlags::IN_ONLYDIR);

/// Watches the folders that policy paths lie in.
#[derive(Debug)]
pub(crate) struct Watch {
    inotify: Inotify,
    paths: Vec<PathBuf>,
}

impl Watch {
    /// # Errors
    /// The kernel gives no watch: the user has too many already (`fs.inotify.max_user_instances`).
    pub(crate) fn new<'p>(paths: impl Iterator<Item = &'p Path>) -> nix::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        let watch = Self { inotify, paths: paths.map(Path::to_owned).collect() };
        watch.look_at_folders();
        Ok(watch)
    }

    /// Whether something happened since the last call. Never waits.
    pub(crate) fn take(&self) -> bool {
        let mut any = false;
        loop {
            match self.inotify.read_events() {
                Ok(events) => any |= !events.is_empty(),
                Err(Errno::EAGAIN) => break,
                Err(Errno::EINTR) => {}
                Err(error) => {
                    tracing::error!("the watch on policy files failed: {error}; `portreeve policy reload` still works");
                    break;
                }
            }
        }
        if any {
            // Folders may have come, gone or been replaced. Watching one twice is watching it once.
            self.look_at_folders();
        }
        any
    }

    fn look_at_folders(&self) {
        for folder in folders(&self.paths) {
            if let Err(error) = self.inotify.add_watch(&folder, EVENTS) {
                tracing::warn!("changes in `{}` will not be seen: {error}", folder.display());
            }
        }
    }
}

/// The folders in which an entry may change what is read at `paths`: of each path, of what it links to, and of the files in
/// it; the nearest there is, where one is missing.
fn folders(paths: &[PathBuf]) -> BTreeSet<PathBuf> {
    let mut folders = BTreeSet::new();
    for path in paths {
        look(path, &mut folders);
        let Ok(entries) = std::fs::read_dir(path) else { continue };
        folders.insert(path.clone());
        // Links, as a Kubernetes volume has them: what they lead to lies elsewhere.
        let is_link = |entry: &std::fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_symlink());
        entries.flatten().filter(is_link).for_each(|entry| look(&entry.path(), &mut folders));
    }
    folders
}

fn look(path: &Path, folders: &mut BTreeSet<PathBuf>) {
    let nearest = path.ancestors().skip(1).find(|folder| folder.is_dir());
    folders.extend(nearest.map(Path::to_owned));
    if let Ok(target) = path.canonicalize() {
        folders.extend(target.parent().map(Path::to_owned));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn whatever_changes_a_file_is_seen_and_reading_is_not() {
        let dir = std::env::temp_dir().join(format!("portreeve-watch-{}", std::process::id()));
        let folder = dir.join("policies");
        fs::create_dir_all(&folder).unwrap();
        fs::write(dir.join("one.cedar"), "1").unwrap();
        let paths = [folder.clone(), dir.join("one.cedar")];
        let watch = Watch::new(paths.iter().map(PathBuf::as_path)).unwrap();
        assert!(!watch.take());
        let seen = |what: &str, change: &dyn Fn()| {
            change();
            assert!(watch.take(), "{what}");
            assert!(!watch.take(), "{what}: once");
        };
        seen("written", &|| fs::write(dir.join("one.cedar"), "2").unwrap());
        seen("made", &|| fs::write(folder.join("a.cedar"), "").unwrap());
        seen("replaced", &|| {
            fs::write(folder.join(".a.new"), "3").unwrap();
            fs::rename(folder.join(".a.new"), folder.join("a.cedar")).unwrap();
        });
        seen("removed", &|| fs::remove_file(folder.join("a.cedar")).unwrap());
        seen("the folder replaced", &|| {
            fs::create_dir(dir.join("new")).unwrap();
            fs::rename(&folder, dir.join("old")).unwrap();
            fs::rename(dir.join("new"), &folder).unwrap();
        });
        seen("in the new folder", &|| fs::write(folder.join("b.cedar"), "").unwrap());
        let _ = fs::read(folder.join("b.cedar")).unwrap();
        assert!(!watch.take());
        fs::remove_dir_all(&dir).unwrap();
    }
}
