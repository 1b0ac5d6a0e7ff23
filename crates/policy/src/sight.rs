//! Which triggers and foreign keys a server shows to an account, by what `SHOW GRANTS` says of it.
//!
//! `information_schema.TRIGGERS` has those of tables on which the account has `TRIGGER`, and `REFERENTIAL_CONSTRAINTS` the keys of
//! tables on which it has some privilege. What is not listed may be there, and does its work all the same.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// What an account has been granted, as far as sight goes. Roles in force count: both servers list their privileges too.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sight {
    /// On `*.*`.
    everywhere: BTreeSet<String>,
    /// MySQL's `partial_revokes` took something back in some schema.
    is_revoked_in_part: bool,
    /// Whether `TRIGGER` is among what was granted on schemas of this pattern.
    schemas: BTreeMap<String, bool>,
    /// With `TRIGGER`.
    tables: BTreeSet<(String, String)>,
    /// `_` and `%` in the name of a schema stand for others (not where MySQL's `partial_revokes` is on).
    has_wildcards: bool,
}

const TRIGGER: &str = "TRIGGER";
const ALL: &str = "ALL PRIVILEGES";

impl Sight {
    /// What is needed on `*.*` to be shown all definitions of both servers, and their names.
    pub const FULL: [&'static str; 3] = ["SELECT", "SHOW VIEW", TRIGGER];

    /// Of an account without a privilege.
    pub fn new(has_wildcards: bool) -> Self {
        Self { has_wildcards, ..Self::default() }
    }

    /// Takes a line of `SHOW GRANTS`, with names in backticks. What is none of a table's, schema's or the server's privileges
    /// says nothing of sight.
    pub fn add(&mut self, line: &str) {
        let Some((verb, rest)) = line.split_once(' ') else { return };
        if verb == "REVOKE" {
            self.is_revoked_in_part = true;
        }
        let Some((privileges, rest)) = split(rest, " ON ").filter(|_| verb == "GRANT") else { return };
        let Some((object, _)) = split(rest, " TO ") else { return };
        let privileges = listed(privileges);
        let has_trigger = privileges.iter().any(|one| [TRIGGER, ALL].contains(one));
        match names(object) {
            Some((None, None)) => self.everywhere.extend(privileges.into_iter().map(str::to_owned)),
            Some((Some(schema), None)) => *self.schemas.entry(schema).or_default() |= has_trigger,
            Some((Some(schema), Some(table))) if has_trigger => drop(self.tables.insert((schema, table))),
            Some((_, Some(_))) | None => {}
        }
    }

    /// Whether all is shown: what of [`Sight::FULL`] is missing otherwise.
    pub fn lacks(&self) -> Option<&'static str> {
        if self.is_revoked_in_part {
            return Some("all schemas (some are taken out by partial revokes)");
        }
        Self::FULL.into_iter().find(|privilege| !self.has_everywhere(privilege))
    }

    fn has_everywhere(&self, privilege: &str) -> bool {
        self.everywhere.contains(privilege) || self.everywhere.contains(ALL)
    }

    /// Whether the foreign keys of all tables are shown.
    pub(crate) fn shows_keys(&self) -> bool {
        !self.is_revoked_in_part && self.has_everywhere(TRIGGER)
    }

    /// Whether the triggers of a table are shown. `folded` is the form in which the server compares names.
    pub(crate) fn shows_triggers(&self, schema: &str, table: &str, folded: impl Fn(&str) -> String) -> bool {
        if self.shows_keys() {
            return true;
        }
        let (schema, table) = (folded(schema), folded(table));
        let is_granted = |(granted, has_trigger): (&String, &bool)| {
            *has_trigger && self.only_name(granted).is_some_and(|name| folded(&name) == schema)
        };
        self.schemas.iter().any(is_granted)
            || self.tables.iter().any(|(one, other)| folded(one) == schema && folded(other) == table)
    }

    /// The one schema that a grant is of; none where it is of all that fit a pattern. Of several grants that fit a schema servers
    /// take the narrowest, and those of the anonymous user count among them, which are not shown: a pattern says nothing. No
    /// grant is narrower than that of the name itself.
    fn only_name<'g>(&self, granted: &'g str) -> Option<Cow<'g, str>> {
        if !self.has_wildcards || !granted.contains(['_', '%', '\\']) {
            return Some(Cow::Borrowed(granted));
        }
        let (mut name, mut letters) = (String::new(), granted.chars());
        while let Some(letter) = letters.next() {
            match letter {
                '_' | '%' => return None,
                '\\' => name.push(letters.next()?),
                _ => name.push(letter),
            }
        }
        Some(Cow::Owned(name))
    }
}

/// `text` before and behind the first `separator` that is neither in backticks nor in parentheses.
fn split<'t>(text: &'t str, separator: &str) -> Option<(&'t str, &'t str)> {
    let (mut in_name, mut depth) = (false, 0_usize);
    for (at, letter) in text.char_indices() {
        match letter {
            // Two in a name end it and begin it again.
            '`' => in_name = !in_name,
            '(' if !in_name => depth += 1,
            ')' if !in_name => depth = depth.saturating_sub(1),
            _ if !in_name && depth == 0 => {
                if let Some(rest) = text.get(at..)?.strip_prefix(separator) {
                    return Some((text.get(..at)?, rest));
                }
            }
            _ => {}
        }
    }
    None
}

/// The privileges of a list that are of whole tables: those of columns have a list of their own behind them.
fn listed(mut text: &str) -> Vec<&str> {
    let mut all = Vec::new();
    while let Some((one, rest)) = split(text, ", ") {
        all.push(one);
        text = rest;
    }
    all.push(text);
    all.retain(|one| !one.contains('('));
    all
}

