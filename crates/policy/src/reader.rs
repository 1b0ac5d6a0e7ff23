//! Reads one statement: by a recogniser of its own where the grammar is small, by the parser where it is not. What it
//! finds is asked for; what it cannot read ends it with a reason.

use crate::action::Action;
use crate::context::{Context, Flavour, Names};
use crate::cursor::Cursor;
use crate::facts::{Resource, StatementFacts};
use crate::limits::{
    JOINS_MAX, OPERATORS_MAX, REQUESTS_MAX, SMALL_DEPTH_MAX, SMALL_JOINS_MAX, SMALL_OPERATORS_MAX, STACK_BYTES,
};
use crate::reading::ReadingSet;
use crate::routine::holds_statements;
use crate::through::Through;
use crate::token::{Kind, Token, Unread};
use crate::walk::{Blocks, CommonTable};

/// A statement being read.
#[derive(Debug)]
pub(crate) struct Reader<'n> {
    pub(crate) names: Names<'n>,
    pub(crate) flavour: Flavour,
    pub(crate) context: Context<'n>,
    /// What views and routines were looked through.
    pub(crate) through: Through,
    /// The tables that are selected from elsewhere than in an expression: a change through a view may reach these.
    pub(crate) sources: Vec<Resource>,
    /// How deep in expressions the walk is.
    pub(crate) expressions: usize,
    /// `CREATE VIEW`
    pub(crate) makes_view: bool,
    pub(crate) facts: StatementFacts,
    /// The common table expressions in scope, innermost last.
    pub(crate) scope: Vec<CommonTable>,
    /// Which tables' columns names mean.
    pub(crate) columns: Blocks,
    /// `SELECT`s and `TABLE`s walked: held against the words in the text, so that none can be lost on the way.
    pub(crate) selects_walked: usize,
    pub(crate) tables_walked: usize,
    /// In the body of a stored routine, where names may be variables.
    pub(crate) in_routine: bool,
    /// Variables and parameters of that routine, in lower case.
    pub(crate) variables: Vec<String>,
    /// How deep in blocks of the routine.
    pub(crate) blocks: usize,
    /// What `USE` changed the default schema to.
    pub(crate) schema_used: Option<String>,
    /// The file that `LOAD DATA LOCAL` names.
    pub(crate) local_file: Option<String>,
    /// The connection that `KILL` names.
    pub(crate) killed: Option<u64>,
    /// What `SET` says of how later texts are read.
    pub(crate) reading_set: ReadingSet,
    /// The statement is a list of system variables, and nothing around it: their values come under their own names, by which
    /// the gateway hides those that lead round it.
    pub(crate) lists_variables: bool,
}

impl<'n> Reader<'n> {
    pub(crate) fn new(names: Names<'n>, context: Context<'n>, through: Through) -> Self {
        Self {
            names,
            flavour: context.flavour,
            context,
            through,
            sources: Vec::new(),
            expressions: 0,
            makes_view: false,
            facts: StatementFacts::new(Action::Unparsed),
            scope: Vec::new(),
            columns: Blocks::new(context.catalogue.knows_columns()),
            selects_walked: 0,
            tables_walked: 0,
            in_routine: false,
            variables: Vec::new(),
            blocks: 0,
            schema_used: None,
            local_file: None,
            killed: None,
            reading_set: ReadingSet::default(),
            lists_variables: false,
        }
    }

