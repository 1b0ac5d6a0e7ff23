//! Reads tokens one after the other: what the recognisers of small grammars (`SET`, `SHOW`, `KILL` …) are written in.

use crate::limits::NAME_BYTES_MAX;
use crate::token::{Kind, Token, Unread};

/// A place in the tokens of one statement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'t, 'a> {
    tokens: &'t [Token<'a>],
}

impl<'t, 'a> Cursor<'t, 'a> {
    pub(crate) fn new(tokens: &'t [Token<'a>]) -> Self {
        Self { tokens }
    }

    /// The token that comes next.
    pub(crate) fn peek(&self) -> Option<&'t Token<'a>> {
        self.tokens.first()
    }

    /// What comes next and after it.
    pub(crate) fn rest(&self) -> &'t [Token<'a>] {
        self.tokens
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Takes the next token.
    pub(crate) fn next(&mut self) -> Option<&'t Token<'a>> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first)
    }

    /// Takes the next token if it fits.
    pub(crate) fn next_if(&mut self, fits: impl Fn(&Token<'a>) -> bool) -> Option<&'t Token<'a>> {
        if self.peek().is_some_and(fits) { self.next() } else { None }
    }

    /// Takes `word` (upper case) if it comes next.
    pub(crate) fn word(&mut self, word: &str) -> bool {
        self.next_if(|token| token.is_word(word)).is_some()
    }

    /// Takes whichever of `words` comes next.
    pub(crate) fn one_of<'w>(&mut self, words: &[&'w str]) -> Option<&'w str> {
        words.iter().find(|word| self.word(word)).copied()
    }

    /// Takes all of `words` in order, or nothing.
    pub(crate) fn words(&mut self, words: &[&str]) -> bool {
        let mut ahead = *self;
        let all = words.iter().all(|word| ahead.word(word));
        if all {
            *self = ahead;
        }
        all
    }

    /// Takes `symbol` if it comes next.
    pub(crate) fn symbol(&mut self, symbol: &str) -> bool {
        self.next_if(|token| token.is_symbol(symbol)).is_some()
    }

    /// Takes a string literal; gives its raw inside. Strings with escapes are not read: no keyword-like value needs one.
    pub(crate) fn string(&mut self) -> Result<&'a str, Unread> {
        let token = self.next_if(|token| matches!(token.kind, Kind::String | Kind::DoubleString));
        token.and_then(plain_string).ok_or_else(|| self.unexpected("a plain string"))
    }

    /// Takes one name.
    pub(crate) fn name(&mut self) -> Result<String, Unread> {
        match self.next_if(|token| matches!(token.kind, Kind::Word | Kind::Quoted)) {
            Some(token) => name_of(token),
            None => Err(self.unexpected("a name")),
        }
    }

    /// Takes `name` or `schema.name`.
    pub(crate) fn qualified_name(&mut self) -> Result<(Option<String>, String), Unread> {
        let first = self.name()?;
        if !self.symbol(".") {
            return Ok((None, first));
        }
        Ok((Some(first), self.name()?))
    }

    /// Nothing may follow.
    pub(crate) fn end(&self) -> Result<(), Unread> {
        if self.is_at_end() { Ok(()) } else { Err(self.unexpected("the end of the statement")) }
    }

    /// The complaint that `wanted` does not come next.
    pub(crate) fn unexpected(&self, wanted: &str) -> Unread {
        match self.peek() {
            Some(token) if matches!(token.kind, Kind::Word | Kind::Symbol) => {
                Unread::new(format!("`{}` where {wanted} is read", token.text.chars().take(64).collect::<String>()))
            }
            Some(_) => Unread::new(format!("a value where {wanted} is read")),
            None => Unread::new(format!("the statement ends where {wanted} is read")),
        }
    }
}

/// The inside of a string literal that has no escapes.
pub(crate) fn plain_string<'a>(token: &Token<'a>) -> Option<&'a str> {
    let quote = match token.kind {
        Kind::String => '\'',
        Kind::DoubleString => '"',
        _ => return None,
    };
    let inside = token.text.strip_prefix(quote)?.strip_suffix(quote)?;
    (!inside.contains(['\\', quote])).then_some(inside)
}

/// The name that a token spells.
///
/// # Errors
/// Names with characters outside ASCII are not compared in this version, as their bytes mean what the connection's
/// character set says; longer ones than any server has are refused.
pub(crate) fn name_of(token: &Token<'_>) -> Result<String, Unread> {
    let name = match token.kind {
        Kind::Word => token.text.to_owned(),
        Kind::Quoted => name_text(token),
        _ => return Err(Unread::new("a value where a name is read")),
    };
    check_name(&name)?;
    Ok(name)
}

/// What a [`Kind::Quoted`] spells.
pub(crate) fn name_text(token: &Token<'_>) -> String {
    let inside = |quote| token.text.strip_prefix(quote).and_then(|text| text.strip_suffix(quote));
    match (inside('`'), inside('"')) {
        (Some(inside), _) => inside.replace("``", "`"),
        (None, Some(inside)) => inside.replace("\"\"", "\""),
        (None, None) => token.text.to_owned(),
    }
}

/// Whether a schema's or table's name is one that policy can compare.
pub(crate) fn check_name(name: &str) -> Result<(), Unread> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(Unread::new("a name is empty or too long"));
    }
    if !name.is_ascii() {
        return Err(Unread::new("a schema's or table's name has a character outside ASCII"));
    }
    Ok(())
}
