//! Prepared statements: judged when they are prepared, followed by their id from then on.

use std::{collections::BTreeSet, rc::Rc, sync::Arc};

use portreeve_mysql::{
    bulk::BulkExecute,
    command::StatementId,
    conceal::Plan,
    execute::{Execute, ParameterType},
    response::{Columns, Expect, Summary},
};
use portreeve_policy::{Facts, Flavour, Judgement};
use portreeve_recording::{Command as Recorded, Text};

use super::{Action, Commands, Effect, Forwarded};
use crate::{
    gateway::Gateway,
    limits::{PREPARED_MAX, PREPARED_TEXT_BYTES_MAX, PREPARED_TEXTS_BYTES_MAX},
    policies::Loaded,
    session::{
        Ended,
        journal::{Arrived, Journal},
        parameters,
        refusal::Refusal,
        verdicts::{Scope, ScopeKey},
    },
};

/// Parameters of them in all: their types are remembered.
const PARAMETERS_MAX: usize = 1024 * 1024;
/// Columns of their results that are remembered in all, where rows are recorded.
const COLUMNS_KEPT_MAX: usize = 64 * 1024;
const COM_STMT_EXECUTE: u8 = 0x17;
const COM_STMT_BULK_EXECUTE: u8 = 0xFA;

/// What the gateway knows of a statement before the server has prepared it.
#[derive(Debug)]
pub(super) struct Preparing {
    /// Number of the statement that prepares it.
    number: u64,
    judgement: Rc<Judgement>,
    /// Whether the text could read otherwise in another mode or character set.
    depends: bool,
    /// To judge it anew when definitions change; none when it is too long to keep.
    text: Option<Box<[u8]>>,
}

/// One prepared statement of the session.
#[derive(Debug)]
pub(super) struct Prepared {
    /// Number of the statement that prepared it.
    number: u64,
    judgement: Rc<Judgement>,
    /// As in [`Preparing`].
    depends: bool,
    /// That it was prepared in: what its names mean, and how it was read.
    scope: Rc<Scope>,
    /// As in [`Preparing`].
    text: Option<Box<[u8]>>,
    parameters: u16,
    /// Bound by an earlier execution.
    types: Vec<ParameterType>,
    /// Parameters sent ahead of the execution.
    long_data: BTreeSet<u16>,
    /// What is concealed in its result.
    plan: Option<Plan>,
    /// Of its result, where rows are recorded: they may come without definitions later on.
    columns: Option<Arc<Columns>>,
}

impl Prepared {
    /// The verdict on it by these policies, kept for the next time.
    fn renewed(&mut self, policies: &Loaded) -> Rc<Judgement> {
        if !self.judgement.holds(policies.generation) {
            self.judgement = self.scope.renewed(policies, &self.judgement);
        }
        Rc::clone(&self.judgement)
    }
}

/// What MariaDB's id for the statement prepared last means now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LastPrepared {
    /// None was, or the last one was denied or failed: what the server would take instead, the client does not mean.
    None,
    Id(u32),
}

/// One execution, its parameters read.
struct Run<'r> {
    command: Recorded,
    parameters: &'r [Text<'r>],
    /// Types that it bound.
    bound: Option<Vec<ParameterType>>,
    expect: Expect,
    /// Executions that it is.
    times: u64,
}

/// Whether a text holds what modes and character sets read otherwise: quotes, backslashes, characters outside ASCII, and
/// white space before a parenthesis.
fn depends_on_reading(sql: &[u8]) -> bool {
    sql.iter().any(|byte| matches!(byte, b'"' | b'\\') || !byte.is_ascii())
        || sql.windows(2).any(|two| matches!(two, [blank, b'('] if blank.is_ascii_whitespace()))
}

