//! What came of the statements.

use super::kind::Kind;
use crate::corpus::share;
use serde::Serialize;
use std::collections::BTreeMap;

/// Counts of statements, and those that somebody should look at.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) files: usize,
    pub(crate) statements: usize,
    /// By how they were tried.
    pub(crate) kinds: BTreeMap<Kind, usize>,
    /// The account could do what it should.
    pub(crate) compared: usize,
    /// Of the compared, those with a table at least.
    pub(crate) with_tables: usize,
    /// Neither the account nor the test's own session could: something is missing that the test would have made.
    pub(crate) not_possible_here: usize,
    /// The server refused the account another privilege on what analysis found (`DELETE HISTORY`, all of a system schema), or one that is
    /// no table's.
    pub(crate) other_privilege: Vec<String>,
    /// The server refused the account a table, schema or routine that the statement names and analysis did not find.
    pub(crate) too_little: Vec<String>,
    /// The server refused the account what the statement does not name: a column's default uses a sequence, a view a table.
    pub(crate) through: Vec<String>,
    /// Tables taken away, and those that the server did not miss.
    pub(crate) taken_away: usize,
    pub(crate) too_much: Vec<String>,
    /// Those of the unparsed that the server took.
    pub(crate) unparsed: Vec<String>,
    /// Files that ended early.
    pub(crate) broken: Vec<String>,
}

impl Report {
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.files += other.files;
        self.statements += other.statements;
        for (kind, number) in other.kinds {
            *self.kinds.entry(kind).or_default() += number;
        }
        self.compared += other.compared;
        self.with_tables += other.with_tables;
        self.not_possible_here += other.not_possible_here;
        self.other_privilege.extend(other.other_privilege);
        self.too_little.extend(other.too_little);
        self.through.extend(other.through);
        self.taken_away += other.taken_away;
        self.too_much.extend(other.too_much);
        self.unparsed.extend(other.unparsed);
        self.broken.extend(other.broken);
        self
    }

    /// One line, for progress.
    pub(crate) fn line(&self) -> String {
        format!(
            "{} statements, {} compared, {} too little, {} too much",
            self.statements,
            self.compared,
            self.too_little.len(),
            self.too_much.len()
        )
    }

    pub(crate) fn print(&self, verbose: bool) {
        let tried = self.statements;
        println!("{} files, {tried} statements", self.files);
        for (kind, number) in &self.kinds {
            println!("  {:<11} {number:>8}  {:>6.2} %", format!("{kind:?}").to_lowercase(), share(*number, tried));
        }
        println!(
            "compared     {:>8}  {:>6.2} %, {} of them with tables",
            self.compared,
            share(self.compared, tried),
            self.with_tables
        );
        println!(
            "not possible {:>8}  {:>6.2} %: fails for everybody",
            self.not_possible_here,
            share(self.not_possible_here, tried)
        );
        println!(
            "other        {:>8}  {:>6.2} %: another privilege on what was found, or on the server",
            self.other_privilege.len(),
            share(self.other_privilege.len(), tried)
        );
        println!("through      {:>8}: refused what the text does not name", self.through.len());
        println!("too much     {:>8} of {} tables taken away", self.too_much.len(), self.taken_away);
        println!(
            "not read     {:>8}  {:>6.2} %: unparsed, and the server took it",
            self.unparsed.len(),
            share(self.unparsed.len(), tried)
        );
        println!("too little   {:>8}", self.too_little.len());
        list("ended early", &self.broken);
        list("too little", &self.too_little);
        if verbose {
            list("other privilege", &self.other_privilege);
            list("through", &self.through);
            list("too much", &self.too_much);
            list("not read", &self.unparsed);
        }
    }
}

fn list(what: &str, lines: &[String]) {
    for line in lines {
        println!("{what}: {line}");
    }
}
