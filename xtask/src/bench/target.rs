//! What is measured: one server, and four ways to it.

use anyhow::{Context as _, Result, bail};
use portreeve_tests::{
    cgroup::Cgroup,
    client::Login,
    gateway::{Credential, Gateway, GatewayConfig, Policy, Upstream, Workload},
    host,
    limits::POLL_EVERY,
    process,
    servers::{self, Flavour, Server},
};
use std::{
    fmt,
    fs::{self, File},
    net::{Ipv4Addr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

const PROXY_START_MAX: Duration = Duration::from_secs(15);

/// A way to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lane {
    Direct,
    HaProxy,
    Router,
    Portreeve,
}

impl Lane {
    pub(super) const ALL: [Self; 4] = [Self::Direct, Self::HaProxy, Self::Router, Self::Portreeve];
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Direct => "direct",
            Self::HaProxy => "haproxy",
            Self::Router => "router",
            Self::Portreeve => "portreeve",
        })
    }
}

/// Everything runs at once, so that lanes can take turns. Proxies before the server, to end in that order.
pub(super) struct Bench {
    gateway: Gateway,
    haproxy: Proxy,
    router: Proxy,
    server: Server,
    agents: Cgroup,
    outside: Cgroup,
}

/// The account that all lanes end up with; directly, the client itself has it.
const USER: &str = "bench";
const PASSWORD: &str = "held-by-portreeve";
pub(super) const SCHEMA: &str = "bench";

/// 10,000 rows as sysbench makes them, and a table of 100 MB: 100 × 1,000 rows of 1,000 bytes.
const DATA: &str = "
    CREATE DATABASE bench;
    USE bench;
    CREATE USER bench@'127.%' IDENTIFIED BY 'held-by-portreeve';
    GRANT ALL ON bench.* TO bench@'127.%';
    CREATE TABLE bench.large (id INT PRIMARY KEY, text VARCHAR(1000)) CHARACTER SET latin1;
    INSERT INTO bench.large SELECT seq, REPEAT(CHAR(97 + seq % 26), 1000) FROM seq_1_to_100000;
";

const POLICY: &str = r#"
@id("bench-reads")
permit (principal in Group::"bench", action in Action::"read", resource in Schema::"bench-db/bench");

@id("bench-sessions")
permit (principal in Group::"bench", action in Action::"session", resource in Server::"bench-db");
"#;

impl Bench {
    pub(super) fn start() -> Result<Self> {
        println!("\nstarting a private MariaDB, HAProxy, MySQL Router and Portreeve");
        let server = Server::start(Flavour::MariaDb, host::free_address()?)?;
        server.sql(DATA)?;
        let haproxy = Proxy::start("haproxy", haproxy, server.address())?;
        let router = Proxy::start("router", router, server.address())?;
        let (agents, outside) = (Cgroup::create("bench")?, Cgroup::create("bench-outside")?);
        let gateway = Gateway::start(&config(&agents, server.address()))?;
        Ok(Self { gateway, haproxy, router, server, agents, outside })
    }

    /// Starts Portreeve anew, as this binary.
    pub(super) fn serve_with(&mut self, binary: &Path) -> Result<()> {
        self.gateway.restart_as(binary)
    }

    /// Where Portreeve records sessions.
    pub(super) fn sessions(&self) -> PathBuf {
        self.gateway.dir().join("state/sessions")
    }

    /// The address and login that a client of this lane uses.
    pub(super) fn login(&self, lane: Lane) -> Login {
        let host = match lane {
            // The client believes that it speaks to the server.
            Lane::Direct | Lane::Portreeve => self.server.address(),
            Lane::HaProxy => self.haproxy.address,
            Lane::Router => self.router.address,
        };
        Login { user: USER.into(), password: PASSWORD.into(), ..Login::agent(host) }.schema(SCHEMA)
    }

    /// The cgroup that a client of this lane runs in: tagged for Portreeve, untagged for the others.
    pub(super) fn cgroup(&self, lane: Lane) -> &Cgroup {
        if lane == Lane::Portreeve { &self.agents } else { &self.outside }
    }

    /// Whether the schema has that table already.
    pub(super) fn has_table(&self, name: &str) -> Result<bool> {
        let asked = format!(
            "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = '{SCHEMA}' AND table_name = '{name}'"
        );
        Ok(self.server.sql(&asked)?.trim() == "1")
    }

