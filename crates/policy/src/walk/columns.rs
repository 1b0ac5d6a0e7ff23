//! Which table's column a name means, as the servers resolve it: by the tables of its query block, then by those of the
//! blocks around it.
//!
//! A name stands before the `FROM` that gives it a meaning, so names are kept until their block ends. What is in doubt
//! counts for every table that may be meant: more may be found than is read, never less.

use std::collections::{BTreeMap, BTreeSet};

use crate::action::Action;
use crate::cursor::name_text;
use crate::facts::{Column, StatementFacts};
use crate::limits::{COLUMN_NAMES_MAX, COLUMN_SOURCES_MAX, NAME_BYTES_MAX};
use crate::token::{Kind, Token};

/// The names of columns that a query or table gives, in lower case; none where they are not known.
pub(crate) type Output = Option<BTreeSet<String>>;

/// A common table expression.
#[derive(Debug, Clone)]
pub(crate) struct CommonTable {
    pub(crate) name: String,
    pub(crate) columns: Output,
}

/// What a name in a FROM stands for.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) alias: Option<String>,
    pub(crate) schema: Option<String>,
    pub(crate) name: String,
    /// Schema and name of the table whose columns these are; none for derived tables.
    pub(crate) table: Option<(String, String)>,
    pub(crate) columns: Output,
}

/// The query blocks that are open, innermost last.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    /// Where columns are not looked for, nothing is kept.
    are_looked_for: bool,
    open: Vec<Block>,
    /// All that were met in the statement.
    sources: Vec<Source>,
    /// What the block that was closed last was about.
    closed: Closed,
    names: usize,
    /// There are too many names or tables.
    overflows: bool,
}

/// What is left of a block: what comes behind its parenthesis may still be about it.
#[derive(Debug, Default, Clone)]
struct Closed {
    sources: Vec<usize>,
    aliases: BTreeSet<String>,
    output: Output,
}

#[derive(Debug, Default)]
struct Block {
    sources: Vec<usize>,
    /// Those of a block before it, which may be meant as well.
    others: Vec<usize>,
    names: BTreeMap<Name, Passed>,
    /// Names of its expressions.
    aliases: BTreeSet<String>,
    output: Output,
    /// Of the first block of a UNION.
    first_output: Option<Output>,
    has_star: bool,
    is_natural: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    schema: Option<String>,
    table: Option<String>,
    column: Column,
}

/// What was found for a name in the blocks that it came through.
#[derive(Debug, Default)]
struct Passed {
    /// Tables that may have it.
    maybe: BTreeSet<usize>,
    /// The others: they are meant if no table is known to have it.
    others: BTreeSet<usize>,
    is_found: bool,
}

/// Whether a qualifier means a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Means {
    Yes,
    Perhaps,
    No,
}

const STAR: &str = "of `*`";
const NATURAL: &str = "of a NATURAL JOIN with what has columns that are not known";
const UNRESOLVED: &str = "a name's table is not known";
const MANY: &str = "the statement has too many names";
const ROW_ID: &str = "`_rowid` is another column's name";
const NOT_ASCII: &str = "a column's name has characters outside ASCII";

impl Blocks {
    pub(crate) fn new(are_looked_for: bool) -> Self {
        Self { are_looked_for, ..Self::default() }
    }

    pub(crate) fn are_looked_for(&self) -> bool {
        self.are_looked_for
    }

    pub(crate) fn open(&mut self) {
        if self.are_looked_for {
            self.open.push(Block { output: Some(BTreeSet::new()), ..Block::default() });
        }
    }

    /// A block for what follows a parenthesis that was closed: it may be about what is inside.
    pub(crate) fn reopen(&mut self) {
        if self.are_looked_for {
            let Closed { sources, aliases, output } = self.closed.clone();
            self.open.push(Block { others: sources, aliases, output, ..Block::default() });
        }
    }

    /// What comes now may be about the block that was closed last as well.
    pub(crate) fn join_closed(&mut self) {
        let Some(block) = self.open.last_mut() else { return };
        block.others.extend(&self.closed.sources);
        block.aliases.extend(self.closed.aliases.iter().cloned());
    }

    /// The same for a query in parentheses, whose columns are the block's.
    pub(crate) fn take_closed(&mut self) {
        self.join_closed();
        if let Some(block) = self.open.last_mut() {
            block.output.clone_from(&self.closed.output);
        }
    }

    /// The next block of a UNION. What is behind the last one is about the columns of the first.
    pub(crate) fn next(&mut self, facts: &mut StatementFacts) {
        if !self.are_looked_for {
            return;
        }
        self.close(facts);
        let Closed { output, .. } = self.closed.clone();
        self.open.push(Block {
            aliases: output.clone().unwrap_or_default(),
            output: Some(BTreeSet::new()),
            first_output: Some(output),
            ..Block::default()
        });
    }

