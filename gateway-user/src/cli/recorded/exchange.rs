//! A statement with what became of it.

use std::rc::Rc;

use portreeve_policy::{Action, Resource};
use portreeve_recording::{
    Abandoned, Command, Decision, Entry, Facts, Forwarded, Record, Response, Rows, Statement, Text, Verdict,
};

use super::PreparedText;
use crate::limits::RECORDED_FACTS_BYTES_MAX;

/// One statement, its verdict and its answer, as far as they are recorded.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Exchange {
    /// When the statement arrived.
    pub(in crate::cli) at_unix_ns: u64,
    pub(in crate::cli) statement: Statement<'static>,
    /// What it executes.
    pub(in crate::cli) prepared: Option<Rc<PreparedText>>,
    /// None for commands that nobody judges.
    pub(in crate::cli) verdict: Option<Verdict<'static>>,
    /// What the policies were asked, where that is recorded.
    pub(in crate::cli) facts: Option<Facts<'static>>,
    /// Whether that is all: it was recorded in one record at first, however much it was.
    pub(in crate::cli) facts_are_whole: bool,
    /// Bytes of the names in it.
    facts_bytes: usize,
    /// Rows of the answer, where they are recorded, up to [`RECORDED_ROWS_BYTES_MAX`](crate::limits::RECORDED_ROWS_BYTES_MAX).
    pub(in crate::cli) rows: Vec<Rows<'static>>,
    /// What was forwarded in its place.
    pub(in crate::cli) forwarded: Option<Text<'static>>,
    pub(in crate::cli) response: Option<Response<'static>>,
    pub(in crate::cli) abandoned: Option<Abandoned<'static>>,
    /// When the last of it was recorded.
    pub(in crate::cli) until_unix_ns: u64,
}

impl Exchange {
    pub(in crate::cli) fn new(
        at_unix_ns: u64,
        statement: Statement<'static>,
        prepared: Option<Rc<PreparedText>>,
    ) -> Self {
        let (verdict, facts, forwarded, response, abandoned) = (None, None, None, None, None);
        let (rows, until_unix_ns) = (Vec::new(), at_unix_ns);
        let (facts_are_whole, facts_bytes) = (true, 0);
        Self {
            at_unix_ns,
            statement,
            prepared,
            verdict,
            facts,
            facts_are_whole,
            facts_bytes,
            rows,
            forwarded,
            response,
            abandoned,
            until_unix_ns,
        }
    }

    /// The text that runs: the statement's own, or that of the statement which it executes.
    pub(in crate::cli) fn text(&self) -> &Text<'static> {
        self.prepared.as_ref().map_or(&self.statement.sql, |prepared| &prepared.sql)
    }

    /// As records, the statement with the text that it executes.
    pub(in crate::cli) fn records(&self) -> impl Iterator<Item = Entry<'static>> {
        let statement = Statement { sql: self.text().clone(), ..self.statement.clone() };
        let number = statement.number;
        let forwarded = self.forwarded.clone().map(|sql| Record::Forwarded(Forwarded { number, sql }));
        let all = [
            Some(Record::Statement(statement)),
            self.verdict.clone().map(Record::Verdict),
            forwarded,
            self.response.clone().map(Record::Response),
            self.abandoned.clone().map(Record::Abandoned),
        ];
        let at_unix_ns = self.at_unix_ns;
        all.into_iter().flatten().map(move |record| Entry { at_unix_ns, record })
    }

    /// Whether nothing of it was forwarded.
    pub(in crate::cli) fn is_denied(&self) -> bool {
        self.verdict.as_ref().is_some_and(|verdict| match verdict.decision {
            Decision::Allow | Decision::WouldDeny => false,
            Decision::Deny => true,
        })
    }

    /// Takes a record of what the policies were asked, up to [`RECORDED_FACTS_BYTES_MAX`] in all.
    pub(in crate::cli) fn add_facts(&mut self, more: Facts<'static>) {
        let names = more.actions.iter().chain(more.resources.iter());
        self.facts_bytes = names.fold(self.facts_bytes, |bytes, name| bytes.saturating_add(name.len()));
        let fits = self.facts_bytes <= RECORDED_FACTS_BYTES_MAX;
        self.facts_are_whole = fits && !more.is_followed();
        match &mut self.facts {
            None => self.facts = Some(more),
            Some(facts) if fits => {
                facts.actions.to_mut().extend(more.actions.into_owned());
                facts.resources.to_mut().extend(more.resources.into_owned());
            }
            Some(_) => {}
        }
    }

    pub(in crate::cli) fn asks(&self) -> Asks<'_> {
        asks(&self.statement, self.prepared.as_deref())
    }
}

