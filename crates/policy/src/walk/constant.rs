//! Whether a condition is the same for every row.

use crate::token::{Kind, Token};

/// Words of conditions that are no columns.
const WORDS: [&str; 32] = [
    "AND", "OR", "XOR", "NOT", "IS", "NULL", "TRUE", "FALSE", "UNKNOWN", "BETWEEN", "IN", "LIKE", "RLIKE", "REGEXP",
    "ESCAPE", "DIV", "MOD", "CASE", "WHEN", "THEN", "ELSE", "END", "BINARY", "INTERVAL", "DAY", "HOUR", "MINUTE",
    "SECOND", "MONTH", "YEAR", "WEEK", "ROW",
];

/// Functions whose value depends on their arguments alone.
const FUNCTIONS: [&str; 47] = [
    "ABS",
    "ACOS",
    "ASCII",
    "ASIN",
    "ATAN",
    "BIN",
    "CEIL",
    "CEILING",
    "CHAR_LENGTH",
    "COALESCE",
    "CONCAT",
    "CONCAT_WS",
    "COS",
    "CRC32",
    "ELT",
    "EXP",
    "FIELD",
    "FIND_IN_SET",
    "FLOOR",
    "GREATEST",
    "HEX",
    "IF",
    "IFNULL",
    "INSTR",
    "ISNULL",
    "LCASE",
    "LEAST",
    "LEFT",
    "LENGTH",
    "LN",
    "LOWER",
    "LPAD",
    "LTRIM",
    "MD5",
    "MOD",
    "NULLIF",
    "ORD",
    "PI",
    "POW",
    "POWER",
    "REPEAT",
    "REPLACE",
    "REVERSE",
    "RIGHT",
    "ROUND",
    "SIGN",
    "SQRT",
];
const MORE_FUNCTIONS: [&str; 9] = ["RPAD", "RTRIM", "SHA1", "SPACE", "STRCMP", "SUBSTR", "SUBSTRING", "TRIM", "UPPER"];

/// Whether a condition names nothing that differs between rows or executions: literals, operators, functions of literals,
/// and columns compared with themselves (`id = id`). False when in doubt.
pub(crate) fn is_constant(condition: &[Token<'_>]) -> bool {
    let mut at = 0;
    while let Some(token) = condition.get(at) {
        if let Some(length) = self_comparison(condition, at) {
            at += length;
            continue;
        }
        let before_parenthesis = condition.get(at + 1).is_some_and(|next| next.is_symbol("("));
        let constant = match token.kind {
            Kind::String | Kind::DoubleString | Kind::Number | Kind::Hex => true,
            Kind::Symbol => token.text != ":=" && token.text != ".",
            Kind::Word if before_parenthesis => {
                is_one_of(token, &FUNCTIONS) || is_one_of(token, &MORE_FUNCTIONS) || is_one_of(token, &WORDS)
            }
            Kind::Word => is_one_of(token, &WORDS) || is_introducer(condition, at),
            Kind::Quoted | Kind::UserVariable | Kind::SystemVariable | Kind::Placeholder | Kind::Semicolon => false,
        };
        if !constant {
            return false;
        }
        at += 1;
    }
    !condition.is_empty()
}

fn is_one_of(token: &Token<'_>, words: &[&str]) -> bool {
    words.iter().any(|word| token.is_word(word))
}

fn is_introducer(condition: &[Token<'_>], at: usize) -> bool {
    let next = condition.get(at + 1).map(|next| next.kind);
    condition.get(at).is_some_and(|token| token.text.starts_with('_'))
        && matches!(next, Some(Kind::String | Kind::DoubleString | Kind::Hex))
}

/// How many tokens from `at` on compare a column with itself and nothing else: `a = a`, `t.a <=> t.a`, `a >= a`.
fn self_comparison(condition: &[Token<'_>], at: usize) -> Option<usize> {
    let column = column_length(condition.get(at..)?)?;
    let operator = condition.get(at + column)?;
    if !["=", "<=>", ">=", "<=", "<>", "!=", "<", ">"].iter().any(|symbol| operator.is_symbol(symbol)) {
        return None;
    }
    let (left, right) = (at..at + column, at + column + 1..at + 2 * column + 1);
    let same = condition.get(left)?.iter().zip(condition.get(right.clone())?).all(|(left, right)| same(left, right));
    let before = at.checked_sub(1).and_then(|before| condition.get(before));
    let after = condition.get(right.end);
    // Nothing that binds tighter may stand on either side: `a + 1 = a`, `b.a = a.x`.
    let free = |token: Option<&Token<'_>>| {
        token.is_none_or(|token| {
            ["(", ")", "&&", "||", "!", ","].iter().any(|symbol| token.is_symbol(symbol))
                || is_one_of(token, &["AND", "OR", "XOR", "NOT", "WHERE", "WHEN", "THEN"])
        })
    };
    // `f(a = a)` is a function's argument, `(a = a)` is not: both are the same for every row.
    (same && free(before) && free(after)).then_some(2 * column + 1)
}

fn column_length(tokens: &[Token<'_>]) -> Option<usize> {
    let is_name = |token: Option<&Token<'_>>| {
        token.is_some_and(|token| token.kind == Kind::Quoted || token.kind == Kind::Word && !is_one_of(token, &WORDS))
    };
    if !is_name(tokens.first()) {
        return None;
    }
    let mut length = 1;
    while tokens.get(length).is_some_and(|token| token.is_symbol(".")) && is_name(tokens.get(length + 1)) {
        length += 2;
    }
    Some(length)
}

fn same(left: &Token<'_>, right: &Token<'_>) -> bool {
    let bare = |text: &str| text.trim_matches('`').to_ascii_lowercase();
    bare(left.text) == bare(right.text)
}
