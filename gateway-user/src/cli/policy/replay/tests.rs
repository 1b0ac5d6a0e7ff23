//! Recorded sessions by other policies.

use super::*;
use crate::cli::recorded::testing::*;
use portreeve_recording::{Command, Decision, limits::FACTS_NAMES_MAX};
use std::fs;

/// What was in force when [`busy_session`] was recorded, more or less.
const SAME: &str = r#"@id("reporting-read") permit (principal in Group::"reporting", action in [Action::"read", Action::"insert",
    Action::"use"], resource in Server::"orders");"#;

fn replayed(name: &str, policies: &str, change: impl FnOnce(&mut ReplayArgs)) -> (serde_json::Value, String, ExitCode) {
    let state_dir = state_dir(name);
    busy_session(&state_dir, 1);
    let mut file = session(&state_dir, 2, "reporting");
    append(&mut file, 2001, login());
    append(&mut file, 2002, in_shop(1, Command::Query, None, b"KILL 42"));
    append(&mut file, 2003, verdict_on(1, Decision::Allow, "kill_own"));
    append(&mut file, 2004, in_shop(2, Command::Query, None, b"SELECT \"name\" FROM orders"));
    append(&mut file, 2005, verdict_on(2, Decision::Allow, "unparsed"));
    append(&mut file, 2006, in_shop(3, Command::Execute, Some(99), b""));
    append(&mut file, 2007, verdict_on(3, Decision::Allow, "select"));
    let policy = state_dir.join("new.cedar");
    fs::write(&policy, policies).unwrap();
    let folder = FolderArgs { sessions: Some(state_dir.join("sessions")) };
    let mut args = ReplayArgs { policies: vec![policy], folder, ..ReplayArgs::default() };
    change(&mut args);
    let mut text = Vec::new();
    let code = run(&args, Path::new("/nowhere"), &mut text).unwrap();
    args.json = true;
    let mut json = Vec::new();
    assert_eq!(format!("{:?}", run(&args, Path::new("/nowhere"), &mut json).unwrap()), format!("{code:?}"));
    fs::remove_dir_all(state_dir).unwrap();
    (serde_json::from_slice(&json).unwrap(), String::from_utf8(text).unwrap(), code)
}

fn is(code: ExitCode, expected: u8) -> bool {
    format!("{code:?}") == format!("{:?}", ExitCode::from(expected))
}

#[test]
fn the_same_policies_change_nothing_and_what_is_not_recorded_is_not_judged() {
    let (found, text, code) = replayed("same", SAME, |_| ());
    assert!(is(code, 0), "{text}");
    assert_eq!(found["changes"], serde_json::json!([]));
    // Two logins, and the four judged statements of the first session.
    assert_eq!((&found["unchanged"], &found["statements"]), (&6.into(), &9.into()));
    let reasons: Vec<_> = found["not_judged"].as_array().unwrap().iter().map(|why| why["permitted"].clone()).collect();
    assert_eq!(reasons, [1, 1, 1]);
    for part in ["whose session it ends", "read it otherwise", "which text it executes"] {
        assert!(text.contains(part), "no `{part}` in {text}");
    }
    let (_, _, strict) = replayed("strict", SAME, |args| args.strict = true);
    assert!(is(strict, 1));
}

#[test]
fn what_would_be_denied_is_shown_by_policy_and_is_exit_code_1() {
    let policies = format!(
        "{SAME}\n@id(\"no-inserts\") forbid (principal, action == Action::\"insert\", resource == Table::\"orders/shop.orders\");"
    );
    let (found, text, code) = replayed("denied", &policies, |_| ());
    assert!(is(code, 1), "{text}");
    assert_eq!((&found["would_be_denied"], &found["would_be_permitted"]), (&2.into(), &0.into()));
    let group = &found["changes"][0];
    assert_eq!((&group["was"], &group["now"], &group["times"]), (&"allow".into(), &"deny".into(), &2.into()));
    assert_eq!(group["policies"], serde_json::json!(["no-inserts"]));
    let texts: Vec<_> = group["statements"].as_array().unwrap().iter().map(|change| change["sql"].clone()).collect();
    assert_eq!(texts, ["execute INSERT INTO orders VALUES (?)", "prepare INSERT INTO orders VALUES (?)"]);
    assert!(text.starts_with("allow -> deny by no-inserts: 2 statements\n"), "{text}");
}

#[test]
fn what_would_be_permitted_is_shown_and_is_no_failure() {
    let policies = format!(
        "{SAME}\n@id(\"deletes\") permit (principal, action == Action::\"delete\", resource == Table::\"orders/shop.customers\");"
    );
    let (found, text, code) = replayed("permitted", &policies, |_| ());
    assert!(is(code, 0), "{text}");
    assert_eq!((&found["would_be_denied"], &found["would_be_permitted"]), (&0.into(), &1.into()));
    assert!(text.contains("deny -> allow by deletes: 1 statement\n  reporting  DELETE FROM customers"), "{text}");
}

#[test]
fn where_nothing_permits_any_more_the_policies_that_did_are_named() {
    let policies = r#"@id("other") permit (principal in Group::"other", action, resource);"#;
    let (found, text, code) = replayed("nothing", policies, |_| ());
    assert!(is(code, 1), "{text}");
    assert_eq!(found["would_be_denied"], 5);
    assert!(text.contains("as no policy permits it (was permitted by reporting-read): 3 statements"), "{text}");
    assert!(text.contains("login with the schema `shop`"), "{text}");
}

#[test]
fn what_lay_behind_a_view_is_not_judged_by_the_views_name() {
    let state_dir = state_dir("behind");
    let mut file = session(&state_dir, 1, "reporting");
    append(&mut file, 1001, login());
    for (number, resources) in [
        (1, &["orders/shop.orders"][..]),
        (2, &["orders/shop.orders", "orders/shop.customers"]),
        (3, &["orders/shop.orders", "orders/shop.orders.id"]),
    ] {
        append(&mut file, 1002, in_shop(number, Command::Query, None, b"SELECT id FROM orders"));
        append(&mut file, 1003, verdict(number, Decision::Allow));
        append(&mut file, 1003, facts(number, &["select"], resources));
    }
    // As it was recorded at first: there may have been more.
    append(&mut file, 1002, in_shop(4, Command::Query, None, b"SELECT id FROM orders"));
    append(&mut file, 1003, verdict(4, Decision::Allow));
    append(&mut file, 1003, facts(4, &["select"], &["orders/shop.orders"; FACTS_NAMES_MAX]));
    drop(file);
    let policy = state_dir.join("new.cedar");
    fs::write(&policy, SAME).unwrap();
    let folder = FolderArgs { sessions: Some(state_dir.join("sessions")) };
    let mut out = Vec::new();
    run(&ReplayArgs { policies: vec![policy], folder, ..ReplayArgs::default() }, Path::new("/nowhere"), &mut out)
        .unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("1 statement, 1 of them permitted: it reaches what only the server"), "{text}");
    assert!(text.contains("1 statement, 1 of them permitted: what it reaches is recorded in part"), "{text}");
    // The login, and the two that reach what they name.
    assert!(text.contains("5 statements of 1 session: 3 unchanged"), "{text}");
    fs::remove_dir_all(state_dir).unwrap();
}
