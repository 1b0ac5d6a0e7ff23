//! A thousand tagged cgroups, ten thousand open sessions, and somebody who connects.

use super::{CGROUPS, Lane, SOCKETS, Times};
use anyhow::{Context as _, Result, bail};
use nix::sys::{
    resource::{Resource, getrlimit, setrlimit},
    signal::Signal,
    socket::{AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, socket},
};
use portreeve_tests::{
    cgroup::Cgroup,
    client,
    gateway::{Credential, Gateway, GatewayConfig, Policy, Upstream, Workload},
    host, process,
    servers::{Flavour, PORT, Server},
};
use serde_json::Value;
use std::{
    io::{BufRead as _, BufReader, ErrorKind, Read as _},
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream},
    os::fd::AsRawFd as _,
    path::Path,
    process::{Child, Stdio},
    time::Duration,
};

const USER: &str = "bench";
const PASSWORD: &str = "held-by-portreeve";
const DATA: &str = "CREATE USER bench@'127.%' IDENTIFIED BY 'held-by-portreeve'; GRANT ALL ON *.* TO bench@'127.%';";
const POLICY: &str = r#"@id("all") permit (principal, action, resource);"#;
/// Sockets of one process: below the usual limit of 1,024 open files.
const SOCKETS_EACH: u64 = 500;
/// Open files of a daemon for one session: client, server, recording.
const FILES_EACH: u64 = 3;
/// And besides: for each tagged cgroup what looks at its packets, and some.
const OTHER_FILES: u64 = 2_500;
/// Where no server is configured: the daemon ends such a session, and its socket is the client's still.
const NOBODY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);
const CONNECTS_MAX: Duration = Duration::from_secs(60);
/// Connections that nobody has accepted yet, as many as the daemon has.
const BACKLOG: i32 = 4_096;
/// Until the daemon has accepted what came while it stood still.
const ACCEPTED_MAX: Duration = Duration::from_secs(20);

/// Dropped in this order: sessions, daemon, server.
pub(super) struct Stage {
    holders: Vec<Holder>,
    pub(super) gateway: Gateway,
    server: Server,
    /// Where an untagged client connects to.
    listener: TcpListener,
    cgroups: Vec<Cgroup>,
    outside: Cgroup,
    _parent: Cgroup,
}

impl Stage {
    pub(super) fn set() -> Result<Self> {
        let sessions = affordable_sessions()?;
        // One thread for each connection would be ten thousand threads.
        let arguments = ["--thread-handling=pool-of-threads", "--max-connections=10500", "--open-files-limit=16384"];
        let server = Server::start_with(Flavour::MariaDb, host::free_address()?, &arguments.map(str::to_owned))?;
        server.sql(DATA)?;
        let parent = Cgroup::create("connects")?;
        let cgroups = (0..CGROUPS).map(|number| parent.child(&format!("agent{number}"))).collect::<Result<Vec<_>>>()?;
        let gateway = Gateway::start(&config(&cgroups, server.address()))?;
        let listener = listen()?;
        let outside = Cgroup::create("connects-outside")?;
        let mut stage = Self { holders: Vec::new(), gateway, server, listener, cgroups, outside, _parent: parent };
        stage.open_sessions(sessions)?;
        Ok(stage)
    }

    fn open_sessions(&mut self, sessions: u64) -> Result<()> {
        let mut left = sessions;
        for cgroup in self.cgroups.iter().take(usize::try_from(SOCKETS / SOCKETS_EACH).context("too many")?) {
            process::check_interrupt()?;
            let python = host::repo_root().join("tests/clients/python");
            let (script, arguments) = if left >= SOCKETS_EACH {
                left -= SOCKETS_EACH;
                let server = self.server.address().to_string();
                (
                    python.join("idle.py"),
                    [server, USER.into(), "any".into(), String::new(), SOCKETS_EACH.to_string()].to_vec(),
                )
            } else {
                let nobody = NOBODY.to_string();
                (python.join("sockets.py"), [nobody, PORT.to_string(), SOCKETS_EACH.to_string()].to_vec())
            };
            self.holders.push(Holder::start(cgroup, &script, &arguments)?);
        }
        Ok(())
    }

    /// Sessions that are open at the daemon.
    pub(super) fn sessions(&self) -> Result<u64> {
        let status = self.gateway.json(&["status", "--json"])?;
        status.get("sessions_open").and_then(Value::as_u64).context("status counts no sessions")
    }

