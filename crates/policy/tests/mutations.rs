//! Statements cut up and put together at random: analysis must end, and say something of each.

#![allow(clippy::indexing_slicing, reason = "a test that panics has failed")]

use portreeve_policy::{Action, Context, Flavour, analyse};

const PARTS: &str = "SELECT INSERT UPDATE DELETE FROM WHERE JOIN ON USING SET VALUES WITH RECURSIVE AS TABLE UNION ALL ( ) , . ; \
    * a b x.a `q` 'text' \"t\" 1 2.5 ? @v @@version NULL AND OR NOT IN BETWEEN LIKE IS CASE WHEN THEN ELSE END EXISTS \
    GROUP BY ORDER LIMIT HAVING INTO OUTFILE CREATE VIEW ALTER DROP RENAME TO INDEX SHOW TABLES COLUMNS EXPLAIN ANALYZE \
    FORMAT = + - / % ! ~ || && -> ->> <=> := DIV COLLATE INTERVAL DAY CAST CHAR OVER PARTITION ROW LATERAL NATURAL LEFT \
    FOR LOCK SHARE MODE KILL CALL LOAD DATA LOCAL INFILE USE BEGIN START TRANSACTION COMMIT NAMES utf8mb4 sql_mode GLOBAL \
    REPLACE IGNORE DUPLICATE KEY DEFAULT REFERENCES sleep count concat _latin1 x'41' N'n' 0x41 -- # /* */ \\ $ { [ \u{e9}";

/// Marsaglia's xorshift: the same sequence on every run.
fn next(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    usize::try_from(*state >> 33).unwrap_or(0)
}

#[test]
fn no_arrangement_of_words_panics_or_asks_for_nothing() {
    let parts: Vec<&str> = PARTS.split_whitespace().collect();
    let context =
        Context { default_schema: Some("shop"), version: 101_114, ..Context::new("orders", Flavour::MariaDb) };
    let mut state = 0x9e37_79b9_7f4a_7c15;
    for _ in 0..rounds() {
        let length = 1 + next(&mut state) % 14;
        let words: Vec<_> = (0..length).map(|_| parts[next(&mut state) % parts.len()]).collect();
        let sql = format!("{}{}", ["", "SELECT ", "WITH x AS (SELECT 1) "][next(&mut state) % 3], words.join(" "));
        for statement in analyse(sql.as_bytes(), &context).statements {
            assert!(!statement.requests.is_empty(), "{sql}");
            assert_ne!(statement.unparsed.as_deref(), Some("analysis failed"), "{sql}");
            let asks = statement.requests.iter().any(|request| request.action == Action::Unparsed);
            assert_eq!(asks, statement.unparsed.is_some(), "{sql}");
        }
    }
}

/// More with `MUTATIONS=1000000`.
fn rounds() -> usize {
    std::env::var("MUTATIONS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(20_000)
}
