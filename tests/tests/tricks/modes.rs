//! D12 to D19: modes that change how later texts are read. Each is asked for, then made use of.

use crate::case::Case;

/// Two columns where a backslash is a character, one string where it is not.
const BACKSLASH: &str = "SELECT 'a\\', (SELECT password FROM vault.users LIMIT 1) -- '";
/// Names where double quotes quote names.
const QUOTED: &str = "SELECT \"password\" FROM \"vault\".\"users\"";
/// Names in brackets.
const BRACKETS: &str = "SELECT [password] FROM [vault].[users]";

pub(crate) fn cases() -> Vec<Case> {
    [backslashes(), quotes(), grammars()].concat()
}

fn backslashes() -> Vec<Case> {
    let leaks = Case::leaks::<&str>;
    let with = |name: &'static str, set: &str| Case::leaks(name, "B011", &[set, BACKSLASH]);
    vec![
        with("no backslashes", "SET sql_mode = 'NO_BACKSLASH_ESCAPES'"),
        with("no backslashes, by variable", "SET @@sql_mode = 'no_backslash_escapes'"),
        with("no backslashes, of the session", "SET @@session.sql_mode := \"NO_BACKSLASH_ESCAPES\""),
        with("no backslashes, among others", "SET autocommit = 1, SESSION sql_mode = 'STRICT_ALL_TABLES,NO_BACKSLASH_ESCAPES'"),
        with("no backslashes, computed", "SET sql_mode = CONCAT('NO_BACKSLASH', '_ESCAPES')"),
        with("no backslashes, added", "SET sql_mode = CONCAT(@@sql_mode, ',NO_BACKSLASH_ESCAPES')"),
        with("no backslashes, by number", "SET sql_mode = @@sql_mode | 1048576"),
        with("no backslashes, in hexadecimal", "SET sql_mode = 0x4E4F5F4241434B534C4153485F45534341504553"),
        with("no backslashes, in a comment", "SET /*! sql_mode = 'NO_BACKSLASH_ESCAPES' */"),
        with("no backslashes, selected", "SET sql_mode = (SELECT 'NO_BACKSLASH_ESCAPES')"),
        leaks("no backslashes, by a user variable", "B011", &[
            "SET @mode = 'NO_BACKSLASH_ESCAPES'",
            "SET sql_mode = @mode",
            BACKSLASH,
        ]),
        leaks("no backslashes, prepared", "B011", &[
            "PREPARE s FROM 'SET sql_mode = ''NO_BACKSLASH_ESCAPES'''",
            "EXECUTE s",
            BACKSLASH,
        ]),
        leaks("no backslashes, for a statement", "B046", &[
            "SET STATEMENT sql_mode = 'ANSI_QUOTES' FOR EXECUTE IMMEDIATE 'SELECT \"password\" FROM \"vault\".\"users\"'",
        ])
        .mariadb(),
    ]
}

fn quotes() -> Vec<Case> {
    let with = |name: &'static str, set: &str| Case::leaks(name, "D13", &[set, QUOTED]);
    vec![
        with("quotes around names", "SET sql_mode = 'ANSI_QUOTES'"),
        with("quotes around names, by a mode of many", "SET sql_mode = 'ANSI'"),
        with("quotes around names, by number", "SET sql_mode = 4"),
        Case::leaks(
            "a table in quotes",
            "D13",
            &["SET SESSION sql_mode = 'ANSI_QUOTES'", "SELECT item, password FROM orders JOIN \"vault\".\"users\""],
        ),
        Case::leaks(
            "a string that is a name",
            "D13",
            &[
                "SET sql_mode = 'ANSI_QUOTES'",
                "SELECT \"' FROM vault.users -- \", (SELECT password FROM vault.users LIMIT 1) FROM (SELECT 1 AS \"' FROM vault.users -- \") x",
            ],
        ),
        Case::leaks(
            "bars for a concatenation",
            "D19",
            &["SET sql_mode = 'PIPES_AS_CONCAT'", "SELECT '~' || password FROM vault.users"],
        ),
        Case::leaks(
            "NOT that binds otherwise",
            "D19",
            &["SET sql_mode = 'HIGH_NOT_PRECEDENCE'", "SELECT password FROM vault.users WHERE NOT 1 BETWEEN -5 AND 0"],
        ),
        Case::leaks(
            "blanks before parentheses",
            "D19",
            &["SET sql_mode = 'IGNORE_SPACE'", "SELECT max (password) FROM vault.users"],
        )
        // Elsewhere a name before a blank and a parenthesis is a stored function's.
        .why("shop-db"),
    ]
}

fn grammars() -> Vec<Case> {
    let leaks = Case::leaks::<&str>;
    vec![
        leaks("brackets around names", "B013", &["SET sql_mode = 'MSSQL'", BRACKETS]).mariadb(),
        leaks(
            "a block of Oracle's",
            "B013",
            &["SET sql_mode = 'ORACLE'", "BEGIN EXECUTE IMMEDIATE 'SELECT password FROM vault.users'; END"],
        )
        .mariadb(),
        leaks(
            "a block of Oracle's that declares",
            "B034",
            &[
                "SET sql_mode = 'ORACLE'",
                "DECLARE word VARCHAR(40); BEGIN SELECT password INTO word FROM vault.users LIMIT 1; SELECT word; END",
            ],
        )
        .mariadb(),
        leaks("a dual of Oracle's", "B013", &["SET sql_mode = 'ORACLE'", "SELECT password || '' FROM vault.users"])
            .mariadb(),
    ]
}
