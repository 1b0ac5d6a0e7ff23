//! The lexer's rules, one by one. What is said of a server was seen on MariaDB 10.11.14 and MySQL 9.7.4.

use super::Lexer;
use crate::context::Flavour;
use crate::limits::PARENTHESES_DEPTH_MAX;
use crate::reading::Reading;
use crate::token::{Kind, Unread};

const MYSQL: Reading = Reading {
    flavour: Flavour::MySql,
    version: 90_704,
    ansi_quotes: false,
    backslash_escapes: true,
    ignore_space: false,
    utf8: true,
};
const MARIADB: Reading = Reading { flavour: Flavour::MariaDb, version: 101_114, ..MYSQL };
const BOTH: [Reading; 2] = [MYSQL, MARIADB];

/// The tokens, a space between each, and the canonical text.
fn lex(text: &str, reading: Reading) -> Result<(String, Option<String>), Unread> {
    let mut lexer = Lexer::new(text, reading);
    let mut found = Vec::new();
    while let Some(token) = lexer.token()? {
        found.push(token.text);
    }
    Ok((found.join(" "), lexer.canonical()))
}

fn tokens(text: &str, reading: Reading) -> String {
    lex(text, reading).unwrap_or_else(|error| panic!("{text}: {error}")).0
}

fn kinds(text: &str, reading: Reading) -> Vec<Kind> {
    let mut lexer = Lexer::new(text, reading);
    std::iter::from_fn(|| lexer.token().unwrap_or_else(|error| panic!("{text}: {error}")))
        .map(|token| token.kind)
        .collect()
}

/// On both servers.
fn check(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        for reading in BOTH {
            assert_eq!(tokens(text, reading), *expected, "{text}");
        }
    }
}

fn refused(readings: &[Reading], texts: &[&str]) {
    for text in texts {
        for reading in readings {
            assert!(lex(text, *reading).is_err(), "{text}: {:?}", lex(text, *reading));
        }
    }
}

#[test]
fn tokens_are_those_of_the_server() {
    check(&[
        ("SELECT-1e0", "SELECT - 1e0"),
        ("a.b, .5 1.5e-3 1.", "a . b , .5 1.5e-3 1."),
        ("5--3", "5 - - 3"),
        ("1--", "1"),
        ("1-- x\n2#y\n3/*z*/4", "1 2 3 4"),
        ("1 --\tx\r still\n2", "1 2"),
        ("1\u{b}2\u{c}3", "1 2 3"),
        ("'a''b' 'a\\'b' \"a\\\"b\" `a``b`", "'a''b' 'a\\'b' \"a\\\"b\" `a``b`"),
        ("a->>'$.b'<=>c:=1", "a ->> '$.b' <=> c := 1"),
        ("@a.b$ @@x.y @'q' @`q`", "@a.b$ @@x . y @'q' @`q`"),
        ("x'41' B'01' N'é' 0x41 0b01", "x'41' B'01' N'é' 0x41 0b01"),
    ]);
}

#[test]
fn names_may_start_with_a_digit() {
    check(&[
        ("1a 1ea 0xg 0X41 0b2 0x 1e+a", "1a 1ea 0xg 0X41 0b2 0x 1e + a"),
        ("1e0UNION 1e5e", "1e0 UNION 1e5 e"),
        ("t.1b t.1e5 t.5 t.x'41'", "t . 1b t . 1e5 t . 5 t . x '41'"),
        ("1.5a 1.5e3a", "1.5 a 1.5e3 a"),
        ("1b.2c", "1b . 2c"),
    ]);
    assert_eq!(kinds("1a 1 1e0 0x1", MYSQL), [Kind::Word, Kind::Number, Kind::Number, Kind::Hex]);
    refused(&BOTH, &["1.2.3", "1.5e", "`t`.1b", "t .1b", "1e0.5", "0x41.5"]);
}

#[test]
fn letters_outside_ascii_are_letters_where_the_text_is_utf8() {
    check(&[
        ("größe.naïve", "größe . naïve"),
        ("1é", "1é"),
        ("1 --\u{a0} x", "1 - - \u{a0} x"),
        ("a\u{85}b", "a\u{85}b"),
    ]);
    refused(&BOTH, &["a😀", "😀", "@é", "@@é"]);
    let latin1 = BOTH.map(|reading| Reading { utf8: false, ..reading });
    refused(&latin1, &["é", "aé", "1é", "\u{a0}"]);
    assert_eq!(tokens("'é' `é` # é\n1 /* é */", latin1[0]), "'é' `é` 1");
}

