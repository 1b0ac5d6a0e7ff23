//! Wires the daemon, in the order in which nothing is ever half open: what can fail without a trace comes first, then the
//! listeners, then the kernel programs (refusing), and last the announcement that turns refusing into redirecting.
//!
//! Where a daemon was before, its listeners and lock may be inherited: then nothing is refused between the two.

mod cgroups;
mod connects;
mod control;
mod drain;
mod guard;
mod records;

use std::{
    num::NonZeroUsize,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context as _, Result, bail};
use portreeve_abi::PortRule;
use tokio::{signal::unix::Signal, sync::watch};

use crate::{
    admin::Lock,
    catalogue::Catalogues,
    config::Config,
    connections::Connections,
    connects::Connects,
    counters::Counters,
    gateway::{Gateway, Secrets},
    handover::{Estate, Predecessor},
    host,
    interception::{Events, Inherited, Interception, Listeners, Namespaces},
    limits::POLICY_BURST_MAX,
    memory,
    notify::Notifier,
    policies::{Live, Watch},
    tls::{Authority, Certificates, ServersTls},
    worker::{self, Stage},
    workloads::{Store, Workloads},
};
pub(crate) use guard::{Guarded, guard};

/// How often cgroups are looked at that were removed and made anew.
const HOUSE_EVERY: Duration = Duration::from_millis(200);

/// How long before its CA expires the daemon says so: time enough to bring a new one to every client.
const CA_WARNING: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// What a daemon begins with besides its configuration.
#[derive(Debug)]
pub(crate) struct Beginning {
    /// The listeners that are there already.
    pub(crate) inherited: Inherited,
    /// The lock that the predecessor shares.
    pub(crate) lock: Option<OwnedFd>,
    /// Taken once it was told that this daemon serves.
    pub(crate) predecessor: Option<Predecessor>,
}

impl Beginning {
    /// # Errors
    /// Another daemon runs; or the one that wants a successor has what this one cannot take over.
    fn take_lock(&mut self, bpffs: &Path, run_dir: &Path) -> Result<Lock> {
        let Some(descriptor) = self.lock.take() else { return Lock::take(run_dir) };
        if !Interception::reads_what_is_in_force(bpffs, run_dir) {
            bail!(
                "this build's kernel maps are laid out otherwise than those in force: stop the daemon and start this one (connects are \
                 refused meanwhile)"
            );
        }
        Lock::inherit(run_dir, descriptor)
    }
}

