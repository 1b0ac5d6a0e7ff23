//! Long INSERTs of plain values: read token by token, keeping nothing but the table's name.

use crate::action::Action;
use crate::builtins::is_introducer;
use crate::context::Names;
use crate::cursor::name_of;
use crate::facts::StatementFacts;
use crate::lexer::Lexer;
use crate::reading::Reading;
use crate::token::{Kind, Token, Unread};

/// The facts of `text` when it is one `INSERT` or `REPLACE … VALUES` of literals and nothing else; `None` when it is
/// anything else, which says nothing about it. A text that would have to be written anew is anything else.
pub(crate) fn read(text: &str, reading: Reading, names: Names<'_>) -> Option<StatementFacts> {
    let mut bulk = Bulk { lexer: Lexer::new(text, reading), next: None };
    bulk.advance().ok()?;
    bulk.statement(names).ok().filter(|_| !bulk.lexer.is_rewritten())
}

#[derive(Debug)]
struct Bulk<'a> {
    lexer: Lexer<'a>,
    next: Option<Token<'a>>,
}

/// Not of this form.
fn other() -> Unread {
    Unread::new("not a plain INSERT")
}

impl<'a> Bulk<'a> {
    fn advance(&mut self) -> Result<(), Unread> {
        self.next = self.lexer.token()?;
        Ok(())
    }

    fn take(&mut self, fits: impl Fn(&Token<'a>) -> bool) -> Result<Option<Token<'a>>, Unread> {
        match self.next {
            Some(token) if fits(&token) => {
                self.advance()?;
                Ok(Some(token))
            }
            _ => Ok(None),
        }
    }

    fn word(&mut self, word: &str) -> Result<bool, Unread> {
        Ok(self.take(|token| token.is_word(word))?.is_some())
    }

    fn symbol(&mut self, symbol: &str) -> Result<bool, Unread> {
        Ok(self.take(|token| token.is_symbol(symbol))?.is_some())
    }

    fn need(&mut self, symbol: &str) -> Result<(), Unread> {
        if self.symbol(symbol)? { Ok(()) } else { Err(other()) }
    }

    fn name(&mut self) -> Result<String, Unread> {
        let token = self.take(|token| matches!(token.kind, Kind::Word | Kind::Quoted))?.ok_or_else(other)?;
        name_of(&token)
    }

    fn statement(&mut self, names: Names<'_>) -> Result<StatementFacts, Unread> {
        let action = match (self.word("INSERT")?, self.word("REPLACE")?) {
            (true, false) => Action::Insert,
            (false, true) => Action::Replace,
            _ => return Err(other()),
        };
        for modifier in ["LOW_PRIORITY", "HIGH_PRIORITY", "IGNORE", "INTO"] {
            self.word(modifier)?;
        }
        let first = self.name()?;
        let table = match self.symbol(".")? {
            true => names.table(Some(first), self.name()?)?,
            false => names.table(None, first)?,
        };
        let mut facts = StatementFacts::of(action, action, table.clone());
        if self.symbol("(")? {
            self.columns()?;
        }
        if !self.word("VALUES")? && !self.word("VALUE")? {
            return Err(other());
        }
        let rows = self.rows()?;
        // A REPLACE also deletes what has one of its keys.
        facts.rows_changed_max = (action == Action::Insert).then_some(rows);
        if self.word("ON")? {
            self.on_duplicate(&mut facts)?;
            facts.request(Action::Update, table);
        }
        self.take(|token| token.kind == Kind::Semicolon)?;
        if self.next.is_none() { Ok(facts) } else { Err(other()) }
    }

    fn columns(&mut self) -> Result<(), Unread> {
        loop {
            self.take(|token| matches!(token.kind, Kind::Word | Kind::Quoted))?.ok_or_else(other)?;
            if !self.symbol(",")? {
                return self.need(")");
            }
        }
    }

    /// How many there are.
    fn rows(&mut self) -> Result<u64, Unread> {
        let mut rows = 0;
        loop {
            rows += 1;
            self.need("(")?;
            if !self.symbol(")")? {
                self.value()?;
                while self.symbol(",")? {
                    self.value()?;
                }
                self.need(")")?;
            }
            if !self.symbol(",")? {
                return Ok(rows);
            }
        }
    }

    fn value(&mut self) -> Result<(), Unread> {
        let signed = self.symbol("-")? || self.symbol("+")?;
        let token = self.next.ok_or_else(other)?;
        self.advance()?;
        match token.kind {
            Kind::Number => Ok(()),
            Kind::String | Kind::DoubleString | Kind::Hex | Kind::Placeholder if !signed => Ok(()),
            Kind::Word if !signed && is_introducer(token.text) => {
                let text = self.take(|token| matches!(token.kind, Kind::String | Kind::DoubleString | Kind::Hex))?;
                text.map(drop).ok_or_else(other)
            }
            Kind::Word if !signed && ["NULL", "TRUE", "FALSE", "DEFAULT"].iter().any(|word| token.is_word(word)) => {
                Ok(())
            }
            _ => Err(other()),
        }
    }

    /// `ON DUPLICATE KEY UPDATE c = VALUES(c), …`
    fn on_duplicate(&mut self, facts: &mut StatementFacts) -> Result<(), Unread> {
        if !(self.word("DUPLICATE")? && self.word("KEY")? && self.word("UPDATE")?) {
            return Err(other());
        }
        loop {
            self.take(|token| matches!(token.kind, Kind::Word | Kind::Quoted))?.ok_or_else(other)?;
            self.need("=")?;
            if self.word("VALUES")? {
                facts.functions.insert("values".to_owned());
                self.need("(")?;
                self.columns()?;
            } else {
                self.value()?;
            }
            if !self.symbol(",")? {
                return Ok(());
            }
        }
    }
}
