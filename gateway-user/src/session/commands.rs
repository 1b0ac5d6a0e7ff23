//! What is done with each command: judged, recorded, and then forwarded, answered or dropped.
//!
//! Nothing here writes to a socket: [`Commands::decide`] says what to do once everything is recorded.

use std::{
    collections::{BTreeSet, HashMap},
    rc::Rc,
};

use portreeve_mysql::{
    Misbehaviour, ProtocolError,
    command::Command,
    execute::{Execute, ParameterType},
    response::{Expect, Summary},
};
use portreeve_policy::{Decision, Facts, StatementClass, Verdict, analyse};
use portreeve_recording::{Command as Recorded, Text};

use super::{
    Ended, client_fault,
    journal::{Arrived, Journal},
    parameters,
    refusal::Refusal,
    verdicts::{Judgement, Scope, ScopeKey, Verdicts},
};
use crate::gateway::Gateway;

/// Bytes of the longest text that is analysed on the session's own thread.
const ANALYSED_HERE_MAX: usize = 64 * 1024;
/// Prepared statements one session may have open. The server's own default for all sessions is 16,382.
const PREPARED_MAX: usize = 4096;
/// `SERVER_STATUS_NO_BACKSLASH_ESCAPES`: strings are read otherwise.
const STATUS_NO_BACKSLASH_ESCAPES: u16 = 0x0200;
/// MariaDB's `SERVER_STATUS_ANSI_QUOTES`. MySQL has another meaning at no bit of this value.
const STATUS_ANSI_QUOTES: u16 = 0x8000;

/// What to do with a command that has been recorded.
#[derive(Debug)]
pub(super) enum Action {
    /// Send it to the server and pass its answer on.
    Forward(Forwarded),
    /// Send it to the server; there is no answer.
    ForwardUnanswered,
    /// Do not send it; the client reads this instead.
    Answer(Refusal),
    /// Do not send it, and say nothing: the client expects no answer.
    Drop,
    /// The client leaves.
    Quit,
}

/// A command on its way to the server.
#[derive(Debug)]
pub(super) struct Forwarded {
    pub(super) number: u64,
    pub(super) expect: Expect,
    /// Whose text it is; none for commands without one.
    judgement: Option<Rc<Judgement>>,
    effect: Effect,
}

/// What a command changes in the session when the server accepts it.
#[derive(Debug)]
enum Effect {
    None,
    Schema(String),
    /// Several statements of which one is `USE`: after an error nobody knows which ran.
    SchemaOfSeveral(String),
    Prepared {
        number: u64,
        judgement: Rc<Judgement>,
    },
}

impl Effect {
    fn of_query(facts: &Facts) -> Self {
        let has_use = facts.statements.iter().any(|statement| statement.class == StatementClass::Use);
        match facts.schema_after() {
            Some(schema) if has_use && facts.statements.len() == 1 => Self::Schema(schema.to_owned()),
            Some(schema) if has_use => Self::SchemaOfSeveral(schema.to_owned()),
            _ => Self::None,
        }
    }
}

impl Forwarded {
    /// Whether the server may ask the client for a file.
    pub(super) fn may_ask_for_a_file(&self) -> bool {
        self.judgement.as_ref().is_some_and(|judgement| !judgement.facts.local_files.is_empty())
    }

    /// Whether the file is one that the judged text names.
    pub(super) fn names_file(&self, file: &[u8]) -> bool {
        self.judgement
            .as_ref()
            .is_some_and(|judgement| judgement.facts.local_files.iter().any(|name| name.as_bytes() == file))
    }
}

#[derive(Debug)]
struct Prepared {
    /// Number of the statement that prepared it.
    number: u64,
    judgement: Rc<Judgement>,
    parameters: u16,
    /// Bound by an earlier execution.
    types: Vec<ParameterType>,
    /// Parameters sent ahead of the execution.
    long_data: BTreeSet<u16>,
}

/// The command phase of one session.
#[derive(Debug)]
pub(super) struct Commands {
    session: String,
    verdicts: Rc<Verdicts>,
    scope: Rc<Scope>,
    prepared: HashMap<u32, Prepared>,
}

impl Commands {
    pub(super) fn new(session: String, verdicts: &Rc<Verdicts>, scope: Rc<Scope>) -> Self {
        Self { session, verdicts: Rc::clone(verdicts), scope, prepared: HashMap::new() }
    }

    fn schema(&self) -> Option<&str> {
        self.scope.key.schema.as_deref()
    }