/// Runs the gateway until SIGTERM or SIGINT, or until a successor has taken over, and its sessions have ended.
///
/// # Errors
/// Why it could not start; nothing of it is then left running or attached.
pub(crate) fn run(config: Config, beginning: &mut Beginning) -> Result<ExitCode> {
    let (cgroup_mount, bpffs) = check_host()?;
    let lock = beginning.take_lock(&bpffs, &config.run_dir)?;
    let notifier = Notifier::from_environment()?;
    forbid_core_dumps();
    memory::give_back_large_blocks();
    raise_descriptor_limit();
    let policies = Live::open(&config.policy_paths)?;
    let secrets = Secrets::read(&config)?;
    let servers_tls = ServersTls::load(&config)?;
    make_state_dir(&config)?;
    let certificates = Certificates::new(open_authority(&config)?)?;
    let ports = &config.interception;
    let has_rule = |port: u16| ports.ports.contains(&port) || ports.refused_ports.contains(&port);
    let listeners = Listeners::inherit_or_bind(&mut beginning.inherited, ports.listen_port, has_rule)?;
    let estate = Arc::new(Estate::new(&listeners, &lock)?);

    let namespaces =
        Namespaces::new(listeners.port(), port_rules(&config).into_iter().map(|(port, _)| port).collect())?;
    let mut interception = Interception::engage(&cgroup_mount, &bpffs, &config.run_dir, &port_rules(&config))?;
    let store = Store::new(&config.state_dir);
    let events = interception.events()?;
    let pins = interception.pins().to_owned();
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let mut acceptors = Vec::new();
    for _ in 0..threads {
        let sockets = listeners.try_clone().context("a listener cannot be shared")?;
        let with_records = sockets.into_iter().map(|socket| Ok((socket, interception.records()?)));
        acceptors.push(with_records.collect::<Result<Vec<_>>>()?);
    }
    interception.own_uids(&uids(&config))?;
    let recorder = records::begin(&config, &policies)?;
    let workloads = Workloads::start(interception, &cgroup_mount, &config, store)?;
    let gateway = Arc::new(Gateway {
        recorder,
        policies,
        secrets,
        certificates,
        servers_tls,
        workloads,
        counters: Counters::default(),
        connections: Connections::default(),
        catalogues: Catalogues::default(),
        connects: Connects::default(),
        cgroup_mount,
        netns_cookie: listeners.netns_cookie(),
        namespaces,
        config,
    });
    let stage = watch::Sender::new(Stage::Serving);
    let mut workers = Vec::new();
    for (index, listeners) in acceptors.into_iter().enumerate() {
        workers.push(worker::start(format!("sessions-{index}"), Arc::clone(&gateway), listeners, stage.subscribe())?);
    }
    let keeper = records::Keeper::start(&gateway)?;
    let control = control::Control {
        gateway: Arc::clone(&gateway),
        listen: listeners.addresses(),
        pins,
        estate: Arc::clone(&estate),
        started: Instant::now(),
        started_at: SystemTime::now(),
    };
    let daemon = drain::Daemon {
        gateway,
        control: Arc::new(control),
        estate,
        listeners: Some(listeners),
        lock: Some(lock),
        notifier,
        stage,
        workers,
        keeper,
    };
    daemon.serve(events, &mut beginning.predecessor)
}

/// What the kernel programs do with each port.
fn port_rules(config: &Config) -> Vec<(u16, PortRule)> {
    let redirected = config.interception.ports.iter().map(|port| (*port, PortRule::Redirect));
    let refused = config.interception.refused_ports.iter().map(|port| (*port, PortRule::Refuse));
    redirected.chain(refused).collect()
}

/// Uids that belong to some workload.
fn uids(config: &Config) -> Vec<u32> {
    config.workloads.iter().flat_map(|workload| workload.uids.iter().copied()).collect()
}

/// Kernel, cgroup v2 root, bpffs.
fn check_host() -> Result<(PathBuf, PathBuf)> {
    let kernel = host::kernel_version()?;
    if kernel < host::KERNEL_MIN {
        bail!("this kernel is {kernel}; portreeve needs {} or newer", host::KERNEL_MIN);
    }
    let capabilities = host::capabilities()?;
    if !(capabilities.sys_admin() && capabilities.net_admin()) {
        bail!("run portreeve as root: it needs CAP_SYS_ADMIN and CAP_NET_ADMIN to attach its kernel programs");
    }
    let cgroup_mount = host::cgroup2_mount()?;
    let bpffs = match host::bpffs_mount()? {
        Some(bpffs) => bpffs,
        None => mount_bpffs()?,
    };
    Ok((cgroup_mount, bpffs))
}

/// systemd mounts it on most hosts; where nobody did, pins need it.
fn mount_bpffs() -> Result<PathBuf> {
    const BPFFS: &str = "/sys/fs/bpf";
    nix::mount::mount(Some("bpf"), BPFFS, Some("bpf"), nix::mount::MsFlags::empty(), None::<&str>)
        .with_context(|| format!("no bpffs is mounted and none can be: try `mount -t bpf bpf {BPFFS}`"))?;
    tracing::info!("mounted a bpffs at {BPFFS}");
    Ok(PathBuf::from(BPFFS))
}

/// The process holds database passwords: neither a crash nor another process may take its memory.
fn forbid_core_dumps() {
    if let Err(error) = nix::sys::prctl::set_dumpable(false) {
        tracing::warn!("core dumps cannot be forbidden: {error}");
    }
}

