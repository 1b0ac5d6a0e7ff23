//! What the tricks are played on: a server with a forbidden schema, an agent that may read another one, and somebody who
//! looks on by a direct connection.

use crate::{
    case::{PIN, SECRET},
    talk::Talk,
};
use anyhow::Result;
use portreeve_tests::{
    host,
    scene::{Scene, shared, shop_with},
    servers::{Flavour, Server},
    wire::{Hello, Plain, Wire},
};
use std::{
    fs,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Like `policies/examples/reporting.cedar`.
const REPORTING: &str = r#"
@id("reporting-session")
permit (principal in Group::"reporting", action in Action::"session", resource in Server::"shop-db");
@id("reporting-read-shop")
permit (principal in Group::"reporting", action in Action::"read", resource in Schema::"shop-db/shop");
@id("reporting-no-card")
forbid (principal in Group::"reporting", action == Action::"select", resource == Column::"shop-db/shop.customers.card");
@id("reporting-desk")
permit (principal in Group::"reporting", action == Action::"select", resource in Table::"shop-db/desk.customers")
  when { resource in [Column::"shop-db/desk.customers.id", Column::"shop-db/desk.customers.name"] };
@id("reporting-use-desk")
permit (principal in Group::"reporting", action == Action::"use", resource == Schema::"shop-db/desk");
@id("reporting-notes")
permit (principal in Group::"reporting", action in Action::"write", resource == Table::"shop-db/shop.notes");
@id("reporting-names")
permit (principal in Group::"reporting", action == Action::"update", resource == Table::"shop-db/shop.customers");
"#;

/// MULTI_STATEMENTS
pub(crate) const MULTI_STATEMENTS: u32 = 1 << 16;

/// Tricks that work change the server: one family at a time has it.
static TURNS: [Mutex<()>; 2] = [Mutex::new(()), Mutex::new(())];

/// A server with both schemas as they were made, and a daemon before it. One at a time per flavour.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) scene: Scene,
    auditor: Mutex<Talk>,
    /// As in executable comments.
    version: u32,
    _turn: MutexGuard<'static, ()>,
}

impl Stage {
    pub(crate) fn new(flavour: Flavour) -> Result<Self> {
        // Before its turn comes: so that the server goes on from one family to the next.
        let server = shared(flavour, || start(flavour))?;
        let turn = TURNS[usize::from(flavour == Flavour::MySql)].lock().unwrap_or_else(PoisonError::into_inner);
        let version = version(&server.sql("SELECT VERSION()")?);
        let auditor = Mutex::new(Talk::direct(Plain::login(server.address(), &Hello::default())?));
        let scene = Scene::with(server, REPORTING, |_| ())?;
        let stage = Self { scene, version, auditor, _turn: turn };
        stage.reset()?;
        Ok(stage)
    }

    /// The rows of a query, as somebody sees them who may see everything.
    pub(crate) fn look(&self, query: &str) -> Result<String> {
        self.auditor.lock().unwrap_or_else(PoisonError::into_inner).look(query)
    }

    /// Makes both schemas anew.
    pub(crate) fn reset(&self) -> Result<()> {
        self.look(&schemas())?;
        if self.scene.server.flavour() == Flavour::MariaDb {
            self.look("CREATE SEQUENCE vault.numbers NOCACHE")?;
        }
        self.look(ROUTINES).map(drop)
    }

    /// A session of the agent, with the schema `shop`.
    pub(crate) fn agent(&self, hello: &Hello<'_>) -> Result<Talk> {
        Wire::login_with(&self.scene.reporting, self.scene.server.address(), hello).map(Talk::agent)
    }

    /// The same at the server itself, by an account that may do everything.
    pub(crate) fn direct(&self, hello: &Hello<'_>) -> Result<Talk> {
        Plain::login(self.scene.server.address(), hello).map(Talk::direct)
    }

    /// A text with the folder in place of `{dir}`, and the server's version (and the next) in place of `{now}` (and `{next}`).
    pub(crate) fn filled(&self, text: &[u8]) -> Vec<u8> {
        let Ok(text) = std::str::from_utf8(text) else { return text.to_vec() };
        let text = text.replace("{now}", &format!("{:05}", self.version));
        let text = text.replace("{next}", &format!("{:05}", self.version + 1));
        text.replace("{dir}", &self.dir().display().to_string()).into_bytes()
    }

    /// Where the server's files are.
    pub(crate) fn dir(&self) -> PathBuf {
        self.scene.server.data().parent().map(PathBuf::from).unwrap_or_default()
    }
}

/// `101119` for 10.11.19.
fn version(text: &str) -> u32 {
    let numbers = text.split(['.', '-', '\n']).take(3).map(|number| number.parse::<u32>().unwrap_or_default());
    numbers.fold(0, |version, number| version * 100 + number)
}