#[test]
fn what_no_two_servers_agree_on_is_refused() {
    refused(
        &BOTH,
        &[
            "SELECT b\"\\\"",
            "n\"a\"",
            "x\"41\"",
            "\\",
            "\\x",
            "$$a$$",
            "$a",
            "`a\0`",
            "'a",
            "`a",
            "\"a",
            "``",
            "/* a",
            "a */",
            "\u{1}",
            "-- \u{1}",
            "x'4g'",
            "[a]",
            "a == b",
            "@",
            "@@",
            "@\"a\"",
            "(",
            ")",
            "(1;2)",
            "{fn now()",
            "{fn now())",
            "(1}",
            "{ 'a'}",
            "{(1)}",
        ],
    );
}

#[test]
fn odbc_braces_are_parentheses() {
    check(&[
        ("{fn now()}", "( now ( ) )"),
        ("{d '2020-01-01'}", "( '2020-01-01' )"),
        ("{d'2020-01-01'}", "( '2020-01-01' )"),
        ("{x password}", "( password )"),
        ("FROM {oj a LEFT JOIN b ON 1}", "FROM ( a LEFT JOIN b ON 1 )"),
    ]);
}

#[test]
fn backslash_n_is_null_to_mariadb() {
    assert_eq!(tokens("SELECT \\N, 1", MARIADB), "SELECT NULL , 1");
    refused(&[MYSQL], &["SELECT \\N"]);
    refused(&BOTH, &["SELECT \\n", "SELECT \\Na"]);
}

#[test]
fn executable_comments_are_code_from_their_version_on() {
    let check = |text: &str, mysql: &str, mariadb: &str| {
        assert_eq!(tokens(text, MYSQL), mysql, "{text} on MySQL");
        assert_eq!(tokens(text, MARIADB), mariadb, "{text} on MariaDB");
    };
    check("0 /*! +1 */", "0 + 1", "0 + 1");
    check("0 /*!40101 +1 */", "0 + 1", "0 + 1");
    check("0/*!50000+1*/+2", "0 + 1 + 2", "0 + 1 + 2");
    check("0 /*!90704 +1 */", "0 + 1", "0");
    check("0 /*!90705 +1 */", "0", "0");
    check("0 /*!090704 +1 */", "0 + 1", "0");
    check("0 /*!090705 +1 */", "0", "0");
    check("0 /*!101114 +1 */", "0", "0 + 1");
    check("0 /*!101115 +1 */", "0", "0");
    check("0 /*!50800 +1 */", "0 + 1", "0");
    check("0 /*!M!50800 +1 */", "0 M ! 50800 + 1", "0 M ! 50800 + 1");
    check("0 /*M!50800 +1 */", "0", "0 + 1");
    check("0 /*M!100000 +1 */", "0", "0 + 1");
    check("0 /*M! +1 */", "0", "0 + 1");
    check("0 /*M!999999\\- enable the sandbox mode */", "0", "0");
    // A sixth digit without white space behind it is code to MySQL.
    check("0 /*!500001+1*/", "0 1 + 1", "0");
    check("0 /*!1234567 +1 */", "0 67 + 1", "0");
    // Fewer than five digits are code.
    check("0 /*!1*/", "0 1", "0 1");
    check("0 +/*!5000+1*/", "0 + 5000 + 1", "0 + 5000 + 1");
    check("/*!*/ /*!50000*/ 1", "1", "1");
}

#[test]
fn within_executable_comments_text_is_read_as_anywhere() {
    check(&[
        // D5: the line comment swallows the end.
        ("1 /*! -- */ /*\n UNION SELECT 2 */", "1 UNION SELECT 2"),
        ("1 /*! # */ \n + 2 */", "1 + 2"),
        ("1 /*!50000 , '*/' , \"*/\" , `*/` */", "1 , '*/' , \"*/\" , `*/`"),
        // D10
        ("1 /*!50000 /* x */ UNION SELECT 2 */", "1 UNION SELECT 2"),
        ("1 /*!50000 + /*!999999 9 */ 2 */", "1 + 2"),
        // In a comment that is skipped, one level of comments is.
        ("1 /*!99999 /* x */ UNION SELECT 2 */", "1"),
        ("1 /*!99999 '*/", "1"),
        ("1 /* a /* b */", "1"),
        ("a/*!.*/b", "a . b"),
    ]);
    refused(
        &BOTH,
        &[
            "1 /*!50000 + /*!50000 2 */ */",
            "1 /*!50000 + 2",
            "1 /*!99999 /* x */",
            "1 /*!!50000 */",
            "1 /*! */ */",
            "/*! ' */",
        ],
    );
}

