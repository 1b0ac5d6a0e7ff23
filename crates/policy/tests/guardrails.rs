//! Guardrails of hoop.dev, imported.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that panics has failed")]

use portreeve_policy::{
    Context, Flavour, ImportScope, Imported, Policies, Source, Subject, analyse, import_guardrails,
};

fn import(text: &str) -> (Imported, Policies) {
    let scope = ImportScope { group: Some("analysts"), server: Some("orders"), schema: Some("shop") };
    let imported = import_guardrails(text, &scope).unwrap();
    let policies = Policies::load(&[Source { name: "hoop.cedar", text: &imported.cedar }]);
    let policies = policies.unwrap_or_else(|problems| panic!("{problems:?}\n{}", imported.cedar));
    assert_eq!(policies.ids().collect::<Vec<_>>(), imported.policies, "{}", imported.cedar);
    (imported, policies)
}

fn rule(kind: &str, words: &[&str], pattern: &str) -> String {
    serde_json::json!({
        "name": "strict", "description": "d",
        "input": {"rules": [{"type": kind, "words": words, "pattern_regex": pattern}]},
        "output": {"rules": []},
    })
    .to_string()
}

fn allows(policies: &Policies, sql: &str) -> bool {
    let context = Context { default_schema: Some("shop"), version: 90_704, ..Context::new("orders", Flavour::MySql) };
    let subject = Subject { spiffe_id: "spiffe://example.org/a".to_owned(), groups: vec!["analysts".to_owned()] };
    policies.judge(&subject, &analyse(sql.as_bytes(), &context), &context).is_allowed()
}

/// What the rule denies and what it lets pass, and how many notes there are.
fn check(guardrail: &str, denied: &[&str], allowed: &[&str], notes: usize) {
    let (imported, policies) = import(guardrail);
    for sql in denied {
        assert!(!allows(&policies, sql), "{sql} is allowed by\n{}", imported.cedar);
    }
    for sql in allowed {
        assert!(allows(&policies, sql), "{sql} is denied by\n{}", imported.cedar);
    }
    assert_eq!(imported.notes.len(), notes, "{:#?}", imported.notes);
    for note in &imported.notes {
        assert!(imported.cedar.contains(&format!("// note on {}: ", note.rule)), "{}", imported.cedar);
    }
}

#[test]
fn lists_of_words_become_the_actions_that_they_stand_for() {
    let check = |words: &[&str], denied: &[&str], allowed: &[&str], notes| {
        check(&rule("deny_words_list", words, ""), denied, allowed, notes);
    };
    check(
        &["SELECT"],
        &["SELECT * FROM a", "INSERT INTO b SELECT * FROM a", "select a from a"],
        &["INSERT INTO a VALUES ('SELECT')"],
        0,
    );
    check(
        &["DELETE", "TRUNCATE"],
        &["DELETE FROM a WHERE b = 1", "truncate a"],
        &["SELECT 'DELETE' FROM a", "UPDATE a SET b = 1"],
        0,
    );
    check(
        &["DROP TABLE", "DROP DATABASE"],
        &["DROP TABLE a", "DROP VIEW a", "DROP DATABASE shop"],
        &["CREATE TABLE a (b INT)"],
        0,
    );
    check(&["DROP USER", "GRANT"], &["DROP USER a", "GRANT ALL ON *.* TO a"], &["DROP TABLE a"], 0);
    check(&["DROP"], &["DROP TABLE a", "DROP DATABASE shop", "DROP INDEX a ON b"], &["SELECT * FROM a"], 1);
    check(
        &["LOAD_FILE", "SLEEP", "OUTFILE"],
        &["SELECT load_file('a')", "SELECT sleep(1)", "SELECT * FROM a INTO OUTFILE 'x'"],
        &["SELECT * FROM a"],
        0,
    );
    check(&["card_number", "4111-1111"], &[], &["SELECT card_number FROM a"], 2);
    check(&["", " "], &[], &["SELECT * FROM a"], 1);
}

