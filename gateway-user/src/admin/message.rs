//! What is said on the control socket. The JSON of the views is also what `--json` prints: its keys are stable.

use crate::config::{Config, Egress, Problem, Workload, names};
use anyhow::bail;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// One line from a command to the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Request {
    Tag(TagRequest),
    Untag {
        cgroup: PathBuf,
    },
    Workloads {},
    Status {},
    ReloadPolicies {},
    /// Start a successor, from `binary` or from where the daemon's own binary was, and hand everything over to it.
    Upgrade {
        binary: Option<PathBuf>,
    },
    /// End the sessions of a cgroup: what a daemon asks of those that still drain when a tag ends or changes.
    EndSessions {
        cgroup: PathBuf,
    },
    /// Refused and redirected connects with a number above this.
    Connects {
        after: u64,
    },
}

/// One line back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "response", rename_all = "snake_case")]
pub(crate) enum Response {
    Tagged {
        workload: WorkloadView,
    },
    Untagged {
        workload: WorkloadView,
    },
    Workloads {
        workloads: Vec<WorkloadView>,
    },
    Status {
        status: Box<Status>,
    },
    Reloaded {
        reloaded: Reloaded,
    },
    Upgraded {
        upgraded: Upgraded,
    },
    EndedSessions {
        sessions: u64,
    },
    Connects {
        /// Oldest first.
        connects: Vec<ConnectView>,
        /// How many that were asked for are no longer kept.
        missed: u64,
    },
    /// The request was read and refused, or could not be done: the whole cause chain as one text.
    Refused {
        message: String,
    },
}

/// Make a cgroup a workload until the daemon ends or it is untagged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TagRequest {
    /// Below the cgroup v2 mount.
    pub(crate) cgroup: PathBuf,
    pub(crate) workload: String,
    #[serde(default)]
    pub(crate) groups: Vec<String>,
    #[serde(default)]
    pub(crate) spiffe_id: Option<String>,
}

impl TagRequest {
    /// The workload that is asked for. A name of the configuration means that workload, in one more cgroup: its groups and
    /// SPIFFE ID are then the configuration's to say. A new name gets the id `spiffe://<trust domain>/<name>` unless one is given.
    ///
    /// # Errors
    /// When a name is not legal, or the request contradicts the configuration.
    pub(crate) fn resolve(&self, config: &Config) -> anyhow::Result<Workload> {
        let cgroup = legal_cgroup(&self.cgroup)?;
        if let Some(known) = config.workload(&self.workload) {
            let other_groups = self.groups.iter().any(|group| !known.groups.contains(group));
            if other_groups || self.spiffe_id.as_ref().is_some_and(|id| *id != known.spiffe_id) {
                bail!(
                    "the configuration says what workload `{}` is: leave `--group` and `--spiffe-id` out, or use another name",
                    self.workload
                );
            }
            return Ok(Workload { cgroup: Some(cgroup), ..known.clone() });
        }
        let checks = [names::check_workload(&self.workload)].into_iter();
        let checks = checks.chain(self.groups.iter().map(|group| names::check_group(group)));
        checks
            .chain(self.spiffe_id.as_deref().map(names::check_spiffe_id))
            .try_for_each(|check| check.map_err(anyhow::Error::msg))?;
        if self.groups.len() > crate::limits::GROUPS_MAX {
            bail!("{} groups are too many: give at most {}", self.groups.len(), crate::limits::GROUPS_MAX);
        }
        let spiffe_id = self.spiffe_id.clone().unwrap_or_else(|| config.trust_domain.spiffe_id(&self.workload));
        if let Some(owner) = config.workloads.iter().find(|known| known.spiffe_id == spiffe_id) {
            bail!(
                "`{spiffe_id}` is workload `{}` of the configuration: tag with that name, or give another id",
                owner.name
            );
        }
        Ok(Workload {
            name: self.workload.clone(),
            cgroup: Some(cgroup),
            selects: Vec::new(),
            groups: self.groups.clone(),
            spiffe_id,
            egress: Egress::Open,
            uids: Vec::new(),
        })
    }
}

/// A cgroup as a request names it, cleaned.
///
/// # Errors
/// When it is absolute, climbs with `..`, is the root of the mount, or is not UTF-8.
pub(crate) fn legal_cgroup(cgroup: &Path) -> anyhow::Result<PathBuf> {
    let Some(text) = cgroup.to_str() else { bail!("`{}` is not UTF-8: rename the cgroup", cgroup.display()) };
    names::check_cgroup(text).map_err(anyhow::Error::msg)
}

/// A tagged cgroup as the daemon knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WorkloadView {
    pub(crate) workload: String,
    pub(crate) spiffe_id: String,
    pub(crate) groups: Vec<String>,
    /// Below the cgroup v2 mount.
    pub(crate) cgroup: PathBuf,
    /// The kernel's 64-bit id; `None` while a configured cgroup does not exist.
    pub(crate) cgroup_id: Option<u64>,
    pub(crate) source: Source,
    /// The selectors that chose the cgroup, as the configuration writes them; none where it was named.
    pub(crate) selectors: Vec<String>,
    pub(crate) sessions_open: u64,
}

