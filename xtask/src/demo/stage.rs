//! The machine of the story: a shop's database, two workloads, a daemon.

use anyhow::{Context as _, Result, bail};
use portreeve_tests::{
    cgroup::Cgroup,
    gateway::{Gateway, Policy},
    host, scene,
    servers::{Flavour, Server},
};
use std::{net::Ipv4Addr, path::PathBuf};

/// In the README's output; another one when it is taken.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// The accounts may do anything in the schema: what is denied is denied by Portreeve alone.
const SHOP: &str = "
    CREATE DATABASE shop;
    CREATE TABLE shop.customers (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(40), card VARCHAR(20));
    CREATE TABLE shop.orders (id INT PRIMARY KEY AUTO_INCREMENT, customer INT, item VARCHAR(40), amount DECIMAL(8,2));
    INSERT INTO shop.customers (name, card) VALUES ('Ada', '4111 1111 1111 1111'), ('Grace', '5500 0000 0000 0004');
    INSERT INTO shop.orders (customer, item, amount) VALUES (1, 'teapot', 19.90), (2, 'cup', 4.50), (2, 'tray', 12.00);
    CREATE USER shop_reporting@'127.%' IDENTIFIED BY 'held-by-portreeve-1';
    CREATE USER shop_ingest@'127.%' IDENTIFIED BY 'held-by-portreeve-2';
    GRANT ALL ON shop.* TO shop_reporting@'127.%', shop_ingest@'127.%';
";

const REPORTING: &str = r#"
@id("reporting-reads-orders")
permit (principal in Group::"reporting", action in Action::"read", resource == Table::"shop-db/shop.orders");

@id("reporting-sessions")
permit (principal in Group::"reporting", action in Action::"session", resource in Server::"shop-db");

@id("reporting-is-read-only")
forbid (principal in Group::"reporting", action in [Action::"write", Action::"ddl"], resource);
"#;

const INGEST: &str = r#"
@id("ingest-inserts-orders")
permit (principal in Group::"ingest", action == Action::"insert", resource == Table::"shop-db/shop.orders");

@id("ingest-sessions")
permit (principal in Group::"ingest", action in Action::"session", resource in Server::"shop-db");
"#;

/// Dropped in this order: the daemon first, so that its log shows no broken server.
pub(super) struct Stage {
    pub(super) gateway: Gateway,
    pub(super) server: Server,
    pub(super) reporting: Cgroup,
    pub(super) ingest: Cgroup,
    agents: Cgroup,
}

impl Stage {
    pub(super) fn set() -> Result<Self> {
        let address = if host::is_free(ADDRESS) { ADDRESS } else { host::free_address()? };
        println!("\nstarting a private MariaDB on {address}:3306, and Portreeve");
        let server = Server::start(Flavour::MariaDb, address)?;
        server.sql(SHOP)?;
        let agents = Cgroup::create("demo")?;
        let (reporting, ingest) = (agents.child("reporting")?, agents.child("ingest")?);
        let policies = vec![
            Policy { file: "reporting.cedar".into(), text: REPORTING.into() },
            Policy { file: "ingest.cedar".into(), text: INGEST.into() },
        ];
        let gateway = Gateway::start(&scene::config(address, &reporting, &ingest, policies))?;
        Ok(Self { gateway, server, reporting, ingest, agents })
    }

    /// What must not exist any more when the stage is dropped.
    pub(super) fn traces(&self) -> Vec<PathBuf> {
        let pids = [Some(self.server.pid()), self.gateway.pid()].into_iter().flatten();
        let processes = pids.map(|pid| PathBuf::from(format!("/proc/{pid}")));
        let places = [self.agents.path().into(), self.gateway.dir().into(), self.server.socket()];
        processes.chain(places).collect()
    }

    /// What `portreeve <args>` prints.
    pub(super) fn portreeve(&self, args: &[&str]) -> Result<String> {
        let output = self.gateway.cli(args)?;
        if !output.status.success() {
            bail!("`portreeve {}` failed: {}", args.join(" "), String::from_utf8_lossy(&output.stderr));
        }
        String::from_utf8(output.stdout).context("portreeve printed no UTF-8")
    }
}
