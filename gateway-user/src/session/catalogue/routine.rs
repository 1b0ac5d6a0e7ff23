//! A routine as `information_schema.ROUTINES` lists it, and its body as `SHOW CREATE` has it.
//!
//! `ROUTINE_DEFINITION` is not the body: both servers write the strings in it without their escapes (`'it''s'` is `'it's'`,
//! `body_utf8_append_literal` in their sql_lex.cc; MariaDB 10.11 keeps quotes and loses backslashes), so that a reader takes
//! strings to end elsewhere than the server does. It is the body where there is no string in it.

use portreeve_policy::{Routine, RoutineKind, Security};

use super::{kind_of, security, texts};

/// The characteristics that `SHOW CREATE` writes, each on a line of its own (`create_string` in sp.cc).
const CHARACTERISTICS: [&str; 9] = [
    "    READS SQL DATA",
    "    MODIFIES SQL DATA",
    "    NO SQL",
    "    CONTAINS SQL",
    "    DETERMINISTIC",
    "    NOT DETERMINISTIC",
    "    SQL SECURITY ",
    "    COMMENT ",
    "    LANGUAGE ",
];

/// A routine in the list.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) kind: RoutineKind,
    security: Security,
    sql_mode: String,
    character_set: String,
    /// Without the escapes of its strings; none where the account may not see it, or where it is not SQL.
    definition: Option<String>,
}

impl Listed {
    pub(super) fn of(row: &[Option<&[u8]>]) -> Result<Self, String> {
        let [schema, name, kind, rights, sql_mode, character_set, language, definition] = texts(row)?;
        let kind = kind_of(kind).ok_or_else(|| format!("`{kind}` is no kind of routine that portreeve knows"))?;
        let is_sql = language == "SQL" && !definition.is_empty();
        Ok(Self {
            schema: schema.to_owned(),
            name: name.to_owned(),
            kind,
            security: security(rights),
            sql_mode: sql_mode.to_owned(),
            character_set: character_set.to_owned(),
            definition: is_sql.then(|| definition.to_owned()),
        })
    }

    /// What to ask for its body, where the list does not have it.
    pub(super) fn question(&self) -> Option<String> {
        let kind = match self.kind {
            RoutineKind::Procedure => "PROCEDURE",
            RoutineKind::Function => "FUNCTION",
            RoutineKind::Package => return None,
        };
        let has_strings = self.definition.as_ref().is_some_and(|text| text.contains(['\'', '"']));
        let quoted = |name: &str| name.replace('`', "``");
        has_strings.then(|| format!("SHOW CREATE {kind} `{}`.`{}`", quoted(&self.schema), quoted(&self.name)))
    }

    /// With its body; `made_as` is the answer to the question.
    pub(super) fn routine(self, made_as: Option<&str>) -> Routine {
        let body = match (self.question(), &self.definition) {
            (None, definition) => definition.clone(),
            (Some(_), Some(definition)) => made_as.and_then(|text| body(text, definition)).map(str::to_owned),
            (Some(_), None) => None,
        };
        let Self { security, sql_mode, character_set, .. } = self;
        Routine { body, security, sql_mode, character_set }
    }
}

/// The body in the statement that makes a routine. What stands before it is the servers' own text; the body must begin as
/// `definition` does up to its first string.
fn body<'t>(made_as: &'t str, definition: &str) -> Option<&'t str> {
    let parameters = end_of_parameters(made_as)?;
    let mut rest = made_as.get(parameters..)?.split_once('\n')?.1;
    while CHARACTERISTICS.iter().any(|line| rest.starts_with(line)) {
        rest = rest.split_once('\n')?.1;
    }
    let before_strings = definition.split(['\'', '"']).next()?;
    rest.starts_with(before_strings).then_some(rest)
}

/// Behind the parenthesis that closes the list of parameters.
fn end_of_parameters(text: &str) -> Option<usize> {
    let (mut depth, mut quote) = (0_usize, None);
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match (quote, byte) {
            (Some(b'\'' | b'"'), b'\\') => drop(bytes.next()),
            (Some(end), _) if byte == end => quote = None,
            (Some(_), _) => {}
            (None, b'\'' | b'"' | b'`') => quote = Some(byte),
            (None, b'(') => depth += 1,
            (None, b')') => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            (None, _) => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(definition: &str) -> Listed {
        let row = ["shop", "p`q", "PROCEDURE", "DEFINER", "", "utf8mb4", "SQL", definition];
        let row: Vec<_> = row.iter().map(|value| Some(value.as_bytes())).collect();
        Listed::of(&row).unwrap()
    }

    #[test]
    fn a_body_without_strings_is_taken_from_the_list() {
        let listed = listed("SELECT 1");
        assert_eq!(listed.question(), None);
        assert_eq!(listed.routine(None).body.as_deref(), Some("SELECT 1"));
    }

    #[test]
    fn a_body_with_strings_is_asked_for() {
        assert_eq!(listed("SELECT 'it's'").question().as_deref(), Some("SHOW CREATE PROCEDURE `shop`.`p``q`"));
        assert_eq!(listed("SELECT 'it's'").routine(None).body, None);
        for (made_as, definition, expected) in [
            (
                "CREATE DEFINER=`root`@`localhost` PROCEDURE `p`(IN a INT)\n    READS SQL DATA\n    COMMENT 'it''s'\nBEGIN SELECT 'it''s'; END",
                "BEGIN SELECT 'it's'; END",
                Some("BEGIN SELECT 'it''s'; END"),
            ),
            (
                "CREATE DEFINER=`(`@`)` FUNCTION `f`(a ENUM(')','\\')'), b CHAR(3)) RETURNS varchar(30) CHARSET utf8mb4\n    DETERMINISTIC\nRETURN '\n'",
                "RETURN '\n'",
                Some("RETURN '\n'"),
            ),
            ("CREATE PROCEDURE `p`()\nSELECT 'b'", "DELETE 'b'", None),
            ("CREATE PROCEDURE `p`(", "SELECT 'b'", None),
            ("", "SELECT 'b'", None),
        ] {
            assert_eq!(listed(definition).routine(Some(made_as)).body.as_deref(), expected, "{made_as}");
        }
    }

    #[test]
    fn what_is_hidden_or_not_sql_has_no_body() {
        assert_eq!(listed("").routine(None).body, None);
        let row = ["shop", "f", "FUNCTION", "INVOKER", "", "utf8mb4", "EXTERNAL", "return 1"];
        let row: Vec<_> = row.iter().map(|value| Some(value.as_bytes())).collect();
        assert_eq!(Listed::of(&row).unwrap().routine(None).body, None);
    }
}
