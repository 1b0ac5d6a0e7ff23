//! The tagged cgroups, and which workload each one is.
//!
//! Tags made at run time are kept in `<state_dir>/tags.json`, so that a restart does not open a way round.

mod appearing;
mod executable;
mod follow;
mod scan;
mod store;

use std::{
    collections::HashMap,
    fmt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use tokio::sync::watch;

use crate::{
    config::{self, Config, Egress},
    interception::Interception,
    selector::{Executable, Place, Select},
};
use appearing::Appearing;
pub(crate) use executable::Caller;
use follow::Followed;
pub(crate) use store::{Store, Tag};

/// A tagged cgroup. Sessions hold on to the workload they were opened by.
#[derive(Debug)]
pub(crate) struct Workload {
    pub(crate) name: String,
    pub(crate) spiffe_id: String,
    pub(crate) groups: Vec<String>,
    /// Below the cgroup v2 mount.
    pub(crate) cgroup: PathBuf,
    pub(crate) cgroup_id: u64,
    pub(crate) egress: Egress,
    /// True when it comes from the configuration, false for `portreeve tag`.
    pub(crate) configured: bool,
    /// Those that chose the cgroup; none where it was named.
    pub(crate) selects: Vec<Select>,
    /// Says why every session of this workload must end, once it must.
    ended: watch::Sender<Option<&'static str>>,
    sessions_open: AtomicU64,
}

/// One open session of a workload, counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Presence(Arc<Workload>);

impl Drop for Presence {
    fn drop(&mut self) {
        self.0.sessions_open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl std::ops::Deref for Presence {
    type Target = Workload;

    fn deref(&self) -> &Workload {
        &self.0
    }
}

impl Workload {
    fn new(tag: &Tag, cgroup_id: u64, configured: bool) -> Self {
        Self {
            name: tag.workload.clone(),
            spiffe_id: tag.spiffe_id.clone(),
            groups: tag.groups.clone(),
            cgroup: tag.cgroup.clone(),
            cgroup_id,
            egress: tag.egress.clone(),
            configured,
            selects: Vec::new(),
            ended: watch::Sender::new(None),
            sessions_open: AtomicU64::new(0),
        }
    }

    /// Which selector a caller fits, if any has to. The first in the order of the file.
    ///
    /// # Errors
    /// Why no selector admits the caller.
    fn admit(&self, uid: u32, executable: Result<Option<Executable>, String>) -> Result<Option<Chosen>, String> {
        let mut why = String::new();
        let unread = executable.as_ref().err().cloned();
        let executable = executable.ok().flatten();
        for select in &self.selects {
            match (select.admits(uid, executable.as_ref()), &unread) {
                (Ok(()), _) => {
                    let place = Place::of(&self.cgroup);
                    return Ok(Some(Chosen { selector: select.to_string(), place, executable }));
                }
                (Err(_), Some(unread)) if select.asks_for_executable() => why.clone_from(unread),
                (Err(other), _) => why = other,
            }
        }
        if self.selects.is_empty() { Ok(None) } else { Err(why) }
    }

    /// Counts a session of this workload.
    pub(crate) fn enter(self: Arc<Self>) -> Presence {
        self.sessions_open.fetch_add(1, Ordering::Relaxed);
        Presence(self)
    }

    pub(crate) fn sessions_open(&self) -> u64 {
        self.sessions_open.load(Ordering::Relaxed)
    }

    /// Ready when sessions of this workload must end, with the reason.
    pub(crate) async fn ended(&self) -> &'static str {
        let mut receiver = self.ended.subscribe();
        // The sender lives as long as `self`, so that waiting cannot fail.
        receiver.wait_for(Option::is_some).await.ok().and_then(|reason| *reason).unwrap_or("workload is gone")
    }
}

/// Why a session is its workload's.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(crate) selector: String,
    pub(crate) place: Place,
    pub(crate) executable: Option<Executable>,
}

/// Every workload of this instance, with the kernel map that mirrors it.
pub(crate) struct Workloads {
    interception: Mutex<Interception>,
    by_cgroup_id: RwLock<HashMap<u64, Arc<Workload>>>,
    store: Store,
    cgroup_mount: PathBuf,
    /// As configured, with selectors.
    configured: Vec<config::Workload>,
    refuse_unmatched: Vec<PathBuf>,
    followed: Mutex<Followed>,
    hashes: Arc<executable::Hashes>,
    appearing: Appearing,
}

impl fmt::Debug for Workloads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workloads").finish_non_exhaustive()
    }
}