impl Commands {
    pub(super) fn prepare(
        &mut self,
        gateway: &Gateway,
        journal: &mut Journal,
        sql: &[u8],
        facts: Option<Facts>,
    ) -> Result<Action, Ended> {
        self.last_prepared = LastPrepared::None;
        let judgement = self.scope.judge(&self.policies, sql, true, facts);
        if self.must_look(&judgement.facts) {
            return Ok(Action::Look);
        }
        let arrived = self.arrived(Recorded::Prepare, self.sql_text(sql));
        let number = journal.judged(arrived, judgement.class, &judgement.verdict)?;
        let parameters: usize = self.prepared.values().map(|prepared| usize::from(prepared.parameters)).sum();
        if self.prepared.len() >= PREPARED_MAX || parameters >= PARAMETERS_MAX {
            return Ok(Action::Answer(Refusal::too_many_statements(PREPARED_MAX)));
        }
        let canonical = self.canonical(journal, number, &judgement, &judgement.verdict)?;
        Ok(self.by_verdict(gateway, &judgement.verdict, || Forwarded {
            canonical,
            judgement: Some(Rc::clone(&judgement)),
            effect: Effect::Prepared(Preparing {
                number,
                judgement: Rc::clone(&judgement),
                depends: depends_on_reading(sql),
                text: self.text_to_keep(sql),
            }),
            ..Forwarded::plain(number, Expect::Prepare)
        }))
    }

    /// The text, to be judged by other definitions later.
    fn text_to_keep(&self, sql: &[u8]) -> Option<Box<[u8]>> {
        let kept: usize =
            self.prepared.values().filter_map(|prepared| prepared.text.as_ref()).map(|text| text.len()).sum();
        let fits = sql.len() <= PREPARED_TEXT_BYTES_MAX && kept.saturating_add(sql.len()) <= PREPARED_TEXTS_BYTES_MAX;
        fits.then(|| sql.into())
    }

    /// Judges a statement anew whose names may mean something else than when it was judged: servers prepare it anew themselves,
    /// without a word. False when its text was not kept.
    fn redefine(&mut self, id: u32) -> bool {
        let Some(prepared) = self.prepared.get_mut(&id) else { return true };
        let catalogue = &self.scope.key.catalogue;
        // One whose reading was never asked is unread now, whatever its names mean.
        if prepared.scope.key.catalogue == *catalogue || prepared.scope.must_ask(&self.policies) {
            return true;
        }
        let Some(text) = &prepared.text else { return false };
        let key = ScopeKey { catalogue: Arc::clone(catalogue), ..prepared.scope.key.clone() };
        prepared.scope = self.verdicts.scope(key);
        prepared.judgement = prepared.scope.judge(&self.policies, text, true, None);
        true
    }

    /// Remembers what the server prepared.
    pub(super) fn settle_prepared(
        &mut self,
        preparing: Preparing,
        summary: &Summary,
        plan: Option<&Plan>,
        columns: Option<Arc<Columns>>,
    ) {
        let Some(prepared) = &summary.prepared else { return };
        let Preparing { number, judgement, depends, text } = preparing;
        let (types, long_data) = (Vec::new(), BTreeSet::new());
        let (parameters, plan) = (prepared.parameters, plan.cloned());
        let columns = columns.filter(|columns| self.have_room_for(columns));
        let scope = Rc::clone(&self.scope);
        let statement =
            Prepared { number, judgement, depends, scope, text, parameters, types, long_data, plan, columns };
        self.prepared.insert(prepared.statement_id, statement);
        self.last_prepared = LastPrepared::Id(prepared.statement_id);
    }

    /// Whether columns of one more result may be remembered.
    fn have_room_for(&self, columns: &Columns) -> bool {
        let known = self.prepared.values().filter_map(|prepared| prepared.columns.as_ref());
        let count: usize = known.map(|columns| columns.names().len()).sum();
        count.saturating_add(columns.names().len()) <= COLUMNS_KEPT_MAX
    }

