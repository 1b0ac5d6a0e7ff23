//! Any bytes: analysis must end without a panic, and every statement must ask for something.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portreeve_policy::{Action, Catalogue, Context, Flavour, analyse};

fuzz_target!(|data: &[u8]| {
    for flavour in [Flavour::MySql, Flavour::MariaDb] {
        let context = Context {
            server: "orders",
            default_schema: Some("shop"),
            flavour,
            prepared: false,
            version: match flavour { Flavour::MySql => 90_704, Flavour::MariaDb => 101_114 },
            no_backslash_escapes: false,
            ansi_quotes: false,
            pipes_as_concat: false,
            ignore_space: false,
            high_not_precedence: false,
            utf8: true,
            unreadable: None,
            lower_case_table_names: 0,
            catalogue: Catalogue::EMPTY,
        };
        let facts = analyse(data, &context);
        assert!(!facts.statements.is_empty());
        for statement in &facts.statements {
            assert!(!statement.requests.is_empty());
            let asks_unparsed = statement.requests.iter().any(|request| request.action == Action::Unparsed);
            assert_eq!(statement.unparsed.is_some(), asks_unparsed);
            // A panic is caught and read as this; here it is the finding.
            assert_ne!(statement.unparsed.as_deref(), Some("analysis failed"));
        }
    }
});
