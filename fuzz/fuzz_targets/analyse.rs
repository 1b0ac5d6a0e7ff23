//! Any bytes, in sessions of every kind: analysis must end without a panic, every statement must ask for something, and what is
//! forwarded in place of the text must read the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portreeve_policy::{Action, Catalogue, Context, Flavour, analyse};

fn check(data: &[u8], context: &Context<'_>) {
    let facts = analyse(data, context);
    assert!(!facts.statements.is_empty());
    for statement in &facts.statements {
        assert!(!statement.requests.is_empty());
        let asks_unparsed = statement.requests.iter().any(|request| request.action == Action::Unparsed);
        assert_eq!(statement.unparsed.is_some(), asks_unparsed);
        // A panic is caught and read as this; here it is the finding.
        assert_ne!(statement.unparsed.as_deref(), Some("analysis failed"));
    }
    if let Some(canonical) = &facts.canonical {
        let again = analyse(canonical.as_bytes(), context);
        assert_eq!((&again.statements, &again.canonical), (&facts.statements, &None));
    }
}

fuzz_target!(|data: &[u8]| {
    // The session is in the first byte, the text behind it.
    let Some((session, sql)) = data.split_first() else { return };
    let has = |bit: u8| session & bit != 0;
    for (flavour, version) in [(Flavour::MySql, 90_704), (Flavour::MariaDb, 101_114)] {
        let context = Context {
            server: "orders",
            default_schema: Some("shop"),
            flavour,
            prepared: false,
            version: if has(0x01) { 0 } else { version },
            no_backslash_escapes: has(0x02),
            ansi_quotes: has(0x04),
            pipes_as_concat: has(0x08),
            ignore_space: has(0x10),
            high_not_precedence: has(0x20),
            utf8: !has(0x40),
            unreadable: None,
            now_unix_ms: 0,
            lower_case_table_names: 0,
            catalogue: Catalogue::EMPTY,
        };
        check(sql, &context);
    }
});
