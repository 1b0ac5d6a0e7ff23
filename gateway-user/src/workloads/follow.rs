//! Keeps the tags as the selectors want them: again and again, since cgroups come and go.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::Arc,
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
    /// Tags what the selectors choose, and ends the tags of what they no longer do.
    pub(super) fn follow_selectors(&self, interception: &mut Interception) {
        let named = self.list().into_iter().filter(|workload| workload.selects.is_empty());
        let named: HashSet<PathBuf> = named.map(|workload| workload.cgroup.clone()).collect();
        let is_named = |cgroup: &Path| named.contains(cgroup);
        let found = scan::scan(&self.cgroup_mount, &self.configured, &is_named, &|folder| self.appearing.watch(folder));
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
        let wanted = wanted.chain(ambiguous.iter().map(|found| &found.cgroup));
        let guards: HashSet<u64> =
            wanted.filter_map(|cgroup| self.guard(interception, cgroup, &mut followed)).collect();
        for found in &chosen {
            if let Err(error) = self.choose(interception, found)
                && followed.told.insert(found.cgroup.clone())
            {
                tracing::error!("a cgroup that a selector chose is not tagged: {error:#}");
            }
        }
        self.release(interception, &chosen, &guards);
        for id in followed.guards.difference(&guards).filter(|id| self.by_cgroup_id(**id).is_none()) {
            untag(interception, *id);
        }
        followed.guards = guards;
    }

    /// Tags a cgroup as nobody's. One that is not there has nobody to refuse; it is looked for again.
    fn guard(&self, interception: &mut Interception, cgroup: &Path, followed: &mut Followed) -> Option<u64> {
        let tagged = interception.tag(cgroup, &Egress::Open);
        if let Err(error) = &tagged
            && self.cgroup_mount.join(cgroup).exists()
            && followed.told.insert(cgroup.to_owned())
        {
            tracing::error!("who matches no workload there is NOT refused: {error:#}");
        }
        tagged.ok()
    }

    fn choose(&self, interception: &mut Interception, found: &Found) -> Result<()> {
        let Some((workload, selects)) = found.by.first() else { return Ok(()) };
        let Some(workload) = self.configured.get(*workload) else { return Ok(()) };
        if self.by_cgroup_id(found.cgroup_id).is_some() {
            return Ok(());
        }
        let tag = Tag::of_selected(workload, found.cgroup.clone());
        // Known before the kernel redirects, so that its first connect finds it.
        let workload = Workload { selects: selects.clone(), ..Workload::new(&tag, found.cgroup_id, true) };
        self.write().insert(found.cgroup_id, Arc::new(workload));
        let id = interception.tag(&tag.cgroup, &tag.egress);
        if !matches!(id, Ok(id) if id == found.cgroup_id) {
            self.write().remove(&found.cgroup_id);
        }
        // Made anew since the look at it: the next finds the new one.
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