    /// Remembers what an execution said of its result, for fetches and for executions that come without definitions.
    pub(super) fn settle_executed(
        &mut self,
        statement_id: Option<u32>,
        plan: Option<&Plan>,
        columns: Option<Arc<Columns>>,
    ) {
        if let (Some(id), Some(columns)) = (statement_id, columns)
            && let Some(known) = self.prepared.get(&id).map(|prepared| prepared.columns.as_ref())
            && known != Some(&columns)
        {
            let columns = Some(columns).filter(|columns| self.have_room_for(columns));
            if let Some(prepared) = self.prepared.get_mut(&id) {
                prepared.columns = columns;
            }
        }
        if let (Some(id), Some(plan)) = (statement_id, plan)
            && let Some(prepared) = self.prepared.get_mut(&id)
        {
            prepared.plan = Some(plan.clone());
        }
    }

    /// The id that a command means.
    fn id_of(&self, statement: StatementId) -> Option<u32> {
        let id = match (statement, self.last_prepared, self.scope.key.flavour) {
            (StatementId::Id(id), _, _) | (StatementId::LastPrepared, LastPrepared::Id(id), Flavour::MariaDb) => id,
            (StatementId::LastPrepared, LastPrepared::None, _) | (StatementId::LastPrepared, _, Flavour::MySql) => {
                return None;
            }
        };
        self.prepared.contains_key(&id).then_some(id)
    }

    pub(super) fn execute(
        &mut self,
        gateway: &Gateway,
        journal: &mut Journal,
        execute: &Execute<'_>,
    ) -> Result<Action, Ended> {
        let Some(prepared) = self.id_of(execute.statement).and_then(|id| self.prepared.get(&id)) else {
            return self.unknown_statement(journal, Recorded::Execute, execute.statement);
        };
        let parameters = match execute.parameters(prepared.parameters, &prepared.types, &prepared.long_data) {
            Ok(parameters) => parameters,
            Err(error) => return self.malformed(gateway, journal, COM_STMT_EXECUTE, &error),
        };
        let mut texts = parameters::texts(&parameters.values);
        texts.extend(parameters::attributes(parameters.attributes.iter().copied()));
        let run = Run {
            command: Recorded::Execute,
            parameters: &texts,
            bound: parameters.bound,
            expect: Expect::Execute { cursor: execute.cursor() },
            times: 1,
        };
        self.run(gateway, journal, execute.statement, run)
    }

    pub(super) fn bulk_execute(
        &mut self,
        gateway: &Gateway,
        journal: &mut Journal,
        execute: &BulkExecute<'_>,
    ) -> Result<Action, Ended> {
        let Some(prepared) = self.id_of(execute.statement).and_then(|id| self.prepared.get(&id)) else {
            return self.unknown_statement(journal, Recorded::BulkExecute, execute.statement);
        };
        let rows = execute.rows(prepared.parameters, &prepared.types);
        let read = rows.and_then(|mut rows| Ok((parameters::of_rows(&mut rows)?, rows)));
        let ((texts, times), rows) = match read {
            Ok(read) => read,
            Err(error) => return self.malformed(gateway, journal, COM_STMT_BULK_EXECUTE, &error),
        };
        let run = Run {
            command: Recorded::BulkExecute,
            parameters: &texts,
            bound: rows.bound().map(<[_]>::to_vec),
            expect: Expect::BulkExecute,
            times,
        };
        self.run(gateway, journal, execute.statement, run)
    }

    /// Whether MySQL could make another statement of what was prepared: after a change of a table it prepares the text anew,
    /// and reads it by the modes of now (seen on 9.7; MariaDB remembers those of the prepare).
    fn reads_otherwise(&self, id: Option<u32>) -> bool {
        let key = &self.scope.key;
        let depends = |prepared: &&Prepared| prepared.depends && key.flavour == Flavour::MySql;
        let prepared = id.and_then(|id| self.prepared.get(&id)).filter(depends);
        prepared.is_some_and(|prepared| {
            let then = &prepared.scope.key;
            (then.modes, then.utf8) != (key.modes, key.utf8)
                && !self.policies().permits_everything(self.scope.subject(), &key.server)
        })
    }

