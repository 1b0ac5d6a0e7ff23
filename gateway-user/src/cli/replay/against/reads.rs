//! Which statements are run again, and as what text.

use portreeve_policy::{Action, Facts};
use portreeve_recording::{Command, Decision};

use crate::cli::recorded::{Asks, Exchange};

/// Whether the command is a text that runs.
pub(super) fn is_text(exchange: &Exchange) -> bool {
    matches!(exchange.statement.command, Command::Query | Command::Execute | Command::BulkExecute)
}

/// The text that the server got then.
///
/// # Errors
/// Why it cannot be run again, by the recording alone.
pub(super) fn recorded_text(exchange: &Exchange) -> Result<&str, String> {
    let was_permitted = exchange.verdict.as_ref().is_some_and(|verdict| verdict.decision == Decision::Allow);
    if !was_permitted {
        return Err("it was not permitted".to_owned());
    }
    if exchange.response.is_none() {
        return Err("its answer is not recorded".to_owned());
    }
    if !exchange.statement.parameters.is_empty() {
        return Err("the types of its parameters are not recorded".to_owned());
    }
    match exchange.asks() {
        Asks::Text { .. } => {}
        Asks::Unknown(why) => return Err(why.to_owned()),
        Asks::Command(..) | Asks::Nothing => return Err("it is no statement".to_owned()),
    }
    let text = exchange.forwarded.as_ref().unwrap_or_else(|| exchange.text());
    if text.redacted || exchange.text().redacted {
        return Err("a secret of it is not recorded".to_owned());
    }
    if text.truncated {
        return Err("only its beginning is recorded".to_owned());
    }
    std::str::from_utf8(text.kept()).map_err(|_| "it is not UTF-8, and its character set is not recorded".to_owned())
}

/// The text to send: the client's own only where nothing of it could be read otherwise. `facts` are those of the server that it goes to.
///
/// # Errors
/// What it may do besides reading, or why that is not certain.
pub(super) fn text_to_run<'a>(facts: &'a Facts, text: &'a str) -> Result<&'a str, String> {
    if let Some(why) = facts.statements.iter().find_map(|statement| statement.unparsed.as_ref()) {
        return Err(format!("it is not read with certainty there: {why}"));
    }
    let [statement] = facts.statements.as_slice() else {
        return Err("it is several statements".to_owned());
    };
    if statement.locks_rows {
        return Err("it locks rows".to_owned());
    }
    // A compound statement asks for what is in it, and is none itself.
    let actions = statement.requests.iter().map(|request| request.action).chain([statement.class]);
    if let Some(action) = actions.into_iter().find(|action| !only_reads(*action)) {
        return Err(format!("it may do more than read: `{action}`"));
    }
    if facts.changes_reading {
        return Err("statements after it may read otherwise".to_owned());
    }
    Ok(facts.canonical.as_deref().unwrap_or(text))
}

/// A function that is not built in is an `execute`, whatever is behind it.
fn only_reads(action: Action) -> bool {
    matches!(action, Action::Select | Action::Show | Action::Explain | Action::Inspect)
}

#[cfg(test)]
mod tests {
    use portreeve_policy::{Catalogue, Context, Flavour, Relation, Security, View, analyse};

    use super::*;

    fn check(flavour: Flavour, sql: &str, expected: Result<&str, &str>) {
        let mut catalogue = Catalogue::new(0);
        catalogue.add_relation("shop", "t", Relation::Table);
        let calls = "select `shop`.`notes_down`(1) AS `a`".to_owned();
        let view = View { definition: Some(calls), security: Security::Definer };
        catalogue.add_relation("shop", "v", Relation::View(view));
        let context = Context {
            default_schema: Some("shop"),
            version: flavour.version_of_today(),
            catalogue: &catalogue,
            ..Context::new("orders", flavour)
        };
        let facts = analyse(sql.as_bytes(), &context);
        match (text_to_run(&facts, sql), expected) {
            (Ok(text), Ok(expected)) => assert_eq!(text, expected),
            (Err(why), Err(expected)) => assert!(why.contains(expected), "{sql}: {why}"),
            (found, _) => panic!("{sql}: {found:?}"),
        }
    }

    #[test]
    fn what_only_reads_is_sent_without_what_another_could_read_otherwise() {
        for flavour in [Flavour::MySql, Flavour::MariaDb] {
            check(flavour, "SELECT a FROM t", Ok("SELECT a FROM t"));
            check(flavour, "SELECT a /* here */ FROM t", Ok("SELECT a /* here */ FROM t"));
            check(flavour, "SELECT /*!40000 a */ FROM t", Ok("SELECT   a   FROM t"));
            check(flavour, "EXPLAIN SELECT a FROM t", Ok("EXPLAIN SELECT a FROM t"));
            check(flavour, "SHOW CREATE TABLE t", Ok("SHOW CREATE TABLE t"));
        }
        let comment = "SELECT a FROM t /*M!100000 INTO OUTFILE '/tmp/x' */";
        check(Flavour::MySql, comment, Ok("SELECT a FROM t  "));
        check(Flavour::MariaDb, comment, Err("outfile"));
        let comment = "SELECT a FROM t /*!90100 INTO OUTFILE '/tmp/x' */";
        check(Flavour::MariaDb, comment, Ok("SELECT a FROM t  "));
        check(Flavour::MySql, comment, Err("outfile"));
    }

    #[test]
    fn what_may_do_more_is_not_sent() {
        for flavour in [Flavour::MySql, Flavour::MariaDb] {
            for (sql, why) in [
                ("SELECT a INTO OUTFILE '/tmp/x' FROM t", "outfile"),
                ("SELECT a FROM t INTO DUMPFILE '/tmp/x'", "dumpfile"),
                ("SELECT a FROM t FOR UPDATE", "locks rows"),
                ("SELECT a FROM (SELECT a FROM t FOR UPDATE) AS d", "locks rows"),
                ("SELECT a FROM t LOCK IN SHARE MODE", "locks rows"),
                ("SELECT GET_LOCK('l', 1)", "get_lock"),
                ("SELECT RELEASE_ALL_LOCKS()", "get_lock"),
                ("SELECT SLEEP(9)", "sleep"),
                ("SELECT LOAD_FILE('/etc/passwd')", "load_file"),
                ("SELECT sys_exec('id')", "execute"),
                ("SELECT shop.notes_down(1)", "execute"),
                ("SELECT a FROM v", "the view `shop.v` is not read"),
                ("CALL notes_down()", "call"),
                ("DELETE FROM t", "delete"),
                ("SET sql_mode = 'NO_BACKSLASH_ESCAPES'", "set_session"),
                ("SELECT 1; SELECT 2", "several statements"),
                ("EXPLAIN ANALYZE DELETE FROM t", ""),
            ] {
                check(flavour, sql, Err(why));
            }
        }
        check(Flavour::MariaDb, "ANALYZE UPDATE t SET a = 1", Err("update"));
        check(Flavour::MariaDb, "BEGIN NOT ATOMIC SELECT 1; END", Err(""));
        check(Flavour::MariaDb, "SELECT NEXTVAL(t)", Err("insert"));
    }
}
