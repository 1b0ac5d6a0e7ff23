//! What most tests begin with: a server with the schema `shop`, two tagged cgroups, and a daemon between them.

use crate::{
    cgroup::Cgroup,
    client::{self, Answer, Login},
    dial::{Dialled, dial_once},
    gateway::{Credential, Gateway, GatewayConfig, Policy, Upstream, Workload},
    host,
    limits::{CLIENT_RUN_MAX, POLL_EVERY},
    servers::{Flavour, PORT, Server},
};
use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::{
    net::Ipv4Addr,
    sync::{Arc, Mutex, PoisonError, Weak},
    thread,
    time::Instant,
};

/// The name of the server in the daemon's configuration.
pub const SERVER: &str = "shop-db";
/// The password of the account `shop_reporting`, which no client has.
pub const REPORTING_PASSWORD: &str = "held-by-portreeve-1";
/// The password of the account `shop_ingest`.
pub const INGEST_PASSWORD: &str = "held-by-portreeve-2";

/// Permits `reporting` whatever a client does that looks after its own tables; what is not named here stays denied.
pub const REPORTING_WORKS: &str = r#"
@id("reporting-works")
permit (
  principal in Group::"reporting",
  action in [Action::"read", Action::"write", Action::"ddl", Action::"session", Action::"call"],
  resource in Server::"shop-db"
);
@id("no-customers")
forbid (principal, action, resource == Table::"shop-db/shop.customers");
"#;

/// The accounts may do anything in the schema: what is denied is denied by Portreeve alone.
const SHOP: &str = "
    CREATE DATABASE shop;
    CREATE DATABASE vault;
    CREATE TABLE vault.keys (id INT PRIMARY KEY, word VARCHAR(40));
    INSERT INTO vault.keys VALUES (1, 'sesame');
    CREATE TABLE shop.customers (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(40), card VARCHAR(20));
    CREATE TABLE shop.orders (id INT PRIMARY KEY AUTO_INCREMENT, customer INT, item VARCHAR(40), amount DECIMAL(8,2));
    INSERT INTO shop.customers (name, card) VALUES ('Ada', '4111 1111 1111 1111'), ('Grace', '5500 0000 0000 0004');
    INSERT INTO shop.orders (customer, item, amount) VALUES (1, 'teapot', 19.90), (2, 'cup', 4.50), (2, 'tray', 12.00);
    DELIMITER //
    CREATE PROCEDURE shop.two_results() BEGIN SELECT 1 AS one UNION ALL SELECT 2; SELECT 'b' AS two; END//
    DELIMITER ;
    CREATE USER shop_reporting@'127.%' IDENTIFIED BY 'held-by-portreeve-1';
    CREATE USER shop_ingest@'127.%' IDENTIFIED BY 'held-by-portreeve-2';
    GRANT ALL ON *.* TO shop_reporting@'127.%', shop_ingest@'127.%';
";

static MARIADB: Mutex<Weak<Server>> = Mutex::new(Weak::new());
static MYSQL: Mutex<Weak<Server>> = Mutex::new(Weak::new());

/// The test binary's server of that flavour, with the schemas `shop` and `vault`: started for the first test that asks,
/// gone with the last that holds it. Rows of `shop.orders` and `shop.customers` are for reading: a test that writes makes
/// a table of its own.
pub fn server(flavour: Flavour) -> Result<Arc<Server>> {
    shared(flavour, || shop(flavour))
}

/// The same with a server of the test binary's own making; a binary makes one way for each flavour.
pub fn shared(flavour: Flavour, make: impl FnOnce() -> Result<Server>) -> Result<Arc<Server>> {
    let shared = match flavour {
        Flavour::MariaDb => &MARIADB,
        Flavour::MySql => &MYSQL,
    };
    // A test that failed to start it has failed; the next may try.
    let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(server) = shared.upgrade() {
        return Ok(server);
    }
    let server = Arc::new(make()?);
    *shared = Arc::downgrade(&server);
    Ok(server)
}

/// A server like [`server`]'s for one test alone, which may do to it what it likes.
pub fn shop(flavour: Flavour) -> Result<Server> {
    shop_with(flavour, host::free_address()?, &[])
}

/// [`shop`] at an address, with more arguments for the server.
pub fn shop_with(flavour: Flavour, address: Ipv4Addr, arguments: &[String]) -> Result<Server> {
    let server = Server::start_with(flavour, address, arguments)?;
    server.sql(SHOP)?;
    Ok(server)
}

/// Server, cgroups and daemon. The workloads `reporting` and `ingest` are each in the group of their name, and the server
/// is `shop-db`, where they are `shop_reporting` and `shop_ingest`.
///
/// Fields are dropped in this order: the daemon first, so that its log shows no broken server.
#[derive(Debug)]
pub struct Scene {
    /// The daemon.
    pub gateway: Gateway,
    /// The server.
    pub server: Arc<Server>,
    /// The cgroup of the workload `reporting`.
    pub reporting: Cgroup,
    /// The cgroup of the workload `ingest`.
    pub ingest: Cgroup,
    _agents: Cgroup,
}

