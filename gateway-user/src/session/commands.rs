//! What is done with each command: judged, recorded, and then forwarded, answered or dropped.
//!
//! Nothing here writes to a socket: [`Commands::decide`] says what to do once everything is recorded.

mod administrative;
mod files;
mod prepared;
mod texts;

use std::{collections::HashMap, net::SocketAddr, rc::Rc, sync::Arc};

use portreeve_mysql::{
    Misbehaviour, ProtocolError,
    attributes::Attributes,
    command::Command,
    conceal::Plan,
    outcome::Tracked,
    response::{Columns, Expect, Summary},
};
use portreeve_policy::{Decision, Facts, Flavour, Judgement, Modes, Policies, StatementClass, Verdict, analyse};
use portreeve_recording::{Command as Recorded, Text};

use super::{
    Ended,
    catalogue::Definitions,
    journal::{Arrived, Journal},
    parameters, reading,
    refusal::Refusal,
    verdicts::{Scope, ScopeKey, Verdicts},
};
use crate::{catalogue::Snapshot, gateway::Gateway, policies::Loaded};
pub(super) use files::FileRequest;
use prepared::{LastPrepared, Prepared, Preparing};
use texts::Texts;

/// Bytes of the longest text that is analysed on the session's own thread.
const ANALYSED_HERE_MAX: usize = 64 * 1024;
/// `SERVER_STATUS_NO_BACKSLASH_ESCAPES`: strings are read otherwise.
const STATUS_NO_BACKSLASH_ESCAPES: u16 = 0x0200;
/// MariaDB's `SERVER_STATUS_ANSI_QUOTES`. MySQL has another meaning at no bit of this value.
const STATUS_ANSI_QUOTES: u16 = 0x8000;
const COM_STMT_SEND_LONG_DATA: u8 = 0x18;
const COM_STMT_CLOSE: u8 = 0x19;

/// What to do with a command that has been recorded.
#[derive(Debug)]
pub(super) enum Action {
    /// Send it to the server and pass its answer on.
    Forward(Forwarded),
    /// Send it to the server; there is no answer.
    ForwardUnanswered {
        /// As [`Forwarded::statement_id`].
        statement_id: Option<u32>,
    },
    /// What is known of views and routines will not do: look at the server, and decide then. Nothing is recorded yet.
    Look,
    /// Do not send it; the client reads this instead.
    Answer(Refusal),
    /// Do not send it, and say nothing: the client expects no answer.
    Drop,
    /// Log in anew on both legs.
    ChangeUser,
    /// Send it to the server, and from then on pass bytes both ways: a stream of replication has no end.
    Replicate { number: u64 },
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
    /// The text where it was not read and may ask for a file: the name that the server asks for must be in it.
    text: Option<Box<[u8]>>,
    /// Of the statement prepared, where its answers are looked through: what was concealed in its definitions.
    plan: Option<Plan>,
    /// Of the statement prepared, where rows are recorded: its columns, if they came.
    columns: Option<Arc<Columns>>,
    /// The text to send in place of the client's.
    pub(super) canonical: Option<Rc<str>>,
    /// The id to send in place of MariaDB's "statement prepared last": what that is must not be the server's to say.
    pub(super) statement_id: Option<u32>,
    /// It may change what views and routines are made of.
    changes_definitions: bool,
}

/// What a command changes in the session when the server accepts it.
#[derive(Debug)]
enum Effect {
    None,
    Schema(String),
    /// Several statements of which one is `USE`: after an error nobody knows which ran.
    SchemaOfSeveral(String),
    Prepared(Preparing),
    /// Prepared statements and whatever was set are gone.
    Reset,
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
    /// A command that is no more than its answer's layout.
    const fn plain(number: u64, expect: Expect) -> Self {
        Self {
            number,
            expect,
            judgement: None,
            effect: Effect::None,
            text: None,
            plan: None,
            columns: None,
            canonical: None,
            statement_id: None,
            changes_definitions: false,
        }
    }

    fn facts(&self) -> Option<&Facts> {
        self.judgement.as_ref().map(|judgement| &*judgement.facts)
    }

    /// Whether the session begins anew when the server agrees.
    pub(super) const fn begins_anew(&self) -> bool {
        matches!(self.effect, Effect::Reset)
    }

    /// Whether it may change what views and routines are made of.
    pub(super) const fn changes_definitions(&self) -> bool {
        self.changes_definitions
    }

    /// What is known of the columns that are concealed.
    pub(super) fn plan(&self) -> Option<Plan> {
        self.plan.clone()
    }

