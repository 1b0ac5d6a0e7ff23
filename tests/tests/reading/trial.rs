//! Every statement of the corpus, run by the account of just its rights.

use crate::facts::{self, Reading};
use anyhow::{Context as _, Result, bail};
use std::path::PathBuf;

use portreeve_tests::{
    host,
    privileges::{DENIED, NO_SUCH_TABLE, PROBE, Request, grants, of_missing_table},
    servers::{Flavour, Server},
    wire::{Connection, Refusal},
};

/// Forms of statements, after MariaDB's and MySQL's own tests; `[mariadb]` and `[mysql]` begin lines that only one has.
const CORPUS: &str = include_str!("statements.sql");
/// Made anew before every statement that changes definitions.
const SCHEMA: &str = include_str!("schema.sql");

#[derive(Debug, Default)]
struct Tally {
    read: usize,
    unparsed: Vec<String>,
    wrong: Vec<String>,
    too_much: Vec<String>,
    refused: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Trial {
    pub(crate) server: Server,
    root: Connection,
    flavour: Flavour,
}

/// Panics with each statement of which analysis overlooked something.
pub(crate) fn check(flavour: Flavour) {
    let statements = corpus(flavour);
    let reader = facts::reader().unwrap();
    let readings = facts::read(&reader, flavour, "reading", &statements).unwrap();
    let mut trial = Trial::new(flavour).unwrap();
    let mut tally = Tally::default();
    for (statement, reading) in statements.iter().zip(&readings) {
        trial.judge(statement, reading, &mut tally).with_context(|| format!("`{statement}`")).unwrap();
    }
    let all = statements.len();
    let share = |count: usize| format!("{count} ({:.1} %)", 100.0 * count as f64 / all as f64);
    println!("{}: {all} statements", flavour.name());
    println!("read     {}", share(tally.read));
    println!("unparsed {}\n  {}", share(tally.unparsed.len()), tally.unparsed.join("\n  "));
    println!("asked too much {}\n  {}", tally.too_much.len(), tally.too_much.join("\n  "));
    println!("not run by the server itself {}\n  {}", tally.refused.len(), tally.refused.join("\n  "));
    println!("wrong    {}", tally.wrong.len());
    assert!(tally.wrong.is_empty(), "read wrong:\n{}", tally.wrong.join("\n"));
    assert_eq!(tally.refused.len(), 0, "the corpus is of this server's own statements:\n{}", tally.refused.join("\n"));
}

pub(crate) fn corpus(flavour: Flavour) -> Vec<&'static str> {
    let lines = CORPUS.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("-- "));
    let of = |line: &'static str| match (line.strip_prefix("[mariadb] "), line.strip_prefix("[mysql] ")) {
        (Some(own), _) => (flavour == Flavour::MariaDb).then_some(own),
        (_, Some(own)) => (flavour == Flavour::MySql).then_some(own),
        (None, None) => Some(line),
    };
    lines.filter_map(of).collect()
}

impl Trial {
    pub(crate) fn new(flavour: Flavour) -> Result<Self> {
        let arguments = [
            "--log-bin-trust-function-creators=ON",
            // Nobody reads these data after a crash.
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-flush-method=nosync",
        ]
        .map(str::to_owned);
        let server = Server::start_with(flavour, host::free_address()?, &arguments)?;
        server.sql("CREATE USER agent@'127.%'; GRANT ALL ON *.* TO agent@'127.%' WITH GRANT OPTION")?;
        let mut root = Connection::open(server.address(), "agent", "")?;
        root.must(SCHEMA)?;
        root.must(&format!("CREATE USER {PROBE}"))?;
        Ok(Self { server, root, flavour })
    }

