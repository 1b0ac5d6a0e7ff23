//! What session files say that workloads did.

use super::Wanted;
use crate::limits::FACTS_KEPT_MAX;
use portreeve_policy::{
    Action, Catalogue, Context, Facts, Flavour, Resource, Suggested, Suggestion, analyse, version_number,
};
use portreeve_recording::{Command, Decision, End, Entry, Record, Statement, Stream, Text, Verdict};
use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    path::Path,
    rc::Rc,
};

/// Gathers what was seen, by workload.
#[derive(Debug, Default)]
pub(super) struct Seen {
    by_column: bool,
    suggestions: BTreeMap<String, Suggestion>,
    /// The facts of texts: the same ones are asked again and again.
    facts: HashMap<Asked, Rc<Facts>>,
}

/// A text and what its facts depend on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Asked {
    sql: Vec<u8>,
    schema: Option<String>,
    server: String,
    flavour: Flavour,
    version: u32,
    prepared: bool,
}

/// One session as far as it was read.
#[derive(Debug, Default)]
struct Session {
    workload: Option<String>,
    server: Option<String>,
    flavour: Option<Flavour>,
    /// As in executable comments; 0 when it is not known.
    version: u32,
    /// Statements whose verdict did not come yet, by their number.
    pending: HashMap<u64, Statement<'static>>,
    /// Statements that were prepared, by the number of the preparing.
    prepared: HashMap<u64, (Text<'static>, Option<String>)>,
}

impl Seen {
    pub(super) fn new(by_column: bool) -> Self {
        Self { by_column, ..Self::default() }
    }

    /// Takes in a session file.
    ///
    /// # Errors
    /// When it cannot be read, or not to its end.
    pub(super) fn read(&mut self, path: &Path, wanted: &Wanted<'_>) -> anyhow::Result<()> {
        let mut stream = Stream::open(File::open(path)?)?;
        let mut session = Session::default();
        loop {
            match stream.next_frame()? {
                Ok(frame) => {
                    let entry = frame.to_entry()?;
                    if self.entry(&mut session, entry, wanted).is_none() {
                        return Ok(());
                    }
                }
                Err(End::Torn { offset, why }) => anyhow::bail!("at byte {offset}: {why}; what follows is left out"),
                Err(End::Open { .. } | End::Closed) => return Ok(()),
            }
        }
    }

    /// What is suggested to each workload.
    pub(super) fn finish(self) -> BTreeMap<String, Suggested> {
        self.suggestions.into_iter().map(|(workload, suggestion)| (workload, suggestion.finish())).collect()
    }

    /// `None` when nothing more of the session counts.
    fn entry(&mut self, session: &mut Session, entry: Entry<'static>, wanted: &Wanted<'_>) -> Option<()> {
        match entry.record {
            Record::Opened(opened) => {
                session.workload = opened.workload.map(std::borrow::Cow::into_owned);
                session.server = opened.server.map(std::borrow::Cow::into_owned);
                let workload = session.workload.as_deref()?;
                session.server.as_deref().filter(|_| wanted.is_workload(workload)).map(drop)
            }
            Record::Login(login) => {
                let is_mariadb = login.server_version.to_ascii_lowercase().contains("mariadb");
                let flavour = if is_mariadb { Flavour::MariaDb } else { Flavour::MySql };
                session.version = version_number(&login.server_version, flavour).unwrap_or_default();
                session.flavour = Some(flavour);
                if let Some(schema) = login.schema.filter(|_| entry.at_unix_ns >= wanted.since_unix_ns) {
                    let denied = u64::from(!login.accepted);
                    if denied == 0 || !wanted.forwarded {
                        self.command(session, Action::Use, Resource::Schema(schema.into_owned()), denied);
                    }
                }
                Some(())
            }
            Record::Statement(statement) => {
                if statement.command == Command::Prepare {
                    let schema = statement.schema.as_deref().map(str::to_owned);
                    session.prepared.insert(statement.number, (statement.sql.clone(), schema));
                }
                session.pending.insert(statement.number, statement);
                Some(())
            }
            Record::Verdict(verdict) => {
                let statement = session.pending.remove(&verdict.number);
                if let Some(statement) = statement.filter(|_| entry.at_unix_ns >= wanted.since_unix_ns) {
                    let denied = is_denied(&verdict);
                    if !denied || !wanted.forwarded {
                        self.statement(session, &statement, &verdict, u64::from(denied));
                    }
                }
                Some(())
            }
            Record::Response(response) => {
                // Commands that nobody judges have no verdict.
                session.pending.remove(&response.number);
                Some(())
            }
            Record::Closed(_)
            | Record::Transport(_)
            | Record::Abandoned(_)
            | Record::Forwarded(_)
            | Record::Chosen(_)
            | Record::Checkpoint(_)
            | Record::Sealed(_)
            | Record::Facts(_)
            | Record::Rows(_)
            | Record::Host(_) => Some(()),
        }
    }

