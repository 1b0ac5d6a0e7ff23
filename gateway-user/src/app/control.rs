//! What the control socket may ask of the running daemon.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Instant, SystemTime},
};

use anyhow::{Context as _, Result, bail};
use portreeve_abi::Tally;

use super::records;
use crate::{
    admin::{
        Authority, ConnectView, NamespaceView, PolicyFailure, PolicyView, PredecessorView, Reloaded, Source, Status,
        TagRequest, Upgraded, WorkloadView,
        client::{self, DaemonAbsent},
        message::{Request, Response},
    },
    gateway::Gateway,
    handover::Estate,
    interception::{Overview, pins},
    limits::PREDECESSOR_TIMEOUT,
    policies::Failure,
    workloads::{Tag, Workload},
};

/// The daemon, for the control socket.
#[derive(Debug)]
pub(super) struct Control {
    pub(super) gateway: Arc<Gateway>,
    pub(super) listen: Vec<SocketAddr>,
    pub(super) pins: PathBuf,
    pub(super) estate: Arc<Estate>,
    pub(super) started: Instant,
    pub(super) started_at: SystemTime,
}

impl Authority for Control {
    fn tag(&self, request: &TagRequest) -> Result<WorkloadView> {
        self.check_in_charge()?;
        let wanted = request.resolve(&self.gateway.config)?;
        let workload = self.gateway.workloads.tag(&Tag::of_config(&wanted).context("the request names no cgroup")?)?;
        self.end_sessions_of_predecessors(&workload.cgroup);
        records::follow(&self.gateway);
        tracing::info!(cgroup = %workload.cgroup.display(), workload = %workload.name, "tagged");
        Ok(view(&workload))
    }

    fn untag(&self, cgroup: &Path) -> Result<WorkloadView> {
        self.check_in_charge()?;
        let workload = self.gateway.workloads.untag(cgroup)?;
        self.end_sessions_of_predecessors(&workload.cgroup);
        records::follow(&self.gateway);
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
            started_at: utc(self.started_at),
            build: pins::version(),
            draining: self.estate.successor().is_some(),
            predecessors: self.predecessors(),
            listen: self.listen.clone(),
            namespaces: self.gateway.namespaces.list().into_iter().map(namespace_view).collect(),
            namespaces_ended_total: self.gateway.namespaces.ended_total(),
            workloads: self.gateway.workloads.list().len() as u64,
            sessions_open: counters.sessions_open(),
            sessions_total: counters.sessions_total(),
            statements_total: counters.statements_total(),
            denied_total: counters.denied_total(),
            would_deny_total: counters.would_deny_total(),
            observe: self.gateway.config.observe,
            redirected_total: self.tally(Tally::Redirected),
            held_total: self.tally(Tally::Held),
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

    fn upgrade(&self, binary: Option<&Path>) -> Result<Upgraded> {
        let pid = self.estate.hand_over(binary)?;
        Ok(Upgraded {
            pid,
            previous_pid: std::process::id(),
            sessions_draining: self.gateway.counters.sessions_open(),
            drain_seconds: self.gateway.config.upgrade_drain_seconds,
        })
    }

    fn end_sessions(&self, cgroup: &Path) -> u64 {
        self.gateway.workloads.end(cgroup, "workload was untagged, or tagged anew")
    }
}

impl Control {
    /// Tags are the successor's to change once there is one: this daemon would write what it remembers.
    fn check_in_charge(&self) -> Result<()> {
        match self.estate.successor() {
            Some(pid) => bail!("process {pid} has taken over: this daemon only drains"),
            None => Ok(()),
        }
    }

    /// The sockets of daemons that have handed over and drain.
    fn draining_sockets(&self) -> Vec<PathBuf> {
        if self.estate.successor().is_some() {
            // Those before are the successor's to ask as well, and this one is among them.
            return Vec::new();
        }
        client::draining(&self.gateway.config.run_dir)
    }

    fn ask_draining(socket: &Path, request: &Request) -> Option<Response> {
        match client::ask_for(socket, request, PREDECESSOR_TIMEOUT) {
            Ok(response) => Some(response),
            Err(error) if error.is::<DaemonAbsent>() => {
                // It was killed: nothing is left of it but this.
                let _ = std::fs::remove_file(socket);
                None
            }
            Err(error) => {
                tracing::warn!("a draining daemon does not answer at `{}`: {error:#}", socket.display());
                None
            }
        }
    }

    fn predecessors(&self) -> Vec<PredecessorView> {
        let ask = |socket: PathBuf| match Self::ask_draining(&socket, &Request::Status {})? {
            Response::Status { status } => Some(PredecessorView {
                pid: status.pid,
                version: status.version,
                build: status.build,
                started_at: status.started_at,
                sessions_open: status.sessions_open,
            }),
            _ => None,
        };
        self.draining_sockets().into_iter().filter_map(ask).collect()
    }

    /// A tag that ends or changes ends its sessions, whoever has them.
    fn end_sessions_of_predecessors(&self, cgroup: &Path) {
        let request = Request::EndSessions { cgroup: cgroup.to_owned() };
        for socket in self.draining_sockets() {
            Self::ask_draining(&socket, &request);
        }
    }

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

fn namespace_view(namespace: Overview) -> NamespaceView {
    let Overview { inode, cookie: netns_cookie, listen, problem } = namespace;
    NamespaceView { inode, netns_cookie, listen, problem }
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
