//! Forbids that something lifts, and policies that look at the time.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that panics has failed")]

use std::collections::BTreeMap;

use portreeve_policy::{
    Approval, Context, Flavour, Policies, PolicyProblem, Question, Remembered, Source, Subject, Verdict, analyse,
};

/// 2026-11-24, a Tuesday, 03:00 UTC.
const TUESDAY_AT_3: i64 = 1_795_489_200_000;
const HOUR_MS: i64 = 3_600_000;

fn context(now_unix_ms: i64) -> Context<'static> {
    Context { default_schema: Some("shop"), version: 101_114, now_unix_ms, ..Context::new("orders", Flavour::MariaDb) }
}

fn load(text: &str) -> Policies {
    Policies::load(&[Source { name: "a.cedar", text }]).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn problems(text: &str) -> Vec<PolicyProblem> {
    Policies::load(&[Source { name: "a.cedar", text }]).err().unwrap_or_default()
}

fn judge_at(policies: &Policies, sql: &str, now: i64) -> Verdict {
    let subject = Subject { spiffe_id: "spiffe://example.org/a".to_owned(), groups: vec!["g".to_owned()] };
    policies.judge(&subject, &analyse(sql.as_bytes(), &context(now)), &context(now))
}

fn judge(policies: &Policies, sql: &str) -> Verdict {
    judge_at(policies, sql, TUESDAY_AT_3)
}

const ALL: &str = "@id(\"all\") permit (principal, action, resource);\n";

#[test]
fn annotations_that_cannot_be_are_told_with_their_place() {
    let check = |text: &str, line: usize, says: &[&str]| {
        let found = problems(text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].line, Some(line), "{found:?}");
        for word in says {
            assert!(found[0].to_string().contains(word), "no `{word}` in: {}", found[0]);
        }
    };
    let forbid = "forbid (principal, action, resource);";
    check(
        &format!("@id(\"a\")\n@aproval(\"dba\")\n{forbid}"),
        2,
        &["`@aproval` is not known", "did you mean `@approval`?"],
    );
    check(&format!("@id(\"a\")\n@rows_change_max(\"1\") {forbid}"), 2, &["did you mean `@rows_changed_max`?"]);
    check(&format!("@id(\"a\")\n@owner(\"x\") {forbid}"), 2, &["not known", "// …"]);
    check(&format!("// x\n@id(\"a\") @approval {forbid}"), 2, &["names no group"]);
    check(&format!("@id(\"a\") @approval(\"d b a\") {forbid}"), 1, &["names no group"]);
    for value in ["", "-1", "+1", "1e3", "99999999999999999999", "10 "] {
        check(&format!("@id(\"a\") @rows_changed_max(\"{value}\") {forbid}"), 1, &["no number of rows", "digits"]);
    }
    check("@id(\"a\")\n@approval(\"dba\")\npermit (principal, action, resource);", 2, &["on a permit", "forbid"]);
    check("@id(\"a\")\n@rows_changed_max(\"1\")\npermit (principal, action, resource);", 2, &["on a permit"]);
    assert_eq!(problems(&format!("@id(\"a\") @one(\"\") @two(\"\") {forbid}")).len(), 2);
    let second = format!("{ALL}@id(\"b\")\n@aproval(\"dba\") {forbid}");
    check(&second, 3, &["aproval"]);
}

#[test]
fn a_forbid_that_asks_for_approval_denies_and_says_whose() {
    let policies =
        load(&format!("{ALL}@id(\"ddl\") @approval(\"dba\") forbid (principal, action in Action::\"ddl\", resource);"));
    let verdict = judge(&policies, "DROP TABLE users");
    assert!(!verdict.is_allowed());
    assert_eq!(verdict.reason, "`drop` on `orders/shop.users` needs approval of `dba` (policy ddl)");
    assert_eq!(verdict.policies, ["ddl"]);
    let approval = Approval { group: "dba".to_owned(), policy: "ddl".to_owned() };
    assert_eq!((&verdict.approvals, &verdict.answers[0].approvals), (&vec![approval.clone()], &vec![approval]));
    assert!(judge(&policies, "DELETE FROM users").is_allowed());
}

