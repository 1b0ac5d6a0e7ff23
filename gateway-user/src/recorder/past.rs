//! What earlier daemons left: read when a new host recording begins.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use portreeve_recording::{Follows, Frame, Host, Record, SessionEnded, Stream};
use uuid::Uuid;

use super::directory::{self, SessionPath};

/// A host recording that no other one follows to its end yet.
#[derive(Debug)]
pub(super) struct Before {
    pub(super) follows: Follows<'static>,
    pub(super) path: PathBuf,
}

/// The host recordings that a new one has to follow; `but` is not among them. One that cannot be read is left out, and in the log:
/// `portreeve verify` names it.
///
/// # Errors
/// The directory cannot be read.
pub(super) fn before(state_dir: &Path, but: Option<Uuid>) -> io::Result<Vec<Before>> {
    let all = directory::host_recordings(state_dir)?;
    let mut followed = HashSet::new();
    for recording in &all {
        followed.extend(followed_by(&recording.path).into_iter().filter(|one| one.ended).map(|one| one.id));
    }
    let open = all.into_iter().filter(|one| Some(one.id) != but && !followed.contains(one.id.to_string().as_str()));
    Ok(open.filter_map(|recording| read_to_its_end(&recording)).collect())
}

/// What a host recording follows, which stands at its beginning. Of one that cannot be read, what can.
pub(crate) fn followed_by(path: &Path) -> Vec<Follows<'static>> {
    let mut found = Vec::new();
    let Some(mut stream) = File::open(path).ok().and_then(|file| Stream::open(file).ok()) else { return found };
    while let Ok(Ok(frame)) = stream.next_frame() {
        let Some(host) = host_of(&frame) else { continue };
        if let Host::Follows(follows) = host {
            found.push(*follows);
        } else if !matches!(host, Host::Started(_)) {
            break;
        }
    }
    found
}

fn read_to_its_end(recording: &SessionPath) -> Option<Before> {
    match end_of(&recording.path) {
        Ok((is_written, frames, chain)) => {
            let follows = Follows { id: recording.id.to_string().into(), ended: !is_written, frames, chain };
            Some(Before { follows, path: recording.path.clone() })
        }
        Err(error) => {
            tracing::error!("host recording `{}` cannot be read: {error:#}", recording.path.display());
            None
        }
    }
}

/// Whether a daemon writes the file, and how far its frames are sound.
fn end_of(path: &Path) -> anyhow::Result<(bool, u64, [u8; 32])> {
    let file = File::open(path)?;
    // Asked before reading: one that ends meanwhile is then followed to its end by the next.
    let is_written = directory::is_written(&file);
    let mut stream = Stream::open(file)?;
    while stream.next_frame()?.is_ok() {}
    let position = stream.position();
    Ok((is_written, position.index, position.chain()))
}

/// The ends of sessions whose daemon was killed before it wrote them, for the ledger. Nothing is sealed: what such a file holds
/// behind its last checkpoint nobody signs any more.
///
/// A daemon that was killed may not have come to enter what one before it left: those it saw the end of are read as well.
pub(super) fn orphans(state_dir: &Path, before: &Before) -> anyhow::Result<Vec<SessionEnded<'static>>> {
    let paths: HashMap<_, _> =
        directory::host_recordings(state_dir)?.into_iter().map(|one| (one.id.to_string(), one.path)).collect();
    let mut sessions = Sessions::default();
    let (mut left, mut seen) = (vec![before.path.clone()], HashSet::new());
    while let Some(path) = left.pop().filter(|path| seen.insert(path.clone())) {
        let earlier = sessions.read(&path)?;
        left.extend(earlier.iter().filter_map(|id| paths.get(id)).cloned());
    }
    let Sessions { began, ended } = sessions;
    let orphans = began.into_iter().filter(|(id, _)| !ended.contains(id));
    Ok(orphans.filter_map(|(id, at_unix_ns)| orphan(state_dir, id, at_unix_ns)).collect())
}

/// What host recordings say of sessions.
#[derive(Default)]
struct Sessions {
    /// With the time.
    began: HashMap<String, u64>,
    ended: HashSet<String>,
}

impl Sessions {
    /// Reads one. Returns those whose end it saw, unless it came to its own end: its daemon had entered their sessions.
    fn read(&mut self, path: &Path) -> anyhow::Result<Vec<String>> {
        let (mut earlier, mut has_ended) = (Vec::new(), false);
        let mut stream = Stream::open(File::open(path)?)?;
        while let Ok(frame) = stream.next_frame()? {
            let at_unix_ns = frame.entry.at_unix_ns.to_native();
            match host_of(&frame) {
                Some(Host::SessionBegan(session)) => {
                    self.began.insert(session.session_id.into_owned(), at_unix_ns);
                }
                Some(Host::SessionEnded(session)) => {
                    self.ended.insert(session.session_id.into_owned());
                }
                Some(Host::Follows(follows)) if follows.ended => earlier.push(follows.id.into_owned()),
                Some(Host::Stopped(_)) => has_ended = true,
                Some(
                    Host::Started(_)
                    | Host::Follows(_)
                    | Host::Connects(_)
                    | Host::Tagged(_)
                    | Host::Untagged(_)
                    | Host::PoliciesLoaded(_)
                    | Host::Lost(_)
                    | Host::Removed(_),
                )
                | None => {}
            }
        }
        Ok(if has_ended { Vec::new() } else { earlier })
    }
}

fn orphan(state_dir: &Path, id: String, began_unix_ns: u64) -> Option<SessionEnded<'static>> {
    let day = super::utc_day(began_unix_ns).ok()?;
    let path = directory::of_day(state_dir, &day).join(directory::file_name(Uuid::try_parse(&id).ok()?));
    match end_of(&path) {
        Ok((false, frames, chain)) => Some(SessionEnded { session_id: id.into(), frames, chain }),
        // A daemon that drains writes it still; what is gone or was never begun shows in `portreeve verify`.
        Ok((true, ..)) | Err(_) => None,
    }
}

/// The record of a host recording.
pub(crate) fn host_of(frame: &Frame<'_>) -> Option<Host<'static>> {
    if let Record::Host(host) = frame.to_entry().ok()?.record { Some(*host) } else { None }
}