    /// Finds the facts of a long text on a thread of its own: a megabyte takes milliseconds, in which no other session of
    /// this thread would go on. `None` for the rest, which are analysed where they are.
    pub(super) async fn analyse_aside(&self, command: &Command<'_>) -> Option<Facts> {
        let (sql, prepared) = match *command {
            Command::Query { sql } => (sql, false),
            Command::StmtPrepare { sql } => (sql, true),
            _ => return None,
        };
        if sql.len() <= ANALYSED_HERE_MAX {
            return None;
        }
        let (sql, key) = (sql.to_vec(), self.scope.key.clone());
        tokio::task::spawn_blocking(move || analyse(&sql, &key.context(prepared))).await.ok()
    }

    /// Judges and records one command; `facts` are those of its text where they were found aside.
    ///
    /// # Errors
    /// It cannot be recorded, or is malformed.
    pub(super) fn decide(
        &mut self,
        gateway: &Gateway,
        journal: &mut Journal,
        command: &Command<'_>,
        facts: Option<Facts>,
    ) -> Result<Action, Ended> {
        match *command {
            Command::Query { sql } => self.query(gateway, journal, sql, facts),
            Command::StmtPrepare { sql } => self.prepare(gateway, journal, sql, facts),
            Command::StmtExecute(execute) => self.execute(gateway, journal, &execute),
            Command::InitDb { schema } => self.init_db(gateway, journal, schema),
            Command::FieldList { table, .. } => self.field_list(gateway, journal, table),
            Command::Ping => self.plain(gateway, journal, Recorded::Ping, Expect::Simple),
            Command::Statistics => self.plain(gateway, journal, Recorded::Statistics, Expect::Statistics),
            Command::StmtSendLongData { statement_id, parameter, data } => {
                self.send_long_data(journal, statement_id, parameter, data)
            }
            Command::StmtClose { statement_id } => self.close(journal, statement_id),
            Command::StmtReset { statement_id } => self.reset(gateway, journal, statement_id),
            Command::Quit => Ok(Action::Quit),
            Command::Unsupported { byte, name } => self.refuse(gateway, journal, byte, name),
            Command::Unknown { byte } => self.refuse(gateway, journal, byte, "a command it does not know"),
        }
    }

    fn arrived<'a>(&'a self, command: Recorded, text: Text<'a>) -> Arrived<'a> {
        Arrived { command, prepared: None, text, schema: self.schema(), parameters: &[] }
    }

    fn query(
        &mut self,
        gateway: &Gateway,
        journal: &mut Journal,
        sql: &[u8],
        facts: Option<Facts>,
    ) -> Result<Action, Ended> {
        let judgement = self.scope.judge(&gateway.policies, sql, false, facts);
        let arrived = self.arrived(Recorded::Query, Text::of_sql(sql));
        let number = journal.judged(arrived, judgement.class, &judgement.verdict)?;
        Ok(self.by_verdict(gateway, &judgement.verdict, || {
            let effect = Effect::of_query(&judgement.facts);
            Forwarded { number, expect: Expect::Query, judgement: Some(Rc::clone(&judgement)), effect }
        }))
    }

    fn prepare(
        &mut self,
        gateway: &Gateway,
        journal: &mut Journal,
        sql: &[u8],
        facts: Option<Facts>,
    ) -> Result<Action, Ended> {
        let judgement = self.scope.judge(&gateway.policies, sql, true, facts);
        let arrived = self.arrived(Recorded::Prepare, Text::of_sql(sql));
        let number = journal.judged(arrived, judgement.class, &judgement.verdict)?;
        if self.prepared.len() >= PREPARED_MAX {
            return Ok(Action::Answer(Refusal::too_many_statements(PREPARED_MAX)));
        }
        Ok(self.by_verdict(gateway, &judgement.verdict, || Forwarded {
            number,
            expect: Expect::Prepare,
            judgement: None,
            effect: Effect::Prepared { number, judgement: Rc::clone(&judgement) },
        }))
    }

