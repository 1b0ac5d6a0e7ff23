//! A session shown again.

use std::fs;

use super::*;
use crate::cli::recorded::testing::*;

fn replayed(name: &str, change: impl FnOnce(&mut ReplayArgs)) -> (String, Duration) {
    let state_dir = state_dir(name);
    busy_session(&state_dir, 1);
    let folder = FolderArgs { sessions: Some(state_dir.join("sessions")) };
    let mut args = ReplayArgs { session: "01010101".to_owned(), folder, ..ReplayArgs::default() };
    change(&mut args);
    let (mut out, begun) = (Vec::new(), Instant::now());
    run(&args, Path::new("/nowhere"), &mut out).unwrap();
    let took = begun.elapsed();
    fs::remove_dir_all(state_dir).unwrap();
    (String::from_utf8(out).unwrap(), took)
}

#[test]
fn a_session_is_laid_out_as_its_client_would() {
    let (text, _) = replayed("layout", |_| ());
    let expected = [
        "MariaDB [shop]> SELECT id FROM orders WHERE id = 'needle';\n-- allowed  [reporting-read]\n2 rows in set (0.000 sec)\n\n",
        "MariaDB [shop]> DELETE FROM customers;\n-- denied: `drop` on `orders/shop.orders` is forbidden  [reporting-read]\n\n",
        "MariaDB [shop]> PREPARE #3 FROM INSERT INTO orders VALUES (?);\n",
        "MariaDB [shop]> EXECUTE #3;  -- INSERT INTO orders VALUES (?)\n-- allowed  [reporting-read]\nERROR 1062 (23000): Duplicate entry\n\n",
        "closed: client quit\n",
    ];
    let mut rest = text.as_str();
    for part in expected {
        let at = rest.find(part).unwrap_or_else(|| panic!("no `{part}` in what follows:\n{rest}"));
        rest = &rest[at + part.len()..];
    }
    assert!(text.starts_with("-- 2026-11-21T03:25:55.001Z  session "), "{text}");
}

#[test]
fn lines_of_a_statement_are_lines_and_control_characters_are_not() {
    let state_dir = state_dir("lines");
    let mut file = session(&state_dir, 1, "reporting");
    append(&mut file, 1001, login());
    append(&mut file, 1002, in_shop(1, portreeve_recording::Command::Query, None, b"SELECT 1,\n  '\x1b[2J'"));
    drop(file);
    let folder = FolderArgs { sessions: Some(state_dir.join("sessions")) };
    let args = ReplayArgs { session: "01010101".to_owned(), folder, ..ReplayArgs::default() };
    let mut out = Vec::new();
    run(&args, Path::new("/nowhere"), &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("MariaDB [shop]> SELECT 1,\n             ->   '\\u{1b}[2J';\n"), "{text}");
    fs::remove_dir_all(state_dir).unwrap();
}

#[test]
fn pauses_are_as_long_as_they_were_by_the_speed() {
    // The session took 60 ms.
    let (_, took) = replayed("slow", |args| args.speed = Speed::Times(0.2));
    assert!(took >= Duration::from_millis(290), "{took:?}");
    let (_, took) = replayed("max", |args| args.speed = Speed::Max);
    assert!(took < Duration::from_millis(290), "{took:?}");
    let (_, took) = replayed("idle", |args| (args.speed, args.idle_max) = (Speed::Times(0.001), Some(0.001)));
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn a_session_that_is_not_there_is_said() {
    let state_dir = state_dir("missing");
    busy_session(&state_dir, 1);
    let folder = FolderArgs { sessions: Some(state_dir.join("sessions")) };
    let args = ReplayArgs { session: "ffff".to_owned(), folder, ..ReplayArgs::default() };
    let error = run(&args, Path::new("/nowhere"), &mut Vec::new()).unwrap_err().to_string();
    assert!(error.contains("no session begins or ends with `ffff`"), "{error}");
    fs::remove_dir_all(state_dir).unwrap();
}

#[test]
fn json_has_a_row_for_each_statement() {
    let (text, _) = replayed("json", |args| args.json = true);
    let numbers: Vec<_> =
        text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["number"].clone()).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
}

#[test]
fn speeds_are_numbers_above_zero() {
    assert_eq!(speed("max"), Ok(Speed::Max));
    assert_eq!(speed("0.5"), Ok(Speed::Times(0.5)));
    for wrong in ["0", "-1", "NaN", "inf", "fast"] {
        assert!(speed(wrong).is_err(), "{wrong}");
    }
}
