//! A text is read as the session's server reads it. The tricks D1 to D20 are those of the catalogue, each with what the
//! server does; what servers do was seen on MariaDB 10.11.14 and MySQL 9.7.4.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed")]

use portreeve_policy::{Context, Facts, Flavour, Resource, analyse};

fn mysql() -> Context<'static> {
    Context { default_schema: Some("shop"), version: 90_704, ..Context::new("orders", Flavour::MySql) }
}

fn mariadb() -> Context<'static> {
    Context { flavour: Flavour::MariaDb, version: 101_114, ..mysql() }
}

/// Actions on tables and functions, one statement after the other; `unparsed` where any of it is.
fn found(sql: impl AsRef<[u8]>, context: &Context<'_>) -> String {
    let facts = analyse(sql.as_ref(), context);
    line(&facts)
}

fn line(facts: &Facts) -> String {
    let statements = facts.statements.iter().map(|statement| {
        let requests = statement.requests.iter().map(|request| match &request.resource {
            Resource::Server => request.action.to_string(),
            Resource::Schema(schema) => format!("{} {schema}", request.action),
            Resource::Table { table, .. } => format!("{} {table}", request.action),
            Resource::Routine { name, .. } => format!("{} {name}", request.action),
            Resource::Column { column, .. } => format!("{} {column}", request.action),
        });
        let mut requests: Vec<_> = requests.collect();
        requests.sort();
        requests.join(", ")
    });
    statements.collect::<Vec<_>>().join("; ")
}

/// What it is to MySQL, and to MariaDB.
fn check(sql: &str, on_mysql: &str, on_mariadb: &str) {
    assert_eq!(found(sql, &mysql()), on_mysql, "{sql} on MySQL");
    assert_eq!(found(sql, &mariadb()), on_mariadb, "{sql} on MariaDB");
}

fn both(sql: &str, expected: &str) {
    check(sql, expected, expected);
}

fn unparsed(sql: &str) {
    for context in [mysql(), mariadb()] {
        let facts = analyse(sql.as_bytes(), &context);
        assert!(facts.has_unparsed(), "{sql}: {}", line(&facts));
        assert!(facts.canonical.is_none() || facts.statements.len() == 1, "{sql}");
    }
}

fn canonical(sql: &str, context: &Context<'_>) -> Option<String> {
    analyse(sql.as_bytes(), context).canonical
}

#[test]
fn d1_a_union_in_a_comment_of_mariadb_is_one_there() {
    check("SELECT 1 /*M!100000 UNION SELECT password FROM users */", "inspect", "select users");
}

#[test]
fn d2_a_whole_statement_in_a_comment_is_a_statement_where_it_runs() {
    check("/*M!100000 DELETE FROM users */", "inspect", "delete users");
    // Elsewhere nothing of it is forwarded.
    assert_eq!(canonical("/*M!100000 DELETE FROM users */", &mysql()).unwrap(), "/**/");
    assert_eq!(canonical("/*M!100000 DELETE FROM users */", &mariadb()).unwrap().trim(), "DELETE FROM users");
    both("/*!50000 DELETE FROM users */", "delete users");
}

#[test]
fn d3_a_comment_of_another_version_is_skipped() {
    both("SELECT /*!99999 1 AS */ password FROM users", "select users");
    assert_eq!(canonical("SELECT /*!99999 1 AS */ a FROM b", &mysql()).unwrap(), "SELECT   a FROM b");
    check("SELECT /*!80000 (SELECT 1 FROM t), */ a FROM b", "select b, select t", "select b");
}

#[test]
fn d5_a_line_comment_in_an_executable_comment_swallows_its_end() {
    both("SELECT 1 /*! -- */ /*\n UNION SELECT a FROM users */", "select users");
}

#[test]
fn d6_white_space_of_unicode_starts_no_comment() {
    both("SELECT 1 --\u{a0} FROM (SELECT 1 AS \u{a0}) x UNION SELECT password FROM users", "select users");
    // Neither servers nor the lexer take it for white space; the parser does not know what it is.
    for space in ["\u{85}", "\u{2028}", "\u{3000}"] {
        let sql = format!("SELECT 1 --{space} FROM (SELECT 1 AS {space}) x UNION SELECT password FROM users");
        let found = found(&sql, &mysql());
        assert!(found.contains("select users") || found.contains("unparsed"), "{sql}: {found}");
    }
}

#[test]
fn d7_quotes_right_behind_a_letter_are_refused() {
    unparsed("SELECT b\"\\\", password FROM users -- \"");
}

