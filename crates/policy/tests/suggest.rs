//! What is suggested from what was seen, and what a denial lacks.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that panics has failed")]

use portreeve_policy::{
    Action, Catalogue, Context, Facts, Flavour, Part, Policies, Resource, Source, Subject, Suggested, Suggestion,
    analyse,
};

fn context(server: &'static str) -> Context<'static> {
    Context { default_schema: Some("shop"), version: 101_114, ..Context::new(server, Flavour::MariaDb) }
}

fn subject() -> Subject {
    Subject { spiffe_id: "spiffe://example.org/team/etl".to_owned(), groups: vec!["g".to_owned()] }
}

fn load(text: &str) -> Policies {
    Policies::load(&[Source { name: "a.cedar", text }]).unwrap_or_else(|problems| panic!("{problems:?}\n{text}"))
}

fn facts(sql: &str) -> Facts {
    analyse(sql.as_bytes(), &context("orders"))
}

fn suggest(texts: &[&str]) -> Suggested {
    let mut suggestion = Suggestion::new(&subject().spiffe_id);
    for sql in texts {
        suggestion.text("orders", sql, &facts(sql), 3, 1);
    }
    suggestion.finish()
}

const SEEN: [&str; 22] = [
    "SET NAMES utf8mb4",
    "SELECT @@version_comment LIMIT 1",
    "SELECT @@datadir",
    "BEGIN; INSERT INTO events VALUES (1); COMMIT",
    "USE hr",
    "USE shop; SELECT * FROM users",
    "SELECT * FROM users u JOIN orders o ON u.id = o.user WHERE o.id = 1",
    "SELECT * FROM hr.salaries",
    "SELECT * FROM `we\"ird`.`na.me/ %\\`",
    "SELECT * FROM t\u{202e}x",
    "SHOW TABLES",
    "SHOW CREATE TABLE users",
    "EXPLAIN SELECT * FROM users",
    "INSERT INTO copies SELECT * FROM users",
    "INSERT INTO counters VALUES (1) ON DUPLICATE KEY UPDATE n = 2",
    "UPDATE users SET a = 1 WHERE id = 1",
    "DELETE FROM events WHERE id = 1",
    "DELETE FROM events WHERE id = 2 LIMIT 1",
    "CREATE TABLE backup LIKE users",
    "SELECT sleep(1), stored(2)",
    "SELECT * FROM users INTO OUTFILE '/tmp/x'",
    "LOCK TABLES users READ",
];

#[test]
fn what_was_seen_is_permitted_by_what_is_suggested_and_no_more() {
    let suggested = suggest(&SEEN);
    let policies = load(&suggested.cedar);
    let judged = |sql: &str| policies.judge(&subject(), &facts(sql), &context("orders"));
    for sql in SEEN {
        assert!(
            facts(sql).has_unparsed() || judged(sql).is_allowed(),
            "{sql}: {}\n{}",
            judged(sql).reason,
            suggested.cedar
        );
    }
    for sql in [
        "SELECT * FROM secrets",
        "INSERT INTO users VALUES (1)",
        "UPDATE orders SET a = 1 WHERE id = 1",
        "UPDATE users SET a = 1",
        "DELETE FROM events",
        "DELETE FROM events WHERE 1 = 1",
        "DROP TABLE users",
        "SELECT * FROM hr.users",
        "USE mysql",
        "KILL 5",
        "SELECT benchmark(1, 2)",
        "FROBNICATE",
    ] {
        assert!(!judged(sql).is_allowed(), "{sql}\n{}", suggested.cedar);
    }
    // Neither somewhere else, nor for somebody else.
    let elsewhere = context("billing");
    assert!(!policies.judge(&subject(), &facts("SELECT * FROM users"), &elsewhere).is_allowed());
    let other = Subject { spiffe_id: "spiffe://example.org/other".to_owned(), ..subject() };
    assert!(!policies.judge(&other, &facts("SELECT * FROM users"), &context("orders")).is_allowed());
    assert!(!suggested.cedar.contains("unparsed") && !suggested.cedar.contains("action,\n"), "{}", suggested.cedar);
}

#[test]
fn what_was_not_read_is_a_comment() {
    let suggested = suggest(&[
        "SELECT 1",
        "DROP TABLE a FROBNICATE",
        "nonsense\npermit (principal, action, resource);\r\u{2028}x",
        "KILL 7",
    ]);
    let policies = load(&suggested.cedar);
    assert_eq!(policies.ids().collect::<Vec<_>>(), ["team-etl-inspect-orders"]);
    assert_eq!((suggested.covered, suggested.not_covered.len()), (3, 3), "{suggested:?}");
    assert!(suggested.cedar.contains("// 3 times: DROP TABLE a FROBNICATE"), "{}", suggested.cedar);
    assert!(suggested.cedar.contains("// 3 times: nonsense\\npermit"), "{}", suggested.cedar);
    let nothing = suggest(&[]);
    assert_eq!(load(&nothing.cedar).ids().count(), 0);
}

#[test]
fn tables_with_the_same_actions_share_a_policy() {
    let suggested =
        suggest(&["SELECT * FROM a", "SELECT * FROM b JOIN c", "INSERT INTO c VALUES (1)", "SELECT * FROM hr.d"]);
    let found: Vec<_> = suggested
        .policies
        .iter()
        .map(|policy| (policy.id.as_str(), policy.resources.join(" "), policy.times))
        .collect();
    let expected = [
        ("team-etl-select-orders-hr-d", "orders/hr.d".to_owned(), 3),
        ("team-etl-select-orders-shop", "orders/shop.a orders/shop.b orders/shop.c".to_owned(), 9),
        ("team-etl-insert-orders-shop-c", "orders/shop.c".to_owned(), 3),
    ];
    assert_eq!(found, expected, "{}", suggested.cedar);
    let json = serde_json::to_value(&suggested).unwrap();
    assert_eq!((&json["policies"][1]["actions"][0], &json["policies"][1]["denied"]), (&"select".into(), &3.into()));
    let mut commands = Suggestion::new("spiffe://example.org/a");
    commands.command("orders", Action::Use, Resource::Schema("shop".to_owned()), 1, 0);
    assert_eq!(load(&commands.finish().cedar).ids().collect::<Vec<_>>(), ["a-use-orders-shop"]);
}

#[test]
fn a_denial_names_the_permit_that_comes_nearest_and_what_fails() {
    let policies = load(
        "@id(\"read\") permit (principal in Group::\"g\", action in Action::\"read\", resource in Schema::\"orders/shop\");
         @id(\"others\") permit (principal in Group::\"h\", action == Action::\"delete\", resource in Schema::\"orders/shop\");
         @id(\"parts\") permit (principal, action == Action::\"update\", resource) when { context.has_limit };",
    );
    let check = |sql: &str, policy: &str, fails: &[(Part, &str)]| {
        let lacking = policies.lacking(&subject(), &facts(sql), &context("orders"));
        let nearest = lacking[0].nearest.as_ref().unwrap_or_else(|| panic!("{sql}: nothing is near"));
        let found: Vec<_> = nearest.fails.iter().map(|failing| (failing.part, failing.text.as_str())).collect();
        assert_eq!((nearest.policy.as_str(), found.as_slice()), (policy, fails), "{sql}");
        // What is to be added permits it.
        let added = load(lacking[0].add.as_deref().unwrap());
        let request = &lacking[0].request;
        let verdict = added.judge_command(&subject(), request.action, request.resource.clone(), &context("orders"));
        assert!(verdict.is_allowed(), "{sql}: {}", verdict.reason);
    };
    check("SELECT * FROM hr.a", "read", &[(Part::Resource, "resource in Schema::\"orders/shop\"")]);
    check("INSERT INTO a VALUES (1)", "read", &[(Part::Action, "action in Action::\"read\"")]);
    check("DELETE FROM a", "read", &[(Part::Action, "action in Action::\"read\"")]);
    check("UPDATE a SET b = 1", "parts", &[(Part::Condition, "when { context.has_limit }")]);
    let lacking = |sql: &str| policies.lacking(&subject(), &facts(sql), &context("orders"));
    assert!(lacking("SELECT * FROM a").is_empty());
    let unread = lacking("FROBNICATE");
    assert!(unread[0].add.is_none(), "{unread:?}");
    assert_eq!(lacking("DELETE FROM a; DELETE FROM a; DELETE FROM b").len(), 2);
    assert!(
        Policies::load(&[]).unwrap().lacking(&subject(), &facts("SELECT 1"), &context("orders"))[0].nearest.is_none()
    );
}

#[test]
fn columns_are_suggested_where_they_are_asked_for_and_known() {
    let context = Context { catalogue: Catalogue::EMPTY_WITH_COLUMNS, ..context("orders") };
    let seen = [
        "SELECT id, name FROM users WHERE city = 'x'",
        "SELECT * FROM events",
        "UPDATE users SET name = 'y' WHERE id = 1",
        "INSERT INTO notes (id, text) VALUES (1, 'z')",
    ];
    let mut suggestion = Suggestion::new(&subject().spiffe_id).by_column(true);
    for sql in seen {
        suggestion.text("orders", sql, &analyse(sql.as_bytes(), &context), 1, 1);
    }
    let cedar = suggestion.finish().cedar;
    let policies = load(&cedar);
    let judge = |sql: &str| policies.judge(&subject(), &analyse(sql.as_bytes(), &context), &context).is_allowed();
    for sql in seen {
        assert!(judge(sql), "{sql}\n{cedar}");
    }
    for sql in [
        "SELECT card FROM users",
        "SELECT id FROM users WHERE card = 1",
        "SELECT * FROM users",
        "UPDATE users SET card = 'y' WHERE id = 1",
        "UPDATE users SET name = card WHERE id = 1",
        "INSERT INTO notes VALUES (1, 'z', 2)",
    ] {
        assert!(!judge(sql), "{sql}\n{cedar}");
    }
}

#[test]
fn a_column_that_is_lacking_is_named() {
    let context = Context { catalogue: Catalogue::EMPTY_WITH_COLUMNS, ..context("orders") };
    let policies = load(
        r#"@id("some") permit (principal, action == Action::"select", resource == Column::"orders/shop.users.id");"#,
    );
    let facts = analyse(b"SELECT id, card FROM users", &context);
    let lacking = policies.lacking(&subject(), &facts, &context);
    assert_eq!(lacking.len(), 1);
    assert_eq!(lacking[0].request.to_string(), "`select` on `shop.users.card`");
    assert!(lacking[0].add.as_ref().unwrap().contains(r#"resource == Column::"orders/shop.users.card""#));
    assert_eq!(lacking[0].nearest.as_ref().unwrap().policy, "some");
}
