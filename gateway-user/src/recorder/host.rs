//! The host recording: what befell the daemon, who connected, and the ledger of recordings. One file per daemon at a time.

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portreeve_recording::{
    Connects, Entry, Follows, Header, Host, Kind, Lost, PoliciesLoaded, Record, SessionBegan, SessionEnded, SigningKey,
    Started, Stopped, Tagged,
};
use uuid::Uuid;

use super::durable::{self, Durability};
use super::file::RecordFile;
use super::past::{self, Before};
use super::retention::{Retention, Times};
use super::steady::SteadyClock;
use super::{directory, explain, utc_day};
use crate::limits::{CONNECT_KINDS_PER_MINUTE_MAX, HOST_RECORDING_BYTES_MAX, RETENTION_EVERY_NS};

#[cfg(test)]
mod tests;

/// Connects that are the same within one minute.
const MINUTE_NS: u64 = 60_000_000_000;

/// Writes `<state_dir>/host/<date>/<id>.prs`, a new one each day and where one has grown too long.
#[derive(Debug)]
pub(crate) struct HostRecording {
    state_dir: PathBuf,
    key: Arc<SigningKey>,
    retention: Retention,
    durability: Durability,
    /// When retention is looked at next, in nanoseconds since 1970 UTC.
    next_removal_unix_ns: AtomicU64,
    /// What each file begins with.
    started: Started<'static>,
    /// None once it has ended.
    current: Mutex<Option<Current>>,
    minute: Mutex<Minute>,
    known: Mutex<Known>,
    /// Of killed daemons, whose sessions are still to be entered.
    killed: Mutex<Vec<Before>>,
    /// Ends of theirs that could not be written yet.
    orphans: Mutex<VecDeque<SessionEnded<'static>>>,
    /// What the clock may say at most.
    steady: SteadyClock,
    /// Recordings take more than they may, as the log says.
    is_over: AtomicBool,
}

#[derive(Debug)]
struct Current {
    id: Uuid,
    day: String,
    file: RecordFile,
    /// Sessions that run, and when each began: the next file lists them again, so that what becomes of them is looked for in the
    /// newest alone.
    running: HashMap<String, u64>,
}

/// What was recorded last of what may change.
#[derive(Debug, Default)]
struct Known {
    /// By cgroup id.
    tags: HashMap<u64, Tagged<'static>>,
    policies: Option<PoliciesLoaded<'static>>,
}

/// The connects of a minute: the first of a kind is recorded at once, those like it are counted.
#[derive(Debug, Default)]
struct Minute {
    began_unix_ns: u64,
    kinds: HashMap<ConnectKind, Option<Connects<'static>>>,
    unlisted: u64,
    /// Lost in the kernel since the last minute.
    events_lost: u64,
}

/// What makes connects the same.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ConnectKind {
    refused: Option<String>,
    workload: Option<String>,
    destination: Option<String>,
    uid: Option<u32>,
}

impl ConnectKind {
    fn of(connect: &Connects<'_>) -> Self {
        let owned = |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().map(str::to_owned);
        Self {
            refused: owned(&connect.refused),
            workload: owned(&connect.workload),
            destination: owned(&connect.destination),
            uid: connect.uid,
        }
    }
}

impl HostRecording {
    /// Begins the recording of a daemon, which keeps no more recordings than `retention` says. Under [`Durability::Fsync`] it is on
    /// the disk when this returns, what is recorded later within a [`HostRecording::keep`]. `id` and `continues` of `started` are written by this.
    ///
    /// # Errors
    /// The file cannot be made or written, or the directory not be read.
    pub(crate) fn begin(
        state_dir: impl Into<PathBuf>,
        key: Arc<SigningKey>,
        retention: Retention,
        durability: Durability,
        started: Started<'static>,
        now_unix_ns: u64,
    ) -> io::Result<Arc<Self>> {
        let this = Self {
            state_dir: state_dir.into(),
            key,
            retention,
            durability,
            next_removal_unix_ns: AtomicU64::new(0),
            started,
            current: Mutex::default(),
            minute: Mutex::new(Minute { began_unix_ns: now_unix_ns, ..Minute::default() }),
            known: Mutex::default(),
            killed: Mutex::default(),
            orphans: Mutex::default(),
            steady: SteadyClock::starting_at(now_unix_ns),
            is_over: AtomicBool::new(false),
        };
        let (first, before) = this.create(None, now_unix_ns)?;
        *this.current() = Some(first);
        this.remember_killed(before);
        Ok(Arc::new(this))
    }

    /// Appends one record.
    ///
    /// # Errors
    /// It cannot be written, or the recording has ended.
    pub(crate) fn record(&self, at_unix_ns: u64, host: Host<'static>) -> io::Result<()> {
        match self.current().as_mut() {
            Some(current) => current.append(at_unix_ns, host),
            None => Err(io::Error::other("the host recording has ended: the daemon stops")),
        }
    }

