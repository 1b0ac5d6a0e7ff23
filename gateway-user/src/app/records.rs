//! What the host recording is told, apart from sessions: which daemon this is, tags, policies, lost events.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result};
use portreeve_recording::{Connects, PoliciesLoaded, Started, Tagged, clip};

use crate::{
    config::{Config, Recording},
    gateway::Gateway,
    host,
    policies::Live,
    recorder::{HostRecording, KeyPair, Recorder, now_unix_ns},
    workloads::Workload,
};

/// How often tags and policies are compared with what was recorded, and what is due is done.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The recorder, with its key and the host recording begun.
pub(super) fn begin(config: &Config, policies: &Live) -> Result<Recorder> {
    let key = KeyPair::open(&config.state_dir)?.signing;
    let started = Started {
        // Those two are the recording's to write.
        id: "".into(),
        continues: None,
        gateway_version: env!("CARGO_PKG_VERSION").into(),
        pid: std::process::id(),
        kernel: host::kernel_release()?.into(),
        boot_id: host::boot_id()?.into(),
        config_path: config.path.display().to_string().into(),
        config_sha256: config.sha256.clone().into(),
        policies_sha256: policies.current().sha256.clone().into(),
        observe: config.observe,
    };
    let Recording { retention, durability, .. } = config.recording;
    let recording =
        HostRecording::begin(&config.state_dir, Arc::clone(&key), retention, durability, started, now_unix_ns());
    let recording = recording.context("the host recording cannot be begun")?;
    Ok(Recorder::of(&config.state_dir, key, recording))
}

/// A thread of its own, since files are read here. It goes on while the daemon drains.
#[derive(Debug)]
pub(super) struct Keeper {
    gateway: Arc<Gateway>,
    stopped: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Keeper {
    pub(super) fn start(gateway: &Arc<Gateway>) -> Result<Self> {
        follow(gateway);
        let stopped = Arc::new(AtomicBool::new(false));
        let (told, followed) = (Arc::clone(&stopped), Arc::clone(gateway));
        let run = move || {
            while !told.load(Ordering::Relaxed) {
                follow(&followed);
                complain(followed.recorder.host().keep(now_unix_ns()));
                thread::park_timeout(LOOK_EVERY);
            }
        };
        let thread = thread::Builder::new().name("recordings".to_owned()).spawn(run);
        Ok(Self { gateway: Arc::clone(gateway), stopped, thread: thread.context("a thread cannot be started")? })
    }

    /// Ends the host recording, when no session is left.
    pub(super) fn stop(self, reason: &str) {
        self.stopped.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        if self.thread.join().is_err() {
            tracing::error!("the thread `recordings` panicked");
        }
        complain(self.gateway.recorder.host().stop(now_unix_ns(), reason));
    }
}

/// Records the tags and policies that are not those of the last look.
pub(super) fn follow(gateway: &Gateway) {
    let tags = gateway.workloads.list().iter().map(|workload| tagged(workload)).collect();
    let standing = gateway.policies.standing();
    let policies = PoliciesLoaded {
        sha256: gateway.policies.current().sha256.clone().into(),
        policies: standing.ids,
        error: standing.failure.map(|failure| clip(failure.error.to_string().as_bytes()).into_owned().into()),
    };
    let recording = gateway.recorder.host();
    complain(recording.tags_are(now_unix_ns(), tags));
    complain(recording.policies_are(now_unix_ns(), policies));
}

/// Records a connect, or counts it.
pub(super) fn connect(gateway: &Gateway, mut connect: Connects<'static>) {
    let now = now_unix_ns();
    (connect.count, connect.first_unix_ns, connect.last_unix_ns) = (1, now, now);
    complain(gateway.recorder.host().connect(now, connect));
}

/// Sessions do not begin while the host recording cannot be written, and say why; all else is in the log alone.
fn complain(recorded: std::io::Result<()>) {
    if let Err(error) = recorded {
        tracing::error!("the host recording lacks something: {error}");
    }
}

fn tagged(workload: &Workload) -> Tagged<'static> {
    let by = match (workload.selects.is_empty(), workload.configured) {
        (false, _) => "selector",
        (true, true) => "configuration",
        (true, false) => "command",
    };
    Tagged {
        cgroup: workload.cgroup.display().to_string().into(),
        cgroup_id: workload.cgroup_id,
        workload: workload.name.clone().into(),
        spiffe_id: workload.spiffe_id.clone().into(),
        groups: workload.groups.clone().into(),
        by: by.into(),
    }
}
