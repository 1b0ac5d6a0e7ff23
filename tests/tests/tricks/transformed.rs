//! Transformations as sqlmap's tampers do them, over what is denied and what is permitted: denied stays denied, and what is
//! permitted stays so, or is not read, but never means something else.

use crate::{case::SECRET, stage::Stage, talk::Talk};
use portreeve_tests::{servers::Flavour, wire::Hello};

const DENIED: [&str; 5] = [
    "SELECT password FROM vault.users WHERE id = 1",
    "SELECT item FROM orders UNION ALL SELECT password FROM vault.users",
    "SELECT item FROM orders WHERE id = 1 AND (SELECT MAX(password) FROM vault.users) LIKE 'h%'",
    "UPDATE orders SET item = 'x' WHERE id = 1",
    "DELETE FROM orders WHERE id = 1",
];
const PERMITTED: [&str; 4] = [
    "SELECT item FROM orders WHERE id = 1",
    "SELECT COUNT(*) FROM orders WHERE item LIKE 't%' AND customer IN (1, 2)",
    "SELECT item, customer FROM orders ORDER BY id LIMIT 2",
    "SELECT MAX(item) FROM shop.orders GROUP BY customer HAVING MAX(item) > 'a'",
];

/// A transformation, and whether the result is read with certainty today.
type Tamper = (&'static str, fn(&str) -> String);

fn tampers() -> Vec<Tamper> {
    vec![
        ("space2comment", |text| text.replace(' ', "/**/")),
        ("space2randomcomment", |text| text.replace(' ', "/*x-- */")),
        ("space2hash", |text| text.replace(' ', "#x'\n")),
        ("space2dash", |text| text.replace(' ', "-- x\"\n")),
        ("space2mysqlblank", |text| text.replace(' ', "\u{b}")),
        ("space2tab", |text| text.replace(' ', "\t")),
        ("space2formfeed", |text| text.replace(' ', "\u{c}")),
        ("space2newline", |text| text.replace(' ', "\r\n")),
        ("multiplespaces", |text| text.replace(' ', "   ")),
        ("space2plus", |text| format!(" {text} ")),
        ("lowercase", |text| words(text, str::to_lowercase)),
        ("uppercase", |text| words(text, str::to_uppercase)),
        ("randomcase", |text| words(text, mixed)),
        ("versionedkeywords", |text| words(text, |word| format!("/*!{word}*/"))),
        ("halfversionedmorekeywords", |text| words(text, |word| format!("/*!50000 {word} */"))),
        ("versionedwhole", |text| format!("/*!50000 {text} */")),
        ("versionedfuture", |text| text.replacen(' ', " /*!99999 1, */ ", 1)),
        ("versionedmariadb", |text| text.replacen(' ', " /*M!100100 SQL_NO_CACHE */ ", 1)),
        ("equaltolike", |text| text.replace(" = ", " LIKE ")),
        ("symboliclogical", |text| text.replace(" AND ", " && ")),
        ("odbcbrace", |text| text.replace("id = 1", "{x id} = 1")),
        ("0eunion", |text| text.replace(" UNION", " WHERE 1 = 1e0UNION")),
        ("hex2char", |text| text.replace("'x'", "CHAR(120)").replace("'h%'", "0x6825")),
        ("backticks", |text| text.replace("orders", "`orders`").replace("vault.users", "`vault`.`users`")),
        ("schemasplit", |text| text.replace("vault.users", "vault 9.e.users").replace("vault.users", "vault . users")),
        ("sp_password", |text| format!("{text} -- sp_password")),
        ("appendnullbyte", |text| format!("{text}\0")),
        ("semicolon", |text| format!("{text};")),
        ("semicolons", |text| format!(";{text};;")),
        ("parentheses", |text| if text.starts_with("SELECT") { format!("({text})") } else { text.to_owned() }),
        ("nothing", str::to_owned),
    ]
}

/// Each keyword changed; names and what is in quotes left alone.
fn words(text: &str, change: impl Fn(&str) -> String) -> String {
    const KEYWORDS: [&str; 18] = [
        "SELECT", "FROM", "WHERE", "UNION", "ALL", "AND", "LIKE", "UPDATE", "SET", "DELETE", "IN", "ORDER", "BY",
        "LIMIT", "GROUP", "HAVING", "ASC", "OR",
    ];
    let changed = text.split(' ').map(|word| if KEYWORDS.contains(&word) { change(word) } else { word.to_owned() });
    changed.collect::<Vec<_>>().join(" ")
}

fn mixed(word: &str) -> String {
    let change = |(number, letter): (usize, char)| {
        if number % 2 == 0 { letter.to_ascii_lowercase() } else { letter.to_ascii_uppercase() }
    };
    word.chars().enumerate().map(change).collect()
}

fn check(flavour: Flavour) {
    let stage = Stage::new(flavour).unwrap();
    let hello = Hello { schema: "shop", ..Hello::default() };
    let (mut agent, mut direct) = (stage.agent(&hello).unwrap(), stage.direct(&hello).unwrap());
    let orders = "SELECT COUNT(*), MAX(item), MIN(item) FROM shop.orders";
    let before = stage.look(orders).unwrap();
    for (name, tamper) in tampers() {
        for text in DENIED {
            let changed = tamper(text);
            agent.query(changed.as_bytes()).unwrap();
            assert!(agent.error.is_some(), "{flavour:?}, {name}: `{changed}` was not denied");
            assert!(!String::from_utf8_lossy(&agent.bytes).contains(SECRET), "{flavour:?}, {name}: `{changed}`");
        }
        assert_eq!(stage.look(orders).unwrap(), before, "{flavour:?}, {name}");
        for text in PERMITTED {
            let changed = tamper(text);
            let through = answer(&mut agent, &changed);
            let expected = answer(&mut direct, &changed);
            let unread = agent.error.as_ref().is_some_and(|error| error.contains("`unparsed`"));
            assert!(unread || through == expected, "{flavour:?}, {name}: `{changed}`: {through:?}, not {expected:?}");
        }
    }
}

fn answer(session: &mut Talk, text: &str) -> Vec<u8> {
    session.bytes.clear();
    session.query(text.as_bytes()).unwrap();
    std::mem::take(&mut session.bytes)
}

#[test]
fn a_text_in_another_dress_is_judged_as_before_by_mariadb() {
    check(Flavour::MariaDb);
}

#[test]
fn a_text_in_another_dress_is_judged_as_before_by_mysql() {
    check(Flavour::MySql);
}
