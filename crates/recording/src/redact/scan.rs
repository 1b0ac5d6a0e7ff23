//! Which literals of a statement are secrets.

use super::names_secret;
use super::token::Kind;

/// What the tokens so far say about a literal that would come next.
#[derive(Debug, Default)]
pub(super) struct Scan {
    first: Word,
    previous: Word,
    /// The literal that comes next is a secret.
    expected: bool,
    /// A secret is set to what comes next, or compared with it.
    assigned: bool,
    /// The word before may be a function, whose value that is.
    maybe_call: bool,
    identified: bool,
    set_password: bool,
    /// Parentheses that are open.
    depth: usize,
    /// All literals are secrets until so many are.
    secret_above: Option<usize>,
}

/// The words that matter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Word {
    #[default]
    None,
    Set,
    /// Begins a statement about rows: its literals are data.
    AboutRows,
    Identified,
    /// Names a secret.
    Secret,
    /// `BY`, `AS`, `USING`, `REPLACE`, `TO`: what follows may be a secret, if the statement is about one.
    Announces,
    /// `_utf8mb4` before a literal.
    Introducer,
    Other,
}

impl Word {
    fn of(text: &[u8]) -> Self {
        let is = |words: &[&[u8]]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
        match text {
            _ if names_a_secret(text) => Self::Secret,
            _ if is(&[b"identified"]) => Self::Identified,
            _ if is(&[b"by", b"as", b"using", b"replace", b"to"]) => Self::Announces,
            _ if is(&[b"set"]) => Self::Set,
            _ if is(&ABOUT_ROWS) => Self::AboutRows,
            [b'_', ..] => Self::Introducer,
            _ => Self::Other,
        }
    }
}

const ABOUT_ROWS: [&[u8]; 9] =
    [b"select", b"insert", b"update", b"delete", b"with", b"values", b"table", b"load", b"show"];

fn names_a_secret(word: &[u8]) -> bool {
    let ends_in = |end: &[u8]| {
        let at = word.len().checked_sub(end.len());
        at.and_then(|at| word.get(at..)).is_some_and(|found| found.eq_ignore_ascii_case(end))
    };
    let holds = |part: &[u8]| word.windows(part.len()).any(|found| found.eq_ignore_ascii_case(part));
    ends_in(b"pwd")
        || ends_in(b"_auth")
        || holds(b"password")
        || holds(b"passphrase")
        || holds(b"secret")
        || word.eq_ignore_ascii_case(b"connection")
        || word.eq_ignore_ascii_case(b"authentication_string")
}

/// A name without its quotes.
fn unquoted(word: &[u8]) -> &[u8] {
    let inside = |quote: &[u8]| word.strip_prefix(quote).and_then(|word| word.strip_suffix(quote));
    inside(b"`").or_else(|| inside(b"\"")).unwrap_or(word)
}

/// Whether a literal may be SQL text or a list of options, more than one word, with a secret in it.
fn says_secret(literal: &[u8]) -> bool {
    let is_of_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'\'' | b'"');
    !literal.iter().all(is_of_word) && names_secret(literal)
}

impl Scan {
    /// Takes the next token; whether it is a secret.
    pub(super) fn take(&mut self, kind: Kind, text: &[u8]) -> bool {
        match kind {
            Kind::Word => {
                self.word(Word::of(unquoted(text)));
                false
            }
            // `'a' 'b'` is one literal: what follows a secret literal is still part of it.
            Kind::Literal => {
                self.expected || self.secret_above.is_some() || (self.may_say_secrets() && says_secret(text))
            }
            Kind::Mark => {
                self.mark(text);
                false
            }
        }
    }

    fn word(&mut self, word: Word) {
        if word == Word::Introducer {
            return;
        }
        if self.first == Word::None {
            self.first = word;
        }
        self.maybe_call = std::mem::take(&mut self.assigned);
        self.expected = match word {
            Word::Secret => {
                // `SET password = …` of an `UPDATE` is followed by other columns.
                self.set_password |= self.previous == Word::Set && !self.is_about_rows();
                true
            }
            Word::Identified => {
                self.identified = true;
                false
            }
            Word::Announces => self.identified || self.set_password,
            Word::None | Word::Set | Word::AboutRows | Word::Introducer | Word::Other => false,
        };
        self.previous = word;
    }

    fn mark(&mut self, text: &[u8]) {
        match text {
            b";" => *self = Self::default(),
            b"(" => {
                if self.maybe_call || self.expected {
                    self.secret_above = self.secret_above.or(Some(self.depth));
                }
                self.depth = self.depth.saturating_add(1);
            }
            b")" => {
                self.depth = self.depth.saturating_sub(1);
                self.secret_above = self.secret_above.filter(|depth| *depth < self.depth);
                self.expected = false;
            }
            b"," | b"." | b"?" => self.expected = false,
            b"=" => self.expected |= self.set_password,
            _ => {}
        }
        self.assigned = self.expected && text == b"=";
        self.maybe_call = false;
    }

    /// No statement begins with a literal: where one stands first, the text is read otherwise.
    fn may_say_secrets(&self) -> bool {
        self.first != Word::None && !self.is_about_rows()
    }

    fn is_about_rows(&self) -> bool {
        // `REPLACE` announces as well.
        matches!(self.first, Word::AboutRows | Word::Announces)
    }
}
