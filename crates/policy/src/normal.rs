//! The normal form of a text: the text without the literals that neither facts nor verdict can depend on, so that
//! `… WHERE id = 1` and `… WHERE id = 2` are analysed once.
//!
//! Everything else stays byte for byte, comments and white space too. A literal goes only where all of this holds:
//! - the text is one `SELECT`, `INSERT`, `REPLACE`, `UPDATE` or `DELETE`, short enough that the same reader reads it
//!   whatever its literals are;
//! - the literal stands in `WHERE`, `HAVING`, `SET`, `VALUES` or `ON DUPLICATE KEY UPDATE`, never behind a `LIMIT`, and
//!   right behind an operator, a comma, an opening parenthesis or a word such as `AND`: not where a name could stand, and
//!   not where it alone is the condition;
//! - it is a number, or a string in quotes of printable ASCII without escapes, which every character set and mode reads alike.
//!
//! Values that are an action's measure (a file's name, how long to sleep) stay: texts with such a function have no normal form.

use crate::context::Context;
use crate::lexer::Lexer;
use crate::limits::{NORMAL_BYTES_MAX, PARENTHESES_DEPTH_MAX};
use crate::reading::Reading;
use crate::token::{Kind, Token};

/// In a normal form, in the place of a number and of a string. The lexer refuses both outside quotes, so that no text has
/// them there.
const NUMBER: u8 = 1;
const STRING: u8 = 2;

const VERBS: [&str; 5] = ["SELECT", "INSERT", "REPLACE", "UPDATE", "DELETE"];
const SYMBOLS_BEFORE: [&str; 20] =
    ["=", "<", ">", "<=", ">=", "<>", "!=", "<=>", "(", ",", "+", "-", "*", "/", "%", "|", "&", "^", "||", "&&"];
const WORDS_BEFORE: [&str; 12] =
    ["AND", "OR", "XOR", "NOT", "BETWEEN", "LIKE", "RLIKE", "REGEXP", "WHEN", "THEN", "ELSE", "DIV"];

/// What a word says about the literals behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// A clause of values begins.
    Values,
    /// A clause of values begins, in a statement that inserts.
    Rows,
    /// Any other clause begins, or may.
    Other,
    /// Numbers say how many rows are touched.
    Count,
    /// Arguments are what the function does.
    Telling,
    /// Nothing.
    Name,
}

/// Longest word with a meaning, in bytes.
const WORD_BYTES_MAX: usize = 15;

impl Meaning {
    fn of(word: &str) -> Self {
        let mut room = [0; WORD_BYTES_MAX];
        let Some(upper) = room.get_mut(..word.len()) else { return Self::Name };
        upper.copy_from_slice(word.as_bytes());
        upper.make_ascii_uppercase();
        match &*upper {
            b"WHERE" | b"HAVING" | b"SET" => Self::Values,
            b"VALUES" | b"VALUE" => Self::Rows,
            b"SELECT" | b"FROM" | b"JOIN" | b"STRAIGHT_JOIN" | b"INTO" | b"TABLE" | b"UPDATE" | b"ORDER" | b"GROUP"
            | b"WINDOW" | b"OVER" | b"FOR" | b"LOCK" | b"AS" | b"ON" | b"USING" | b"PARTITION" | b"PROCEDURE"
            | b"RETURNING" | b"UNION" | b"EXCEPT" | b"INTERSECT" | b"MINUS" | b"WITH" => Self::Other,
            b"LIMIT" | b"OFFSET" | b"FETCH" | b"TOP" => Self::Count,
            b"LOAD_FILE" | b"SLEEP" | b"BENCHMARK" | b"GET_LOCK" | b"NAME_CONST" | b"MASTER_POS_WAIT"
            | b"SOURCE_POS_WAIT" | b"JSON_TABLE" => Self::Telling,
            _ => Self::Name,
        }
    }
}

/// Writes the normal form of `sql` in place of what `form` holds; false when it has none, and `form` then holds nothing of
/// use. Two texts with one normal form have the same facts in the same context. A text that is written anew has none: its
/// literals are in [`canonical`](crate::Facts::canonical). Allocates nothing once `form` has grown, but for texts with comments.
pub(crate) fn write(sql: &[u8], context: &Context<'_>, form: &mut Vec<u8>) -> bool {
    form.clear();
    if sql.len() > NORMAL_BYTES_MAX || context.unreadable.is_some() {
        return false;
    }
    let Ok(text) = std::str::from_utf8(sql) else { return false };
    let mut lexer = Lexer::new(text, Reading::of(context));
    let mut clauses = Clauses::new();
    let mut copied = 0;
    let mut literals = false;
    loop {
        let token = match lexer.token() {
            Ok(Some(token)) => token,
            Ok(None) => break,
            Err(_) => return false,
        };
        let place = clauses.place(&token);
        match place {
            Place::Unshared => return false,
            Place::Kept => {}
            Place::Value(mark) => {
                let end = lexer.position();
                let start = end.saturating_sub(token.text.len());
                form.extend_from_slice(sql.get(copied..start).unwrap_or_default());
                form.push(mark);
                copied = end;
                literals = true;
            }
        }
    }
    form.extend_from_slice(sql.get(copied..).unwrap_or_default());
    literals && !lexer.is_rewritten()
}