    /// Ready when everything that was recorded until now is on the disk. (What was recorded in an earlier file is, since
    /// [`Self::rotate`].)
    ///
    /// # Errors
    /// With the path, the disk's.
    pub(super) async fn sync(&self) -> io::Result<()> {
        let current = self.current().as_ref().map(|current| (current.file.handle(), current.file.path().to_owned()));
        let Some((file, path)) = current else { return Ok(()) };
        durable::sync(&file, None).await.map_err(|error| explain(error, "sync", &path))
    }

    fn bring_to_disk(&self, current: &mut Current) -> io::Result<()> {
        match self.durability {
            Durability::Kernel => Ok(()),
            Durability::Fsync => current.file.sync_now(),
        }
    }

    /// A connect: recorded if it is the first of its kind in this minute, counted if not.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn connect(&self, now_unix_ns: u64, connect: Connects<'static>) -> io::Result<()> {
        let mut minute = lock(&self.minute);
        let room = CONNECT_KINDS_PER_MINUTE_MAX.saturating_sub(minute.kinds.len());
        match minute.kinds.entry(ConnectKind::of(&connect)) {
            std::collections::hash_map::Entry::Occupied(mut known) => {
                match known.get_mut() {
                    Some(like) => {
                        like.count = like.count.saturating_add(1);
                        like.last_unix_ns = connect.last_unix_ns;
                    }
                    None => drop(known.insert(Some(connect))),
                }
                Ok(())
            }
            std::collections::hash_map::Entry::Vacant(new) if room > 0 => {
                new.insert(None);
                drop(minute);
                self.record(now_unix_ns, Host::Connects(Box::new(connect)))
            }
            std::collections::hash_map::Entry::Vacant(_) => {
                minute.unlisted = minute.unlisted.saturating_add(1);
                Ok(())
            }
        }
    }

    /// Events that the kernel programs could not tell; they show with the minute.
    pub(crate) fn events_lost(&self, count: u64) {
        let mut minute = lock(&self.minute);
        minute.events_lost = minute.events_lost.saturating_add(count);
    }

    /// Records the tags that are not as they were when this was last called.
    ///
    /// # Errors
    /// One cannot be written; the next call tries again.
    pub(crate) fn tags_are(&self, now_unix_ns: u64, tags: Vec<Tagged<'static>>) -> io::Result<()> {
        let tags: HashMap<_, _> = tags.into_iter().map(|tag| (tag.cgroup_id, tag)).collect();
        let mut known = lock(&self.known);
        for gone in known.tags.values().filter(|tag| tags.get(&tag.cgroup_id) != Some(tag)) {
            self.record(now_unix_ns, Host::Untagged(Box::new(gone.clone())))?;
        }
        for new in tags.values().filter(|tag| known.tags.get(&tag.cgroup_id) != Some(tag)) {
            self.record(now_unix_ns, Host::Tagged(Box::new(new.clone())))?;
        }
        known.tags = tags;
        Ok(())
    }

    /// Records the policies in force, if they, or why others are not, are not as when this was last called.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn policies_are(&self, now_unix_ns: u64, policies: PoliciesLoaded<'static>) -> io::Result<()> {
        let mut known = lock(&self.known);
        if known.policies.as_ref() != Some(&policies) {
            self.record(now_unix_ns, Host::PoliciesLoaded(Box::new(policies.clone())))?;
            known.policies = Some(policies);
        }
        Ok(())
    }

    /// What is due: removals, the ends of sessions whose daemon was killed, the minute's connects, another file, a signature. Not for
    /// a thread that serves sessions: it reads files.
    ///
    /// # Errors
    /// The first of what cannot be read or written. The rest is done all the same (on a full disk, room is made), and this is tried
    /// again the next time.
    pub(crate) fn keep(&self, now_unix_ns: u64) -> io::Result<()> {
        let steps: [fn(&Self, u64) -> io::Result<()>; 6] = [
            Self::apply_retention,
            Self::enter_orphans,
            Self::end_minute_when_due,
            Self::rotate_when_due,
            Self::sign_when_due,
            |this, _| this.keep_on_disk(),
        ];
        steps.into_iter().map(|step| step(self, now_unix_ns)).fold(Ok(()), io::Result::and)
    }

    fn apply_retention(&self, now_unix_ns: u64) -> io::Result<()> {
        if self.retention == Retention::default() || now_unix_ns < self.next_removal_unix_ns.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.next_removal_unix_ns.store(now_unix_ns.saturating_add(RETENTION_EVERY_NS), Ordering::Relaxed);
        let times = Times { now_unix_ns, steady_unix_ns: self.steady.at_most(now_unix_ns) };
        let over = self.retention.apply(&self.state_dir, self, times)?;
        if self.is_over.swap(over > 0, Ordering::Relaxed) != (over > 0) {
            match over {
                0 => tracing::info!("recordings take no more than `keep_bytes` again"),
                _ => tracing::warn!(
                    "recordings take {over} bytes more than `keep_bytes`, and are younger than a day: they stay"
                ),
            }
        }
        Ok(())
    }

    fn end_minute_when_due(&self, now_unix_ns: u64) -> io::Result<()> {
        let began_unix_ns = lock(&self.minute).began_unix_ns;
        if now_unix_ns.saturating_sub(began_unix_ns) >= MINUTE_NS { self.end_minute(now_unix_ns) } else { Ok(()) }
    }

    fn rotate_when_due(&self, now_unix_ns: u64) -> io::Result<()> {
        if self.is_rotation_due(now_unix_ns)? { self.rotate(now_unix_ns) } else { Ok(()) }
    }

    /// What happens seldom is signed all the same.
    fn sign_when_due(&self, now_unix_ns: u64) -> io::Result<()> {
        match self.current().as_mut() {
            Some(current) if current.file.is_checkpoint_overdue(now_unix_ns) => current.file.sign(),
            Some(_) | None => Ok(()),
        }
    }

    /// Without the lock, which threads of sessions wait for.
    fn keep_on_disk(&self) -> io::Result<()> {
        let current = self.current().as_ref().map(|current| (current.file.handle(), current.file.path().to_owned()));
        match (self.durability, current) {
            (Durability::Fsync, Some((file, path))) => {
                file.sync_now(None).map_err(|error| explain(error, "sync", &path))
            }
            (Durability::Fsync, None) | (Durability::Kernel, _) => Ok(()),
        }
    }

    /// Ends the recording, with its seal.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn stop(&self, now_unix_ns: u64, reason: &str) -> io::Result<()> {
        self.end_minute(now_unix_ns)?;
        let Some(current) = self.current().take() else { return Ok(()) };
        self.end(current, now_unix_ns, reason, None).map(drop)
    }

    fn end_minute(&self, now_unix_ns: u64) -> io::Result<()> {
        // What cannot be written stays in the minute, and is counted on.
        let mut minute = lock(&self.minute);
        for counted in minute.kinds.values_mut() {
            if let Some(connects) = counted {
                self.record(now_unix_ns, Host::Connects(Box::new(connects.clone())))?;
                *counted = None;
            }
        }
        let lost = Lost { connect_events: minute.events_lost, connects_unlisted: minute.unlisted };
        if lost.connect_events > 0 || lost.connects_unlisted > 0 {
            self.record(now_unix_ns, Host::Lost(Box::new(lost)))?;
        }
        *minute = Minute { began_unix_ns: now_unix_ns, ..Minute::default() };
        Ok(())
    }

    fn remember_killed(&self, before: Vec<Before>) {
        lock(&self.killed).extend(before.into_iter().filter(|before| before.follows.ended));
    }

    fn enter_orphans(&self, now_unix_ns: u64) -> io::Result<()> {
        let killed = std::mem::take(&mut *lock(&self.killed));
        for before in killed {
            match past::orphans(&self.state_dir, &before) {
                Ok(orphans) => lock(&self.orphans).extend(orphans),
                Err(error) => tracing::error!("`{}` cannot be read: {error:#}", before.path.display()),
            }
        }
        let mut orphans = lock(&self.orphans);
        while let Some(ended) = orphans.front() {
            self.record(now_unix_ns, Host::SessionEnded(Box::new(ended.clone())))?;
            orphans.pop_front();
        }
        Ok(())
    }

    fn is_rotation_due(&self, now_unix_ns: u64) -> io::Result<bool> {
        let today = utc_day(now_unix_ns)?;
        let current = self.current();
        let is_over =
            |now: &Current| now.day != today || now.file.length() >= HOST_RECORDING_BYTES_MAX || now.file.has_failed();
        Ok(current.as_ref().is_some_and(is_over))
    }

    /// Goes on in another file. Sessions that begin meanwhile are entered in the old one until the new one is whole.
    fn rotate(&self, now_unix_ns: u64) -> io::Result<()> {
        let Some(id) = self.current().as_ref().map(|current| current.id) else { return Ok(()) };
        let (mut next, before) = self.create(Some(id), now_unix_ns)?;
        // A daemon that drained may have been killed since this one began.
        self.remember_killed(before);
        // With the lock: a session that waits for the next file to be on the disk may have begun in this one.
        let mut current = self.current();
        let Some(old) = current.take() else { return Ok(()) };
        let running = old.running.clone();
        let mut follows = old.follows();
        match self.end(old, now_unix_ns, "it goes on in another file", Some(next.id)) {
            Ok((frames, chain)) => (follows.frames, follows.chain) = (frames, chain),
            Err(error) => tracing::error!("a host recording was left without its seal: {error}"),
        }
        // Whatever cannot be written there, sessions that begin from here on can be: else there would be no host recording at all.
        let carried = next.carry(now_unix_ns, follows, running);
        *current = Some(next);
        carried
    }

    /// A new file that follows all before it but `continues`, which is still written; also those it follows.
    fn create(&self, continues: Option<Uuid>, now_unix_ns: u64) -> io::Result<(Current, Vec<Before>)> {
        let before = past::before(&self.state_dir, continues)?;
        let (id, day) = (Uuid::now_v7(), utc_day(now_unix_ns)?);
        let path = directory::of_host_day(&self.state_dir, &day).join(directory::file_name(id));
        let header = Header::new(Kind::Host, id.into_bytes(), now_unix_ns);
        let file = RecordFile::create(path, &header, Arc::clone(&self.key))?;
        let mut current = Current { id, day, file, running: HashMap::new() };
        if let Err(error) = self.begin_file(&mut current, continues, &before, now_unix_ns) {
            // Nobody follows it, and the next attempt makes another.
            let _ = fs::remove_file(current.file.path());
            return Err(error);
        }
        Ok((current, before))
    }

    fn begin_file(
        &self,
        current: &mut Current,
        continues: Option<Uuid>,
        before: &[Before],
        now_unix_ns: u64,
    ) -> io::Result<()> {
        let started = Started {
            id: current.id.to_string().into(),
            continues: continues.map(|id| id.to_string().into()),
            ..self.started.clone()
        };
        current.append(now_unix_ns, Host::Started(Box::new(started)))?;
        for one in before {
            current.append(now_unix_ns, Host::Follows(Box::new(one.follows.clone())))?;
        }
        // What it saw of others is to count at once.
        current.file.sign()?;
        self.bring_to_disk(current)
    }

    /// Ends a file. Returns frames and chain of the whole of it.
    fn end(
        &self,
        mut current: Current,
        at_unix_ns: u64,
        reason: &str,
        continued: Option<Uuid>,
    ) -> io::Result<(u64, [u8; 32])> {
        let continued = continued.map(|id| id.to_string().into());
        current.append(at_unix_ns, Host::Stopped(Box::new(Stopped { reason: reason.to_owned().into(), continued })))?;
        self.bring_to_disk(&mut current)?;
        let state = current.file.state();
        current.file.close()?;
        Ok(state)
    }

    fn current(&self) -> MutexGuard<'_, Option<Current>> {
        lock(&self.current)
    }
}