#[test]
fn d8_versions_have_as_many_digits_as_the_server_reads() {
    check("SELECT /*!500001,a FROM users */", "select users", "unparsed");
    check("SELECT 1 /*!090704 UNION SELECT a FROM users */", "select users", "inspect");
    check("SELECT 1 /*!101114 UNION SELECT a FROM users */", "inspect", "select users");
    check("SELECT 1 /*!101115 UNION SELECT a FROM users */", "inspect", "inspect");
    check("SELECT 1 /*!50800 UNION SELECT a FROM users */", "select users", "inspect");
    let unknown = Context { version: 0, ..mysql() };
    assert_eq!(found("SELECT 1 /*!50000 UNION SELECT a FROM users */", &unknown), "unparsed");
    assert_eq!(found("SELECT 1 /* a */", &unknown), "inspect");
}

#[test]
fn d9_fewer_than_five_digits_are_code() {
    both("SELECT /*!1*/ FROM t", "select t");
    assert_eq!(canonical("SELECT /*!5000+1*/", &mysql()).unwrap(), "SELECT  5000+1 ");
}

#[test]
fn d10_comments_nest_as_in_the_server() {
    both("SELECT 1 /*!50000 /* x */ UNION SELECT a FROM users */", "select users");
    both("SELECT 1 /*!99999 /* x */ UNION SELECT a FROM users */", "inspect");
    both("SELECT 1 /* a /* b */ UNION SELECT a FROM users", "select users");
    unparsed("SELECT 1 /*!50000 + /*!50000 2 */ */");
}

#[test]
fn d12_backslashes_are_data_under_no_backslash_escapes() {
    let sql = "SELECT 'a\\', (SELECT b FROM users) -- '";
    both(sql, "inspect");
    for context in [mysql(), mariadb()] {
        let context = Context { no_backslash_escapes: true, ..context };
        assert_eq!(found(sql, &context), "select users");
    }
}

#[test]
fn d13_double_quotes_are_names_under_ansi_quotes() {
    let sql = "SELECT \"password\" FROM \"users\"";
    unparsed(sql);
    for context in [mysql(), mariadb()] {
        let context = Context { ansi_quotes: true, ..context };
        assert_eq!(found(sql, &context), "select users");
        assert_eq!(canonical(sql, &context).unwrap(), "SELECT `password` FROM `users`");
    }
}

#[test]
fn d15_d17_bytes_outside_ascii_are_data_in_quotes_only() {
    // A session in GBK or SJIS is `unreadable`; in these, no byte hides a quote.
    assert_eq!(found(b"SELECT '\xbf\x5c', user() -- '", &mysql()), "inspect");
    assert_eq!(found(b"SELECT '\xbf\x5c', user() -- '", &mysql()), found(b"SELECT 'x'", &mysql()));
    assert_eq!(found(b"INSERT INTO t VALUES (_binary'\x00'", &mysql()), "unparsed");
    assert_eq!(found(b"INSERT INTO t VALUES (_binary'\xff\xfe\\0\\'')", &mysql()), "insert t");
    let latin1 = Context { utf8: false, ..mysql() };
    assert_eq!(found(b"SELECT 'caf\xe9', \"\xa0\" /* \xe9 */ FROM t # \xe9", &latin1), "select t");
    assert_eq!(found(b"SELECT\xa01", &latin1), "unparsed");
    assert_eq!(found("SELECT\u{a0}1", &latin1), "unparsed");
    assert_eq!(found(b"SELECT `\xe9` FROM t", &latin1), "unparsed");
    // Written anew, it would have to be another string.
    assert_eq!(found(b"SELECT '\xe9' /*!50000 , 1 */", &latin1), "unparsed");
}

#[test]
fn d19_pipes_and_not_touch_the_same_tables_in_every_mode() {
    let sql = "SELECT NOT a || (SELECT b FROM users) FROM t";
    for context in [mysql(), mariadb()] {
        let modes = Context { pipes_as_concat: true, high_not_precedence: true, ..context };
        assert_eq!(found(sql, &modes), found(sql, &context));
    }
}

#[test]
fn letters_of_names_may_be_outside_ascii_where_all_agree_on_their_case() {
    both("SELECT größe AS naïve FROM t", "select t");
    both("SELECT * FROM größe", "select größe");
    both("SELECT * FROM `ＴＡＢＬＥ`", "select ＴＡＢＬＥ");
    // An `i` to the servers, a `k`, an `ss`.
    unparsed("SELECT * FROM `\u{130}tems`");
    unparsed("SELECT * FROM `\u{212a}eys`");
    unparsed("SELECT * FROM `\u{1e9e}`");
    let latin1 = Context { utf8: false, ..mysql() };
    assert_eq!(found("SELECT * FROM `größe`", &latin1), "unparsed");
}