    /// The columns of the query that was closed last.
    pub(crate) fn output(&self) -> Output {
        self.closed.output.clone()
    }

    pub(crate) fn source(&mut self, source: Source) {
        if !self.are_looked_for {
            return;
        }
        if self.sources.len() >= COLUMN_SOURCES_MAX {
            self.overflows = true;
        }
        let at = self.sources.len();
        self.sources.push(source);
        if let Some(block) = self.open.last_mut() {
            block.sources.push(at);
        }
    }

    /// `*` of a select list.
    pub(crate) fn star(&mut self) {
        if let Some(block) = self.open.last_mut() {
            block.has_star = true;
            block.output = None;
        }
    }

    /// `NATURAL JOIN`
    pub(crate) fn natural(&mut self) {
        if let Some(block) = self.open.last_mut() {
            block.is_natural = true;
        }
    }

    /// A column by the parts of its name; `t.*` where `star`.
    pub(crate) fn name(&mut self, parts: &[&Token<'_>], star: bool) {
        if !self.are_looked_for {
            return;
        }
        let text =
            |token: &&Token<'_>| if token.kind == Kind::Quoted { name_text(token) } else { token.text.to_owned() };
        let (qualifiers, column) = match (parts.split_last(), star) {
            (_, true) => (parts, Column::Every(STAR)),
            (Some((last, qualifiers)), false) => (qualifiers, column_of(last)),
            (None, false) => return,
        };
        let (schema, table) = match qualifiers {
            [] => (None, None),
            [table] => (None, Some(text(table))),
            [.., schema, table] => (Some(text(schema)), Some(text(table))),
        };
        self.keep(Name { schema, table, column }, Passed::default());
    }

    fn keep(&mut self, name: Name, passed: Passed) {
        let Some(block) = self.open.last_mut() else { return };
        if self.names >= COLUMN_NAMES_MAX {
            self.overflows = true;
            return;
        }
        let known = block.names.entry(name).or_insert_with(|| {
            self.names += 1;
            Passed::default()
        });
        known.maybe.extend(passed.maybe);
        known.others.extend(passed.others);
        known.is_found |= passed.is_found;
    }

    /// What an expression of a select list is called: by its alias, or as the column that it is.
    pub(crate) fn selected(&mut self, written: &[Token<'_>], alias: Option<&Token<'_>>) {
        let Some(block) = self.open.last_mut() else { return };
        let is_name = |token: &Token<'_>| matches!(token.kind, Kind::Word | Kind::Quoted);
        let plain = written.iter().enumerate().all(|(at, token)| match at % 2 {
            0 => is_name(token),
            _ => token.is_symbol("."),
        });
        let column = match alias {
            Some(token) => column_of(token),
            None if written.last().is_some_and(|last| last.is_symbol("*")) => Column::Every(STAR),
            None => match written.last().filter(|_| plain) {
                Some(last) => column_of(last),
                // By its text, which nobody writes.
                None => return,
            },
        };
        match (column, alias.is_some()) {
            (Column::Named(name), true) => {
                if let Some(output) = &mut block.output {
                    output.insert(name.clone());
                }
                block.aliases.insert(name);
            }
            (Column::Named(name), false) => {
                if let Some(output) = &mut block.output {
                    output.insert(name);
                }
            }
            (Column::Every(_), _) => block.output = None,
        }
    }

    /// The block ends: what its names mean is noted, or asked of the block around it.
    pub(crate) fn close(&mut self, facts: &mut StatementFacts) {
        let Some(block) = self.open.pop() else { return };
        if self.overflows {
            self.every(&(0..self.sources.len()).collect(), facts, MANY);
        }
        if block.has_star {
            self.every(&block.sources.iter().copied().collect(), facts, STAR);
        }
        if block.is_natural {
            self.common(&block, facts);
        }
        let Block { mut sources, others, names, aliases, output, first_output, .. } = block;
        for (name, mut passed) in names {
            let is_settled = match (&name.table, &name.column) {
                (Some(_), _) => self.qualified(&name, &sources, &others, &mut passed),
                (None, Column::Named(column)) => {
                    self.unqualified(column, &sources, &others, &mut passed) || aliases.contains(column)
                }
                (None, Column::Every(_)) => {
                    passed.maybe.extend(sources.iter().chain(&others));
                    false
                }
            };
            if is_settled || self.open.is_empty() {
                self.settle(&name, passed, is_settled, facts);
            } else {
                self.keep(name, passed);
            }
        }
        sources.extend(others);
        self.closed = Closed { sources, aliases, output: first_output.unwrap_or(output) };
    }

    /// Whether a table of the block is known to have the column.
    fn unqualified(&self, column: &str, sources: &[usize], others: &[usize], passed: &mut Passed) -> bool {
        let mut is_known = false;
        for (at, is_own) in sources.iter().map(|at| (*at, true)).chain(others.iter().map(|at| (*at, false))) {
            let Some(source) = self.sources.get(at) else { continue };
            match &source.columns {
                Some(columns) if columns.contains(column) => {
                    passed.maybe.insert(at);
                    passed.is_found = true;
                    is_known |= is_own;
                }
                Some(_) => drop(passed.others.insert(at)),
                None => drop(passed.maybe.insert(at)),
            }
        }
        is_known
    }

    /// Whether the qualifier means a table of the block and no other.
    fn qualified(&self, name: &Name, sources: &[usize], others: &[usize], passed: &mut Passed) -> bool {
        let mut is_known = false;
        for (at, is_own) in sources.iter().map(|at| (*at, true)).chain(others.iter().map(|at| (*at, false))) {
            let Some(source) = self.sources.get(at) else { continue };
            match source.is_meant(name) {
                Means::No => drop(passed.others.insert(at)),
                means => {
                    passed.maybe.insert(at);
                    passed.is_found = true;
                    is_known |= is_own && means == Means::Yes;
                }
            }
        }
        is_known
    }

    fn settle(&self, name: &Name, passed: Passed, is_settled: bool, facts: &mut StatementFacts) {
        passed.maybe.iter().for_each(|at| self.note(*at, &name.column, facts));
        if is_settled || passed.is_found {
            return;
        }
        match name.table {
            Some(_) => self.every(&passed.others, facts, UNRESOLVED),
            None => passed.others.iter().for_each(|at| self.note(*at, &name.column, facts)),
        }
    }

    /// A NATURAL JOIN compares the columns that tables have in common.
    fn common(&self, block: &Block, facts: &mut StatementFacts) {
        let sources: Vec<&Source> = block.sources.iter().filter_map(|at| self.sources.get(*at)).collect();
        if sources.iter().any(|source| source.columns.is_none()) {
            return self.every(&block.sources.iter().copied().collect(), facts, NATURAL);
        }
        let mut seen: BTreeMap<&String, usize> = BTreeMap::new();
        sources
            .iter()
            .flat_map(|source| source.columns.iter().flatten())
            .for_each(|name| *seen.entry(name).or_default() += 1);
        for at in &block.sources {
            let columns = self.sources.get(*at).into_iter().flat_map(|source| source.columns.iter().flatten());
            for name in columns.filter(|name| seen.get(name).is_some_and(|times| *times > 1)) {
                self.note(*at, &Column::Named(name.clone()), facts);
            }
        }
    }

    fn every(&self, sources: &BTreeSet<usize>, facts: &mut StatementFacts, why: &'static str) {
        sources.iter().for_each(|at| self.note(*at, &Column::Every(why), facts));
    }

    fn note(&self, at: usize, column: &Column, facts: &mut StatementFacts) {
        if let Some((schema, table)) = self.sources.get(at).and_then(|source| source.table.as_ref()) {
            facts.column(Action::Select, schema, table, column);
        }
    }
}

impl Source {
    /// Whether a name's qualifiers mean this. Case counts at some servers, so that without it another table may be meant.
    fn is_meant(&self, name: &Name) -> Means {
        let Some(table) = &name.table else { return Means::No };
        let called = self.alias.as_ref().unwrap_or(&self.name);
        if called == table && (name.schema.is_none() || self.alias.is_none() && name.schema == self.schema) {
            return Means::Yes;
        }
        let is_alike = |one: &str, other: &str| one.eq_ignore_ascii_case(other) || !one.is_ascii() || !other.is_ascii();
        // Behind a schema, the alias or the table's own name may stand (it differs by version).
        let of_table = name.schema.is_some() && is_alike(&self.name, table);
        match is_alike(called, table) || of_table {
            true => Means::Perhaps,
            false => Means::No,
        }
    }
}

/// What a token names as a column. Servers compare these names without case and without accents.
pub(crate) fn column_of(token: &Token<'_>) -> Column {
    let name = match token.kind {
        Kind::Word => token.text.to_owned(),
        Kind::Quoted => name_text(token),
        // An alias in quotes; it may be written in many ways.
        Kind::String
        | Kind::DoubleString
        | Kind::Number
        | Kind::Hex
        | Kind::UserVariable
        | Kind::SystemVariable
        | Kind::Placeholder
        | Kind::Symbol
        | Kind::Semicolon => return Column::Every(UNRESOLVED),
    };
    let is_plain = |char: char| char.is_ascii() && !char.is_ascii_control();
    if name.len() > NAME_BYTES_MAX || !name.chars().all(is_plain) {
        return Column::Every(NOT_ASCII);
    }
    match name.eq_ignore_ascii_case("_rowid") {
        true => Column::Every(ROW_ID),
        false => Column::Named(name.to_ascii_lowercase()),
    }
}
