//! What is wrong with a policy file, and where.

use std::fmt;

use miette::Diagnostic;
use serde::Serialize;

/// One thing wrong with one policy file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicyProblem {
    /// The source's name.
    pub file: String,
    /// Line and column from 1, where known.
    pub line: Option<usize>,
    pub column: Option<usize>,
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl PolicyProblem {
    /// A problem at a byte of `text`.
    pub(crate) fn at(file: &str, text: &str, byte: Option<usize>, message: String, help: Option<String>) -> Self {
        let place = byte.and_then(|byte| text.get(..byte)).map(|before| {
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            (line, column)
        });
        Self {
            file: file.to_owned(),
            line: place.map(|(line, _)| line),
            column: place.map(|(_, column)| column),
            message,
            help,
        }
    }

    /// What Cedar complains of, with the chain of its causes.
    pub(crate) fn of(file: &str, text: &str, diagnostic: &(impl Diagnostic + ?Sized)) -> Self {
        let byte = diagnostic.labels().and_then(|mut labels| labels.next()).map(|label| label.offset());
        let mut message = diagnostic.to_string();
        let mut cause = diagnostic.source();
        while let Some(error) = cause {
            message = format!("{message}: {error}");
            cause = error.source();
        }
        let help = diagnostic.help().map(|help| help.to_string());
        Self::at(file, text, byte, message, help)
    }
}

impl fmt::Display for PolicyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.message)?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}