    /// The proxy's process; none without a proxy.
    pub(super) fn pid(&self, lane: Lane) -> Option<u32> {
        match lane {
            Lane::Direct => None,
            Lane::HaProxy => Some(self.haproxy.child.id()),
            Lane::Router => Some(self.router.child.id()),
            Lane::Portreeve => self.gateway.pid(),
        }
    }
}

fn config(agents: &Cgroup, server: Ipv4Addr) -> GatewayConfig {
    GatewayConfig {
        workloads: vec![Workload {
            name: "bench".into(),
            cgroup: agents.relative().into(),
            groups: vec!["bench".into()],
        }],
        servers: vec![Upstream {
            name: "bench-db".into(),
            matches: vec![format!("{server}:3306")],
            credentials: vec![Credential { for_: vec!["*".into()], user: USER.into(), password: PASSWORD.into() }],
            ..Upstream::default()
        }],
        policies: vec![Policy { file: "bench.cedar".into(), text: POLICY.into() }],
        ..GatewayConfig::default()
    }
}

/// HAProxy or MySQL Router on an address of its own.
struct Proxy {
    address: Ipv4Addr,
    dir: PathBuf,
    child: Child,
}

impl Proxy {
    fn start(name: &str, command: fn(&Path, Ipv4Addr, Ipv4Addr) -> Result<Command>, server: Ipv4Addr) -> Result<Self> {
        let address = host::free_address()?;
        let dir = host::run_dir(name)?;
        let mut command = command(&dir, address, server)?;
        let log = File::create(dir.join("log")).context("cannot create a proxy's log")?;
        command.stdin(Stdio::null()).stdout(log.try_clone().context("cannot share a proxy's log")?).stderr(log);
        let mut proxy = Self { address, child: process::spawn(command)?, dir };
        proxy.wait_ready().with_context(|| format!("{name} does not start"))?;
        Ok(proxy)
    }

    fn wait_ready(&mut self) -> Result<()> {
        let start = Instant::now();
        while TcpStream::connect((self.address, servers::PORT)).is_err() {
            if self.child.try_wait().context("cannot wait for a proxy")?.is_some() || start.elapsed() > PROXY_START_MAX
            {
                bail!("it does not listen on {}: {}", self.address, host::log_tail(&self.dir.join("log")));
            }
            thread::sleep(POLL_EVERY);
        }
        Ok(())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let ended = process::terminate(&mut self.child).map(drop);
        if let Err(error) = ended.and_then(|()| host::remove_run_dir(&self.dir)) {
            eprintln!("the proxy in `{}` did not go away: {error:#}", self.dir.display());
        }
    }
}

fn haproxy(dir: &Path, address: Ipv4Addr, server: Ipv4Addr) -> Result<Command> {
    let text = format!(
        "global\n  maxconn 2000\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 5m\n  timeout server 5m\n\
         frontend in\n  bind {address}:{port}\n  default_backend out\nbackend out\n  server s {server}:{port}\n",
        port = servers::PORT
    );
    let file = written(dir, "haproxy.cfg", &text)?;
    let mut command = Command::new("/usr/sbin/haproxy");
    command.arg("-db").arg("-f").arg(file);
    Ok(command)
}

fn router(dir: &Path, address: Ipv4Addr, server: Ipv4Addr) -> Result<Command> {
    let plugins = host::provisioned().join("mysql/usr/lib/mysqlrouter/plugin");
    let text = format!(
        "[DEFAULT]\nuser=root\nplugin_folder={plugins}\nlogging_folder=\nruntime_folder={dir}\ndata_folder={dir}\n\
         max_total_connections=2000\n[logger]\nlevel=WARNING\n\
         [routing:bench]\nbind_address={address}\nbind_port={port}\ndestinations={server}:{port}\n\
         routing_strategy=first-available\nmax_connections=2000\nprotocol=classic\nclient_ssl_mode=PASSTHROUGH\n",
        plugins = plugins.display(),
        dir = dir.display(),
        port = servers::PORT
    );
    let file = written(dir, "router.conf", &text)?;
    let mut command = servers::mysql_program("usr/bin/mysqlrouter")?;
    command.arg("--config").arg(file);
    Ok(command)
}

fn written(dir: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let path = dir.join(name);
    fs::write(&path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
    Ok(path)
}