#[test]
fn approval_is_asked_for_when_nothing_else_is_missing() {
    let policies = load(
        "@id(\"p\") permit (principal, action, resource in Schema::\"orders/shop\");
         @id(\"ask\") @approval(\"dba\") forbid (principal, action == Action::\"drop\", resource);
         @id(\"ask2\") @approval(\"owner\") forbid (principal, action == Action::\"drop\", resource == Table::\"orders/shop.a\");
         @id(\"never\") forbid (principal, action, resource == Table::\"orders/shop.Vault\");",
    );
    let reason = |sql: &str| judge(&policies, sql).reason;
    assert_eq!(reason("DROP TABLE hr.x"), "no policy permits `drop` on `orders/hr.x`");
    assert_eq!(reason("DROP TABLE b, hr.x"), "no policy permits `drop` on `orders/hr.x`");
    let more = judge(&policies, "DROP TABLE b, hr.x");
    assert!(more.approvals.is_empty() && more.policies.is_empty(), "{more:?}");
    assert_eq!(reason("DROP TABLE b, Vault"), "`drop` on `orders/shop.Vault` is forbidden");
    // Whatever the case of the name.
    assert_eq!(judge(&policies, "DROP TABLE vault").policies, ["never"]);
    let both = judge(&policies, "DROP TABLE a");
    assert!(both.reason.ends_with("needs approval of `dba` (policy ask) and `owner` (policy ask2)"), "{}", both.reason);
    assert_eq!(both.approvals.len(), 2);
    let upper = judge(&policies, "DROP TABLE A");
    assert_eq!(upper.approvals.len(), 2, "{upper:?}");
}

#[test]
fn rows_that_a_text_can_change_lift_a_forbid() {
    let policies = load(&format!(
        "{ALL}@id(\"few\") @rows_changed_max(\"2\") forbid (principal, action in Action::\"write\", resource);"
    ));
    for sql in [
        "INSERT INTO users VALUES (1)",
        "INSERT INTO users (a) VALUES (1), (2)",
        "INSERT INTO users SET a = 1",
        "INSERT INTO users VALUES (1), (2) ON DUPLICATE KEY UPDATE a = 3",
        "UPDATE users SET a = 1 WHERE b = 2 LIMIT 2",
        "UPDATE users SET a = 1 LIMIT 0",
        "DELETE FROM users ORDER BY a LIMIT 1",
    ] {
        let verdict = judge(&policies, sql);
        assert!(verdict.is_allowed(), "{sql}: {}", verdict.reason);
        assert_eq!((verdict.policies, verdict.lifted), (vec!["all".to_owned()], vec!["few".to_owned()]), "{sql}");
    }
    for sql in [
        "INSERT INTO users VALUES (1), (2), (3)",
        "INSERT INTO users SELECT 1 LIMIT 1",
        "INSERT INTO users VALUES (stored(1))",
        "REPLACE INTO users VALUES (1)",
        "UPDATE users SET a = 1 WHERE id = 1",
        "UPDATE users SET a = 1 LIMIT 3",
        "DELETE FROM users LIMIT ?",
        "DELETE FROM users",
        "DELETE users FROM users JOIN orders USING (id)",
        "LOAD DATA INFILE 'x' INTO TABLE users",
        "DELETE FROM users LIMIT 1; DELETE FROM users",
    ] {
        let verdict = judge(&policies, sql);
        assert!(!verdict.is_allowed(), "{sql}");
        let reason = "is forbidden unless at most 2 rows change (`LIMIT 2`)";
        assert!(verdict.reason.ends_with(reason), "{sql}: {}", verdict.reason);
    }
    let long = format!("INSERT INTO users VALUES {}", vec!["(1, 'some text')"; 1000].join(", "));
    let facts = analyse(long.as_bytes(), &context(0));
    assert_eq!(facts.statements[0].rows_changed_max, Some(1000));
    assert_eq!(facts.times(3).statements[0].rows_changed_max, Some(3000));
}

#[test]
fn of_two_conditions_either_lifts() {
    let policies = load(&format!(
        "{ALL}@id(\"few\") @rows_changed_max(\"2\") @approval(\"dba\") forbid (principal, action == Action::\"delete\", resource);"
    ));
    assert!(judge(&policies, "DELETE FROM users LIMIT 2").is_allowed());
    let many = judge(&policies, "DELETE FROM users LIMIT 3");
    assert_eq!(many.approvals.len(), 1, "{many:?}");
}

/// Every set made of these, with every statement: what a condition lifts is its own forbid, and no more.
#[test]
fn lifting_turns_no_other_policy() {
    const POLICIES: [&str; 7] = [
        "@id(\"p1\") permit (principal, action, resource in Schema::\"orders/shop\");",
        "@id(\"p2\") permit (principal, action in Action::\"write\", resource == Table::\"orders/shop.users\") when { context.has_where };",
        "@id(\"f1\") forbid (principal, action, resource == Table::\"orders/shop.USERS\") when { context.has_limit };",
        "@id(\"f2\") forbid (principal, action == Action::\"delete\", resource);",
        "@id(\"c1\") @rows_changed_max(\"2\") forbid (principal, action in Action::\"write\", resource);",
        "@id(\"c2\") @approval(\"dba\") forbid (principal, action, resource == Table::\"orders/shop.Users\");",
        "@id(\"c3\") @rows_changed_max(\"1\") @approval(\"dba\") forbid (principal, action == Action::\"update\", resource) unless { context.has_where };",
    ];
    const STATEMENTS: [&str; 9] = [
        "DELETE FROM users LIMIT 1",
        "DELETE FROM users WHERE a = 1 LIMIT 2",
        "DELETE FROM Users WHERE a = 1",
        "UPDATE users SET a = 1 LIMIT 1",
        "UPDATE users SET a = 1 WHERE a = 2",
        "INSERT INTO users VALUES (1), (2), (3)",
        "SELECT * FROM users LIMIT 1",
        "SELECT * FROM shop.orders",
        "UPDATE orders SET a = 1 LIMIT 1; DELETE FROM users LIMIT 1",
    ];
    let strip = |text: &str| {
        let rest = text.split(' ').filter(|word| !word.starts_with("@rows") && !word.starts_with("@approval"));
        rest.collect::<Vec<_>>().join(" ")
    };
    // Loading takes most of the time, and many sets are the same.
    let mut sets = BTreeMap::new();
    let mut load = |texts: Vec<&str>| -> Policies {
        let text = texts.join("\n");
        sets.entry(text.clone()).or_insert_with(|| load(&text)).clone()
    };
    for chosen in 0..1_u32 << POLICIES.len() {
        let of_set = POLICIES.iter().enumerate().filter(|(index, _)| chosen & 1 << index != 0).map(|(_, text)| *text);
        let texts: Vec<&str> = of_set.collect();
        let conditioned = |text: &&&str| text.contains("@rows") || text.contains("@approval");
        let whole = load(texts.clone());
        let stripped: Vec<String> = texts.iter().map(|text| strip(text)).collect();
        let hard = load(stripped.iter().map(String::as_str).collect());
        let without = load(texts.iter().filter(|text| !conditioned(text)).copied().collect());
        for sql in STATEMENTS {
            let (verdict, hard, without) = (judge(&whole, sql), judge(&hard, sql), judge(&without, sql));
            // Between the set whose conditions are never met and the one in which they always are.
            assert!(!hard.is_allowed() || verdict.is_allowed(), "{sql}\n{texts:?}\n{verdict:?}");
            assert!(!verdict.is_allowed() || without.is_allowed(), "{sql}\n{texts:?}\n{verdict:?}");
            assert!(without.is_allowed() || verdict.approvals.is_empty(), "{sql}\n{texts:?}\n{verdict:?}");
            let named = |id: &str| verdict.lifted.iter().any(|lifted| lifted == id);
            assert!(!named("f1") && !named("f2") && !named("p1") && !named("p2"), "{verdict:?}");
            // What is lifted, and nothing else, is what the set may be rid of.
            let rest: Vec<&str> = texts
                .iter()
                .filter(|text| !verdict.lifted.iter().any(|id| text.contains(&format!("\"{id}\""))))
                .copied()
                .collect();
            if verdict.is_allowed() && rest.len() < texts.len() {
                let again = judge(&load(rest), sql);
                assert!(again.is_allowed() && again.policies == verdict.policies, "{sql}\n{texts:?}\n{again:?}");
            }
        }
    }
}

#[test]
fn a_window_opens_and_closes() {
    let policies = load(
        "@id(\"all\") permit (principal, action in [Action::\"read\", Action::\"session\"], resource);
         @id(\"night\") permit (principal, action in Action::\"ddl\", resource in Schema::\"orders/shop\")
           when { context.now.toTime() >= duration(\"2h\") && context.now.toTime() < duration(\"4h\") && context.weekday <= 5 };",
    );
    let allowed = |now: i64| judge_at(&policies, "ALTER TABLE users ADD COLUMN a INT", now).is_allowed();
    assert!(allowed(TUESDAY_AT_3));
    assert!(allowed(TUESDAY_AT_3 - HOUR_MS) && !allowed(TUESDAY_AT_3 - HOUR_MS - 1));
    assert!(!allowed(TUESDAY_AT_3 + HOUR_MS) && allowed(TUESDAY_AT_3 + HOUR_MS - 1));
    let saturday = TUESDAY_AT_3 + 4 * 24 * HOUR_MS;
    assert!(allowed(saturday - 24 * HOUR_MS) && !allowed(saturday) && allowed(saturday + 48 * HOUR_MS));
}

#[test]
fn verdicts_that_time_changes_are_not_to_be_kept_and_others_are() {
    let policies = load(
        "@id(\"all\") permit (principal, action, resource);
         @id(\"day\") forbid (principal, action in Action::\"ddl\", resource == Table::\"orders/shop.Users\")
           unless { context.now.toTime() < duration(\"4h\") };",
    );
    let verdict = judge(&policies, "DROP TABLE orders");
    assert!(verdict.is_allowed() && verdict.cacheable());
    assert!(judge(&policies, "SELECT 1").cacheable());
    for sql in ["DROP TABLE Users", "DROP TABLE users", "SELECT 1; DROP TABLE users"] {
        let (early, late) = (judge(&policies, sql), judge_at(&policies, sql, TUESDAY_AT_3 + HOUR_MS));
        assert!(early.is_allowed() && !early.cacheable(), "{sql}: {early:?}");
        assert!(!late.is_allowed() && !late.cacheable(), "{sql}: {late:?}");
    }
}

#[test]
fn what_is_remembered_is_judged_anew_when_policies_look_at_the_time() {
    let policies = load(
        "@id(\"all\") permit (principal, action, resource);
         @id(\"day\") forbid (principal, action in Action::\"write\", resource) unless { context.now.toTime() < duration(\"4h\") };",
    );
    let subject = Subject { spiffe_id: "spiffe://example.org/a".to_owned(), groups: Vec::new() };
    let mut remembered = Remembered::default();
    let mut allowed = |sql: &str, now: i64| {
        let (policies, subject, context) = (&policies, &subject, context(now));
        let question = Question {
            policies,
            generation: 1,
            subject,
            context,
            sql: sql.as_bytes(),
            facts: None,
            is_marked: |_| false,
        };
        remembered.judge(question).verdict.is_allowed()
    };
    // By the text itself, and by its normal form.
    for (sql, late) in [
        ("DELETE FROM a WHERE b = 1", "DELETE FROM a WHERE b = 1"),
        ("DELETE FROM c WHERE b = 1", "DELETE FROM c WHERE b = 2"),
    ] {
        assert!(allowed(sql, TUESDAY_AT_3) && allowed(sql, TUESDAY_AT_3));
        assert!(!allowed(late, TUESDAY_AT_3 + HOUR_MS));
        assert!(allowed(late, TUESDAY_AT_3));
    }
    assert!(allowed("SELECT * FROM a", TUESDAY_AT_3 + HOUR_MS));
}