    fn judge(&mut self, statement: &str, reading: &Reading, tally: &mut Tally) -> Result<()> {
        let requests = match reading {
            Ok(requests) => requests,
            Err(why) => {
                tally.unparsed.push(format!("{statement}: {why}"));
                return Ok(());
            }
        };
        tally.read += 1;
        if let Err(refusal) = self.attempt("agent", statement)? {
            tally.refused.push(format!("{statement}: {refusal:?}"));
            return Ok(());
        }
        if let Err(refusal) = self.attempt_with(requests.iter(), statement)?
            && DENIED.contains(&refusal.0)
        {
            let found = requests.iter().map(|request| format!("{} on {:?}", request.action, request.on));
            let found = found.collect::<Vec<_>>().join(", ");
            tally.wrong.push(format!("{statement}: {} {}; found: {found}", refusal.0, refusal.1));
            return Ok(());
        }
        if !defines(statement) {
            self.judge_excess(statement, requests, tally)?;
        }
        Ok(())
    }

    /// Each request that the server has a right for is taken away once.
    fn judge_excess(&mut self, statement: &str, requests: &[Request], tally: &mut Tally) -> Result<()> {
        for request in requests {
            if grants(request, self.flavour, statement)?.is_empty() {
                continue;
            }
            let others = requests.iter().filter(|other| *other != request);
            if self.attempt_with(others, statement)?.is_ok() {
                tally.too_much.push(format!("{statement}: {} on {:?}", request.action, request.on));
            }
        }
        Ok(())
    }

    fn attempt_with<'r>(
        &mut self,
        requests: impl Iterator<Item = &'r Request>,
        statement: &str,
    ) -> Result<Result<(), Refusal>> {
        self.revoke_all()?;
        for request in requests {
            for grant in grants(request, self.flavour, statement)? {
                self.grant(&grant)?;
            }
        }
        self.attempt("probe", statement)
    }

    /// Where the server keeps its files.
    pub(crate) fn dir(&self) -> PathBuf {
        self.server.data().parent().map(PathBuf::from).unwrap_or_default()
    }

    /// Leaves the probe nothing but that it may log in.
    pub(crate) fn revoke_all(&mut self) -> Result<()> {
        self.root.must(&format!("REVOKE ALL PRIVILEGES, GRANT OPTION FROM {PROBE}"))?;
        // Lets the account begin in the schema.
        self.root.must(&format!("GRANT SELECT ON reading.anchor TO {PROBE}"))?;
        if self.flavour == Flavour::MySql {
            // Of no use by itself: what the schema's maker has made may only be dropped by whoever has it, too.
            self.root.must(&format!("GRANT SYSTEM_USER ON *.* TO {PROBE}"))?;
        }
        Ok(())
    }

    pub(crate) fn grant(&mut self, grant: &str) -> Result<()> {
        match self.root.run(grant)? {
            Ok(()) => Ok(()),
            Err((NO_SUCH_TABLE, _)) => self.root.must(&of_missing_table(grant)),
            Err((code, said)) => bail!("`{grant}`: {code} {said}"),
        }
    }

    /// Runs the statement in a session of its own, and takes back what it did.
    pub(crate) fn attempt(&mut self, user: &str, statement: &str) -> Result<Result<(), Refusal>> {
        let mut session = Connection::open(self.server.address(), user, "reading")?;
        let defines = defines(statement);
        // Within one, some settings are refused.
        if !defines && !statement.starts_with("SET ") {
            session.must("START TRANSACTION")?;
        }
        let outcome = session.run(statement)?;
        // Its locks are gone when this is answered; after a mere disconnect, when the server notices.
        session.run("ROLLBACK")?.ok();
        drop(session);
        if defines {
            self.root.must(SCHEMA)?;
        }
        Ok(outcome)
    }
}

/// Whether a transaction's end does not undo it.
pub(crate) fn defines(statement: &str) -> bool {
    let first = statement.trim_start_matches(['(', ' ']).split(' ').next().unwrap_or_default().to_uppercase();
    let first = first.as_str();
    ["CREATE", "ALTER", "DROP", "RENAME", "TRUNCATE", "OPTIMIZE", "REPAIR", "ANALYZE", "LOCK", "FLUSH", "LOAD"]
        .contains(&first)
}