    /// The verdict is that of the prepare: the text cannot change since. Where definitions did, it is judged anew; under other
    /// policies, and where policies look at the time or at how many rows change, it is found anew from the same facts.
    fn run(
        &mut self,
        gateway: &Gateway,
        journal: &mut Journal,
        statement: StatementId,
        run: Run<'_>,
    ) -> Result<Action, Ended> {
        let id = self.id_of(statement);
        let judgement = id.and_then(|id| self.prepared.get(&id)).map(|prepared| Rc::clone(&prepared.judgement));
        if let Some(judgement) = judgement {
            if self.must_look(&judgement.facts) {
                return Ok(Action::Look);
            }
            let refused = self.executes_outdated(gateway, journal, &judgement.facts, run.command, Text::empty)?;
            if let Some(refused) = refused {
                return Ok(refused);
            }
        }
        if self.reads_otherwise(id) {
            let why = "sql_mode or the character set has changed since it was prepared";
            return self.prepare_again(gateway, journal, self.arrived(run.command, Text::empty()), why);
        }
        if id.is_some_and(|id| !self.redefine(id)) {
            gateway.counters.statement(true);
            let why = "views or routines changed since it was prepared, and its text is too long to be kept";
            journal.refused(self.arrived(run.command, Text::empty()), why)?;
            return Ok(Action::Answer(Refusal::prepare_again("views or routines changed", &self.session)));
        }
        let Some((id, prepared)) = id.and_then(|id| Some((id, self.prepared.get_mut(&id)?))) else {
            return self.unknown_statement(journal, run.command, statement);
        };
        let judgement = prepared.renewed(&self.policies);
        let anew = prepared.scope.judge_times(&self.policies, &judgement, run.times);
        let verdict = anew.as_ref().unwrap_or(&judgement.verdict);
        let arrived = Arrived {
            command: run.command,
            prepared: Some(prepared.number),
            text: Text::empty(),
            schema: self.scope.key.schema.as_deref(),
            parameters: run.parameters,
        };
        let number = journal.judged(arrived, judgement.class, verdict)?;
        if let Some(bound) = run.bound {
            prepared.types = bound;
        }
        prepared.long_data.clear();
        let (plan, columns) = (prepared.plan.clone(), prepared.columns.clone());
        Ok(self.by_verdict(gateway, verdict, || Forwarded {
            judgement: Some(Rc::clone(&judgement)),
            plan,
            columns,
            statement_id: Some(id),
            changes_definitions: judgement.facts.changes_definitions(),
            ..Forwarded::plain(number, run.expect)
        }))
    }

    /// Rows of a cursor that an execution opened: what they are was judged then, and is again under other policies.
    pub(super) fn fetch(
        &mut self,
        gateway: &Gateway,
        journal: &mut Journal,
        statement: StatementId,
    ) -> Result<Action, Ended> {
        let id = self.id_of(statement);
        if let Some(prepared) = id.and_then(|id| self.prepared.get_mut(&id))
            && !prepared.judgement.holds(self.policies.generation)
        {
            let (judgement, number) = (prepared.renewed(&self.policies), prepared.number);
            if !judgement.verdict.is_allowed() && !gateway.config.observe {
                let arrived = Arrived { prepared: Some(number), ..self.arrived(Recorded::Fetch, Text::empty()) };
                let number = journal.judged(arrived, judgement.class, &judgement.verdict)?;
                let forwarded = || Forwarded::plain(number, Expect::Fetch);
                return Ok(self.by_verdict(gateway, &judgement.verdict, forwarded));
            }
        }
        self.about(gateway, journal, Recorded::Fetch, statement, Expect::Fetch)
    }

