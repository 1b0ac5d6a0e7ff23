//! Reads the regular expressions that people write to recognise statements: `(?i)(DROP|TRUNCATE)\s+TABLE`.
//!
//! Not a regular expression engine: a pattern of words and gaps becomes those words, with what must not follow; anything
//! finer is not read, and then nothing is claimed about it.

/// A pattern about words.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Words {
    /// Alternatives of each place, in upper case, in the order of the text. Never empty.
    pub(crate) places: Vec<Vec<String>>,
    /// Words that must not follow (`(?!.*WHERE)`), in upper case.
    pub(crate) lacking: Vec<String>,
    /// Nothing may follow but a name and an end: `DELETE\s+FROM\s+\w+\s*;?$`.
    pub(crate) ends: bool,
    /// There are characters that no word is: `SELECT\s+\*`.
    pub(crate) symbols: bool,
}

/// Alternatives in one pattern that are looked at.
const ALTERNATIVES_MAX: usize = 64;

/// The words of a pattern; `None` when it holds anything that is not understood.
pub(crate) fn read(pattern: &str) -> Option<Words> {
    let mut reader = Reader { rest: pattern, words: Words::default() };
    reader.rest = reader.rest.trim();
    for flags in ["(?i)", "(?is)", "(?si)", "(?im)", "(?mi)", "(?s)", "(?m)"] {
        reader.rest = reader.rest.strip_prefix(flags).unwrap_or(reader.rest);
    }
    while !reader.rest.is_empty() {
        reader.piece()?;
    }
    (!reader.words.places.is_empty()).then_some(reader.words)
}

struct Reader<'p> {
    rest: &'p str,
    words: Words,
}

impl<'p> Reader<'p> {
    fn piece(&mut self) -> Option<()> {
        if let Some(rest) = self.rest.strip_prefix("(?!") {
            return self.lookahead(rest);
        }
        if let Some(rest) = self.rest.strip_prefix('(') {
            let inside = rest.strip_prefix("?:").unwrap_or(rest);
            let (inside, rest) = inside.split_once(')')?;
            self.rest = self.skip_repeat(rest);
            return self.alternatives(inside);
        }
        if let Some(rest) = self.gap(self.rest) {
            self.rest = rest;
            return Some(());
        }
        if let Some(rest) = self.rest.strip_prefix('$') {
            self.words.ends = rest.is_empty();
            self.rest = rest;
            return rest.is_empty().then_some(());
        }
        for symbol in ["\\*", "\\(", "\\)", "\\.", "=", ",", "'", "\"", "`", "--", "#", "@@"] {
            if let Some(rest) = self.rest.strip_prefix(symbol) {
                self.words.symbols = true;
                self.rest = self.skip_repeat(rest);
                return Some(());
            }
        }
        let (word, rest) = word(self.rest)?;
        // `DROPS?` is two words; a list without parentheses reaches over the whole pattern.
        if rest.starts_with(['?', '*', '+', '{', '|']) {
            return None;
        }
        self.rest = rest;
        self.words.places.push(vec![word]);
        Some(())
    }

    /// `(?!.*WHERE)`, `(?!.*\bLIMIT\b)`, `(?![\s\S]*WHERE)`
    fn lookahead(&mut self, rest: &'p str) -> Option<()> {
        let (mut inside, rest) = rest.split_once(')')?;
        while let Some(rest) = self.gap(inside) {
            inside = rest;
        }
        let (word, mut behind) = word(inside)?;
        while let Some(rest) = self.gap(behind) {
            behind = rest;
        }
        self.words.lacking.push(word);
        self.rest = rest;
        // A gap between is what it looks over.
        self.rest = self.rest.strip_prefix(".*").unwrap_or(self.rest);
        behind.is_empty().then_some(())
    }

    fn alternatives(&mut self, inside: &str) -> Option<()> {
        let mut place = Vec::new();
        for alternative in inside.split('|') {
            let alternative = alternative.trim_start_matches("\\b").trim_end_matches("\\b");
            let (word, rest) = word(alternative)?;
            if !rest.is_empty() || place.len() == ALTERNATIVES_MAX {
                return None;
            }
            place.push(word);
        }
        self.words.places.push(place);
        Some(())
    }

    /// What stands between words: spaces, names, anything.
    fn gap<'s>(&self, text: &'s str) -> Option<&'s str> {
        const GAPS: [&str; 14] = [
            "^",
            "\\b",
            "\\s",
            "\\w",
            "\\S",
            ".",
            "[\\s\\S]",
            "[^;]",
            "[\\w.`]",
            "[\\w`.]",
            "[a-zA-Z0-9_]",
            "[a-z_]",
            ";",
            " ",
        ];
        let rest = GAPS.iter().find_map(|gap| text.strip_prefix(gap))?;
        Some(self.skip_repeat(rest))
    }

    fn skip_repeat<'s>(&self, text: &'s str) -> &'s str {
        let text = text.strip_prefix(['*', '+', '?']).unwrap_or(text);
        text.strip_prefix('?').unwrap_or(text)
    }
}

fn word(text: &str) -> Option<(String, &str)> {
    let end = text.find(|char: char| !char.is_ascii_alphanumeric() && char != '_').unwrap_or(text.len());
    let (word, rest) = text.split_at_checked(end)?;
    (!word.is_empty()).then(|| (word.to_ascii_uppercase(), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_words_are_read_and_others_are_not() {
        let check = |pattern: &str, places: &[&[&str]], lacking: &[&str], ends: bool| {
            let words = read(pattern).unwrap_or_else(|| panic!("{pattern} is not read"));
            assert_eq!(words.places, places, "{pattern}");
            assert_eq!(
                (words.lacking.as_slice(), words.ends),
                (lacking.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>().as_slice(), ends),
                "{pattern}"
            );
        };
        check("DROP", &[&["DROP"]], &[], false);
        check("(?i)drop\\s+table", &[&["DROP"], &["TABLE"]], &[], false);
        check("(?i)^\\s*(INSERT|UPDATE|DELETE)\\b", &[&["INSERT", "UPDATE", "DELETE"]], &[], false);
        check(
            "(?i)\\b(?:DROP|TRUNCATE)\\s+(TABLE|DATABASE)",
            &[&["DROP", "TRUNCATE"], &["TABLE", "DATABASE"]],
            &[],
            false,
        );
        check(
            "(?i)(UPDATE|DELETE)\\s+\\w+\\s+(SET|FROM)(?!.*WHERE)",
            &[&["UPDATE", "DELETE"], &["SET", "FROM"]],
            &["WHERE"],
            false,
        );
        check("(?i)DELETE\\s+FROM\\s+\\w+(?!.*\\bWHERE\\b).*$", &[&["DELETE"], &["FROM"]], &["WHERE"], true);
        check("(?i)^DELETE FROM \\w+\\s*;?\\s*$", &[&["DELETE"], &["FROM"]], &[], true);
        check(
            "(?i)SELECT\\s+.*\\s+FROM\\s+orders(?!.*LIMIT)",
            &[&["SELECT"], &["FROM"], &["ORDERS"]],
            &["LIMIT"],
            false,
        );
        assert!(read("SELECT\\s+\\*").is_some_and(|words| words.symbols));
        for pattern in
            ["", "[A-Z0-9]+", "\\d{3}-\\d{2}-\\d{4}", "DROPS?", "a|b", "(a(b|c))", "(?=x)y", "x{2}", "(", "\\"]
        {
            assert_eq!(read(pattern), None, "{pattern}");
        }
    }
}
