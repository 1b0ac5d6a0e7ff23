//! Wires the daemon, in the order in which nothing is ever half open: what can fail without a trace comes first, then the
//! listeners, then the kernel programs (refusing), and last the announcement that turns refusing into redirecting.

mod control;

use std::{
    num::NonZeroUsize,
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context as _, Result, bail};
use portreeve_abi::{ConnectEvent, PortRule};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

use crate::{
    admin::{self, ConnectView, Lock},
    catalogue::Catalogues,
    config::Config,
    connections::Connections,
    connects::Connects,
    counters::Counters,
    gateway::{Gateway, Secrets},
    host,
    interception::{self, Events, Interception, Listeners},
    limits::POLICY_BURST_MAX,
    memory,
    policies::{Live, Watch},
    recorder::Recorder,
    tls::{Authority, Certificates, ServersTls},
    worker,
    workloads::{Store, Workloads},
};

/// How often cgroups are looked at that were removed and made anew, and the kernel's refusals are logged.
const HOUSE_EVERY: Duration = Duration::from_millis(200);

/// How long before its CA expires the daemon says so: time enough to bring a new one to every client.
const CA_WARNING: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// Runs the gateway until SIGTERM or SIGINT.
///
/// # Errors
/// Why it could not start; nothing of it is then left running or attached.
pub(crate) fn run(config: Config) -> Result<ExitCode> {
    let (cgroup_mount, bpffs) = check_host()?;
    let lock = Lock::take(&config.run_dir)?;
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
    let listeners = Listeners::bind(ports.listen_port, has_rule)?;

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
    let workloads = Workloads::start(interception, &cgroup_mount, &config, store)?;
    let gateway = Arc::new(Gateway {
        recorder: Recorder::new(&config.state_dir),
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
        config,
    });
    let (stop, stopped) = watch::channel(false);
    let mut workers = Vec::new();
    for (index, listeners) in acceptors.into_iter().enumerate() {
        workers.push(worker::start(format!("sessions-{index}"), Arc::clone(&gateway), listeners, stopped.clone())?);
    }
    let control = control::Control {
        gateway: Arc::clone(&gateway),
        listen: listeners.addresses(),
        pins,
        started: Instant::now(),
    };
    let served = admin_runtime()?.block_on(administer(&gateway, &listeners, control, events, &lock));

    // Connects are refused from here on; sessions end in order, then the threads.
    if let Err(error) = gateway.workloads.interception().retreat() {
        tracing::error!("the kernel programs were not told that the gateway stops: {error:#}");
    }
    gateway.workloads.end_all("gateway stopped");
    let _ = stop.send(true);
    drop(listeners);
    for worker in workers {
        if worker.join().is_err() {
            tracing::error!("a runtime thread panicked");
        }
    }
    served.map(|()| ExitCode::SUCCESS)
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

/// Opens the control socket, announces the listeners to the kernel, and serves until a signal.
async fn administer(
    gateway: &Arc<Gateway>,
    listeners: &Listeners,
    control: control::Control,
    events: Events,
    lock: &Lock,
) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be handled")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be handled")?;
    let hangup = signal(SignalKind::hangup()).context("SIGHUP cannot be handled")?;
    let socket = gateway.config.control_socket();
    let listener = admin::listen(&socket, lock)?;
    gateway.workloads.interception().announce(listeners, gateway.config.interception.connections_per_workload)?;
    tracing::info!(
        listen = ?listeners.addresses(), workloads = gateway.workloads.list().len(),
        "portreeve {} is ready", env!("CARGO_PKG_VERSION")
    );
    if gateway.config.observe {
        tracing::warn!("NOTHING IS DENIED: the daemon only observes, and records what policy would have denied");
    }
    tokio::select! {
        () = admin::serve(listener, Arc::new(control)) => {}
        () = keep_house(gateway, events) => {}
        () = follow_policies(gateway, hangup) => {}
        _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
        _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
    }
    let _ = std::fs::remove_file(socket);
    Ok(())
}

/// Follows cgroups, and logs what the kernel programs refused and what they say themselves.
async fn keep_house(gateway: &Gateway, mut events: Events) {
    let kernel_log = gateway.workloads.interception().kernel_log();
    let mut kernel_log = kernel_log.inspect_err(|error| tracing::warn!("kernel programs' log: {error:#}")).ok();
    let mut was_pinned = true;
    loop {
        tokio::time::sleep(HOUSE_EVERY).await;
        gateway.workloads.follow_cgroups();
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
        while let Some(event) = events.next() {
            let connect = connect_view(gateway, &event);
            if let Some(reason) = &connect.refused {
                tracing::warn!(
                    workload = connect.workload.as_deref().unwrap_or("(unknown)"),
                    pid = connect.pid,
                    comm = connect.comm,
                    destination = connect.destination.map(tracing::field::display),
                    "refused a connect: {reason}"
                );
            }
            gateway.connects.push(connect);
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

/// An event of the kernel programs with the workload's name in it.
fn connect_view(gateway: &Gateway, event: &ConnectEvent) -> ConnectView {
    let origin = &event.origin;
    let workload = gateway.workloads.by_cgroup_id(origin.tagged_cgroup_id);
    // A packet's event has no process, and a process has a pid.
    let known = |value: u32| (origin.pid != 0).then_some(value);
    ConnectView {
        number: 0,
        time: format!("{:.3}", jiff::Timestamp::now()),
        refused: interception::refusal(event).map(str::to_owned),
        workload: workload.map(|workload| workload.name.clone()),
        destination: (origin.destination_port != 0).then(|| interception::destination(origin)),
        pid: known(origin.pid),
        uid: known(origin.uid),
        comm: known(origin.pid).map(|_| interception::comm(origin)),
        cgroup_id: origin.cgroup_id,
        netns_cookie: (origin.netns_cookie != 0).then_some(origin.netns_cookie),
    }
}
