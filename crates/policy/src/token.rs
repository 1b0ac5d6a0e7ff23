//! What the lexer makes of a statement's text.

/// What a token is. Quoted kinds keep their quotes in the token's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Unquoted identifier or keyword.
    Word,
    /// Identifier in backticks, in double quotes under `ANSI_QUOTES`, or in none where the lexer knows that it is no keyword
    /// (`COUNT (*)` without `IGNORE_SPACE`).
    Quoted,
    /// String in single quotes, with its `n` where it has one.
    String,
    /// String in double quotes.
    DoubleString,
    Number,
    /// `0x41`, `0b1`, `x'41'`, `b'1'`.
    Hex,
    /// `@name`, quoted or not.
    UserVariable,
    /// `@@name`, without what follows a period.
    SystemVariable,
    /// `?`
    Placeholder,
    /// Operator or punctuation, never `;` (which ends a statement).
    Symbol,
    /// `;`
    Semicolon,
}

/// One token: its kind and its bytes in the original text (for braces and `\N`, what they mean).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) kind: Kind,
    pub(crate) text: &'a str,
}

impl Token<'_> {
    /// Whether this is the unquoted word `word` (given in upper case).
    pub(crate) fn is_word(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(word)
    }

    /// Whether this is the operator or punctuation `symbol`.
    pub(crate) fn is_symbol(&self, symbol: &str) -> bool {
        self.kind == Kind::Symbol && self.text == symbol
    }
}

/// Why a text was not read. Its text ends up in the client's error: it says what, never a value of the statement
/// longer than a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unread(pub(crate) String);

impl Unread {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}