#[test]
fn patterns_about_words_become_actions_and_conditions() {
    let check = |pattern: &str, denied: &[&str], allowed: &[&str], notes| {
        check(&rule("pattern_match", &[], pattern), denied, allowed, notes);
    };
    let unfiltered =
        ["DELETE FROM a", "UPDATE a SET b = 1", "DELETE FROM a WHERE 1 = 1", "UPDATE a SET b = 1 -- WHERE"];
    let filtered = [
        "DELETE FROM a WHERE b = 1",
        "UPDATE a SET b = 1 WHERE b = 2",
        "INSERT INTO a VALUES (1) ON DUPLICATE KEY UPDATE b = 1",
    ];
    // The documents' own.
    check("(?i)(UPDATE|DELETE)\\s+\\w+\\s+(SET|FROM)(?!.*WHERE)", &unfiltered, &filtered, 0);
    check(
        "(?i)^\\s*DELETE\\s+FROM\\s+\\w+\\s*;?\\s*$",
        &["DELETE FROM a"],
        &["DELETE FROM a WHERE b = 1", "UPDATE a SET b = 1"],
        0,
    );
    check("(?i)DROP\\s+TABLE", &["DROP TABLE a", "DROP /* x */ TABLE a"], &["DROP DATABASE shop"], 0);
    check(
        "(?i)(DROP|TRUNCATE|ALTER)\\s+(TABLE|DATABASE)",
        &["DROP TABLE a", "TRUNCATE TABLE a", "ALTER TABLE a ADD b INT", "DROP SCHEMA a"],
        &["CREATE TABLE a (b INT)"],
        0,
    );
    check(
        "(?i)^\\s*(INSERT|UPDATE|DELETE|REPLACE)\\b",
        &["INSERT INTO a VALUES (1)", "REPLACE INTO a VALUES (1)"],
        &["SELECT 'INSERT' FROM a"],
        0,
    );
    check(
        "(?i)SELECT\\s+.*\\s+FROM\\s+\\w+(?!.*LIMIT)",
        &["SELECT * FROM a"],
        &["SELECT * FROM a LIMIT 1", "INSERT INTO b SELECT * FROM a"],
        0,
    );
    check(
        "(?i)SELECT\\s+.*\\s+FROM\\s+orders(?!.*LIMIT)",
        &["SELECT * FROM orders"],
        &["SELECT * FROM orders LIMIT 1", "SELECT * FROM a"],
        0,
    );
    check("(?i)(DELETE|UPDATE).*(FROM|JOIN)\\s+(users|`cards`)", &[], &["DELETE FROM users"], 1);
    check(
        "(?i)DELETE FROM (users|cards)",
        &["DELETE FROM Users WHERE a = 1", "DELETE FROM cards"],
        &["DELETE FROM a", "SELECT * FROM users"],
        0,
    );
    check("(?i)SELECT\\s+\\*", &[], &["SELECT * FROM a"], 1);
    check("(?i)SELECT.*\\b(ssn|card)\\b", &[], &["SELECT ssn FROM a"], 1);
    check("(?i)DROP\\s+TABLE(?!.*tmp)", &[], &["DROP TABLE a"], 1);
    check("\\b\\d{3}-\\d{2}-\\d{4}\\b", &[], &["SELECT '123-12-1234' FROM a"], 1);
    check("[A-Z0-9]+", &[], &["SELECT * FROM a"], 1);
    check("", &[], &["SELECT * FROM a"], 1);
}

#[test]
fn what_is_not_policys_part_is_a_note() {
    let text = r#"[{"name": "out", "input": {"rules": [{"type": "pii"}, {"words": ["DROP"]}]},
                    "output": {"rules": [{"type": "pattern_match", "words": [], "pattern_regex": "[A-Z0-9]+"}]}},
                   {"name": "\"x\n@id(", "description": "a\r\nb", "input": {"rules": [
                     {"type": "deny_words_list", "words": ["CALL"], "action": "warn"}]}}]"#;
    let (imported, policies) = import(text);
    assert_eq!(imported.notes.len(), 4, "{:#?}", imported.notes);
    assert!(imported.notes[2].note.contains("rows that come back"), "{:#?}", imported.notes);
    assert!(!allows(&policies, "CALL p()"));
    // What cannot be read passes no rule, and nothing permits it.
    assert!(!allows(&policies, "FROBNICATE TABLE a"));
}

#[test]
fn nothing_is_permitted_to_nobody_in_particular() {
    let text = rule("deny_words_list", &["DROP TABLE"], "");
    let imported = import_guardrails(&text, &ImportScope::default()).unwrap();
    assert!(imported.cedar.contains("// permit (principal"), "{}", imported.cedar);
    let policies = Policies::load(&[Source { name: "a", text: &imported.cedar }]).unwrap();
    assert_eq!(policies.ids().count(), 1);
    assert!(!allows(&policies, "SELECT * FROM a"));
    let named =
        import_guardrails(&rule("deny_words_list", &["DELETE FROM users"], ""), &ImportScope::default()).unwrap();
    assert!(named.policies.is_empty() && named.notes[0].note.contains("--schema"), "{named:?}");
    let agents = r#"{"input_rules": [{"rules": [{"type": "deny_words_list", "words": ["DELETE"]}]}, {"type": "deny_words_list", "words": ["CALL"]}]}"#;
    assert_eq!(import_guardrails(agents, &ImportScope::default()).unwrap().policies.len(), 2);
}

#[test]
fn other_files_are_refused() {
    for text in ["", "7", "[]", "{}", "[{}]", "{\"name\": \"a\"}", "{\"data\": [1]}"] {
        assert!(import_guardrails(text, &ImportScope::default()).is_err(), "{text}");
    }
}