    /// What is known of the columns of its result.
    pub(super) fn columns(&self) -> Option<Arc<Columns>> {
        self.columns.clone()
    }

    /// Whether the text names what a server may tell of ways round the gateway: that is what judgements are marked by.
    pub(super) fn conceals(&self) -> bool {
        self.judgement.as_ref().is_some_and(|judgement| judgement.marked)
    }
}

/// The command phase of one session.
#[derive(Debug)]
pub(super) struct Commands {
    session: String,
    /// Where the server is.
    server: SocketAddr,
    /// The server's views and routines.
    pub(super) definitions: Definitions,
    /// They were looked at for the command that is decided next.
    looked: bool,
    verdicts: Rc<Verdicts>,
    scope: Rc<Scope>,
    /// What commands are judged by: the newest there were when the command arrived.
    policies: Arc<Loaded>,
    /// The generation of policies under which verdicts are known not to depend on how texts are read, or the server was asked.
    reading_settled: Option<u64>,
    prepared: HashMap<u32, Prepared>,
    texts: Texts,
    last_prepared: LastPrepared,
}

impl Commands {
    pub(super) fn new(
        session: String,
        server: SocketAddr,
        definitions: Definitions,
        policies: Arc<Loaded>,
        verdicts: &Rc<Verdicts>,
        key: ScopeKey,
    ) -> Self {
        let scope = verdicts.scope(key);
        Self {
            session,
            server,
            definitions,
            looked: false,
            verdicts: Rc::clone(verdicts),
            scope,
            policies,
            reading_settled: None,
            prepared: HashMap::new(),
            texts: Texts::default(),
            last_prepared: LastPrepared::None,
        }
    }

    /// Goes on with that snapshot of the server's views and routines.
    fn see(&mut self, catalogue: Arc<Snapshot>) {
        if self.scope.key.catalogue != catalogue {
            self.scope = self.verdicts.scope(ScopeKey { catalogue, ..self.scope.key.clone() });
        }
    }

    /// The same, read after the command that is to be decided had come: it is not looked for once more.
    pub(super) fn see_for_command(&mut self, catalogue: Arc<Snapshot>) {
        self.see(catalogue);
        self.looked = true;
    }

    /// Whether the server must be looked at before a command is judged so: what is known is too old for it, or there may be
    /// more by now.
    fn must_look(&mut self, facts: &Facts) -> bool {
        !std::mem::take(&mut self.looked) && self.definitions.must_look(&self.scope.key.catalogue, facts)
    }