impl Drop for HostRecording {
    /// A start that failed.
    fn drop(&mut self) {
        let current = self.current.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(current) = current {
            let at_unix_ns = current.file.last_unix_ns();
            let _ = self.end(current, at_unix_ns, "the daemon did not come to serve", None);
        }
    }
}

impl Current {
    fn append(&mut self, at_unix_ns: u64, host: Host<'static>) -> io::Result<()> {
        let entry = Entry { at_unix_ns, record: Record::Host(Box::new(host)) };
        self.file.append(&entry)?;
        if let Record::Host(host) = entry.record {
            self.note(at_unix_ns, *host);
        }
        Ok(())
    }

    fn note(&mut self, at_unix_ns: u64, host: Host<'static>) {
        match host {
            Host::SessionBegan(session) => drop(self.running.insert(session.session_id.into_owned(), at_unix_ns)),
            Host::SessionEnded(session) => drop(self.running.remove(session.session_id.as_ref())),
            Host::Started(_)
            | Host::Follows(_)
            | Host::Stopped(_)
            | Host::Connects(_)
            | Host::Tagged(_)
            | Host::Untagged(_)
            | Host::PoliciesLoaded(_)
            | Host::Lost(_)
            | Host::Removed(_) => {}
        }
    }

    /// Goes on behind an earlier file: sessions that run are listed again, each with the time of its beginning, by which its file
    /// is found.
    fn carry(&mut self, now_unix_ns: u64, follows: Follows<'static>, running: HashMap<String, u64>) -> io::Result<()> {
        self.running.clone_from(&running);
        self.append(now_unix_ns, Host::Follows(Box::new(follows)))?;
        for (session_id, began_unix_ns) in running {
            self.append(began_unix_ns, Host::SessionBegan(Box::new(SessionBegan { session_id: session_id.into() })))?;
        }
        self.file.sign()
    }

    fn follows(&self) -> Follows<'static> {
        let (frames, chain) = self.file.state();
        Follows { id: self.id.to_string().into(), ended: true, frames, chain }
    }
}

/// Each change under these locks is one append or insert: who panicked left whole values.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
