//! Catalogue 5.1 and D1 to D10: texts in which a parser reads less, or other, than the server.

use crate::case::Case;

pub(crate) fn cases() -> Vec<Case> {
    [executable_comments(), versions(), white_space(), tokens()].concat()
}

fn executable_comments() -> Vec<Case> {
    let leaks = Case::leaks::<&str>;
    let users = "SELECT COUNT(*) FROM vault.users";
    vec![
        leaks("a statement in a comment", "B001", &["/*!50000 SELECT password FROM vault.users */"]),
        leaks("words in comments", "B001", &["SELECT/*!50000password*/FROM/*!50000vault.users*/"]),
        leaks("a comment without version", "B001", &["SELECT /*! password FROM vault.*/ users"]),
        leaks("parts of a name in comments", "B001", &["SELECT password FROM /*!vault*/./*!users*/"]),
        leaks("a table in a comment", "B001", &["SELECT password FROM /*!40000 vault.*/users"]),
        leaks("a union in MariaDB's comment", "D1", &["SELECT 1 /*M!100000 UNION SELECT password FROM vault.users */"])
            .mariadb(),
        leaks(
            "MariaDB's comment without version",
            "B002",
            &["SELECT 1 /*M! UNION SELECT password FROM vault.users */"],
        )
        .mariadb(),
        leaks(
            "MariaDB's comment elsewhere",
            "B002",
            &["SELECT 1 /*M!100000 UNION SELECT password FROM vault.users */"],
        )
        .mysql()
        .harmless(),
        Case::changes("nothing but a comment", "D2", users, &["/*M!100000 DELETE FROM vault.users */"]).mariadb(),
        Case::changes("nothing but a comment of both", "B007", users, &["/*! DELETE FROM vault.users */"]),
        Case::changes("a comment behind a semicolon", "B007", users, &["SELECT 1; /*! DELETE FROM vault.users */"])
            .not_directly(),
        leaks("a line comment inside", "D5", &["SELECT 1 /*! -- */ /*\n UNION SELECT password FROM vault.users */"]),
        leaks("a hash comment inside", "D5", &["SELECT 1 /*! # */ /*\n UNION SELECT password FROM vault.users */"]),
        leaks("a comment within", "D10", &["SELECT 1 /*!50000 /* x */ UNION SELECT password FROM vault.users */"]),
        leaks("quotes around its end", "D10", &["SELECT 1 /*! , '*/', (SELECT password FROM vault.users LIMIT 1) */"])
            .mysql(),
    ]
}

fn versions() -> Vec<Case> {
    let leaks = Case::leaks::<&str>;
    vec![
        leaks("just this version", "D8", &["SELECT /*!{now} password FROM vault.*/ users"]),
        leaks("just the next version", "D8", &["SELECT /*!{next} 1 AS */ password FROM vault.users"]),
        leaks("just this version of MariaDB", "D8", &["SELECT 1 /*M!{now} UNION SELECT password FROM vault.users */"])
            .mariadb(),
        leaks("just the next version of MariaDB", "D8", &["SELECT /*M!{next} 1 AS */ password FROM vault.users"])
            .mariadb(),
        leaks("just this version without a blank", "D8", &["SELECT(/*!{now}password*/)FROM(vault.users)"]),
        leaks("version zero", "D8", &["SELECT /*!00000 password FROM vault.*/ users"]),
        leaks("empty comments", "D8", &["SELECT/*!*/password/*!*/FROM/*!*/vault./*!*/users"]),
        leaks("a version of the future", "D3", &["SELECT /*!99999 1 AS */ password FROM vault.users"]),
        leaks("a version that MariaDB leaves out", "D3", &["SELECT /*!80000 1 AS */ password FROM vault.users"])
            .mariadb(),
        leaks("a version that MariaDB leaves out, alone", "D3", &["SELECT /*!50700 1 AS */ password FROM vault.users"])
            .mariadb(),
        leaks("the last version before", "D8", &["SELECT /*!50699 password FROM vault.*/users"]),
        leaks("six digits", "D8", &["SELECT /*!050001 password */ FROM vault.users"]),
        leaks("six digits of MariaDB", "D8", &["SELECT /*!100000(SELECT password FROM vault.users LIMIT 1)*/"])
            .mariadb(),
        leaks("five digits and one", "D8", &["SELECT /*!500001,(SELECT password FROM vault.users LIMIT 1)*/"]).mysql(),
        leaks("few digits", "D9", &["SELECT /*!1*/,(SELECT password FROM vault.users LIMIT 1)"]),
        leaks("a sum for a version", "D9", &["SELECT /*!5000+1*/, (SELECT password FROM vault.users LIMIT 1)"]),
        leaks("a blank before the version", "D9", &["SELECT /*! 99999 AS one, password FROM vault.*/users"]),
    ]
}