/// The schema and table of `*.*`, `` `schema`.* `` or `` `schema`.`table` ``; none for anything else.
fn names(object: &str) -> Option<(Option<String>, Option<String>)> {
    let object = object.strip_prefix("TABLE ").unwrap_or(object);
    if object == "*.*" {
        return Some((None, None));
    }
    let (schema, rest) = split(object, ".")?;
    let schema = unquoted(schema)?;
    match rest {
        "*" => Some((Some(schema), None)),
        table => Some((Some(schema), Some(unquoted(table)?))),
    }
}

fn unquoted(name: &str) -> Option<String> {
    Some(name.strip_prefix('`')?.strip_suffix('`')?.replace("``", "`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sight(lines: &[&str]) -> Sight {
        let mut sight = Sight::new(true);
        lines.iter().for_each(|line| sight.add(line));
        sight
    }

    fn sees(sight: &Sight, schema: &str, table: &str) -> bool {
        sight.shows_triggers(schema, table, str::to_owned)
    }

    #[test]
    fn trigger_on_everything_shows_all() {
        for line in [
            "GRANT TRIGGER ON *.* TO `b`@`127.%`",
            "GRANT ALL PRIVILEGES ON *.* TO `b`@`127.%` IDENTIFIED BY PASSWORD '*AB' WITH GRANT OPTION",
            "GRANT SELECT, INSERT, TRIGGER, EVENT ON *.* TO `b`@`127.%`",
        ] {
            let sight = sight(&[line]);
            assert!(sight.shows_keys() && sees(&sight, "shop", "orders"), "{line}");
        }
    }

    #[test]
    fn other_privileges_show_nothing() {
        let others = [
            "GRANT SELECT, SHOW VIEW, PROCESS ON *.* TO `a`@`127.%`",
            "GRANT `TRIGGER`@`%` TO `a`@`127.%`",
            "GRANT EXECUTE ON PROCEDURE `shop`.`TRIGGER` TO `a`@`127.%`",
            "GRANT PROXY ON ''@'%' TO `a`@`127.%`",
            "GRANT SELECT (`a, TRIGGER, ALL PRIVILEGES ON *.* TO x`), INSERT ON `shop`.`orders` TO `a`@`127.%`",
            "SET DEFAULT ROLE `TRIGGER` FOR `a`@`127.%`",
            "GRANT TRIGGER ON nothing TO `a`@`127.%`",
            "GRANT TRIGGER ON *.*",
            "",
        ];
        let sight = sight(&others);
        assert!(!sight.shows_keys() && !sees(&sight, "shop", "orders"), "{sight:?}");
        assert_eq!(sight.lacks(), Some("TRIGGER"));
    }

    #[test]
    fn a_schema_or_a_table_shows_its_own_triggers_and_no_keys() {
        let sight = sight(&[
            "GRANT USAGE ON *.* TO `c`@`127.%`",
            "GRANT ALL PRIVILEGES ON `sh``op`.* TO `c`@`127.%`",
            "GRANT SELECT (`id`), UPDATE, TRIGGER ON `other`.`p` TO `c`@`127.%`",
        ]);
        assert!(sees(&sight, "sh`op", "any") && sees(&sight, "other", "p"));
        assert!(!sees(&sight, "other", "q") && !sees(&sight, "third", "any") && !sight.shows_keys());
        assert!(sight.shows_triggers("OTHER", "P", str::to_lowercase));
    }

    #[test]
    fn a_pattern_shows_nothing_and_a_name_that_is_escaped_does() {
        let sight = sight(&[
            "GRANT TRIGGER ON `your_shop`.* TO `h`@`127.%`",
            "GRANT ALL PRIVILEGES ON `sho%`.* TO `h`@`127.%`",
            r"GRANT TRIGGER ON `my\_shop`.* TO `h`@`127.%`",
            r"GRANT TRIGGER ON `a\\b`.* TO `h`@`127.%`",
            "GRANT SELECT ON `my%`.* TO `h`@`127.%`",
            "GRANT SELECT ON `one`.* TO `h`@`127.%`",
            "GRANT TRIGGER ON `one`.* TO `role`",
            "GRANT TRIGGER ON `by_table`.`t_1` TO `h`@`127.%`",
        ]);
        assert!(!sees(&sight, "your_shop", "t") && !sees(&sight, "shop", "t"));
        assert!(sees(&sight, "my_shop", "t"), "no grant is narrower");
        assert!(!sees(&sight, "myXshop", "t") && !sees(&sight, r"my\_shop", "t") && sees(&sight, r"a\b", "t"));
        assert!(sees(&sight, "one", "t"), "one name's grants, by a role and otherwise, add up");
        assert!(sees(&sight, "by_table", "t_1") && !sees(&sight, "by_table", "tX1"), "tables have no patterns");
        assert!(sight.shows_triggers("MY_SHOP", "t", str::to_lowercase));
        let literal = Sight { has_wildcards: false, ..sight };
        assert!(sees(&literal, "your_shop", "t") && sees(&literal, "sho%", "t") && !sees(&literal, "shop", "t"));
    }

    #[test]
    fn what_is_revoked_in_part_shows_no_keys() {
        let sight =
            sight(&["GRANT SELECT, SHOW VIEW, TRIGGER ON *.* TO `b`@`%`", "REVOKE SELECT ON `vault`.* FROM `b`@`%`"]);
        assert!(!sight.shows_keys() && !sees(&sight, "shop", "orders"));
        assert!(sight.lacks().is_some());
        assert_eq!(self::sight(&["GRANT SELECT, SHOW VIEW, TRIGGER ON *.* TO `b`@`%`"]).lacks(), None);
    }
}