#[test]
fn a_function_stands_right_before_its_parenthesis() {
    both("SELECT COUNT(*) FROM t", "select t");
    both("SELECT COUNT (*) FROM t", "execute, select t");
    for context in [mysql(), mariadb()] {
        assert_eq!(found("SELECT COUNT (*) FROM t", &Context { ignore_space: true, ..context }), "select t");
    }
    both("SELECT SLEEP (1)", "inspect, sleep");
}

#[test]
fn forms_that_both_servers_read_alike_are_read() {
    both("SELECT {fn user()}, {d '2020-01-01'} FROM t", "select t");
    both("SELECT {fn sleep(1)}", "inspect, sleep");
    both("SELECT 1e0password FROM users", "select users");
    both("SELECT _gbk'a', _utf8mb4 X'41', N'b' FROM t", "select t");
    both("SELECT t.1b, 2c FROM t", "select t");
    both("SELECT\u{b}1\u{c}FROM\u{b}t", "select t");
    check("SELECT \\N FROM t", "unparsed", "select t");
}

#[test]
fn a_text_without_a_statement_asks_to_inspect() {
    for sql in ["", "  ", ";", ";;", "-- a", "/* a */", "/*!99999 DROP TABLE t */", "/*!50000 */", "# a\n;"] {
        both(sql, "inspect");
    }
}

#[test]
fn dumps_are_read() {
    let dump = |sql: &str, expected: &str| {
        both(sql, expected);
        let text = canonical(sql, &mysql());
        assert!(
            text.as_deref().is_none_or(|text| !text.contains("/*!") && text == "/**/" || !text.contains("*/")),
            "{sql}: {text:?}"
        );
    };
    dump("/*M!999999\\- enable the sandbox mode */", "inspect");
    dump("/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */", "set_session");
    check("/*!50503 SET NAMES utf8mb4 */", "set_session", "set_session");
    dump("/*!40103 SET TIME_ZONE='+00:00' */", "set_session");
    dump("/*!40014 SET @OLD_UNIQUE_CHECKS=@@UNIQUE_CHECKS, UNIQUE_CHECKS=0 */", "set_session");
    dump("/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */", "set_session");
    dump("/*!40101 SET SQL_MODE=@OLD_SQL_MODE */", "set_session");
    dump("/*!40101 SET character_set_client = @saved_cs_client */", "set_session");
    dump("/*!50003 SET character_set_results = @saved_cs_results */", "set_session");
    dump("/*!50003 SET collation_connection  = @saved_col_connection */", "set_session");
    dump("/*!40101 SET CHARACTER_SET_CLIENT=@OLD_CHARACTER_SET_CLIENT */", "set_session");
    dump("/*!50003 SET sql_mode              = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION' */", "set_session");
    dump(
        "CREATE TABLE `t` (`id` int NOT NULL /*!99999 INVISIBLE */) /*!40101 ENGINE=InnoDB */ /*!99999 x */",
        "create t",
    );
    dump("CREATE DATABASE /*!32312 IF NOT EXISTS*/ `shop` /*!40100 DEFAULT CHARACTER SET utf8mb4 */", "create shop");
    dump("SELECT /*!40001 SQL_NO_CACHE */ * FROM `t`", "select t");
    // Of drivers and frameworks.
    dump("/* mysql-connector-j-8.3.0 (Revision: x) */SELECT @@session.auto_increment_increment", "inspect");
    dump("SELECT /*+ MAX_EXECUTION_TIME(1000) */ 1 FROM t", "select t");
}

#[test]
fn what_changes_how_later_texts_read_is_told() {
    let changes = |sql: &str| analyse(sql.as_bytes(), &mysql()).changes_reading;
    for sql in [
        "SET sql_mode='ANSI_QUOTES'",
        "SET SESSION sql_mode = 'ANSI'",
        "SET @@sql_mode := 'NO_BACKSLASH_ESCAPES'",
        "SET sql_mode=@old",
        "SET sql_mode=DEFAULT",
        "SET sql_mode=CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')",
        "SET character_set_client=@saved",
        "/*!40101 SET SQL_MODE=@OLD_SQL_MODE */",
        "SET a = 1, sql_mode=@x",
        "SELECT 'unclosed",
        "XA whatever",
        "EXECUTE s",
        "SET NAMES gbk",
        "SET NAMES latin1",
        "SET CHARACTER SET binary",
    ] {
        assert!(changes(sql), "{sql}");
    }
    for sql in ["SELECT 1", "SET NAMES utf8mb4", "SET sql_mode='STRICT_ALL_TABLES'", "SET time_zone='+00:00'", ""] {
        assert!(!changes(sql), "{sql}");
    }
}

