//! One test file on a server: its statements by three sessions. `root` is the test's own, `probe` the account that has just the
//! privileges that analysis found, `admin` gives them.

use super::{
    kind::{Kind, may_run},
    report::Report,
    session::State,
};
use crate::corpus;
use anyhow::{Context as _, Result};
use portreeve_policy::{Facts, Resource, analyse, version_number};
use portreeve_tests::{
    privileges::{LOCKS_ROWS, NO_SUCH_TABLE, On, PROBE, Request, grants, of_missing_table},
    servers::{Flavour, Server},
    wire::{Connection, Refusal},
};
use std::{path::Path, time::Duration};

/// Longer than what the server gives a statement.
const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes of a statement in a report.
const SHOWN_BYTES: usize = 400;
/// Longest statement that is tried.
const STATEMENT_BYTES_MAX: usize = 64 * 1024;

/// Refused a schema, a table, a column, a routine.
const DENIED: [u16; 5] = [1044, 1142, 1143, 1370, 1410];
/// Refused something else: a privilege of the server's, or (1345) the plan of a view whose tables it may not see.
const DENIED_OTHER: [u16; 5] = [1045, 1227, 1345, 1419, 1449];
/// The schema that MariaDB asks a privilege of for a `JSON_TABLE` within a view: nobody can have it.
const NOBODYS: &str = "`*any*`";
/// The tables are open, and what they are said to have is not there: a column, a key, a routine, as many values, a fitting type.
const NOT_IN_STUBS: [u16; 8] = [1054, 1056, 1072, 1091, 1136, 1210, 1305, 1176];
const SYSTEM: [&str; 4] = ["mysql", "sys", "information_schema", "performance_schema"];

/// What lets nobody read or write a table.
const HARMLESS: &str = "PROCESS, RELOAD, FILE, LOCK TABLES, CREATE TEMPORARY TABLES, EXECUTE, CREATE ROUTINE, ALTER ROUTINE, TRIGGER, EVENT, \
    SHOW DATABASES, SHOW VIEW, REPLICATION CLIENT, REFERENCES, CREATE USER";

/// Makes the accounts.
pub(crate) fn prepare(server: &Server) -> Result<()> {
    server.sql(&format!(
        "CREATE USER agent@'127.%'; GRANT ALL ON *.* TO agent@'127.%' WITH GRANT OPTION; CREATE USER {PROBE}; \
         CREATE DATABASE anchor; CREATE TABLE anchor.anchor (a INT)"
    ))?;
    Ok(())
}

pub(crate) struct Trial {
    flavour: Flavour,
    version: u32,
    admin: Connection,
    root: Connection,
    probe: Connection,
    state: State,
    /// Tables that are not there are made with one column.
    stubs: bool,
}

impl Trial {
    /// Fresh schemas and sessions.
    pub(crate) fn begin(server: &Server, flavour: Flavour, stubs: bool) -> Result<Self> {
        let open = |user: &str, schema: &str| {
            let mut session = Connection::open(server.address(), user, schema)?;
            session.set_patience(PATIENCE)?;
            Ok::<_, anyhow::Error>(session)
        };
        let mut admin = open("agent", "")?;
        admin.must("SET foreign_key_checks = 0")?;
        for row in admin.rows("SELECT schema_name FROM information_schema.schemata")? {
            let name = row.into_iter().next().flatten().context("a schema without a name")?;
            let name = String::from_utf8_lossy(&name).into_owned();
            if name != "anchor" && !SYSTEM.contains(&name.as_str()) {
                admin.must(&format!("DROP DATABASE `{}`", name.replace('`', "``")))?;
            }
        }
        admin.must("CREATE DATABASE test")?;
        let said = admin.rows("SELECT VERSION()")?.into_iter().flatten().next().flatten().context("no version")?;
        let version = version_number(&String::from_utf8_lossy(&said), of(flavour)).context("no version number")?;
        let mut trial = Self {
            flavour,
            version,
            root: open("agent", "test")?,
            probe: open("probe", "")?,
            state: State::default(),
            stubs,
            admin,
        };
        trial.give(&[], &[])?;
        trial.probe = open("probe", "test")?;
        trial.state = State::ask(&mut trial.probe, version)?;
        Ok(trial)
    }

    /// An error ends the file: a session is gone.
    pub(crate) fn file(&mut self, path: &Path, text: &[u8], report: &mut Report) -> Result<()> {
        report.files += 1;
        for statement in corpus::statements_of(text) {
            if statement.len() > STATEMENT_BYTES_MAX {
                continue;
            }
            report.statements += 1;
            self.statement(path, &statement, report).with_context(|| shown(&statement))?;
        }
        Ok(())
    }