/// What becomes of a token.
enum Place {
    Kept,
    /// This goes, and the mark comes in its place.
    Value(u8),
    /// The text has no normal form.
    Unshared,
}

/// Where in a statement the next token stands.
struct Clauses<'a> {
    previous: Option<Token<'a>>,
    /// Whether literals are values at this depth of parentheses, and at those around it.
    values: bool,
    around: [bool; PARENTHESES_DEPTH_MAX + 1],
    depth: usize,
    /// `VALUES` begins values, not a function or a query.
    has_rows: bool,
    frozen: bool,
    ended: bool,
}

impl<'a> Clauses<'a> {
    fn new() -> Self {
        Self {
            previous: None,
            values: false,
            around: [false; PARENTHESES_DEPTH_MAX + 1],
            depth: 0,
            has_rows: false,
            frozen: false,
            ended: false,
        }
    }

    fn place(&mut self, token: &Token<'a>) -> Place {
        // Several statements: each would need its own beginning.
        if self.ended {
            return Place::Unshared;
        }
        let place = match (self.previous, token.kind) {
            (None, _) => self.begin(token),
            (Some(before), Kind::Word) => self.word(&before, token),
            (Some(before), Kind::Number | Kind::String | Kind::DoubleString) => self.literal(&before, token),
            (Some(_), Kind::Symbol) => self.symbol(token),
            (Some(_), Kind::Semicolon) => {
                self.ended = true;
                Place::Kept
            }
            (Some(_), Kind::Quoted | Kind::Hex | Kind::UserVariable | Kind::SystemVariable | Kind::Placeholder) => {
                Place::Kept
            }
        };
        self.previous = Some(*token);
        place
    }

    fn begin(&mut self, token: &Token<'_>) -> Place {
        self.has_rows = token.is_word("INSERT") || token.is_word("REPLACE");
        if VERBS.iter().any(|verb| token.is_word(verb)) { Place::Kept } else { Place::Unshared }
    }

    fn symbol(&mut self, token: &Token<'_>) -> Place {
        match token.text {
            "(" => {
                if let Some(around) = self.around.get_mut(self.depth) {
                    *around = self.values;
                }
                self.depth += 1;
            }
            ")" => {
                self.depth = self.depth.saturating_sub(1);
                self.values = self.around.get(self.depth).copied().unwrap_or(false);
            }
            _ => {}
        }
        Place::Kept
    }

    fn word(&mut self, before: &Token<'_>, token: &Token<'_>) -> Place {
        let meaning = Meaning::of(token.text);
        if meaning == Meaning::Telling {
            return Place::Unshared;
        }
        // Behind a period it is a name, whatever it says.
        if before.is_symbol(".") {
            return Place::Kept;
        }
        match meaning {
            Meaning::Values => self.values = true,
            Meaning::Rows if self.has_rows => self.values = true,
            // `ON DUPLICATE KEY UPDATE`
            Meaning::Other => self.values = token.is_word("UPDATE") && before.is_word("KEY"),
            Meaning::Count => self.frozen = true,
            Meaning::Rows | Meaning::Telling | Meaning::Name => {}
        }
        Place::Kept
    }

    fn literal(&self, before: &Token<'_>, token: &Token<'_>) -> Place {
        let behind = match before.kind {
            Kind::Symbol => SYMBOLS_BEFORE.contains(&before.text),
            Kind::Word => WORDS_BEFORE.iter().any(|word| before.is_word(word)),
            Kind::Quoted
            | Kind::String
            | Kind::DoubleString
            | Kind::Number
            | Kind::Hex
            | Kind::UserVariable
            | Kind::SystemVariable
            | Kind::Placeholder
            | Kind::Semicolon => false,
        };
        if !self.values || self.frozen || !behind {
            return Place::Kept;
        }
        match token.kind {
            Kind::Number => Place::Value(NUMBER),
            Kind::String | Kind::DoubleString if is_plain(token.text) => Place::Value(STRING),
            _ => Place::Kept,
        }
    }
}