    /// Reads a whole statement. What was found is kept when the rest cannot be read.
    pub(crate) fn statement(&mut self, tokens: &[Token<'_>]) {
        let rest = self.first(tokens);
        if !rest.is_empty() && self.facts.unparsed.is_none() {
            self.facts.unread_for("something follows the statement".to_owned());
        }
    }

    /// Reads the first statement of `tokens`; gives what follows it. After one that holds others and cannot be read, nobody
    /// knows where that begins: nothing follows.
    pub(crate) fn first<'t, 'a>(&mut self, tokens: &'t [Token<'a>]) -> &'t [Token<'a>] {
        let mut rest: &'t [Token<'a>] = &[];
        if holds_statements(tokens, self.flavour) {
            // Blocks nest without an operator or a parenthesis.
            let read = Size::of(tokens).and_then(|_| {
                stacker::maybe_grow(STACK_BYTES / 2, STACK_BYTES, || {
                    rest = self.holding(tokens)?;
                    Ok(())
                })
            });
            self.finish(read);
            return rest;
        }
        let end = tokens.iter().position(|token| token.kind == Kind::Semicolon).unwrap_or(tokens.len());
        let (statement, rest) = tokens.split_at_checked(end).unwrap_or((tokens, &[]));
        self.read(statement, |reader| reader.dispatch(statement));
        rest
    }

    fn read(&mut self, tokens: &[Token<'_>], read: impl FnOnce(&mut Self) -> Result<(), Unread>) {
        let read = Size::of(tokens).and_then(|size| match size.is_small() {
            true => read(self),
            false => stacker::grow(STACK_BYTES, || read(self)),
        });
        self.finish(read);
    }

    /// Notes why the statement was not read, if it was not.
    pub(crate) fn finish(&mut self, read: Result<(), Unread>) {
        if let Err(Unread(reason)) = read.and_then(|()| self.check_requests()) {
            self.facts.requests.truncate(REQUESTS_MAX);
            self.facts.unread_for(reason);
        }
    }

    /// Reads a statement that holds no others.
    pub(crate) fn dispatch(&mut self, tokens: &[Token<'_>]) -> Result<(), Unread> {
        let mut cursor = Cursor::new(tokens);
        let Some(first) = cursor.next() else { return Err(Unread::new("an empty statement")) };
        if first.is_symbol("(") {
            return self.rows(tokens);
        }
        if first.kind != Kind::Word {
            return Err(Unread::new("the statement does not start with a word"));
        }
        let verb = first.text.to_ascii_uppercase();
        match verb.as_str() {
            "SELECT" | "WITH" | "TABLE" | "VALUES" | "INSERT" | "REPLACE" | "UPDATE" | "DELETE" => self.rows(tokens),
            "CALL" => self.call(cursor),
            "DO" => self.do_expressions(cursor),
            "HANDLER" => self.handler(cursor),
            "EXPLAIN" | "DESCRIBE" | "DESC" => self.explain(cursor),
            "ANALYZE" => self.analyze(cursor),
            "SET" => self.set(cursor),
            "SHOW" => self.show(cursor),
            "CREATE" => self.create(cursor),
            "ALTER" => self.alter(cursor),
            "DROP" => self.drop(cursor),
            "PREPARE" => self.prepare(cursor),
            "EXECUTE" => self.execute(cursor),
            "DEALLOCATE" => self.deallocate(cursor),
            "LOAD" => self.load(cursor),
            "KILL" => self.kill(cursor),
            "SIGNAL" | "RESIGNAL" => self.signal(cursor),
            "GET" => self.diagnostics(cursor),
            "CHECK" | "REPAIR" | "OPTIMIZE" | "CHECKSUM" => self.maintain(&verb, cursor),
            "CACHE" => self.cache_index(cursor),
            "PURGE" => self.purge(cursor),
            _ => self.command(&verb, cursor),
        }
    }

    fn command(&mut self, verb: &str, cursor: Cursor<'_, '_>) -> Result<(), Unread> {
        match verb {
            "USE" => self.use_schema(cursor),
            "BEGIN" | "START" | "COMMIT" | "ROLLBACK" | "SAVEPOINT" | "RELEASE" => self.transaction(verb, cursor),
            "TRUNCATE" => self.truncate(cursor),
            "RENAME" => self.rename(cursor),
            "LOCK" => self.lock_tables(cursor),
            "UNLOCK" => self.unlock_tables(cursor),
            // Privileges are named as statements are: nothing in these reads or changes a table.
            "GRANT" | "REVOKE" => self.whole(Action::Users),
            "FLUSH" => self.flush(cursor),
            "INSTALL" | "UNINSTALL" => self.whole(Action::Plugins),
            "STOP" | "CHANGE" | "RESET" => self.replication(verb, cursor),
            "XA" => self.xa(cursor),
            "HELP" => self.help(cursor),
            "BACKUP" => self.backup(cursor),
            // It holds changes of rows of any table.
            "BINLOG" => self.whole_text(Action::Replication, cursor),
            "SHUTDOWN" | "RESTART" => self.whole_word(Action::Shutdown, cursor),
            _ => Err(Unread::new(format!("`{}` is not read", verb.chars().take(32).collect::<String>()))),
        }
    }

    /// A statement that is one action on the server, whatever else it says.
    pub(crate) fn whole(&mut self, action: Action) -> Result<(), Unread> {
        self.facts.class = action;
        self.facts.request(action, Resource::Server);
        Ok(())
    }

    /// Asks for `action` on a table of the statement, in every column.
    pub(crate) fn table(&mut self, action: Action, name: (Option<String>, String)) -> Result<(), Unread> {
        let resource = self.names.table(name.0, name.1)?;
        self.facts.request(action, resource.clone());
        self.behind_table(action, &resource)
    }

    /// Asks for `action` on a table of the statement, in the columns that are told besides.
    pub(crate) fn table_in_columns(&mut self, action: Action, name: (Option<String>, String)) -> Result<(), Unread> {
        let resource = self.names.table(name.0, name.1)?;
        match self.columns.are_looked_for() {
            true => self.facts.request_columns(action, resource.clone()),
            false => self.facts.request(action, resource.clone()),
        }
        self.behind_table(action, &resource)
    }

    fn behind_table(&mut self, action: Action, resource: &Resource) -> Result<(), Unread> {
        self.check_requests()?;
        if is_about_the_name(action) {
            return Ok(());
        }
        let sources = self.look_through(action, resource)?;
        if action == Action::Select && self.expressions == 0 {
            // Each once: views that name one twice would double them at every level.
            let new: Vec<_> = sources.into_iter().filter(|source| !self.sources.contains(source)).collect();
            self.sources.extend(new);
        }
        self.check_requests()
    }

    /// Asks for what triggers do when a change of a table's rows also adds some, as one of a portion of a period does.
    pub(crate) fn adds_rows(&mut self, name: (Option<String>, String)) -> Result<(), Unread> {
        let resource = self.names.table(name.0, name.1)?;
        self.look_through(Action::Insert, &resource).map(drop)
    }

    fn check_requests(&self) -> Result<(), Unread> {
        if self.facts.requests.len() > REQUESTS_MAX {
            return Err(Unread::new(format!("the statement touches more than {REQUESTS_MAX} things")));
        }
        Ok(())
    }
}

/// Whether what is done to a view so is done to it alone: what is behind it is neither read nor changed.
fn is_about_the_name(action: Action) -> bool {
    matches!(
        action,
        Action::Show
            | Action::Create
            | Action::Alter
            | Action::Drop
            | Action::Rename
            | Action::Truncate
            | Action::Index
            | Action::Trigger
    )
}

/// Words that the parser chains to the left, so that their number is the depth of a tree.
const OPERATOR_WORDS: [&str; 34] = [
    "AND",
    "OR",
    "XOR",
    "NOT",
    "DIV",
    "MOD",
    "LIKE",
    "RLIKE",
    "REGEXP",
    "IS",
    "IN",
    "BETWEEN",
    "UNION",
    "EXCEPT",
    "INTERSECT",
    "MINUS",
    "COLLATE",
    "ESCAPE",
    "AT",
    "MEMBER",
    "ISNULL",
    "NOTNULL",
    "OVERLAPS",
    "SIMILAR",
    "ILIKE",
    "GLOB",
    "MATCH",
    "OPERATOR",
    "SOUNDS",
    "BINARY",
    "ANY",
    "ALL",
    "SOME",
    "PIVOT",
];

/// Words whose operands hold operands of their own.
const NESTING_WORDS: [&str; 2] = ["CASE", "INTERVAL"];

/// What decides how much stack a statement needs.
#[derive(Debug, Default)]
struct Size {
    operators: usize,
    joins: usize,
    /// Words that nest without a parenthesis.
    nesting_words: usize,
    /// Deepest nesting; how many there are does not matter.
    depth: usize,
}

impl Size {
    fn of(tokens: &[Token<'_>]) -> Result<Self, Unread> {
        let mut size = Self::default();
        let mut depth = 0_usize;
        for token in tokens {
            match token.kind {
                Kind::Symbol if token.text == "(" => {
                    depth += 1;
                    size.depth = size.depth.max(depth);
                }
                Kind::Symbol if token.text == ")" => depth = depth.saturating_sub(1),
                Kind::Symbol if !matches!(token.text, "," | ".") => size.operators += 1,
                Kind::Word if is_join(token) => size.joins += 1,
                Kind::Word if NESTING_WORDS.iter().any(|word| token.is_word(word)) => {
                    size.operators += 1;
                    size.nesting_words += 1;
                }
                Kind::Word if OPERATOR_WORDS.iter().any(|word| token.is_word(word)) => size.operators += 1,
                _ => {}
            }
        }
        if size.operators > OPERATORS_MAX {
            return Err(Unread::new(format!("more than {OPERATORS_MAX} operators")));
        }
        if size.joins > JOINS_MAX {
            return Err(Unread::new(format!("more than {JOINS_MAX} joins")));
        }
        Ok(size)
    }

    fn is_small(&self) -> bool {
        self.operators <= SMALL_OPERATORS_MAX
            && self.joins <= SMALL_JOINS_MAX
            && self.depth + self.nesting_words <= SMALL_DEPTH_MAX
    }
}

fn is_join(token: &Token<'_>) -> bool {
    token.is_word("JOIN") || token.is_word("STRAIGHT_JOIN") || token.is_word("APPLY")
}