#[test]
fn a_text_to_prepare_reads_alike_in_every_mode_at_mysql() {
    for text in [r#"'SELECT "a" FROM t'"#, r"'SELECT ''a\\'', b FROM t -- '", r#""SELECT ""a"" FROM t""#] {
        let facts = analyse(format!("PREPARE s FROM {text}").as_bytes(), &mysql());
        assert!(facts.has_unparsed(), "{text}");
        let reason = facts.statements[0].unparsed.as_deref().unwrap();
        assert!(reason.contains("another sql_mode"), "{reason}");
    }
}

#[test]
fn after_a_change_of_reading_the_rest_of_the_text_is_unparsed() {
    for set in
        ["SET sql_mode='NO_BACKSLASH_ESCAPES'", "SET sql_mode=@x", "SET NAMES gbk", "SET @@character_set_client=sjis"]
    {
        let facts = analyse(format!("{set}; SELECT 'a\\', b FROM t -- '").as_bytes(), &mysql());
        assert!(facts.statements[1].unparsed.is_some(), "{set}");
        assert_eq!(facts.canonical, None);
    }
    // Whatever was found is still asked for.
    both("SET sql_mode=@x; SELECT * FROM users", "set_session; select users, unparsed");
    both("SET NAMES utf8mb4; SELECT * FROM users", "set_session; select users");
    both("SET sql_mode='STRICT_ALL_TABLES'; SELECT * FROM users", "set_session; select users");
}

#[test]
fn character_sets_that_hide_quotes_are_refused_however_they_are_set() {
    for charset in ["gbk", "sjis", "big5", "cp932", "gb18030", "ucs2", "swe7"] {
        for set in [
            format!("SET NAMES {charset}"),
            format!("SET NAMES '{charset}'"),
            format!("SET CHARACTER SET {charset}"),
            format!("SET CHARSET {charset}"),
            format!("SET character_set_client = {charset}"),
            format!("SET @@character_set_client = '{charset}'"),
            format!("SET @@session.character_set_client = {charset}"),
            format!("SET LOCAL character_set_client = {charset}"),
            format!("SET @a = 1, NAMES {charset}"),
            format!("SET STATEMENT character_set_client={charset} FOR SELECT 1"),
            format!("/*!40101 SET NAMES {charset} */"),
        ] {
            unparsed(&set);
        }
    }
}

/// Marsaglia's xorshift: the same sequence on every run.
fn next(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    usize::try_from(*state >> 33).unwrap_or(0)
}

#[test]
fn white_space_comments_and_case_never_change_facts() {
    let statements: [&[&str]; 5] = [
        &[
            "SELECT", "a", ".", "b", ",", "COUNT(", "*", ")", "FROM", "users", "a", "WHERE", "id", "=", "'x /*! '",
            "LIMIT", "1",
        ],
        &["UPDATE", "t", "SET", "a", "=", "(", "SELECT", "1", "FROM", "u", ")", "WHERE", "b", ">=", "2"],
        &["INSERT", "INTO", "`t`", "(", "a", ")", "VALUES", "(", "'--'", ")", ",", "(", "1e0", ")"],
        &["SET", "sql_mode", "=", "'ANSI_QUOTES'"],
        &["DROP", "TABLE", "IF", "EXISTS", "x", ".", "y"],
    ];
    let gaps = [
        " ",
        "\n",
        "\t ",
        "\u{b}",
        " /**/ ",
        "/* ' */",
        " -- \"\n",
        "#`\n",
        " /*! */ ",
        "/*!50000*/",
        " /*!99999 ; DROP */ ",
        " /*!40000 /* x */ */ ",
    ];
    let mut state = 0x9e37_79b9_7f4a_7c15;
    for words in statements {
        for context in [mysql(), mariadb()] {
            let plain = analyse(words.join(" ").as_bytes(), &context);
            assert!(!plain.has_unparsed(), "{words:?}: {plain:?}");
            for _ in 0..300 {
                let mut sql = String::new();
                for word in words {
                    let gap = gaps[next(&mut state) % gaps.len()];
                    let is_name = word.len() == 1 || ["users", "`t`", "id"].contains(word) || word.starts_with('\'');
                    sql += &match next(&mut state) % 3 {
                        0 if !is_name => word.to_ascii_lowercase(),
                        _ => (*word).to_owned(),
                    };
                    sql += gap;
                }
                let read = analyse(sql.as_bytes(), &context);
                assert_eq!(read.statements, plain.statements, "{sql}");
                // What is forwarded reads the same, and needs no other text.
                if let Some(canonical) = read.canonical {
                    let again = analyse(canonical.as_bytes(), &context);
                    assert_eq!((again.statements, again.canonical), (read.statements, None), "{sql}\n{canonical}");
                }
            }
        }
    }
}
