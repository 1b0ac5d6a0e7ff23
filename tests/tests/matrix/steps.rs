//! What each step must have shown, whoever took it: two equal failures would be equal as well.

use portreeve_tests::servers::Flavour;
use serde_json::Value;

/// The steps of tests/clients/README.md, in their order.
pub(crate) const ALL: [&str; 15] = [
    "connect",
    "text",
    "binary",
    "transaction",
    "long-data",
    "cursor",
    "multi",
    "procedure",
    "big-row",
    "error",
    "warning",
    "local-infile",
    "compression",
    "reconnect",
    "tls",
];

/// Of the 300,000 bytes in pieces.
const PIECES: &str = "c16e8fc8cc055c3650d52333a59c66da1468ff3ecb063fd9c33e9bc51631ac68";
/// Of the 20 MB.
const BIG: &str = "efd6c5a9babb111ffdcd19d073e1d231a05d51e5c01e0319b342dbb2a30ee84c";
const DECIMAL: &str = "-123456789012345678901234567890.0123456789";

/// Parts of the line of a step, as compact JSON.
fn parts(step: &str, flavour: Flavour) -> &'static [&'static str] {
    let version: &[&str] = match flavour {
        Flavour::MariaDb => &["10", "11", "naïve ☕"],
        Flavour::MySql => &["9", "7", "naïve ☕"],
    };
    match step {
        "connect" => version,
        "text" => &["18446744073709551615", DECIMAL, "naïve ☕", "2026-02-28", "9999-12-31"],
        "binary" => &[DECIMAL, "naïve ☕", "ffee00"],
        "transaction" => &["undone", "done"],
        "long-data" => &[PIECES],
        "cursor" => &["500500"],
        "multi" => &["1", "changed"],
        "procedure" => &["1", "2", "3", "second"],
        "big-row" => &["20480000", BIG],
        "error" => &["1146", "not_there' doesn't exist", "1062", "Duplicate entry 'changed' for key"],
        "warning" => &["12", "Truncated incorrect INTEGER value: '12 monkeys'"],
        "local-infile" => &["one", "zwölf ☕", "3"],
        "compression" => &["1200000"],
        "reconnect" => &["again", "\"noticed\":true"],
        "tls" => &["by tls"],
        // The MCP servers'.
        "tools" => &["names"],
        "insert" => &["1"],
        "inserted" => &["by an agent"],
        "tables" => &["bodies", "kinds", "loaded", "notes", "numbers"],
        "describe" => &["auto_increment", "varchar(60)"],
        "after" => &["1"],
        // The dumps'.
        "checksums" => &["\"equal\":true", "kinds"],
        "load" => &["\"said\":[]"],
        "routines" => &["several"],
        _ => &[],
    }
}

/// Panics where the line does not show what it must.
pub(crate) fn check(step: &str, line: &Value, flavour: Flavour, known: &[(&str, &'static [&'static str])]) {
    let text = line.to_string();
    let parts = known.iter().find(|(name, _)| *name == step).map_or_else(|| parts(step, flavour), |(_, parts)| parts);
    for part in parts {
        let shown: String = text.chars().take(1000).collect();
        assert!(text.contains(part), "`{step}` shows no `{part}`: {shown}");
    }
    assert!(!text.contains("\"encrypted\":false"), "`{step}` was not encrypted");
}