    fn statement(&mut self, path: &Path, text: &[u8], report: &mut Report) -> Result<()> {
        let facts = analyse(text, &self.state.context(of(self.flavour)));
        let kind = Kind::of(text, &facts);
        *report.kinds.entry(kind).or_default() += 1;
        match kind {
            Kind::Dangerous => return Ok(()),
            Kind::Unparsed => {
                let why =
                    facts.statements.iter().find_map(|statement| statement.unparsed.as_deref()).unwrap_or_default();
                if self.root.run(text)?.is_ok() {
                    report.unparsed.push(format!("{}: {}: {why}", path.display(), shown(text)));
                }
            }
            Kind::Unchecked => drop(self.root.run(text)?),
            Kind::Prepared | Kind::Run | Kind::Instead | Kind::Both | Kind::View => {
                self.compare(path, text, kind, &facts, report)?;
            }
        }
        self.state = State::ask(&mut self.probe, self.version)?;
        Ok(())
    }

    fn compare(&mut self, path: &Path, text: &[u8], kind: Kind, facts: &Facts, report: &mut Report) -> Result<()> {
        let requests = requests(facts);
        if self.stubs {
            self.make_stubs(&requests)?;
        }
        if self.give(&requests, text).is_err() {
            // A name that no GRANT takes.
            report.not_possible_here += 1;
            self.root.run(text)?.ok();
            return Ok(());
        }
        if kind != Kind::Prepared {
            // What the server does itself before it defines anything; else two sessions wait for each other.
            self.root.run("COMMIT")?.ok();
        }
        let outcome = self.attempt(kind, text)?;
        let told = |refusal: &Refusal| {
            let found: Vec<_> = requests.iter().map(|request| format!("{} {:?}", request.action, request.on)).collect();
            format!("{}: {} -- {} {}; found {}", path.display(), shown(text), refusal.0, refusal.1, found.join(", "))
        };
        match &outcome {
            outcome if self.passes(outcome) => {
                report.compared += 1;
                let tables = tables(&requests);
                report.with_tables += usize::from(!tables.is_empty());
                if kind == Kind::Prepared {
                    self.take_away(path, text, &requests, &tables, report)?;
                }
            }
            Err(refusal) if DENIED.contains(&refusal.0) => {
                let refused = refused(&refusal.1);
                if is_found(&refusal.1, &refused, &requests) || refusal.1.contains(NOBODYS) {
                    report.other_privilege.push(told(refusal));
                } else if is_named(&refused, text) {
                    report.too_little.push(told(refusal));
                } else {
                    report.through.push(told(refusal));
                }
            }
            Err(refusal) if DENIED_OTHER.contains(&refusal.0) => report.other_privilege.push(told(refusal)),
            Ok(()) | Err(_) => report.not_possible_here += 1,
        }
        self.bring_on(kind, text, facts, outcome.is_ok())
    }

    fn attempt(&mut self, kind: Kind, text: &[u8]) -> Result<Result<(), Refusal>> {
        match kind {
            Kind::Prepared => self.probe.prepare(text),
            Kind::Run
            | Kind::Instead
            | Kind::Both
            | Kind::View
            | Kind::Unchecked
            | Kind::Dangerous
            | Kind::Unparsed => self.probe.run(text),
        }
    }

    /// Brings the test's own session to where it is after the statement.
    fn bring_on(&mut self, kind: Kind, text: &[u8], facts: &Facts, done: bool) -> Result<()> {
        let again = match kind {
            Kind::Run => false,
            Kind::Instead => !done,
            Kind::Prepared | Kind::Both => may_run(facts),
            Kind::View => {
                let mut requests = facts.statements.iter().flat_map(|statement| &statement.requests);
                let made = requests.find_map(|request| match (&request.resource, request.action.as_str()) {
                    (Resource::Table { schema, table }, "create") => {
                        Some(format!("DROP VIEW IF EXISTS `{schema}`.`{table}`"))
                    }
                    _ => None,
                });
                if let (true, Some(drop)) = (done, made) {
                    self.root.run(drop)?.ok();
                }
                true
            }
            Kind::Unchecked | Kind::Dangerous | Kind::Unparsed => true,
        };
        if again {
            self.root.run(text)?.ok();
        }
        Ok(())
    }

    /// Whether privileges sufficed. Servers ask for those of tables before they look into them.
    fn passes(&self, outcome: &Result<(), Refusal>) -> bool {
        match outcome {
            Ok(()) => true,
            Err((code, _)) => self.stubs && NOT_IN_STUBS.contains(code),
        }
    }

    /// Makes what is not there of the tables that a statement touches, but for those that it makes itself.
    fn make_stubs(&mut self, requests: &[Request]) -> Result<()> {
        for table in tables(requests) {
            let mut actions = requests.iter().filter(|request| request.on == table);
            let On::Table(schema, name) = &table else { continue };
            if actions.all(|request| request.action == "create") {
                continue;
            }
            let (schema, name) = (schema.replace('`', "``"), name.replace('`', "``"));
            self.admin.run(format!("CREATE DATABASE IF NOT EXISTS `{schema}`"))?.ok();
            self.admin.run(format!("CREATE TABLE IF NOT EXISTS `{schema}`.`{name}` (stub INT)"))?.ok();
        }
        Ok(())
    }