    /// Refuses what executes a statement that a text prepared under other policies, definitions or modes: what it does now was
    /// never judged.
    fn executes_outdated<'t>(
        &self,
        gateway: &Gateway,
        journal: &mut Journal,
        facts: &Facts,
        command: Recorded,
        text: impl FnOnce() -> Text<'t>,
    ) -> Result<Option<Action>, Ended> {
        if !self.definitions.matter || gateway.config.observe {
            return Ok(None);
        }
        let Some(name) = self.texts.outdated(facts, &self.scope.key, self.policies.generation) else { return Ok(None) };
        let name: String = name.chars().take(64).collect();
        let why = format!("`{name}` was not prepared under the policies and definitions of now: prepare it again");
        self.prepare_again(gateway, journal, self.arrived(command, text()), &why).map(Some)
    }

    /// Refuses an execution of what must be judged anew before.
    fn prepare_again(
        &self,
        gateway: &Gateway,
        journal: &mut Journal,
        arrived: Arrived<'_>,
        why: &str,
    ) -> Result<Action, Ended> {
        gateway.counters.statement(true);
        journal.refused(arrived, why)?;
        Ok(Action::Answer(Refusal::prepare_again(why, &self.session)))
    }

    /// Takes the newest policies over, before a command is judged. Says whether the server must be asked first how it
    /// reads texts: verdicts depend on it now, and did not when the session began.
    pub(super) fn take_policies(&mut self, gateway: &Gateway) -> bool {
        gateway.policies.renew(&mut self.policies);
        if self.reading_settled == Some(self.policies.generation) {
            return false;
        }
        let everything = self.scope.permits_everything(&self.policies);
        self.definitions.matter = !everything;
        self.definitions.with_columns = self.policies.policies.look_at_columns();
        let must_ask = self.scope.key.unasked && !everything;
        self.reading_settled = (!must_ask).then_some(self.policies.generation);
        must_ask
    }

    fn policies(&self) -> &Policies {
        &self.policies.policies
    }

    /// Starts anew after a reset or a change of user: no prepared statement is left, and texts are read as `key` says.
    pub(super) fn begin_anew(&mut self, key: ScopeKey) {
        self.prepared.clear();
        self.texts.clear();
        self.last_prepared = LastPrepared::None;
        self.reading_settled = None;
        self.scope = self.verdicts.scope(key);
    }

    /// What verdicts depend on now.
    pub(super) fn key(&self) -> &ScopeKey {
        &self.scope.key
    }

    fn schema(&self) -> Option<&str> {
        self.scope.key.schema.as_deref()
    }

    /// Finds the facts of a long text on a thread of its own: a megabyte takes milliseconds, in which no other session of
    /// this thread would go on. `None` for the rest, which are analysed where they are.
    pub(super) async fn analyse_aside(&self, command: &Command<'_>) -> Option<Facts> {
        let (sql, prepared) = match *command {
            Command::Query { sql, .. } => (sql, false),
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
            Command::Query { sql, attributes } => self.query(gateway, journal, sql, attributes, facts),
            Command::StmtPrepare { sql } => self.prepare(gateway, journal, sql, facts),
            Command::StmtExecute(execute) => self.execute(gateway, journal, &execute),
            Command::StmtBulkExecute(execute) => self.bulk_execute(gateway, journal, &execute),
            Command::StmtFetch { statement, .. } => self.fetch(gateway, journal, statement),
            Command::StmtSendLongData { statement, parameter, data } => {
                self.send_long_data(journal, statement, parameter, parameters::long_data(data))
            }
            Command::StmtClose { statement } => self.close(journal, statement),
            Command::StmtReset { statement } => self.reset(gateway, journal, statement),
            Command::InitDb { schema } => self.init_db(gateway, journal, schema),
            Command::FieldList { table, .. } => self.field_list(gateway, journal, table),
            Command::Ping => self.plain(gateway, journal, Recorded::Ping, Expect::Simple),
            Command::Statistics => self.plain(gateway, journal, Recorded::Statistics, Expect::Statistics),
            Command::SetOption { .. } => self.plain(gateway, journal, Recorded::SetOption, Expect::Simple),
            Command::ResetConnection => self.reset_connection(gateway, journal),
            Command::ChangeUser { request } => self.change_user(journal, request),
            Command::Quit => Ok(Action::Quit),
            Command::ProcessKill { connection_id } => self.process_kill(gateway, journal, connection_id),
            Command::Debug
            | Command::Refresh { .. }
            | Command::Shutdown { .. }
            | Command::ProcessInfo
            | Command::CreateDb { .. }
            | Command::DropDb { .. }
            | Command::TableDump { .. }
            | Command::RegisterSlave { .. }
            | Command::BinlogDump { .. }
            | Command::BinlogDumpGtid { .. } => self.administrative(gateway, journal, command),
            Command::Unsupported { byte, name } => {
                self.refuse_with(gateway, journal, Recorded::Refused { code: byte }, None, name)
            }
            Command::Unknown { byte } => self.unknown(gateway, journal, byte),
        }
    }

    /// A text as it is recorded.
    fn sql_text<'a>(&self, sql: &'a [u8]) -> Text<'a> {
        Text::of_sql(sql, self.scope.key.quoting())
    }

    fn arrived<'a>(&'a self, command: Recorded, text: Text<'a>) -> Arrived<'a> {
        Arrived { command, prepared: None, text, schema: self.schema(), parameters: &[] }
    }

    fn query(
        &mut self,
        gateway: &Gateway,
        journal: &mut Journal,
        sql: &[u8],
        attributes: Attributes<'_>,
        facts: Option<Facts>,
    ) -> Result<Action, Ended> {
        let judgement = self.scope.judge(&self.policies, sql, false, facts);
        if self.must_look(&judgement.facts) {
            return Ok(Action::Look);
        }
        if let Some(refused) =
            self.executes_outdated(gateway, journal, &judgement.facts, Recorded::Query, || self.sql_text(sql))?
        {
            return Ok(refused);
        }
        let attributes = parameters::attributes(attributes.iter());
        let arrived = Arrived { parameters: &attributes, ..self.arrived(Recorded::Query, self.sql_text(sql)) };
        // Whose session a KILL names changes from one moment to the next: that verdict is not kept.
        let of_kill = judgement.facts.kills.map(|id| self.judge_kill(gateway, id));
        let verdict = of_kill.as_ref().unwrap_or(&judgement.verdict);
        let number = journal.judged(arrived, judgement.class, verdict)?;
        let canonical = self.canonical(journal, number, &judgement, verdict)?;
        let changes_definitions = judgement.facts.changes_definitions() || self.texts.define(&judgement.facts);
        if verdict.is_allowed() {
            self.texts.prepare(&judgement.facts, &self.scope.key, self.policies.generation);
        }
        Ok(self.by_verdict(gateway, verdict, || Forwarded {
            canonical,
            effect: Effect::of_query(&judgement.facts),
            text: files::text_to_hold(&judgement.facts, sql),
            changes_definitions,
            judgement: Some(Rc::clone(&judgement)),
            ..Forwarded::plain(number, Expect::Query)
        }))
    }

    fn init_db(&mut self, gateway: &Gateway, journal: &mut Journal, schema: &[u8]) -> Result<Action, Ended> {
        let Ok(name) = std::str::from_utf8(schema) else {
            let why = "COM_INIT_DB with a name that is not UTF-8";
            return self.refuse_with(gateway, journal, Recorded::InitDb, None, why);
        };
        let key = &self.scope.key;
        let verdict = self.policies().judge_use_schema(self.scope.subject(), name, &key.context(false));
        let number = journal.judged(self.arrived(Recorded::InitDb, Text::of_bytes(schema)), "use", &verdict)?;
        Ok(self.by_verdict(gateway, &verdict, || Forwarded {
            effect: Effect::Schema(name.to_owned()),
            ..Forwarded::plain(number, Expect::Simple)
        }))
    }

    fn field_list(&mut self, gateway: &Gateway, journal: &mut Journal, table: &[u8]) -> Result<Action, Ended> {
        let Ok(name) = std::str::from_utf8(table) else {
            let why = "COM_FIELD_LIST with a name that is not UTF-8";
            return self.refuse_with(gateway, journal, Recorded::FieldList, None, why);
        };
        let key = &self.scope.key;
        let verdict = self.policies().judge_field_list(self.scope.subject(), name, &key.context(false));
        let number = journal.judged(self.arrived(Recorded::FieldList, Text::of_bytes(table)), "show", &verdict)?;
        Ok(self.by_verdict(gateway, &verdict, || Forwarded::plain(number, Expect::FieldList)))
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
        Ok(Action::Forward(Forwarded::plain(number, expect)))
    }

    /// Everybody may: it gives nothing, and what was set is as it was at login.
    fn reset_connection(&mut self, gateway: &Gateway, journal: &mut Journal) -> Result<Action, Ended> {
        gateway.counters.statement(false);
        let number = journal.arrived(self.arrived(Recorded::ResetConnection, Text::empty()))?;
        Ok(Action::Forward(Forwarded { effect: Effect::Reset, ..Forwarded::plain(number, Expect::Simple) }))
    }

    /// What came of it is recorded as a login of its own.
    fn change_user(&mut self, journal: &mut Journal, request: &[u8]) -> Result<Action, Ended> {
        let user = request.split(|byte| *byte == 0).next().unwrap_or_default();
        journal.arrived(self.arrived(Recorded::ChangeUser, Text::of_bytes(user)))?;
        Ok(Action::ChangeUser)
    }

    /// As the server answers to a byte that is no command, or none that a client may send.
    fn unknown(&self, gateway: &Gateway, journal: &mut Journal, byte: u8) -> Result<Action, Ended> {
        gateway.counters.statement(true);
        let arrived = self.arrived(Recorded::Refused { code: byte }, Text::empty());
        journal.refused(arrived, "no command that servers know has this byte")?;
        Ok(Action::Answer(Refusal::unknown_command()))
    }

    /// A command with fields missing, or with what no field can hold: as servers do, it is answered, and that is all.
    pub(super) fn malformed(
        &self,
        gateway: &Gateway,
        journal: &mut Journal,
        byte: u8,
        error: &ProtocolError,
    ) -> Result<Action, Ended> {
        gateway.counters.statement(true);
        let arrived = self.arrived(Recorded::Refused { code: byte }, Text::empty());
        journal.refused(arrived, &error.to_string())?;
        // MariaDB says nothing to these whatever is in them: a client of its is one answer off otherwise.
        if self.scope.key.flavour == Flavour::MariaDb && matches!(byte, COM_STMT_SEND_LONG_DATA | COM_STMT_CLOSE) {
            return Ok(Action::Drop);
        }
        Ok(Action::Answer(Refusal::malformed(&error.to_string(), &self.session)))
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

    /// What policy denies is forwarded by a daemon that only observes; that is in its recording then.
    fn by_verdict(&self, gateway: &Gateway, verdict: &Verdict, forwarded: impl FnOnce() -> Forwarded) -> Action {
        match verdict.decision {
            Decision::Allow => {
                gateway.counters.statement(false);
                Action::Forward(forwarded())
            }
            Decision::Deny if gateway.config.observe => {
                gateway.counters.would_deny();
                tracing::info!(
                    session = %self.session, workload = %self.scope.key.spiffe_id, server = %self.scope.key.server,
                    policies = %verdict.policies.join(","), "would deny: {}", verdict.reason
                );
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

    /// Whether the server must be asked anew how it reads texts, after that answer to that command.
    pub(super) fn must_ask(&self, forwarded: &Forwarded, summary: &Summary) -> bool {
        let runs = match forwarded.expect {
            Expect::Query | Expect::Execute { .. } | Expect::BulkExecute => true,
            Expect::Prepare
            | Expect::Simple
            | Expect::Fetch
            | Expect::FieldList
            | Expect::Statistics
            | Expect::BinlogDump => false,
        };
        let Some(Facts { changes_reading: true, statements, .. }) = forwarded.facts() else { return false };
        // Of several statements, those before the error ran.
        runs && (summary.error.is_none() || statements.len() > 1)
    }

    /// Texts are read as `key` says from here on.
    pub(super) fn read_as(&mut self, key: ScopeKey) {
        self.reading_settled = None;
        self.scope = self.verdicts.scope(key);
    }

    /// Takes over what the server's whole answer means for the commands after it.
    pub(super) fn settle(
        &mut self,
        forwarded: Forwarded,
        summary: &Summary,
        plan: Option<&Plan>,
        columns: Option<Arc<Columns>>,
    ) {
        let failed = summary.error.is_some();
        let schema = match forwarded.effect {
            Effect::Schema(schema) if !failed => Some(Some(schema)),
            Effect::SchemaOfSeveral(schema) => Some((!failed).then_some(schema)),
            Effect::Prepared(preparing) => {
                self.settle_prepared(preparing, summary, plan, columns);
                None
            }
            Effect::Schema(_) | Effect::Reset | Effect::None => {
                self.settle_executed(forwarded.statement_id, plan, columns);
                None
            }
        };
        // Errors and the answers to other commands carry no status: what was known stays.
        let key = &self.scope.key;
        let has_status = !failed && has_status(forwarded.expect);
        let status = has_status.then_some(summary.status);
        let modes = status.map_or(key.modes, |status| self.modes_said(status));
        if schema.is_none() && modes == key.modes && summary.tracked == Tracked::default() {
            return;
        }
        let schema = schema.unwrap_or_else(|| key.schema.clone());
        let key = ScopeKey { schema, modes, ..key.clone() };
        self.scope = self.verdicts.scope(reading::follow(&key, &summary.tracked));
    }

    /// The modes as far as a status says them. MySQL does not say whether `ANSI_QUOTES` is on: what was asked last stays.
    fn modes_said(&self, status: u16) -> Modes {
        let modes = self.scope.key.modes;
        let ansi_quotes = match self.scope.key.flavour {
            Flavour::MariaDb => status & STATUS_ANSI_QUOTES != 0,
            Flavour::MySql => modes.ansi_quotes,
        };
        Modes { no_backslash_escapes: status & STATUS_NO_BACKSLASH_ESCAPES != 0, ansi_quotes, ..modes }
    }

    /// The text to forward in place of the client's, recorded, where the statement may run and has one.
    fn canonical(
        &self,
        journal: &mut Journal,
        number: u64,
        judgement: &Judgement,
        verdict: &Verdict,
    ) -> Result<Option<Rc<str>>, Ended> {
        let canonical = judgement.facts.canonical.as_deref().filter(|_| verdict.is_allowed());
        if let Some(text) = canonical {
            journal.forwarded(number, self.sql_text(text.as_bytes()))?;
        }
        Ok(canonical.map(Rc::from))
    }
}

/// Whether the answer's last packet always says how texts are read from then on.
const fn has_status(expect: Expect) -> bool {
    match expect {
        Expect::Query | Expect::Execute { .. } | Expect::Simple => true,
        Expect::Prepare
        | Expect::Fetch
        | Expect::BulkExecute
        | Expect::FieldList
        | Expect::Statistics
        | Expect::BinlogDump => false,
    }
}

/// The answer to a packet that is no command the gateway can read; the session ends with it.
pub(super) fn unreadable(error: &ProtocolError, session: &str) -> Refusal {
    match error {
        ProtocolError::Misbehaved(Misbehaviour::PacketTooLarge { max, .. }) => Refusal::too_large(*max, session),
        ProtocolError::Misbehaved(Misbehaviour::SequenceId { .. }) => Refusal::out_of_order(),
        other => Refusal::failed(&format!("the command cannot be read: {other}"), session),
    }
}