    /// Connects so often, one after the other, while nobody accepts: what a daemon does about a connection takes the client's
    /// processor and empties its caches, with programs and without, and is not what they cost.
    pub(super) fn time(&self, lane: Lane, count: u32) -> Result<Times> {
        let gateway = self.gateway_listener()?;
        let (cgroup, to) = match lane {
            Lane::OutsideBare | Lane::Outside => {
                (&self.outside, self.listener.local_addr().context("a listener without address")?)
            }
            Lane::InsideBare => (&self.outside, gateway),
            Lane::Inside => (self.cgroups.last().context("no cgroup")?, (self.server.address(), PORT).into()),
        };
        let mut command = std::process::Command::new(host::provisioned().join("clients/python/bin/python"));
        command.arg(host::repo_root().join("tests/clients/python/connects.py"));
        command.args([to.ip().to_string(), to.port().to_string(), count.to_string()]);
        let stopped = Stopped::daemon(&self.gateway)?;
        let answer = client::run_for(Some(cgroup), command, CONNECTS_MAX);
        drop(stopped);
        self.accept_all(gateway)?;
        let answer = answer?;
        if !answer.ok() {
            bail!("connects of {lane:?} failed: {}", answer.stderr);
        }
        serde_json::from_str(&answer.stdout).context("connects.py printed no JSON")
    }

    /// The queues are empty afterwards: the daemon takes connections in their order, and closes one without a record.
    fn accept_all(&self, gateway: SocketAddr) -> Result<()> {
        while self.listener.accept().is_ok() {}
        let mut last = TcpStream::connect(gateway).context("cannot connect to the daemon")?;
        last.set_read_timeout(Some(ACCEPTED_MAX)).context("cannot set a patience")?;
        match last.read(&mut [0]) {
            Ok(0) => Ok(()),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(()),
            other => bail!("the daemon does not close a connection without a record: {other:?}"),
        }
    }

    fn gateway_listener(&self) -> Result<SocketAddr> {
        let status = self.gateway.json(&["status", "--json"])?;
        let listener = status.pointer("/listen/0").and_then(Value::as_str);
        listener.context("status names no listener")?.parse().context("status names no address")
    }
}

/// As many as there shall be sockets, or as this process may let the daemon have files: raising that limit needs
/// CAP_SYS_RESOURCE, which root lacks in some containers.
fn affordable_sessions() -> Result<u64> {
    let wanted = FILES_EACH * SOCKETS + OTHER_FILES;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).context("cannot ask for the limit of open files")?;
    if hard >= wanted || setrlimit(Resource::RLIMIT_NOFILE, soft, wanted).is_ok() {
        return Ok(SOCKETS);
    }
    let sessions = hard.saturating_sub(OTHER_FILES) / FILES_EACH;
    println!(
        "no more than {hard} open files are allowed here: {sessions} sessions, and sockets without one for the rest"
    );
    Ok(sessions)
}

fn config(cgroups: &[Cgroup], server: Ipv4Addr) -> GatewayConfig {
    let workload = |(number, cgroup): (usize, &Cgroup)| Workload {
        name: format!("agent{number}"),
        cgroup: cgroup.relative().into(),
        groups: vec!["bench".into()],
    };
    GatewayConfig {
        workloads: cgroups.iter().enumerate().map(workload).collect(),
        servers: vec![Upstream {
            name: "bench-db".into(),
            matches: vec![format!("{server}:{PORT}")],
            credentials: vec![Credential { for_: vec!["*".into()], user: USER.into(), password: PASSWORD.into() }],
            ..Upstream::default()
        }],
        policies: vec![Policy { file: "bench.cedar".into(), text: POLICY.into() }],
        ..GatewayConfig::default()
    }
}

/// A listener on a guarded port that is no gateway's and no database's, and accepts when it is told to.
fn listen() -> Result<TcpListener> {
    let address = SockaddrIn::from(SocketAddrV4::new(host::free_address()?, PORT));
    let made = (|| {
        let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
        bind(socket.as_raw_fd(), &address)?;
        nix::sys::socket::listen(&socket, Backlog::new(BACKLOG)?)?;
        nix::Result::Ok(TcpListener::from(socket))
    })();
    let listener = made.context("cannot listen")?;
    listener.set_nonblocking(true).context("cannot listen")?;
    Ok(listener)
}

/// A daemon that stands still: its kernel keeps what connects. It goes on when this is dropped.
struct Stopped(u32);

impl Stopped {
    fn daemon(gateway: &Gateway) -> Result<Self> {
        let pid = gateway.pid().context("the daemon does not run")?;
        process::signal_pid(pid, Signal::SIGSTOP)?;
        Ok(Self(pid))
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        if let Err(error) = process::signal_pid(self.0, Signal::SIGCONT) {
            eprintln!("the daemon stands still: {error:#}");
        }
    }
}

/// A process with open sessions.
struct Holder(Child);

impl Holder {
    fn start(cgroup: &Cgroup, script: &Path, arguments: &[String]) -> Result<Self> {
        let mut command = cgroup.command(host::provisioned().join("clients/python/bin/python"))?;
        command.arg(script).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut holder = Self(process::spawn(command)?);
        let mut line = String::new();
        let stdout = holder.0.stdout.take().context("stdout is piped")?;
        BufReader::new(stdout).read_line(&mut line).context("cannot read from the idle client")?;
        if line != "ready\n" {
            bail!("`{}` does not open {SOCKETS_EACH} connections, see above", script.display());
        }
        Ok(holder)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // Killed, not asked: its sessions need no farewell.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
