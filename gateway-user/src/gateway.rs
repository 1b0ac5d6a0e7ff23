//! What every session shares: configuration, policies, secrets, workloads and the recorder. Read only once built.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use portreeve_recording::Connects;
use zeroize::Zeroizing;

use crate::{
    catalogue::Catalogues,
    config::{Account, Config, Server, secret},
    connections::Connections,
    connects::Connects as Newest,
    counters::Counters,
    host,
    interception::Namespaces,
    policies::Live,
    recorder::{Recorder, now_unix_ns},
    tls::{Certificates, ServersTls},
    workloads::Workloads,
};

/// The passwords the gateway holds, by the file they were read from. Zeroed when the daemon ends; never printed.
pub(crate) struct Secrets(HashMap<PathBuf, Zeroizing<Vec<u8>>>);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(…)")
    }
}

impl Secrets {
    /// Reads the secret of every account.
    ///
    /// # Errors
    /// The first file that cannot be read; `portreeve check` names them all.
    pub(crate) fn read(config: &Config) -> Result<Self> {
        let mut secrets = HashMap::new();
        for account in config.servers.iter().flat_map(Server::accounts) {
            let path = &account.password_file;
            let secret =
                secret::read(path).with_context(|| format!("secret file {} cannot be read", path.display()))?;
            secrets.insert(path.clone(), secret);
        }
        Ok(Self(secrets))
    }

    /// The password of an account.
    pub(crate) fn password(&self, account: &Account) -> Option<&[u8]> {
        self.0.get(&account.password_file).map(|secret| secret.as_slice())
    }
}

/// The running gateway.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) config: Config,
    /// Exchanged while sessions run; all else here is not.
    pub(crate) policies: Live,
    pub(crate) secrets: Secrets,
    /// What clients are shown.
    pub(crate) certificates: Certificates,
    /// How servers are spoken to.
    pub(crate) servers_tls: ServersTls,
    pub(crate) workloads: Workloads,
    /// What the kernel programs refused and redirected.
    pub(crate) connects: Newest,
    pub(crate) recorder: Recorder,
    pub(crate) counters: Counters,
    pub(crate) connections: Connections,
    pub(crate) catalogues: Catalogues,
    pub(crate) cgroup_mount: PathBuf,
    /// Network namespaces of workloads, besides the daemon's own.
    pub(crate) namespaces: Namespaces,
    /// Cookie of the daemon's own network namespace.
    pub(crate) netns_cookie: u64,
}

impl Gateway {
    /// Counts and records a connection that has no kernel record: nobody knows whose it is.
    pub(crate) fn unrecorded(&self) {
        self.counters.unrecorded();
        let now_unix_ns = now_unix_ns();
        let connect = Connects {
            refused: Some("no-record".into()),
            workload: None,
            destination: None,
            uid: None,
            pid: None,
            comm: None,
            cgroup_id: 0,
            netns_cookie: None,
            count: 1,
            first_unix_ns: now_unix_ns,
            last_unix_ns: now_unix_ns,
        };
        if let Err(error) = self.recorder.host().connect(now_unix_ns, connect) {
            tracing::error!("the host recording lacks a connection: {error}");
        }
    }

    /// The path of a cgroup id below the mount, where it can still be found.
    pub(crate) fn cgroup_path(&self, pid: u32, cgroup_id: u64) -> Option<String> {
        cgroup_path(&self.cgroup_mount, pid, cgroup_id)
    }
}

/// The pid is only a hint where to look: the path counts when the cgroup there has the kernel's id.
fn cgroup_path(mount: &Path, pid: u32, cgroup_id: u64) -> Option<String> {
    use std::os::unix::fs::MetadataExt as _;
    let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let path = host::cgroup2_path(&text)?;
    let id = std::fs::metadata(mount.join(path)).ok()?.ino();
    (id == cgroup_id).then(|| path.to_owned())
}
