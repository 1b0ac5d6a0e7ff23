//! What the control socket may ask of the running daemon.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Instant, SystemTime},
};

use anyhow::{Context as _, Result};
use portreeve_abi::Tally;

use crate::{
    admin::{Authority, ConnectView, PolicyFailure, PolicyView, Reloaded, Source, Status, TagRequest, WorkloadView},
    gateway::Gateway,
    policies::Failure,
    workloads::{Tag, Workload},
};

/// The daemon, for the control socket.
#[derive(Debug)]
pub(super) struct Control {
    pub(super) gateway: Arc<Gateway>,
    pub(super) listen: Vec<SocketAddr>,
    pub(super) pins: PathBuf,
    pub(super) started: Instant,
}

impl Authority for Control {
    fn tag(&self, request: &TagRequest) -> Result<WorkloadView> {
        let wanted = request.resolve(&self.gateway.config)?;
        let workload = self.gateway.workloads.tag(&Tag::of_config(&wanted).context("the request names no cgroup")?)?;
        tracing::info!(cgroup = %workload.cgroup.display(), workload = %workload.name, "tagged");
        Ok(view(&workload))
    }

    fn untag(&self, cgroup: &Path) -> Result<WorkloadView> {
        let workload = self.gateway.workloads.untag(cgroup)?;
        tracing::info!(cgroup = %workload.cgroup.display(), workload = %workload.name, "untagged");
        Ok(view(&workload))
    }

    fn workloads(&self) -> Vec<WorkloadView> {
        self.gateway.workloads.list().iter().map(|workload| view(workload)).collect()
    }

    fn connects(&self, after: u64) -> (Vec<ConnectView>, u64) {
        self.gateway.connects.since(after)
    }

    fn status(&self) -> Status {
        let counters = &self.gateway.counters;
        let policy = self.policy();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_seconds: self.started.elapsed().as_secs(),
            listen: self.listen.clone(),
            workloads: self.gateway.workloads.list().len() as u64,
            sessions_open: counters.sessions_open(),
            sessions_total: counters.sessions_total(),
            statements_total: counters.statements_total(),
            denied_total: counters.denied_total(),
            would_deny_total: counters.would_deny_total(),
            observe: self.gateway.config.observe,
            redirected_total: self.tally(Tally::Redirected),
            connect_events_lost: self.tally(Tally::EventsLost),
            refused_connections: self.refused_connections(),
            policies: policy.policies,
            policy,
            pins_dir: self.pins.clone(),
        }
    }

    fn reload_policies(&self) -> Reloaded {
        let problems = self.gateway.policies.reload().map_or_else(|error| error.problems(), |_| Vec::new());
        Reloaded { problems, policy: self.policy() }
    }
}

impl Control {
    fn policy(&self) -> PolicyView {
        let standing = self.gateway.policies.standing();
        let failure = |failure: Failure| PolicyFailure { at: utc(failure.at), problems: failure.error.problems() };
        PolicyView {
            policies: standing.ids,
            generation: standing.generation,
            loaded_at: utc(standing.loaded_at),
            failed_loads: standing.failed_loads,
            last_problem: standing.failure.map(failure),
        }
    }

    fn tally(&self, what: Tally) -> u64 {
        self.gateway.workloads.interception().tally(what).unwrap_or_else(|error| {
            tracing::error!("the kernel's counts of connects cannot be read: {error:#}");
            0
        })
    }

    fn refused_connections(&self) -> BTreeMap<String, u64> {
        let mut refused = BTreeMap::from([("no-record".to_owned(), self.gateway.counters.unrecorded_total())]);
        match self.gateway.workloads.interception().refusals() {
            Ok(refusals) => refused.extend(refusals.into_iter().map(|(why, count)| (why.name().to_owned(), count))),
            Err(error) => tracing::error!("the kernel's counts of refused connects cannot be read: {error:#}"),
        }
        refused
    }
}

/// To the second.
fn utc(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map_or_else(|_| "unknown".to_owned(), |time| format!("{time:.0}"))
}

fn view(workload: &Workload) -> WorkloadView {
    WorkloadView {
        workload: workload.name.clone(),
        spiffe_id: workload.spiffe_id.clone(),
        groups: workload.groups.clone(),
        cgroup: workload.cgroup.clone(),
        cgroup_id: Some(workload.cgroup_id),
        source: if workload.configured { Source::Config } else { Source::Tag },
        selectors: workload.selects.iter().map(ToString::to_string).collect(),
        sessions_open: workload.sessions_open(),
    }
}