/// Who tagged it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Source {
    Config,
    Tag,
}

/// How the daemon is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Status {
    pub(crate) version: String,
    pub(crate) pid: u32,
    pub(crate) uptime_seconds: u64,
    /// RFC 3339, UTC.
    pub(crate) started_at: String,
    /// Of the kernel programs that this daemon brought.
    pub(crate) build: String,
    /// Whether a successor has taken over, and this daemon only keeps its sessions to their end.
    pub(crate) draining: bool,
    /// Daemons that this one succeeded and that keep sessions still.
    pub(crate) predecessors: Vec<PredecessorView>,
    pub(crate) listen: Vec<SocketAddr>,
    /// The other network namespaces that hold tagged workloads.
    pub(crate) namespaces: Vec<NamespaceView>,
    /// Those that the daemon listened in since it started and listens in no more.
    pub(crate) namespaces_ended_total: u64,
    /// Tagged cgroups.
    pub(crate) workloads: u64,
    pub(crate) sessions_open: u64,
    pub(crate) sessions_total: u64,
    pub(crate) statements_total: u64,
    pub(crate) denied_total: u64,
    /// Statements that policy denies and that were forwarded nevertheless: those of a daemon that observes.
    pub(crate) would_deny_total: u64,
    /// Whether nothing is denied.
    pub(crate) observe: bool,
    /// Connects that went to the gateway since the kernel programs were attached.
    pub(crate) redirected_total: u64,
    /// Those among them that were held until the gateway listened in their network namespace.
    pub(crate) held_total: u64,
    /// Refused and redirected connects that are counted, but of which nothing else is known: too many came at once.
    pub(crate) connect_events_lost: u64,
    /// Connections refused, by reason.
    pub(crate) refused_connections: BTreeMap<String, u64>,
    /// Policies in force.
    pub(crate) policies: u64,
    /// More about them.
    pub(crate) policy: PolicyView,
    pub(crate) pins_dir: PathBuf,
}

/// A daemon that has handed over and drains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PredecessorView {
    pub(crate) pid: u32,
    pub(crate) version: String,
    pub(crate) build: String,
    /// RFC 3339, UTC.
    pub(crate) started_at: String,
    pub(crate) sessions_open: u64,
}

/// What came of an upgrade.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Upgraded {
    /// The successor, which serves.
    pub(crate) pid: u32,
    pub(crate) previous_pid: u32,
    /// Sessions that the previous daemon keeps to their end.
    pub(crate) sessions_draining: u64,
    /// And how long it does at most.
    pub(crate) drain_seconds: u32,
}

/// A network namespace besides the daemon's own, with threads of tagged workloads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NamespaceView {
    /// As `ls -L -i /proc/<pid>/ns/net` and `lsns --type net` show it.
    pub(crate) inode: u64,
    /// `SO_NETNS_COOKIE`, as recordings have it; none where the gateway does not listen.
    pub(crate) netns_cookie: Option<u64>,
    /// Empty where it does not.
    pub(crate) listen: Vec<SocketAddr>,
    /// Why it does not, and what to do.
    pub(crate) problem: Option<String>,
}

/// The policies in force, and what came of loading others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PolicyView {
    pub(crate) policies: u64,
    /// 1 for the set that the daemon started with, one more with each that came into force.
    pub(crate) generation: u64,
    /// RFC 3339, UTC.
    pub(crate) loaded_at: String,
    /// Loads that were refused since the daemon started.
    pub(crate) failed_loads: u64,
    /// Why the files as they are now are not in force; none when they are.
    pub(crate) last_problem: Option<PolicyFailure>,
}

/// A load that came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PolicyFailure {
    /// RFC 3339, UTC.
    pub(crate) at: String,
    pub(crate) problems: Vec<Problem>,
}

/// What came of a reload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reloaded {
    /// Empty when the files are in force.
    pub(crate) problems: Vec<Problem>,
    pub(crate) policy: PolicyView,
}

/// One call of a tagged workload that the kernel programs refused or redirected. What the kernel does not know at that hook
/// is left out: the destination of a socket that is only being made, the process behind a packet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ConnectView {
    /// Counted from 1 by each daemon.
    pub(crate) number: u64,
    /// RFC 3339, UTC: when the daemon learned of it, up to 200 ms after the call.
    pub(crate) time: String,
    /// Why it was refused; `None` when it went to the gateway.
    pub(crate) refused: Option<String>,
    /// `None` for a cgroup that is tagged no more, and for a caller outside of every tagged cgroup.
    pub(crate) workload: Option<String>,
    pub(crate) destination: Option<SocketAddr>,
    /// As the initial pid namespace numbers it.
    pub(crate) pid: Option<u32>,
    pub(crate) uid: Option<u32>,
    /// The caller's command name: a hint, no evidence.
    pub(crate) comm: Option<String>,
    pub(crate) cgroup_id: u64,
    pub(crate) netns_cookie: Option<u64>,
}
