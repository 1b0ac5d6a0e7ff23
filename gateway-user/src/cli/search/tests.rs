//! What is found, and what is shown beside it.

use std::fs;

use super::*;
use crate::cli::recorded::testing::*;

fn found(name: &str, pattern: &str, change: impl FnOnce(&mut SearchArgs)) -> (Vec<String>, bool) {
    let state_dir = state_dir(name);
    busy_session(&state_dir, 1);
    busy_session(&state_dir, 2);
    let folder = FolderArgs { sessions: Some(state_dir.join("sessions")) };
    let mut args = SearchArgs { pattern: pattern.to_owned(), folder, ..SearchArgs::default() };
    change(&mut args);
    let mut out = Vec::new();
    let code = run(&args, Path::new("/nowhere"), &mut out).unwrap();
    fs::remove_dir_all(state_dir).unwrap();
    let lines = String::from_utf8(out).unwrap().lines().map(str::to_owned).collect();
    (lines, format!("{code:?}") == format!("{:?}", ExitCode::SUCCESS))
}

#[test]
fn statements_are_found_by_pattern_text_and_filter() {
    let (lines, any) = found("pattern", "DELETE +FROM", |_| ());
    assert!(any && lines.len() == 2 && lines[0].contains("deny   delete   DELETE FROM customers"), "{lines:#?}");
    assert!(!found("case", "delete", |_| ()).1);
    assert!(found("ignore-case", "delete", |args| args.ignore_case = true).1);
    assert!(found("fixed", "VALUES (?)", |args| args.fixed = true).1);
    // With its answer; what executes it is found by its text.
    let (lines, _) = found("prepared", r"VALUES \(", |args| args.session = Some("01010101".to_owned()));
    assert!(lines.len() == 4 && lines[2].contains("INSERT INTO orders VALUES (?)  prepared by #3"), "{lines:#?}");
    assert!(!found("filtered", "DELETE", |args| args.filter.workload = Some("ingest".to_owned())).1);
    assert!(!found("table", "DELETE", |args| args.filter.tables = vec!["orders".to_owned()]).1);
}

#[test]
fn context_shows_what_came_before_and_after() {
    let (lines, _) = found("context", "DELETE", |args| args.context = 1);
    let marks: Vec<_> = lines.iter().map(|line| line.get(50..56).unwrap_or("--")).collect();
    let one = ["allow ", "      ", "deny  ", "allow ", "      "];
    assert_eq!(marks, [&one[..], &["--"], &one[..]].concat());
    let (lines, _) = found("json", "DELETE", |args| (args.context, args.json) = (1, true));
    let flags: Vec<_> =
        lines.iter().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["found"].clone()).collect();
    assert_eq!(flags, [false, true, false, false, true, false]);
}

#[test]
fn a_pattern_that_is_none_is_said() {
    let args = SearchArgs { pattern: "(".to_owned(), ..SearchArgs::default() };
    let error = run(&args, Path::new("/nowhere"), &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("no regular expression"), "{error}");
}

#[test]
fn what_may_be_behind_damage_is_not_said_to_be_missing() {
    let state_dir = state_dir("search-damage");
    busy_session(&state_dir, 1);
    damage_behind(&state_dir, b"DELETE FROM");
    let folder = FolderArgs { sessions: Some(state_dir.join("sessions")) };
    for pattern in ["needle", "INSERT"] {
        let args = SearchArgs { pattern: pattern.to_owned(), folder: folder.clone(), ..SearchArgs::default() };
        assert_eq!(run(&args, Path::new("/nowhere"), &mut Vec::new()).unwrap(), ExitCode::from(crate::cli::UNREAD));
    }
    fs::remove_dir_all(state_dir).unwrap();
}