    fn take_away(
        &mut self,
        path: &Path,
        text: &[u8],
        requests: &[Request],
        tables: &[On],
        report: &mut Report,
    ) -> Result<()> {
        for table in tables {
            let others: Vec<_> = requests.iter().filter(|request| request.on != *table).cloned().collect();
            self.give(&others, text)?;
            report.taken_away += 1;
            let outcome = self.probe.prepare(text)?;
            if self.passes(&outcome) {
                report.too_much.push(format!("{}: {}: {table:?}", path.display(), shown(text)));
            }
        }
        Ok(())
    }

    /// Gives the account what stands for these requests, and nothing else about tables.
    fn give(&mut self, requests: &[Request], text: &[u8]) -> Result<()> {
        self.admin.must(&format!("REVOKE ALL PRIVILEGES, GRANT OPTION FROM {PROBE}"))?;
        self.admin.must(&format!("GRANT {HARMLESS} ON *.* TO {PROBE}"))?;
        let text = String::from_utf8_lossy(text);
        let mut of_schema = false;
        for request in requests {
            match request.on {
                // These it has.
                On::Server | On::Routine(..) => continue,
                On::Schema(_) => of_schema = true,
                On::Table(..) => {}
            }
            for grant in grants(request, self.flavour, &text)? {
                self.grant(&grant)?;
            }
        }
        if of_schema && let Some(schema) = self.state.schema() {
            // A session looks up its default schema's privileges when it selects it.
            self.probe.run(format!("USE `{}`", schema.replace('`', "``")))?.ok();
        }
        Ok(())
    }

    fn grant(&mut self, grant: &str) -> Result<()> {
        if let Err((NO_SUCH_TABLE, _)) = self.admin.run(grant)? {
            self.admin.must(&of_missing_table(grant))?;
        }
        Ok(())
    }
}

fn requests(facts: &Facts) -> Vec<Request> {
    let mut requests = Vec::new();
    for statement in &facts.statements {
        for request in &statement.requests {
            let on = match &request.resource {
                Resource::Server => On::Server,
                Resource::Schema(schema) => On::Schema(schema.clone()),
                Resource::Table { schema, table } | Resource::Column { schema, table, .. } => {
                    On::Table(schema.clone(), table.clone())
                }
                Resource::Routine { schema, name } => On::Routine(schema.clone(), name.clone()),
            };
            if statement.locks_rows && request.action.as_str() == "select" {
                requests.push(Request { action: LOCKS_ROWS.to_owned(), on: on.clone() });
            }
            requests.push(Request { action: request.action.as_str().to_owned(), on });
        }
    }
    requests
}

/// The tables of users' schemas, each once.
fn tables(requests: &[Request]) -> Vec<On> {
    let mut tables: Vec<On> = Vec::new();
    for request in requests {
        match &request.on {
            On::Table(schema, _) if SYSTEM.contains(&schema.as_str()) => {}
            On::Table(..) if !tables.contains(&request.on) => tables.push(request.on.clone()),
            On::Table(..) | On::Server | On::Schema(_) | On::Routine(..) => {}
        }
    }
    tables
}

/// What the server refused, by its message: `… denied to user 'probe'@'127.0.0.1' for table `test`.`t1``, `… to database 'test'`,
/// `… for column 'a' in table 't1'`. The last name in it; MariaDB's doubles quotes within names, which is left alone.
fn refused(said: &str) -> String {
    let object =
        said.rsplit_once(" for ").or_else(|| said.rsplit_once(" to database ")).map_or(said, |(_, object)| object);
    let object = object.trim_end_matches(['`', '\'']);
    object.rsplit(['`', '\'']).next().unwrap_or_default().to_lowercase()
}

/// Whether analysis found it, for whatever action. A name with quotes in it is looked for in the message as it is.
fn is_found(said: &str, refused: &str, requests: &[Request]) -> bool {
    requests.iter().any(|request| match &request.on {
        On::Server => false,
        On::Schema(name) if name.contains(['`', '\'']) => said.contains(&format!("'{name}'")),
        On::Schema(name) => name.to_lowercase() == refused,
        On::Table(schema, name) | On::Routine(schema, name) => {
            name.to_lowercase() == refused || schema.to_lowercase() == refused
        }
    })
}

/// Whether the statement has it as a word: what it does not name is reached through a definition (a column's default, a view),
/// which is the catalogue's matter.
fn is_named(refused: &str, text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text).to_lowercase();
    text.split(|character: char| !character.is_alphanumeric() && !"_$".contains(character)).any(|word| word == refused)
}

fn of(flavour: Flavour) -> portreeve_policy::Flavour {
    match flavour {
        Flavour::MariaDb => portreeve_policy::Flavour::MariaDb,
        Flavour::MySql => portreeve_policy::Flavour::MySql,
    }
}

fn shown(statement: &[u8]) -> String {
    let text = String::from_utf8_lossy(statement.get(..SHOWN_BYTES).unwrap_or(statement)).into_owned();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