/// What a recorded statement asks of the policies.
#[derive(Debug)]
pub(in crate::cli) enum Asks<'a> {
    /// A text is to be analysed.
    Text { sql: &'a Text<'a>, schema: Option<&'a str>, prepared: bool },
    /// A command is one action.
    Command(Action, Resource),
    /// The recording does not say, and why.
    Unknown(&'static str),
    /// What everybody may, what is about a statement that was judged, and what is not passed at all.
    Nothing,
}

/// What a statement asks; `prepared` is what it executes.
pub(in crate::cli) fn asks<'a>(statement: &'a Statement<'_>, prepared: Option<&'a PreparedText>) -> Asks<'a> {
    let schema = statement.schema.as_deref();
    match statement.command {
        Command::Query => Asks::Text { sql: &statement.sql, schema, prepared: false },
        Command::Prepare => Asks::Text { sql: &statement.sql, schema, prepared: true },
        Command::Execute | Command::BulkExecute => match prepared {
            // In the schema of its preparing: that is what its names mean.
            Some(text) => Asks::Text { sql: &text.sql, schema: text.schema.as_deref(), prepared: true },
            None => Asks::Unknown("which text it executes is not recorded, or lies too far back"),
        },
        Command::InitDb => match whole(&statement.sql) {
            Some(schema) => Asks::Command(Action::Use, Resource::Schema(schema)),
            None => Asks::Unknown(NAME_NOT_WHOLE),
        },
        Command::FieldList => match (whole(&statement.sql), schema) {
            (Some(table), Some(schema)) => {
                Asks::Command(Action::Show, Resource::Table { schema: schema.to_owned(), table })
            }
            (Some(_) | None, _) => Asks::Unknown("its table, or the schema of that, is not recorded"),
        },
        Command::Admin { code } => admin(code, &statement.sql),
        Command::LocalInfile => Asks::Command(Action::LocalInfile, Resource::Server),
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
        | Command::Refused { .. } => Asks::Nothing,
    }
}

const NAME_NOT_WHOLE: &str = "its name is not recorded as a whole, or is no UTF-8";

/// Commands that are one action, by their first byte (`session/commands/administrative.rs` judges them so).
fn admin(code: u8, text: &Text<'_>) -> Asks<'static> {
    let (action, resource) = match code {
        0x05 | 0x06 => match whole(text) {
            Some(schema) => (if code == 0x05 { Action::Create } else { Action::Drop }, Resource::Schema(schema)),
            None => return Asks::Unknown(NAME_NOT_WHOLE),
        },
        0x07 => (Action::Flush, Resource::Server),
        0x08 => (Action::Shutdown, Resource::Server),
        0x0A => (Action::Processlist, Resource::Server),
        0x0D => (Action::Debug, Resource::Server),
        0x12 | 0x13 | 0x15 | 0x1E => (Action::Replication, Resource::Server),
        _ => return Asks::Unknown("whether it was permitted depends on what it was about"),
    };
    Asks::Command(action, resource)
}

/// A name that is recorded whole and is UTF-8.
fn whole(text: &Text<'_>) -> Option<String> {
    (!text.truncated).then(|| std::str::from_utf8(text.kept()).ok().map(str::to_owned)).flatten()
}
