//! The texts of a session's prepared statements.

use std::collections::BTreeMap;
use std::rc::Rc;

use portreeve_recording::{Command, Statement, Text};

use crate::limits::RECORDED_PREPARED_BYTES_MAX;

/// A text that was prepared, and the default schema then.
#[derive(Debug)]
pub(in crate::cli) struct PreparedText {
    pub(in crate::cli) sql: Text<'static>,
    pub(in crate::cli) schema: Option<String>,
}

/// By the number of the statement that prepared them; the oldest are forgotten when they become too many.
#[derive(Debug, Default)]
pub(in crate::cli) struct PreparedTexts {
    texts: BTreeMap<u64, Rc<PreparedText>>,
    bytes: usize,
}

impl PreparedTexts {
    /// Takes in what a statement prepares or closes.
    pub(in crate::cli) fn learn(&mut self, statement: &Statement<'static>) {
        match (statement.command, statement.prepared) {
            (Command::Prepare, _) => {
                let schema = statement.schema.as_deref().map(str::to_owned);
                let text = PreparedText { sql: statement.sql.clone(), schema };
                self.bytes += text.sql.kept().len();
                if let Some(replaced) = self.texts.insert(statement.number, Rc::new(text)) {
                    self.bytes -= replaced.sql.kept().len();
                }
                while self.bytes > RECORDED_PREPARED_BYTES_MAX {
                    let Some((_, oldest)) = self.texts.pop_first() else { break };
                    self.bytes -= oldest.sql.kept().len();
                }
            }
            (Command::Close, Some(number)) => {
                if let Some(closed) = self.texts.remove(&number) {
                    self.bytes -= closed.sql.kept().len();
                }
            }
            _ => {}
        }
    }

    /// What a statement executes.
    pub(in crate::cli) fn of(&self, statement: &Statement<'_>) -> Option<Rc<PreparedText>> {
        match statement.command {
            Command::Execute | Command::BulkExecute => self.texts.get(&statement.prepared?).map(Rc::clone),
            _ => None,
        }
    }
}