/// Two descriptors per session, and the recording's.
fn raise_descriptor_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let raised =
        getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!("the limit of open descriptors cannot be raised: {error}");
    }
}

fn make_state_dir(config: &Config) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let dir = &config.state_dir;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("state_dir `{}` cannot be made", dir.display()))?;
    // A read-only file system says so now, not to the first session. (Root passes any mode.)
    let writable = nix::unistd::access(dir, nix::unistd::AccessFlags::W_OK);
    writable
        .with_context(|| format!("state_dir `{}` cannot be written, so that nothing could be recorded", dir.display()))
}

/// The CA that clients trust, made at the first start.
fn open_authority(config: &Config) -> Result<Authority> {
    let authority = Authority::open(&config.state_dir, SystemTime::now())?;
    if authority.not_after()? < SystemTime::now() + CA_WARNING {
        let until = authority.describe()?.not_after;
        tracing::warn!(
            "clients trust the gateway's CA until {until} only: `portreeve ca renew`, and give them the new one"
        );
    }
    Ok(authority)
}

fn admin_runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("the admin runtime cannot be set up")
}

/// Follows cgroups and connects, and logs what the kernel programs say themselves.
async fn keep_house(gateway: &Arc<Gateway>, events: Events) {
    let _connects = connects::Watch::start(Arc::clone(gateway), events).inspect_err(|error| {
        tracing::error!("refused connects will not be told, nor agents in network namespaces served: {error}")
    });
    let _cgroups = cgroups::Watch::start(Arc::clone(gateway))
        .inspect_err(|error| tracing::error!("cgroups that come and go are not followed: {error}"));
    let kernel_log = gateway.workloads.interception().kernel_log();
    let mut kernel_log = kernel_log.inspect_err(|error| tracing::warn!("kernel programs' log: {error:#}")).ok();
    let mut was_pinned = true;
    loop {
        tokio::time::sleep(HOUSE_EVERY).await;
        let is_pinned = gateway.workloads.interception().is_pinned();
        if was_pinned && !is_pinned {
            tracing::error!(
                "somebody removed pins of the kernel programs: they stay in force while this daemon runs, and end with it; \
                 restart it and they are pinned again"
            );
        }
        was_pinned = is_pinned;
        if let Some(flush) = &mut kernel_log {
            flush();
        }
    }
}

/// Loads policies anew when their files change, and at SIGHUP.
async fn follow_policies(gateway: &Arc<Gateway>, mut hangup: Signal) {
    let watch = Watch::new(gateway.policies.paths());
    let watch = watch.inspect_err(|error| tracing::warn!("changes of policy files will not be seen: {error}")).ok();
    // What changed between the first load and the watch is seen so.
    let mut changing_since = Some(Instant::now());
    loop {
        let told = tokio::select! {
            told = hangup.recv() => told.is_some(),
            () = tokio::time::sleep(HOUSE_EVERY) => false,
        };
        let changes = watch.as_ref().is_some_and(Watch::take);
        // A burst of changes is one: what is written file by file is read when all of it is there.
        let is_over = changing_since.is_some_and(|since: Instant| !changes || since.elapsed() > POLICY_BURST_MAX);
        changing_since = changes.then(|| changing_since.filter(|_| !is_over).unwrap_or_else(Instant::now));
        if told || is_over {
            load_policies(Arc::clone(gateway), told).await;
        }
    }
}

/// Off this thread, which answers on the control socket. What came of it is logged, and told by `portreeve status`.
async fn load_policies(gateway: Arc<Gateway>, unchanged_too: bool) {
    let load = move || match unchanged_too {
        true => drop(gateway.policies.reload()),
        false => drop(gateway.policies.reload_if_changed()),
    };
    if let Err(error) = tokio::task::spawn_blocking(load).await {
        tracing::error!("the policies in force stay as they are: {error}");
    }
}