    /// `data` is what is kept of it.
    pub(in crate::session) fn send_long_data(
        &mut self,
        journal: &mut Journal,
        statement: StatementId,
        parameter: u16,
        data: Text<'_>,
    ) -> Result<Action, Ended> {
        let id = self.id_of(statement);
        let Some((id, prepared)) = id.and_then(|id| Some((id, self.prepared.get_mut(&id)?))) else {
            self.unknown_statement(journal, Recorded::SendLongData, statement)?;
            return Ok(Action::Drop);
        };
        // Servers refuse any other when the statement is executed.
        if parameter < prepared.parameters {
            prepared.long_data.insert(parameter);
        }
        journal.arrived(Arrived {
            command: Recorded::SendLongData,
            prepared: Some(prepared.number),
            text: data,
            schema: None,
            parameters: &[],
        })?;
        Ok(Action::ForwardUnanswered { statement_id: Some(id) })
    }

    pub(super) fn close(&mut self, journal: &mut Journal, statement: StatementId) -> Result<Action, Ended> {
        let id = self.id_of(statement);
        let Some((id, prepared)) = id.and_then(|id| Some((id, self.prepared.remove(&id)?))) else {
            return Ok(Action::Drop);
        };
        journal.arrived(Arrived {
            command: Recorded::Close,
            prepared: Some(prepared.number),
            text: Text::empty(),
            schema: None,
            parameters: &[],
        })?;
        Ok(Action::ForwardUnanswered { statement_id: Some(id) })
    }

    pub(super) fn reset(
        &mut self,
        gateway: &Gateway,
        journal: &mut Journal,
        statement: StatementId,
    ) -> Result<Action, Ended> {
        if let Some(prepared) = self.id_of(statement).and_then(|id| self.prepared.get_mut(&id)) {
            prepared.long_data.clear();
        }
        self.about(gateway, journal, Recorded::Reset, statement, Expect::Simple)
    }

    /// A command about a statement that was judged when it was executed.
    fn about(
        &mut self,
        gateway: &Gateway,
        journal: &mut Journal,
        command: Recorded,
        statement: StatementId,
        expect: Expect,
    ) -> Result<Action, Ended> {
        let id = self.id_of(statement);
        let Some((id, prepared)) = id.and_then(|id| Some((id, self.prepared.get(&id)?))) else {
            return self.unknown_statement(journal, command, statement);
        };
        gateway.counters.statement(false);
        let (judgement, plan) = (Rc::clone(&prepared.judgement), prepared.plan.clone());
        let columns = prepared.columns.clone();
        let arrived = Arrived { prepared: Some(prepared.number), ..self.arrived(command, Text::empty()) };
        let number = journal.arrived(arrived)?;
        Ok(Action::Forward(Forwarded {
            judgement: Some(judgement),
            plan,
            columns,
            statement_id: Some(id),
            ..Forwarded::plain(number, expect)
        }))
    }

    fn unknown_statement(
        &self,
        journal: &mut Journal,
        command: Recorded,
        statement: StatementId,
    ) -> Result<Action, Ended> {
        journal.refused(self.arrived(command, Text::empty()), "no statement of this session has this id")?;
        // As the servers' own functions are called.
        let asked = match (self.scope.key.flavour, command) {
            (Flavour::MySql, _) => "mysql_stmt_precheck",
            (Flavour::MariaDb, Recorded::Fetch) => "mysqld_stmt_fetch",
            (Flavour::MariaDb, Recorded::Reset) => "mysqld_stmt_reset",
            (Flavour::MariaDb, Recorded::BulkExecute) => "mysqld_stmt_bulk_execute",
            (Flavour::MariaDb, _) => "mysqld_stmt_execute",
        };
        let id = match statement {
            StatementId::Id(id) => id,
            StatementId::LastPrepared => u32::MAX,
        };
        Ok(Action::Answer(Refusal::unknown_statement(id, asked)))
    }
}