    fn statement(&mut self, session: &Session, statement: &Statement<'_>, verdict: &Verdict<'_>, denied: u64) {
        let schema = statement.schema.as_deref();
        match statement.command {
            Command::Query => self.text(session, &statement.sql, schema, false, verdict, denied),
            Command::Prepare => self.text(session, &statement.sql, schema, true, verdict, denied),
            Command::Execute | Command::BulkExecute => {
                // In the schema of its preparing: that is what its names mean.
                if let Some((sql, schema)) = statement.prepared.and_then(|number| session.prepared.get(&number)) {
                    self.text(session, sql, schema.as_deref(), true, verdict, denied);
                }
            }
            Command::InitDb => {
                if let Some(schema) = whole(&statement.sql) {
                    self.command(session, Action::Use, Resource::Schema(schema), denied);
                }
            }
            Command::FieldList => {
                if let (Some(table), Some(schema)) = (whole(&statement.sql), schema) {
                    let resource = Resource::Table { schema: schema.to_owned(), table };
                    self.command(session, Action::Show, resource, denied);
                }
            }
            Command::Admin { code } => self.admin(session, code, &statement.sql, denied),
            Command::LocalInfile => self.command(session, Action::LocalInfile, Resource::Server, denied),
            // What everybody may, what is about a statement that was judged, and what is not passed at all.
            Command::Fetch
            | Command::SendLongData
            | Command::Reset
            | Command::Close
            | Command::Ping
            | Command::Statistics
            | Command::SetOption
            | Command::ResetConnection
            | Command::ChangeUser
            | Command::Quit
            | Command::Refused { .. } => {}
        }
    }

    /// Commands that are one action, by their first byte (`session/commands/administrative.rs` judges them so).
    fn admin(&mut self, session: &Session, code: u8, text: &Text<'_>, denied: u64) {
        let (action, resource) = match code {
            0x05 | 0x06 => {
                let Some(schema) = whole(text) else { return };
                (if code == 0x05 { Action::Create } else { Action::Drop }, Resource::Schema(schema))
            }
            0x07 => (Action::Flush, Resource::Server),
            0x08 => (Action::Shutdown, Resource::Server),
            0x0A => (Action::Processlist, Resource::Server),
            0x0D => (Action::Debug, Resource::Server),
            0x12 | 0x13 | 0x15 | 0x1E => (Action::Replication, Resource::Server),
            _ => {
                let what = format!("command {code:#04x} {}", String::from_utf8_lossy(text.kept()));
                let why = "whether it was permitted depends on what it was about";
                return self.of(session.workload.as_deref().unwrap_or_default()).leave_out(&what, why, 1);
            }
        };
        self.command(session, action, resource, denied);
    }

    fn command(&mut self, session: &Session, action: Action, resource: Resource, denied: u64) {
        if let (Some(workload), Some(server)) = (&session.workload, &session.server) {
            self.of(workload).command(server, action, resource, 1, denied);
        }
    }

    fn text(
        &mut self,
        session: &Session,
        sql: &Text<'_>,
        schema: Option<&str>,
        prepared: bool,
        verdict: &Verdict<'_>,
        denied: u64,
    ) {
        let (Some(workload), Some(server)) = (&session.workload, &session.server) else { return };
        let shown = String::from_utf8_lossy(sql.kept());
        let Some(flavour) = session.flavour else {
            return self.of(workload).leave_out(&shown, "which server it was for is not recorded", 1);
        };
        if sql.truncated {
            return self.of(workload).leave_out(&shown, "only its beginning is recorded", 1);
        }
        // The session may have been read in a way of its own, which is not recorded.
        if verdict.class == Action::Unparsed.as_str() {
            return self.of(workload).leave_out(&shown, "it was not read when it was seen", 1);
        }
        let asked = Asked {
            sql: sql.kept().to_vec(),
            schema: schema.map(str::to_owned),
            server: server.clone(),
            flavour,
            version: session.version,
            prepared,
        };
        let facts = self.facts(asked);
        self.of(workload).text(server, &shown, &facts, 1, denied);
    }

    fn facts(&mut self, asked: Asked) -> Rc<Facts> {
        if let Some(facts) = self.facts.get(&asked) {
            return Rc::clone(facts);
        }
        let facts = Rc::new(analyse(&asked.sql, &asked.context()));
        if self.facts.len() >= FACTS_KEPT_MAX {
            self.facts.clear();
        }
        self.facts.insert(asked, Rc::clone(&facts));
        facts
    }

    fn of(&mut self, workload: &str) -> &mut Suggestion {
        let by_column = self.by_column;
        let new = || Suggestion::new(workload).by_column(by_column);
        self.suggestions.entry(workload.to_owned()).or_insert_with(new)
    }
}

impl Asked {
    fn context(&self) -> Context<'_> {
        Context {
            default_schema: self.schema.as_deref(),
            prepared: self.prepared,
            version: self.version,
            catalogue: Catalogue::EMPTY_WITH_COLUMNS,
            ..Context::new(&self.server, self.flavour)
        }
    }
}

fn is_denied(verdict: &Verdict<'_>) -> bool {
    match verdict.decision {
        Decision::Allow | Decision::WouldDeny => false,
        Decision::Deny => true,
    }
}

/// A name that is recorded whole and is UTF-8.
fn whole(text: &Text<'_>) -> Option<String> {
    (!text.truncated).then(|| std::str::from_utf8(text.kept()).ok().map(str::to_owned)).flatten()
}