/// Whether a string in its quotes is read alike whatever the session is set to: printable ASCII, nothing escaped, no `n`
/// before it.
fn is_plain(text: &str) -> bool {
    let Some((quote, inside)) = text.as_bytes().split_first() else { return false };
    let Some((_, inside)) = inside.split_last() else { return false };
    matches!(quote, b'\'' | b'"')
        && inside.iter().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'\\' | b'\'' | b'"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::context::Flavour;

    const CONTEXT: Context<'static> = Context { version: 90_704, ..Context::new("orders", Flavour::MySql) };

    fn form(text: &str) -> Option<String> {
        let mut form = Vec::new();
        write(text.as_bytes(), &CONTEXT, &mut form).then(|| String::from_utf8(form).unwrap())
    }

    /// In `expected`, `#` is a number's place and `$` a string's.
    fn check(text: &str, expected: &str) {
        let expected = expected.replace('#', "\u{1}").replace('$', "\u{2}");
        assert_eq!(form(text).as_deref(), Some(expected.as_str()), "{text}");
    }

    #[test]
    fn values_go_and_all_else_stays_byte_for_byte() {
        check("SELECT c FROM t WHERE id=1", "SELECT c FROM t WHERE id=#");
        check(
            "select  c from t where id IN (1, 'a',-2.5e3) /* 7 */;",
            "select  c from t where id IN (#, $,-#) /* 7 */;",
        );
        check("SELECT 1, 'a' FROM t WHERE a = 'x' AND 1 = 1", "SELECT 1, 'a' FROM t WHERE a = $ AND # = #");
        check("INSERT INTO t (a) VALUES (1, 'b'), (2, NULL)", "INSERT INTO t (a) VALUES (#, $), (#, NULL)");
        check("REPLACE t SET a = \"b\", c = 5", "REPLACE t SET a = $, c = #");
        check(
            "INSERT INTO t SELECT 1 FROM u WHERE a = 2 ON DUPLICATE KEY UPDATE a = 3",
            "INSERT INTO t SELECT 1 FROM u WHERE a = # ON DUPLICATE KEY UPDATE a = #",
        );
        check("UPDATE t SET a = 'b' WHERE c BETWEEN 1 AND 2", "UPDATE t SET a = $ WHERE c BETWEEN # AND #");
        check(
            "DELETE FROM t WHERE a = (SELECT 1 FROM u WHERE b = 2 GROUP BY 3) AND c = 4",
            "DELETE FROM t WHERE a = (SELECT 1 FROM u WHERE b = # GROUP BY 3) AND c = #",
        );
    }

    #[test]
    fn what_facts_may_depend_on_stays() {
        let stays = |text: &str, mark: &str| {
            let marked = text.replace(mark, &format!("9{mark}"));
            let kept = form(text);
            assert!(kept.as_ref().is_none_or(|kept| form(&marked).as_ref() != Some(kept)), "{text}: {kept:?}");
        };
        // How many rows, also of a subquery, and whatever comes behind it.
        stays("SELECT a FROM t WHERE b = 1 LIMIT 77", "77");
        stays("DELETE FROM t WHERE a = 1 AND b IN (SELECT c FROM u LIMIT 77)", "77");
        stays("SELECT a FROM (SELECT b FROM t LIMIT 5) x WHERE c = 77", "77");
        // The whole condition, a row's place, an alias.
        stays("SELECT a FROM t WHERE 77", "77");
        stays("SELECT a FROM t WHERE b = 1 ORDER BY 77", "77");
        stays("SELECT a FROM t AS 77 WHERE b = 1", "77");
        // What an action is about.
        stays("SELECT a FROM t WHERE b = LOAD_FILE('/x') AND c = 77", "77");
        stays("SELECT a FROM t WHERE SLEEP(77)", "77");
        stays("SELECT a FROM t WHERE b = 1 INTO OUTFILE '77'", "77");
        // Another reading.
        stays("SELECT a FROM t WHERE b = '77\\'", "77");
        stays("SELECT a FROM t WHERE b = 'é77'", "77");
        stays("SELECT a FROM t WHERE b = N'77'", "77");
        stays("SELECT a FROM t WHERE b = _gbk '77'", "77");
        stays("SELECT a FROM t WHERE b = '1' '77'", "77");
        // Names.
        stays("SELECT a FROM t, '77' WHERE b = 1", "77");
        stays("SELECT a FROM t JOIN u ON t.a = u.a, '77'", "77");
        // Comments and hints.
        stays("SELECT /*+ MAX_EXECUTION_TIME(77) */ a FROM t WHERE b = 1", "77");
        stays("SELECT a FROM t WHERE b = 1 /* 77 */", "77");
    }

    #[test]
    fn other_texts_have_no_normal_form() {
        for text in [
            "",
            "SELECT 1",
            "SELECT a FROM t",
            "SET a = 1",
            "CALL p(1)",
            "(SELECT a FROM t WHERE b = 1)",
            "WITH x AS (SELECT 1) SELECT a FROM t WHERE b = 1",
            "EXPLAIN SELECT a FROM t WHERE b = 1",
            "PREPARE s FROM 'SELECT 1'",
            "SELECT a FROM t WHERE b = 1; SELECT 2",
            "SELECT a FROM t WHERE b = 'unclosed",
            "SELECT a FROM t WHERE b = /*! 1 */ 2",
            "SELECT a FROM t WHERE b = 1\u{1}",
        ] {
            assert_eq!(form(text), None, "{text}");
        }
        let of_length = |length: usize| {
            let text = "SELECT a FROM t WHERE b = ''";
            text.replace("''", &format!("'{}'", "x".repeat(length - text.len())))
        };
        assert!(form(&of_length(NORMAL_BYTES_MAX)).is_some() && form(&of_length(NORMAL_BYTES_MAX + 1)).is_none());
        let mut room = Vec::new();
        let text = b"SELECT a FROM t WHERE b = 1";
        assert!(!write(text, &Context { unreadable: Some("gbk"), ..CONTEXT }, &mut room));
    }
}
