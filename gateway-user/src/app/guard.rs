//! Kernel programs that refuse, put in force before there is a daemon: at boot, before any agent starts.

use std::path::PathBuf;

use anyhow::Result;

use super::{check_host, port_rules, uids};
use crate::{
    config::Config,
    interception::Interception,
    workloads::{Store, Workloads},
};

/// What is in force then.
#[derive(Debug)]
pub(crate) struct Guarded {
    pub(crate) pins: PathBuf,
    /// Below the cgroup v2 mount.
    pub(crate) cgroups: Vec<PathBuf>,
}

/// Loads and pins the programs and tags what the configuration tags, and what was tagged at run time. The caller holds the
/// instance's lock.
///
/// # Errors
/// Something cannot be put in force. What is tagged by then is refused, and so is what a daemon or a guard tagged before.
pub(crate) fn guard(config: &Config) -> Result<Guarded> {
    let (cgroup_mount, bpffs) = check_host()?;
    let mut interception = Interception::engage(&cgroup_mount, &bpffs, &config.run_dir, &port_rules(config))?;
    // Whatever fails from here on: some of the tags refuse more than none.
    interception.stay();
    interception.own_uids(&uids(config))?;
    let store = Store::new(&config.state_dir);
    let workloads = Workloads::start(interception, &cgroup_mount, config, store)?;
    let cgroups = workloads.list().iter().map(|workload| workload.cgroup.clone()).collect();
    Ok(Guarded { pins: workloads.into_interception().into_pins()?, cgroups })
}