#[test]
fn versions_that_not_all_servers_read_alike_are_refused() {
    refused(&BOTH.map(|reading| Reading { version: 0, ..reading }), &["/*! 1 */", "/*!50000 1 */"]);
    refused(&[MYSQL], &["0 /*!080000\u{a0}+1 */"]);
    refused(&[Reading { version: 80_036, ..MYSQL }], &["0 /*!080000 +1 */"]);
    refused(&[MARIADB], &["0 /*!99997 +1 */"]);
}

#[test]
fn double_quotes_are_names_under_ansi_quotes() {
    for reading in BOTH.map(|reading| Reading { ansi_quotes: true, ..reading }) {
        let (tokens, canonical) = lex("SELECT \"a`\"\"b\", 'c' FROM \"t\"", reading).unwrap();
        assert_eq!(tokens, "SELECT \"a`\"\"b\" , 'c' FROM \"t\"");
        assert_eq!(canonical.unwrap(), "SELECT `a``\"b`, 'c' FROM `t`");
        assert_eq!(kinds("\"a\" 'b'", reading), [Kind::Quoted, Kind::String]);
        refused(&[reading], &["\"\"", "\"a", "\"a\nb\""]);
        // A backslash is nothing special in a name.
        assert_eq!(kinds("\"a\\\" 'b'", reading), [Kind::Quoted, Kind::String]);
    }
}

#[test]
fn backslashes_are_data_under_no_backslash_escapes() {
    for reading in BOTH {
        let text = "SELECT 'a\\', user() -- '";
        assert_eq!(kinds(text, reading), [Kind::Word, Kind::String]);
        let without = Reading { backslash_escapes: false, ..reading };
        assert_eq!(tokens(text, without), "SELECT 'a\\' , user ( )");
    }
}

#[test]
fn functions_stand_right_before_their_parenthesis_without_ignore_space() {
    for reading in BOTH {
        let ignoring = Reading { ignore_space: true, ..reading };
        assert_eq!(kinds("COUNT(*)", reading)[0], Kind::Word);
        assert_eq!(kinds("Count (*)", reading)[0], Kind::Quoted);
        assert_eq!(kinds("COUNT/**/(*)", reading)[0], Kind::Quoted);
        assert_eq!(kinds("COUNT (*)", ignoring)[0], Kind::Word);
        assert_eq!(kinds("SLEEP (1)", reading)[0], Kind::Word);
        assert_eq!(kinds("COUNT FROM", reading)[0], Kind::Word);
        refused(&[ignoring], &["COUNT/**/(*)", "COUNT/*! (*)*/", "COUNT #\n(*)"]);
    }
}

#[test]
fn the_canonical_text_differs_only_where_it_must() {
    let check = |text: &str, mysql: Option<&str>, mariadb: Option<&str>| {
        for (reading, expected) in [(MYSQL, mysql), (MARIADB, mariadb)] {
            assert_eq!(lex(text, reading).unwrap().1.as_deref(), expected, "{text}");
        }
    };
    check("SELECT 1 /* x */ -- y", None, None);
    check("SELECT 'a\\'/*!b*/', `/*!`", None, None);
    let both = |text: &str, canonical: &str| check(text, Some(canonical), Some(canonical));
    both("SELECT 'a''\\\\' /*!40000 , 2*/ /*x*/\n;", "SELECT 'a''\\\\'   , 2   \n;");
    both("SELECT /*+ NO_MERGE() */ 1 /*! +1*/", "SELECT /*+ NO_MERGE() */ 1   +1 ");
    both("SELECT 1 /*! -- */ /*\n +2 */", "SELECT 1    \n +2  ");
    both("/*!99999 DROP TABLE t */", "/**/");
    both("1 /* a /* b */", "1  ");
    check("/*M!100000 DELETE FROM users */", Some("/**/"), Some("  DELETE FROM users  "));
}

#[test]
fn optimizer_hints_that_set_something_are_refused() {
    check(&[("SELECT /*+ BKA(t) */ 1", "SELECT 1")]);
    refused(
        &BOTH,
        &["SELECT /*+ SET_VAR(sql_mode='') */ 1", "SELECT /*+ resource_group(a) */ 1", "SELECT /*+ /* */ 1"],
    );
}

#[test]
fn parentheses_are_read_to_their_limit() {
    let nested = |depth: usize| format!("{}1{}", "(".repeat(depth), ")".repeat(depth));
    assert!(lex(&nested(PARENTHESES_DEPTH_MAX), MYSQL).is_ok());
    assert!(lex(&nested(PARENTHESES_DEPTH_MAX + 1), MYSQL).is_err());
}