    /// The verdict is that of the prepare: the text cannot change since, nor what its names meant.
    fn execute(&mut self, gateway: &Gateway, journal: &mut Journal, execute: &Execute<'_>) -> Result<Action, Ended> {
        let Some(prepared) = self.prepared.get_mut(&execute.statement_id) else {
            return self.unknown_statement(journal, Recorded::Execute, execute.statement_id);
        };
        if execute.flags != 0 {
            let why = "COM_STMT_EXECUTE with a cursor";
            let number = Some(prepared.number);
            return self.refuse_with(gateway, journal, Recorded::Execute, number, why);
        }
        let parameters =
            execute.parameters(prepared.parameters, &prepared.types, &prepared.long_data).map_err(client_fault)?;
        let texts = parameters::texts(&parameters.values);
        let judgement = Rc::clone(&prepared.judgement);
        let arrived = Arrived {
            command: Recorded::Execute,
            prepared: Some(prepared.number),
            text: Text::empty(),
            schema: self.scope.key.schema.as_deref(),
            parameters: &texts,
        };
        let number = journal.judged(arrived, judgement.class, &judgement.verdict)?;
        if let Some(bound) = parameters.bound {
            prepared.types = bound;
        }
        prepared.long_data.clear();
        Ok(self.by_verdict(gateway, &judgement.verdict, || Forwarded {
            number,
            expect: Expect::Execute,
            judgement: Some(Rc::clone(&judgement)),
            effect: Effect::None,
        }))
    }

    fn init_db(&mut self, gateway: &Gateway, journal: &mut Journal, schema: &[u8]) -> Result<Action, Ended> {
        let Ok(name) = std::str::from_utf8(schema) else {
            let why = "COM_INIT_DB with a name that is not UTF-8";
            return self.refuse_with(gateway, journal, Recorded::InitDb, None, why);
        };
        let key = &self.scope.key;
        let verdict = gateway.policies.judge_use_schema(self.scope.subject(), name, &key.context(false));
        let number = journal.judged(self.arrived(Recorded::InitDb, Text::of_bytes(schema)), "use", &verdict)?;
        Ok(self.by_verdict(gateway, &verdict, || Forwarded {
            number,
            expect: Expect::Simple,
            judgement: None,
            effect: Effect::Schema(name.to_owned()),
        }))
    }

    fn field_list(&mut self, gateway: &Gateway, journal: &mut Journal, table: &[u8]) -> Result<Action, Ended> {
        let Ok(name) = std::str::from_utf8(table) else {
            let why = "COM_FIELD_LIST with a name that is not UTF-8";
            return self.refuse_with(gateway, journal, Recorded::FieldList, None, why);
        };
        let key = &self.scope.key;
        let verdict = gateway.policies.judge_field_list(self.scope.subject(), name, &key.context(false));
        let number = journal.judged(self.arrived(Recorded::FieldList, Text::of_bytes(table)), "show", &verdict)?;
        Ok(self.by_verdict(gateway, &verdict, || Forwarded {
            number,
            expect: Expect::FieldList,
            judgement: None,
            effect: Effect::None,
        }))
    }

    /// A command that carries no statement.
    fn plain(
        &mut self,
        gateway: &Gateway,
        journal: &mut Journal,
        command: Recorded,
        expect: Expect,
    ) -> Result<Action, Ended> {
        gateway.counters.statement(false);
        let number = journal.arrived(self.arrived(command, Text::empty()))?;
        Ok(Action::Forward(Forwarded { number, expect, judgement: None, effect: Effect::None }))
    }

    fn send_long_data(
        &mut self,
        journal: &mut Journal,
        statement_id: u32,
        parameter: u16,
        data: &[u8],
    ) -> Result<Action, Ended> {
        let Some(prepared) = self.prepared.get_mut(&statement_id) else {
            self.unknown_statement(journal, Recorded::SendLongData, statement_id)?;
            return Ok(Action::Drop);
        };
        prepared.long_data.insert(parameter);
        journal.arrived(Arrived {
            command: Recorded::SendLongData,
            prepared: Some(prepared.number),
            text: parameters::long_data(data),
            schema: None,
            parameters: &[],
        })?;
        Ok(Action::ForwardUnanswered)
    }

    fn close(&mut self, journal: &mut Journal, statement_id: u32) -> Result<Action, Ended> {
        let Some(prepared) = self.prepared.remove(&statement_id) else { return Ok(Action::Drop) };
        journal.arrived(Arrived {
            command: Recorded::Close,
            prepared: Some(prepared.number),
            text: Text::empty(),
            schema: None,
            parameters: &[],
        })?;
        Ok(Action::ForwardUnanswered)
    }

