//! What is wrong in a configuration, and where.

use serde::{Deserialize, Serialize};
use std::{
    fmt,
    path::{Path, PathBuf},
};

/// One thing that is wrong (or, as a warning, suspicious) in the configuration.
///
/// Shown as `file:line:column: key: message`; without a place when it concerns the whole file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Problem {
    pub(crate) file: PathBuf,
    /// Counted from 1.
    pub(crate) line: Option<usize>,
    /// In characters, counted from 1.
    pub(crate) column: Option<usize>,
    /// The path of the key, such as `server[1].credential[2].user`: tables of an array are counted from 1.
    pub(crate) key: String,
    /// What is wrong and what to write instead.
    pub(crate) message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.file.display())?;
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(formatter, ":{line}:{column}")?;
        }
        if !self.key.is_empty() {
            write!(formatter, ": {}", self.key)?;
        }
        write!(formatter, ": {}", self.message)
    }
}

/// Every problem of a configuration, in the order of the file; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConfigProblems(pub(crate) Vec<Problem>);

impl fmt::Display for ConfigProblems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => formatter.write_str("the configuration has a problem:")?,
            count => write!(formatter, "the configuration has {count} problems:")?,
        }
        self.0.iter().try_for_each(|problem| write!(formatter, "\n  {problem}"))
    }
}

impl std::error::Error for ConfigProblems {}

/// A place in the file: the key's path and the byte offset of what is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) key: String,
    pub(super) offset: usize,
}

/// Problems as they are found.
#[derive(Debug)]
pub(super) struct Findings<'t> {
    file: &'t Path,
    text: &'t str,
    errors: Vec<(usize, Problem)>,
    warnings: Vec<(usize, Problem)>,
}

impl<'t> Findings<'t> {
    pub(super) fn new(file: &'t Path, text: &'t str) -> Self {
        Self { file, text, errors: Vec::new(), warnings: Vec::new() }
    }

    pub(super) fn error(&mut self, spot: &Spot, message: impl Into<String>) {
        let problem = self.problem(spot, message.into());
        self.errors.push((spot.offset, problem));
    }

    pub(super) fn warning(&mut self, spot: &Spot, message: impl Into<String>) {
        let problem = self.problem(spot, message.into());
        self.warnings.push((spot.offset, problem));
    }

    /// The line of a place, to point at it from another problem.
    pub(super) fn line(&self, spot: &Spot) -> usize {
        self.place(spot.offset).0
    }

    /// The warnings, or the errors when there is one; in the order of the file.
    pub(super) fn finish(self) -> Result<Vec<Problem>, ConfigProblems> {
        if self.errors.is_empty() { Ok(in_order(self.warnings)) } else { Err(ConfigProblems(in_order(self.errors))) }
    }

    fn problem(&self, spot: &Spot, message: String) -> Problem {
        let (line, column) = self.place(spot.offset);
        Problem { file: self.file.to_owned(), line: Some(line), column: Some(column), key: spot.key.clone(), message }
    }

    fn place(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.bytes().filter(|&byte| byte == b'\n').count() + 1;
        let column = before.get(line_start..).map_or(0, |line| line.chars().count()) + 1;
        (line, column)
    }
}

fn in_order(mut found: Vec<(usize, Problem)>) -> Vec<Problem> {
    found.sort_by_key(|(offset, _)| *offset);
    found.into_iter().map(|(_, problem)| problem).collect()
}
