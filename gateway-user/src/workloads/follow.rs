//! Keeps the tags as the selectors want them: again and again, since cgroups come and go.

use std::{
    collections::HashSet,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;

use super::{
    Tag, Workload, Workloads, lock,
    scan::{self, Found},
};
use crate::{config::Egress, interception::Interception};

/// What following the selectors has to remember.
#[derive(Debug, Default)]
pub(super) struct Followed {
    /// Tagged without being a workload: whoever connects is refused.
    pub(super) guards: HashSet<u64>,
    /// Cgroups whose trouble is in the log already.
    told: HashSet<PathBuf>,
}

impl Workloads {
    /// Tags what the selectors choose, and ends the tags of what they no longer do. Returns how long it looked.
    pub(super) fn follow_selectors(&self, interception: &mut Interception) -> Duration {
        let named = self.list().into_iter().filter(|workload| workload.selects.is_empty());
        let named: HashSet<PathBuf> = named.map(|workload| workload.cgroup.clone()).collect();
        let is_named = |cgroup: &Path| named.contains(cgroup);
        let began = Instant::now();
        let found = scan::scan(&self.cgroup_mount, &self.configured, &is_named, &|folder| self.appearing.watch(folder));
        let looked = began.elapsed();
        let (chosen, ambiguous): (Vec<Found>, Vec<Found>) = found.into_iter().partition(|found| found.by.len() == 1);
        let mut followed = lock(&self.followed);
        for found in &ambiguous {
            if followed.told.insert(found.cgroup.clone()) {
                let (cgroup, workloads) = (found.cgroup.display(), found.by.len());
                tracing::error!(%cgroup, "selectors of {workloads} workloads choose this cgroup: it is refused");
            }
        }
        let is_chosen = |cgroup: &Path| chosen.iter().any(|found| found.cgroup == cgroup);
        let wanted = self.refuse_unmatched.iter().filter(|cgroup| !is_named(cgroup) && !is_chosen(cgroup));
        let wanted: Vec<&PathBuf> = wanted.chain(ambiguous.iter().map(|found| &found.cgroup)).collect();
        // All are marked before any is tagged, which takes its time: nobody connects directly because another came first.
        for cgroup in &wanted {
            // Where it cannot be, `guard` says so.
            let _ = interception.mark(cgroup, &Egress::Open);
        }
        let new: Vec<_> = chosen.iter().filter_map(|found| Some((found, self.expect(interception, found)?))).collect();
        let guards: HashSet<u64> =
            wanted.iter().filter_map(|cgroup| self.guard(interception, cgroup, &mut followed)).collect();
        for (found, tag) in new {
            if let Err(error) = self.choose(interception, found, &tag)
                && followed.told.insert(found.cgroup.clone())
            {
                tracing::error!("a cgroup that a selector chose is not tagged: {error:#}");
            }
            if self.appearing.is_told() {
                // Who came since is marked first: the rest is redirected already, and goes on after the next look.
                break;
            }
        }
        self.release(interception, &chosen, &guards);
        for id in followed.guards.difference(&guards).filter(|id| self.by_cgroup_id(**id).is_none()) {
            untag(interception, *id);
        }
        followed.guards = guards;
        looked
    }

    /// Tags a cgroup as nobody's. One that is not there has nobody to refuse; it is looked for again.
    fn guard(&self, interception: &mut Interception, cgroup: &Path, followed: &mut Followed) -> Option<u64> {
        let tagged = interception.tag(cgroup, &Egress::Open);
        if let Err(error) = &tagged
            && self.cgroup_mount.join(cgroup).exists()
            && followed.told.insert(cgroup.to_owned())
        {
            tracing::error!("who matches no workload there may not be refused: {error:#}");
        }
        tagged.ok()
    }

    /// Makes a cgroup known that was not yet, and has the kernel redirect it; the tag that is to follow, or follows still.
    fn expect(&self, interception: &mut Interception, found: &Found) -> Option<Tag> {
        let (workload, selects) = found.by.first()?;
        let workload = self.configured.get(*workload)?;
        let is_known = self.by_cgroup_id(found.cgroup_id).is_some();
        if is_known && interception.has_tagged(found.cgroup_id) {
            return None;
        }
        let tag = Tag::of_selected(workload, found.cgroup.clone());
        if is_known {
            return Some(tag);
        }
        // Known before the kernel redirects, so that its first connect finds it.
        let workload = Workload { selects: selects.clone(), ..Workload::new(&tag, found.cgroup_id, true) };
        self.write().insert(found.cgroup_id, Arc::new(workload));
        // Where it cannot be, `choose` says so.
        let _ = interception.mark(&tag.cgroup, &tag.egress);
        Some(tag)
    }

    fn choose(&self, interception: &mut Interception, found: &Found, tag: &Tag) -> Result<()> {
        let id = interception.tag(&tag.cgroup, &tag.egress);
        if !matches!(id, Ok(id) if id == found.cgroup_id) {
            self.write().remove(&found.cgroup_id);
            // It is gone, or made anew: the next look finds the new one. What is there and could not be tagged stays refused.
            let is_there =
                fs::metadata(self.cgroup_mount.join(&tag.cgroup)).is_ok_and(|it| it.ino() == found.cgroup_id);
            if !is_there {
                untag(interception, found.cgroup_id);
            }
        }
        if id? != found.cgroup_id {
            return Ok(());
        }
        tracing::info!(cgroup = %tag.cgroup.display(), workload = %tag.workload, "a selector chose this cgroup: tagged");
        Ok(())
    }

    /// Ends the workloads whose cgroup went away, or lies below a tag that came since.
    fn release(&self, interception: &mut Interception, chosen: &[Found], guards: &HashSet<u64>) {
        let ids: HashSet<u64> = chosen.iter().map(|found| found.cgroup_id).collect();
        let selected = self.list().into_iter().filter(|workload| !workload.selects.is_empty());
        for workload in selected.filter(|workload| !ids.contains(&workload.cgroup_id)) {
            self.write().remove(&workload.cgroup_id);
            workload.ended.send_replace(Some("no selector chooses the workload's cgroup any more"));
            if !guards.contains(&workload.cgroup_id) {
                untag(interception, workload.cgroup_id);
            }
        }
    }
}

fn untag(interception: &mut Interception, cgroup_id: u64) {
    if let Err(error) = interception.untag(cgroup_id) {
        tracing::warn!("a tag that no selector asks for remains: {error:#}");
    }
}