    fn reset(&mut self, gateway: &Gateway, journal: &mut Journal, statement_id: u32) -> Result<Action, Ended> {
        let Some(prepared) = self.prepared.get_mut(&statement_id) else {
            return self.unknown_statement(journal, Recorded::Reset, statement_id);
        };
        prepared.long_data.clear();
        self.plain(gateway, journal, Recorded::Reset, Expect::Simple)
    }

    fn unknown_statement(&self, journal: &mut Journal, command: Recorded, statement_id: u32) -> Result<Action, Ended> {
        journal.refused(self.arrived(command, Text::empty()), "no statement of this session has this id")?;
        Ok(Action::Answer(Refusal::unknown_statement(statement_id)))
    }

    fn refuse(&self, gateway: &Gateway, journal: &mut Journal, byte: u8, name: &str) -> Result<Action, Ended> {
        self.refuse_with(gateway, journal, Recorded::Refused { code: byte }, None, name)
    }

    fn refuse_with(
        &self,
        gateway: &Gateway,
        journal: &mut Journal,
        command: Recorded,
        prepared: Option<u64>,
        what: &str,
    ) -> Result<Action, Ended> {
        gateway.counters.statement(true);
        let arrived = Arrived { prepared, ..self.arrived(command, Text::empty()) };
        journal.refused(arrived, &format!("portreeve does not pass {what}"))?;
        Ok(Action::Answer(Refusal::unsupported(what, &self.session)))
    }

    fn by_verdict(&self, gateway: &Gateway, verdict: &Verdict, forwarded: impl FnOnce() -> Forwarded) -> Action {
        match verdict.decision {
            Decision::Allow => {
                gateway.counters.statement(false);
                Action::Forward(forwarded())
            }
            Decision::Deny => {
                gateway.counters.statement(true);
                tracing::info!(
                    session = %self.session, workload = %self.scope.key.spiffe_id, server = %self.scope.key.server,
                    policies = %verdict.policies.join(","), "denied: {}", verdict.reason
                );
                Action::Answer(Refusal::denied(verdict, &self.session))
            }
        }
    }

    /// Takes over what the server's whole answer means for the commands after it.
    pub(super) fn settle(&mut self, forwarded: Forwarded, summary: &Summary) {
        let failed = summary.error.is_some();
        let schema = match forwarded.effect {
            Effect::Schema(schema) if !failed => Some(Some(schema)),
            Effect::SchemaOfSeveral(schema) => Some((!failed).then_some(schema)),
            Effect::Prepared { number, judgement } => {
                if let Some(prepared) = &summary.prepared {
                    let statement = Prepared {
                        number,
                        judgement,
                        parameters: prepared.parameters,
                        types: Vec::new(),
                        long_data: BTreeSet::new(),
                    };
                    self.prepared.insert(prepared.statement_id, statement);
                }
                None
            }
            Effect::Schema(_) | Effect::None => None,
        };
        // Errors and the answers to other commands carry no status: what was known stays.
        let key = &self.scope.key;
        let has_status = !failed && matches!(forwarded.expect, Expect::Query | Expect::Execute | Expect::Simple);
        let status = has_status.then_some(summary.status);
        let no_backslash_escapes =
            status.map_or(key.no_backslash_escapes, |status| status & STATUS_NO_BACKSLASH_ESCAPES != 0);
        let ansi_quotes = status.map_or(key.ansi_quotes, |status| self.says_ansi_quotes(status));
        let same_reading = no_backslash_escapes == key.no_backslash_escapes && ansi_quotes == key.ansi_quotes;
        if schema.is_none() && same_reading {
            return;
        }
        let schema = schema.unwrap_or_else(|| key.schema.clone());
        let key = ScopeKey { schema, no_backslash_escapes, ansi_quotes, ..key.clone() };
        self.scope = self.verdicts.scope(key);
    }

    /// MySQL does not say whether `ANSI_QUOTES` is on: what was read at login stays.
    fn says_ansi_quotes(&self, status: u16) -> bool {
        match self.scope.key.flavour {
            portreeve_policy::Flavour::MariaDb => status & STATUS_ANSI_QUOTES != 0,
            portreeve_policy::Flavour::MySql => self.scope.key.ansi_quotes,
        }
    }
}

/// The answer to a packet that is no command the gateway can read; the session ends with it.
pub(super) fn unreadable(error: &ProtocolError, session: &str) -> Refusal {
    if let ProtocolError::Misbehaved(Misbehaviour::PacketTooLarge { max, .. }) = error {
        return Refusal::too_large(*max, session);
    }
    Refusal::failed(&format!("the command cannot be read: {error}"), session)
}