fn white_space() -> Vec<Case> {
    // Behind `--` the servers want white space of ASCII: what follows is a name, here of a column.
    let behind = |name: &'static str, space: char| {
        let text = format!(
            "SELECT 1 --{space} FROM (SELECT 1 AS {space}) x UNION SELECT password FROM vault.users -- {space}"
        );
        Case::leaks(name, "B008", &[text])
    };
    let leaks = Case::leaks::<&str>;
    vec![
        behind("a no-break space behind dashes", '\u{a0}'),
        behind("a next line behind dashes", '\u{85}'),
        behind("a line separator behind dashes", '\u{2028}'),
        behind("an ideographic space behind dashes", '\u{3000}'),
        leaks("dashes without a blank", "B008", &["SELECT 1--1, password FROM vault.users"]),
        leaks("dashes and a control character", "B008", &["SELECT 1 --\u{1} x\n, password FROM vault.users"]),
        leaks("other white space", "B026", &["SELECT\u{b}password\u{c}FROM\rvault.users"]),
        leaks("line ends", "B026", &["SELECT\r\npassword\nFROM\n\tvault\n.\nusers"]),
        leaks("comments for white space", "B026", &["SELECT/**/password/*-*/FROM/*/*/vault.users"]),
        leaks("line comments for white space", "B026", &["SELECT#x\npassword-- '\nFROM#\"\nvault.users"]),
    ]
}

fn tokens() -> Vec<Case> {
    let leaks = Case::leaks::<&str>;
    vec![
        leaks("dollars that quote", "-", &["SELECT 1 AS $$ ', password FROM vault.users -- ' $$"]).not_directly(),
        leaks("dollars in a name", "-", &["SELECT $ FROM (SELECT password AS $ FROM vault.users) x"]),
        leaks("a string that goes on", "-", &["SELECT 'a' -- '\n 'b', password FROM vault.users"]),
        leaks("a name that begins with a digit", "-", &["SELECT 1a FROM (SELECT password AS 1a FROM vault.users) x"]),
        leaks("parentheses for blanks", "B025", &["SELECT(password)FROM(vault.users)"]),
        leaks("backticks for blanks", "B025", &["SELECT`password`FROM`vault`.`users`"]),
        leaks("a number before a union", "B025", &["SELECT 1e0UNION SELECT password FROM vault.users"]),
        leaks("a number before a keyword", "B025", &["SELECT 1,password FROM vault.users WHERE 1.e0OR 1"]),
        leaks("a null before a union", "B025", &["SELECT \\NUNION SELECT password FROM vault.users"]).mariadb(),
        leaks(
            "a bit string that is none",
            "B010",
            &[
                "SELECT b\"\\\" UNION SELECT 1 -- \", (SELECT password FROM vault.users LIMIT 1) FROM (SELECT 1 AS b) x -- \"",
            ],
        ),
        leaks(
            "a hexadecimal string that is none",
            "B010",
            &[
                "SELECT x\"\\\" UNION SELECT 1 -- \", (SELECT password FROM vault.users LIMIT 1) FROM (SELECT 1 AS x) x -- \"",
            ],
        ),
        leaks("a quote that is doubled", "B010", &["SELECT 'a''', password, '' FROM vault.users"]),
        leaks("a quote behind a backslash", "B010", &["SELECT 'a\\'', password, '' FROM vault.users"]),
        leaks("a backtick that is doubled", "B010", &["SELECT password AS `a``` FROM vault.users"]),
        leaks("a function of ODBC", "B028", &["SELECT {fn CONCAT(password)} FROM vault.users"]),
        leaks("any word of ODBC", "B028", &["SELECT {x password} FROM vault.users"]),
        leaks(
            "a join of ODBC",
            "B028",
            &["SELECT u.password FROM {oj vault.users u LEFT JOIN vault.users v ON u.id = v.id}"],
        ),
        leaks("another case", "B029", &["sElEcT PASSWORD fRoM vault.users"]),
        leaks("an introducer", "B023", &["SELECT _utf8mb4'a' 'b', password FROM vault.users"]),
        leaks("a hint", "B001", &["SELECT /*+ NO_ICP(u) */ password FROM vault.users u"]),
        leaks(
            "a hint that sets a mode",
            "D13",
            &["SELECT /*+ SET_VAR(max_join_size=1000) */ password FROM vault.users"],
        )
        .mysql(),
        leaks("a semicolon at the end", "B007", &["SELECT password FROM vault.users;"]),
        leaks("a NUL at the end", "B029", &["SELECT password FROM vault.users\0"]).not_directly(),
        leaks("a NUL within", "B029", &["SELECT 1 \0, password FROM vault.users"]).not_directly(),
        leaks("an unclosed comment", "B005", &["SELECT password FROM vault.users /* to the end"]).not_directly(),
        leaks("an unclosed executable comment", "B005", &["SELECT 1 /*! , password FROM vault.users"]).not_directly(),
        leaks("a client's delimiter", "B053", &["DELIMITER //\nSELECT password FROM vault.users //"]).not_directly(),
    ]
}