/// Starts the server that the tricks share, which lets files be read and written, and keeps whatever logs it can keep.
fn start(flavour: Flavour) -> Result<Server> {
    let arguments = [
        "--secure-file-priv=",
        "--local-infile=ON",
        "--event-scheduler=ON",
        "--server-id=1",
        "--log-bin=binlog",
        "--log-bin-trust-function-creators=ON",
        "--log-output=TABLE",
        "--general-log=ON",
        "--performance-schema=ON",
        "--performance-schema-consumer-events-statements-history=ON",
        "--performance-schema-consumer-events-statements-history-long=ON",
        // Nobody reads these data after a crash.
        "--innodb-flush-log-at-trx-commit=0",
        "--innodb-flush-method=nosync",
        "--sync-binlog=0",
    ]
    .map(str::to_owned);
    let server = shop_with(flavour, host::free_address()?, &arguments)?;
    server.sql("CREATE USER agent@'127.%'; GRANT ALL ON *.* TO agent@'127.%' WITH GRANT OPTION")?;
    let dir = server.data().parent().map(PathBuf::from).unwrap_or_default();
    fs::write(dir.join("secret.txt"), format!("{SECRET}\n"))?;
    Ok(server)
}

/// One text of several statements.
fn schemas() -> String {
    format!(
        "DROP ROLE IF EXISTS intruders; DROP USER IF EXISTS mallory; DROP DATABASE IF EXISTS stolen; DROP DATABASE IF EXISTS shop;
         DROP DATABASE IF EXISTS vault; DROP DATABASE IF EXISTS desk; CREATE DATABASE desk; CREATE DATABASE vault; CREATE DATABASE shop;
         CREATE TABLE vault.users (id INT PRIMARY KEY, name VARCHAR(40), password VARCHAR(40), pin INT,
           hint VARCHAR(40) DEFAULT '{SECRET}', KEY (name)) COMMENT '{SECRET}';
         INSERT INTO vault.users VALUES (1, 'bob', '{SECRET}', {PIN}, ''), (2, 'eve', 'another', 2, '');
         CREATE TABLE vault.plain (id INT, word VARCHAR(40)) ENGINE = MyISAM;
         INSERT INTO vault.plain VALUES (1, '{SECRET}');
         CREATE TABLE shop.orders (id INT PRIMARY KEY AUTO_INCREMENT, customer INT, item VARCHAR(40));
         INSERT INTO shop.orders (customer, item) VALUES (1, 'teapot'), (2, 'cup'), (2, 'tray');
         CREATE TABLE shop.users (id INT PRIMARY KEY, name VARCHAR(40), password VARCHAR(40));
         INSERT INTO shop.users VALUES (1, 'ann', 'public');
         CREATE TABLE shop.plain (id INT, word VARCHAR(40)) ENGINE = MyISAM;
         CREATE TABLE shop.customers (id INT PRIMARY KEY, name VARCHAR(40), card VARCHAR(40));
         INSERT INTO shop.customers VALUES (1, 'ann', '{SECRET}'), (2, 'bob', 'another');
         CREATE TABLE desk.customers (id INT PRIMARY KEY, name VARCHAR(40), card VARCHAR(40));
         INSERT INTO desk.customers SELECT * FROM shop.customers;
         CREATE TABLE shop.notes (id INT PRIMARY KEY, text VARCHAR(40));
         INSERT INTO shop.notes VALUES (1, 'a'), (2, 'b');
         CREATE VIEW shop.by_card AS SELECT id, card AS word FROM shop.customers;
         CREATE VIEW shop.everyone AS SELECT id, name, password AS nick FROM vault.users;
         CREATE VIEW shop.nearly_everyone AS SELECT nick FROM shop.everyone WHERE id < 9;
         CREATE VIEW shop.items AS SELECT id, item FROM shop.orders"
    )
}

const ROUTINES: &str = "
    CREATE FUNCTION shop.word() RETURNS VARCHAR(40) READS SQL DATA RETURN (SELECT password FROM vault.users WHERE id = 1);
    CREATE PROCEDURE shop.peek() SELECT password AS nick FROM vault.users;
    CREATE PROCEDURE shop.shout(IN said VARCHAR(80)) SELECT said;
    CREATE VIEW shop.by_function AS SELECT shop.word() AS nick";

impl Stage {
    /// The reasons of all recorded denials.
    pub(crate) fn denials(&self) -> Vec<String> {
        let records = self.scene.gateway.records(&[]).unwrap();
        let denied = records.iter().filter(|record| record["decision"] == "deny");
        denied.map(|verdict| verdict["reason"].to_string()).collect()
    }
}