/// A lock held by a thread that panicked still guards whole values here: each change is one insert or remove.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Workloads {
    /// Tags the configured cgroups (made where they are missing, so that no agent can be there first) and those tagged
    /// at run time that still exist; tags of an earlier daemon that are neither are ended.
    ///
    /// # Errors
    /// A configured cgroup cannot be made or tagged, or the kept tags cannot be read.
    pub(crate) fn start(
        mut interception: Interception,
        cgroup_mount: &Path,
        config: &Config,
        store: Store,
    ) -> Result<Self> {
        let mut by_cgroup_id = HashMap::new();
        // Where the kept tags cannot be read, those of the configuration are in force all the same.
        let (configured, kept) = (Tag::configured(config), store.load());
        for tag in &configured {
            make_cgroup(cgroup_mount, &tag.cgroup)?;
            interception.mark(&tag.cgroup, &tag.egress)?;
        }
        for tag in kept.iter().flatten() {
            // Where it cannot be, the log says so below.
            let _ = interception.mark(&tag.cgroup, &tag.egress);
        }
        for tag in &configured {
            let id = interception.tag(&tag.cgroup, &tag.egress)?;
            by_cgroup_id.insert(id, Arc::new(Workload::new(tag, id, true)));
        }
        for tag in kept? {
            match interception.tag(&tag.cgroup, &tag.egress) {
                Ok(id) => {
                    by_cgroup_id.entry(id).or_insert_with(|| Arc::new(Workload::new(&tag, id, false)));
                }
                Err(error) => tracing::warn!("kept tag of `{}` is not in force: {error:#}", tag.cgroup.display()),
            }
        }
        let workloads = Self {
            interception: Mutex::new(interception),
            by_cgroup_id: RwLock::new(by_cgroup_id),
            store,
            cgroup_mount: cgroup_mount.to_owned(),
            configured: config.workloads.clone(),
            refuse_unmatched: config.interception.refuse_unmatched.clone(),
            followed: Mutex::default(),
            hashes: Arc::default(),
            appearing: Appearing::new(),
        };
        workloads.follow_cgroups();
        workloads.end_earlier_tags()?;
        Ok(workloads)
    }

    /// Of an earlier daemon, and neither a workload's now nor a guard.
    fn end_earlier_tags(&self) -> Result<()> {
        let mut interception = lock(&self.interception);
        let guards = lock(&self.followed).guards.clone();
        for id in interception.tagged()? {
            if self.by_cgroup_id(id).is_none() && !guards.contains(&id) {
                interception.untag(id)?;
            }
        }
        Ok(())
    }

    /// Whether a caller is the workload that its cgroup is. The executable is read on another thread, where a selector asks for it.
    ///
    /// # Errors
    /// Why it is not.
    pub(crate) async fn admit(&self, workload: Arc<Workload>, caller: Caller) -> Result<Option<Chosen>, String> {
        let mut executable = Ok(None);
        if workload.selects.iter().any(Select::asks_for_executable) {
            let (hashes, mount) = (Arc::clone(&self.hashes), self.cgroup_mount.clone());
            let read = tokio::task::spawn_blocking(move || hashes.executable(&mount, &caller)).await;
            executable = match read {
                Ok(read) => read.map(Some).map_err(|error| format!("{error:#}")),
                Err(error) => Err(error.to_string()),
            };
        }
        workload.admit(caller.uid, executable)
    }

    /// The workload that a tagged cgroup is.
    pub(crate) fn by_cgroup_id(&self, cgroup_id: u64) -> Option<Arc<Workload>> {
        self.by_cgroup_id.read().unwrap_or_else(PoisonError::into_inner).get(&cgroup_id).cloned()
    }

    /// All workloads, by cgroup.
    pub(crate) fn list(&self) -> Vec<Arc<Workload>> {
        let mut list: Vec<_> =
            self.by_cgroup_id.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        list.sort_by(|a, b| a.cgroup.cmp(&b.cgroup));
        list
    }

    /// What the kernel half knows and does.
    pub(crate) fn interception(&self) -> MutexGuard<'_, Interception> {
        lock(&self.interception)
    }

    /// Tags a cgroup at run time, for this daemon and those after it. A cgroup that is tagged already gets the new
    /// meaning, and sessions opened under the old one end.
    ///
    /// # Errors
    /// The cgroup cannot be tagged, is one of the configuration's, or the tag cannot be kept.
    pub(crate) fn tag(&self, tag: &Tag) -> Result<Arc<Workload>> {
        let mut interception = lock(&self.interception);
        let id = interception.tag(&tag.cgroup, &tag.egress)?;
        if let Some(known) = self.by_cgroup_id(id) {
            if known.configured {
                bail!("cgroup `{}` is tagged by the configuration as `{}`", tag.cgroup.display(), known.name);
            }
            known.ended.send_replace(Some("workload was tagged anew"));
        }
        let workload = Arc::new(Workload::new(tag, id, false));
        self.write().insert(id, Arc::clone(&workload));
        self.keep().context("the tag is in force, but will not outlive this daemon")?;
        Ok(workload)
    }

    /// Ends the tag of a cgroup and the sessions it has; its connects go to the servers directly from here on.
    ///
    /// # Errors
    /// The cgroup is not tagged.
    pub(crate) fn untag(&self, cgroup: &Path) -> Result<Arc<Workload>> {
        let mut interception = lock(&self.interception);
        let Some(workload) = self.list().into_iter().find(|workload| workload.cgroup == cgroup) else {
            bail!("cgroup `{}` is not tagged; `portreeve workloads` lists those that are", cgroup.display());
        };
        if !workload.selects.is_empty() {
            bail!(
                "a selector of workload `{}` chose cgroup `{}`, and would again: change it in the configuration",
                workload.name,
                cgroup.display()
            );
        }
        interception.untag(workload.cgroup_id)?;
        self.write().remove(&workload.cgroup_id);
        workload.ended.send_replace(Some("workload was untagged"));
        self.keep()?;
        Ok(workload)
    }

    /// Tags again every cgroup that was removed and made anew (a service restarted, say): it has another id then. Sessions
    /// that the removed one left open end. Then those that selectors choose. Returns how long it looked at the cgroup tree.
    pub(crate) fn follow_cgroups(&self) -> Duration {
        // Held throughout, as `tag` and `untag` hold it: what was untagged meanwhile must not be tagged again.
        let mut interception = lock(&self.interception);
        for workload in self.list().into_iter().filter(|workload| workload.selects.is_empty()) {
            if let Some(parent) = workload.cgroup.parent() {
                self.appearing.watch(&self.cgroup_mount.join(parent));
            }
            // A cgroup that is not there has nobody to intercept; it is looked for again.
            let Ok(id) = interception.tag(&workload.cgroup, &workload.egress) else { continue };
            if id == workload.cgroup_id {
                continue;
            }
            tracing::info!(cgroup = %workload.cgroup.display(), "cgroup was made anew: tagged again");
            let tag = Tag::of(&workload);
            let mut map = self.write();
            map.remove(&workload.cgroup_id);
            map.insert(id, Arc::new(Workload::new(&tag, id, workload.configured)));
            drop(map);
            // Whoever still holds one has left the cgroup, and `untag` would no longer find it.
            workload.ended.send_replace(Some("the workload's cgroup was removed"));
            if let Err(error) = interception.untag(workload.cgroup_id) {
                tracing::warn!("tag of a removed cgroup remains: {error:#}");
            }
        }
        self.follow_selectors(&mut interception)
    }

    /// Waits until cgroups appeared where tagged ones may, so that [`Workloads::follow_cgroups`] is due, or for `most`.
    pub(crate) fn wait_for_cgroups(&self, most: Duration) -> bool {
        self.appearing.wait(most)
    }

    /// Ends the sessions of a cgroup, if it is a workload's, and says how many there were.
    pub(crate) fn end(&self, cgroup: &Path, reason: &'static str) -> u64 {
        let workload = self.list().into_iter().find(|workload| workload.cgroup == cgroup);
        workload.map_or(0, |workload| {
            workload.ended.send_replace(Some(reason));
            workload.sessions_open()
        })
    }

    /// The kernel half, when nobody is to be served here.
    pub(crate) fn into_interception(self) -> Interception {
        self.interception.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends every session of every workload.
    pub(crate) fn end_all(&self, reason: &'static str) {
        for workload in self.list() {
            workload.ended.send_replace(Some(reason));
        }
    }

    fn keep(&self) -> Result<()> {
        let tags: Vec<Tag> =
            self.list().iter().filter(|workload| !workload.configured).map(|workload| Tag::of(workload)).collect();
        self.store.save(&tags)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, HashMap<u64, Arc<Workload>>> {
        self.by_cgroup_id.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn make_cgroup(mount: &Path, cgroup: &Path) -> Result<()> {
    let path = mount.join(cgroup);
    if path.exists() {
        return Ok(());
    }
    std::fs::create_dir_all(&path).with_context(|| format!("cgroup `{}` cannot be made", path.display()))?;
    tracing::info!(cgroup = %path.display(), "made the cgroup, so that it is tagged before anybody is in it");
    Ok(())
}