impl Scene {
    /// With the shared MariaDB.
    pub fn mariadb(policy: &str) -> Result<Self> {
        Self::with(server(Flavour::MariaDb)?, policy, |_| ())
    }

    /// With the shared MySQL.
    pub fn mysql(policy: &str) -> Result<Self> {
        Self::with(server(Flavour::MySql)?, policy, |_| ())
    }

    /// With any server, and the configuration changed before the daemon starts.
    pub fn with(server: Arc<Server>, policy: &str, change: impl FnOnce(&mut GatewayConfig)) -> Result<Self> {
        let agents = Cgroup::create("scene")?;
        let (reporting, ingest) = (agents.child("reporting")?, agents.child("ingest")?);
        let policies = vec![Policy { file: "scene.cedar".into(), text: policy.into() }];
        let mut config = config(server.address(), &reporting, &ingest, policies);
        change(&mut config);
        let gateway = Gateway::start(&config)?;
        Ok(Self { gateway, server, reporting, ingest, _agents: agents })
    }

    /// What an agent is configured with to reach the server.
    pub fn login(&self) -> Login {
        Login::agent(self.server.address())
    }

    /// A connection to the server from a cgroup.
    pub fn dial(&self, cgroup: &Cgroup) -> Result<Dialled> {
        dial_once(Some(cgroup), "plain", &self.server.address().to_string(), PORT, &[])
    }

    /// Whether a connection from a cgroup goes through the daemon; an error when it goes nowhere.
    pub fn is_intercepted(&self, cgroup: &Cgroup) -> Result<bool> {
        let dialled = self.dial(cgroup)?;
        dialled.greeting().with_context(|| format!("nobody answers: {dialled:?}"))?;
        Ok(!dialled.recorded_destinations(&self.gateway)?.is_empty())
    }

    /// The `mariadb` client of the workload `reporting`, with the schema `shop`.
    pub fn report(&self, sql: &str) -> Result<Answer> {
        client::mariadb(Some(&self.reporting), &self.login().schema("shop"), sql)
    }

    /// The `mariadb` client of the workload `ingest`, with the schema `shop`.
    pub fn ingest(&self, sql: &str) -> Result<Answer> {
        client::mariadb(Some(&self.ingest), &self.login().schema("shop"), sql)
    }

    /// Every record so far, once this many sessions are closed: the daemon learns of a client's end after the client.
    pub fn records_when_closed(&self, sessions: usize) -> Result<Vec<Value>> {
        let start = Instant::now();
        loop {
            let records = self.gateway.records(&[])?;
            let closed =
                records.iter().filter(|record| record.get("record").is_some_and(|kind| kind == "closed")).count();
            if closed == sessions {
                return Ok(records);
            }
            if start.elapsed() > CLIENT_RUN_MAX {
                bail!("{closed} sessions were closed within {CLIENT_RUN_MAX:?}, not {sessions}: {records:?}");
            }
            thread::sleep(POLL_EVERY * 4);
        }
    }

    /// What `portreeve <args>` prints. An exit status other than 0 is an error.
    pub fn portreeve(&self, args: &[&str]) -> Result<String> {
        let output = self.gateway.cli(args)?;
        if !output.status.success() {
            bail!("`portreeve {}` failed: {}", args.join(" "), String::from_utf8_lossy(&output.stderr));
        }
        String::from_utf8(output.stdout).context("portreeve printed no UTF-8")
    }
}

/// A daemon that knows the server at `address` as [`SERVER`] and the two cgroups as the workloads `reporting` and `ingest`,
/// each with an account of its own, `shop_<workload>`.
pub fn config(address: Ipv4Addr, reporting: &Cgroup, ingest: &Cgroup, policies: Vec<Policy>) -> GatewayConfig {
    let workload = |name: &str, cgroup: &Cgroup| Workload {
        name: name.into(),
        cgroup: cgroup.relative().into(),
        groups: vec![name.into()],
    };
    let credential = |name: &str, password: &str| Credential {
        for_: vec![format!("group:{name}")],
        user: format!("shop_{name}"),
        password: password.into(),
    };
    GatewayConfig {
        workloads: vec![workload("reporting", reporting), workload("ingest", ingest)],
        servers: vec![Upstream {
            name: SERVER.into(),
            matches: vec![format!("{address}:3306")],
            credentials: vec![credential("reporting", REPORTING_PASSWORD), credential("ingest", INGEST_PASSWORD)],
            ..Upstream::default()
        }],
        policies,
        ..GatewayConfig::default()
    }
}
