//! Sessions as statements, and which of them are wanted.

use std::fs;

use portreeve_recording::{Command, Decision, Record, Statement, Text};

use super::testing::*;
use super::*;

fn recorded(name: &str) -> (std::path::PathBuf, Vec<std::path::PathBuf>) {
    let state_dir = state_dir(name);
    busy_session(&state_dir, 1);
    let found = files(&state_dir).unwrap();
    (state_dir, found)
}

/// The numbers of the statements that filters leave.
fn wanted(args: &FilterArgs, path: &std::path::Path) -> Vec<u64> {
    let filter = Filter::new(args).unwrap();
    let mut recording = Recording::open(path).unwrap();
    let (mut analyses, mut numbers) = (Analyses::default(), Vec::new());
    while let Some(event) = recording.next().unwrap() {
        let Event::Exchange(exchange) = event else { continue };
        if filter.is_statement(recording.about(), Question::from(&*exchange), &mut analyses) {
            numbers.push(exchange.statement.number);
        }
    }
    numbers
}

#[test]
fn a_statement_comes_with_its_verdict_its_answer_and_the_text_that_it_executes() {
    let (state_dir, files) = recorded("exchanges");
    let mut recording = Recording::open(&files[0]).unwrap();
    let mut seen = Vec::new();
    while let Some(event) = recording.next().unwrap() {
        if let Event::Exchange(exchange) = event {
            let text = String::from_utf8_lossy(exchange.text().kept()).into_owned();
            let code = exchange.response.as_ref().map(|response| response.error.as_ref().map_or(0, |error| error.code));
            seen.push((exchange.statement.number, text, exchange.verdict.is_some(), code));
        }
    }
    let row = |number, text: &str, judged, code| (number, text.to_owned(), judged, code);
    assert_eq!(
        seen,
        [
            row(1, "SELECT id FROM orders WHERE id = 'needle'", true, Some(0)),
            row(2, "DELETE FROM customers", true, None),
            row(3, "INSERT INTO orders VALUES (?)", true, Some(0)),
            row(4, "INSERT INTO orders VALUES (?)", true, Some(1062)),
            row(5, "", false, None),
        ]
    );
    assert_eq!(recording.about().workload.as_deref(), Some("spiffe://example.org/reporting"));
    assert_eq!(recording.about().version, 101_114);
    fs::remove_dir_all(state_dir).unwrap();
}

#[test]
fn filters_leave_the_statements_that_all_of_them_fit() {
    let (state_dir, files) = recorded("filters");
    let check = |change: &dyn Fn(&mut FilterArgs), expected: &[u64]| {
        let mut args = FilterArgs::default();
        change(&mut args);
        assert_eq!(wanted(&args, &files[0]), expected, "{args:?}");
    };
    check(&|_| (), &[1, 2, 3, 4, 5]);
    check(&|args| args.verdicts = vec![VerdictName::Deny], &[2]);
    check(&|args| args.classes = vec!["select".into(), "delete".into()], &[1, 2]);
    check(&|args| args.actions = vec!["write".into()], &[2, 3, 4]);
    check(&|args| args.actions = vec!["insert".into()], &[3, 4]);
    check(&|args| args.tables = vec!["ORDERS".into()], &[1, 3, 4]);
    check(&|args| args.tables = vec!["vault.orders".into()], &[]);
    check(&|args| args.tables = vec!["shop.customers".into()], &[2]);
    check(&|args| (args.tables, args.actions) = (vec!["orders".into()], vec!["read".into()]), &[1]);
    check(&|args| args.grep = Some("(?i)NEEDLE".into()), &[1]);
    check(&|args| args.grep = Some(r"VALUES \(".into()), &[3, 4]);
    fs::remove_dir_all(state_dir).unwrap();
}

#[test]
fn what_is_no_filter_is_said_with_what_is_near() {
    let check = |change: &dyn Fn(&mut FilterArgs), expected: &str| {
        let mut args = FilterArgs::default();
        change(&mut args);
        let error = Filter::new(&args).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(&|args| args.actions = vec!["delet".into()], "delete");
    check(&|args| args.classes = vec!["selekt".into()], "select");
    check(&|args| args.grep = Some("(".into()), "regular expression");
    check(&|args| args.since = Some("yesterday".into()), "no time");
}

#[test]
fn damage_is_told_after_all_that_is_sound() {
    let (state_dir, files) = recorded("damaged");
    let mut bytes = fs::read(&files[0]).unwrap();
    let at = bytes.len() - 60;
    bytes[at] ^= 1;
    fs::write(&files[0], bytes).unwrap();
    let mut recording = Recording::open(&files[0]).unwrap();
    let mut seen = 0;
    let error = loop {
        match recording.next() {
            Ok(Some(Event::Exchange(_))) => seen += 1,
            Ok(Some(Event::Record(_))) => {}
            Ok(None) => panic!("no damage was told"),
            Err(error) => break error.to_string(),
        }
    };
    assert!(seen == 5 && error.contains("at byte"), "{seen}: {error}");
    fs::remove_dir_all(state_dir).unwrap();
}

/// The numbers of a session's statements, as they come.
fn numbers(path: &std::path::Path) -> Vec<u64> {
    let (mut recording, mut numbers) = (Recording::open(path).unwrap(), Vec::new());
    while let Some(event) = recording.next().unwrap() {
        if let Event::Exchange(exchange) = event {
            numbers.push(exchange.statement.number);
        }
    }
    numbers
}

#[test]
fn records_in_an_order_that_no_daemon_writes_are_read_all_the_same() {
    let state_dir = state_dir("made-up");
    let mut file = session(&state_dir, 1, "reporting");
    append(&mut file, 1001, verdict(7, Decision::Allow));
    append(&mut file, 1002, response(3, None));
    for number in 1..200 {
        append(&mut file, 1003, statement(number, b"SELECT 1"));
    }
    append(&mut file, 1004, response(1, None));
    append(&mut file, 1004, statement(200, b"SELECT 1"));
    append(&mut file, 1004, statement(200, b"SELECT 2"));
    append(&mut file, 1005, closed());
    file.close().unwrap();
    let found = numbers(&files(&state_dir).unwrap()[0]);
    // One number, one statement: the later takes the place of the earlier.
    assert_eq!(found, (1..=200).collect::<Vec<_>>());
    fs::remove_dir_all(state_dir).unwrap();
}

#[test]
fn prepared_texts_are_remembered_up_to_a_bound() {
    let mut texts = PreparedTexts::default();
    let long = vec![b' '; 1024 * 1024];
    let statement = |record| match record {
        Record::Statement(statement) => statement,
        _ => panic!("no statement"),
    };
    for number in 1..=70 {
        let sql = Text::of_bytes(&long).into_owned();
        let prepare = statement(in_shop(number, Command::Prepare, None, b""));
        texts.learn(&Statement { sql, ..prepare });
    }
    let of = |texts: &PreparedTexts, number| texts.of(&statement(in_shop(99, Command::Execute, Some(number), b"")));
    assert!(of(&texts, 1).is_none() && of(&texts, 70).is_some());
    texts.learn(&statement(in_shop(100, Command::Close, Some(70), b"")));
    assert!(of(&texts, 70).is_none());
}

#[test]
fn what_the_policies_were_asked_counts_in_all_its_records() {
    let state_dir = state_dir("more-facts");
    let mut file = session(&state_dir, 1, "reporting");
    append(&mut file, 1001, login());
    let full = full_of_tables();
    let full: Vec<&str> = full.iter().map(String::as_str).collect();
    for (number, decision) in [(1, Decision::Allow), (2, Decision::Deny)] {
        append(&mut file, 1002, in_shop(number, Command::Query, None, b"SELECT * FROM a_view"));
        append(&mut file, 1003, verdict(number, decision));
        append(&mut file, 1003, facts(number, &["select"], &full));
        append(&mut file, 1003, facts(number, &["delete"], &["orders/shop%2Ea.customers%2F%25.card"]));
        if decision == Decision::Allow {
            append(&mut file, 1004, response(number, None));
        }
    }
    append(&mut file, 1002, in_shop(3, Command::Query, None, b"SELECT * FROM a_view"));
    append(&mut file, 1003, verdict(3, Decision::Allow));
    append(&mut file, 1003, facts(3, &["select"], &full));
    drop(file);
    let path = &files(&state_dir).unwrap()[0];
    let args =
        FilterArgs { tables: vec!["customers/%".into()], actions: vec!["delete".into()], ..FilterArgs::default() };
    assert_eq!(wanted(&args, path), [1, 2]);
    let mut recording = Recording::open(path).unwrap();
    while let Some(event) = recording.next().unwrap() {
        let Event::Exchange(exchange) = event else { continue };
        let is_cut = exchange.statement.number == 3;
        assert_eq!(exchange.facts_are_whole, !is_cut);
        let row = Row::new(recording.about(), &exchange, &mut Analyses::default());
        let tables = row.tables();
        assert_eq!((tables.len(), tables.contains("shop.a.customers/%")), (full.len() + usize::from(!is_cut), !is_cut));
    }
    fs::remove_dir_all(state_dir).unwrap();
}

#[test]
fn what_the_policies_were_asked_counts_where_it_is_recorded() {
    let state_dir = state_dir("facts");
    let mut file = session(&state_dir, 1, "reporting");
    append(&mut file, 1001, login());
    // A view: by its text nobody knows what lies under it.
    for (number, decision) in [(1, Decision::Allow), (2, Decision::Deny)] {
        append(&mut file, 1002, in_shop(number, Command::Query, None, b"SELECT * FROM open_orders"));
        append(&mut file, 1003, verdict(number, decision));
        append(&mut file, 1003, facts(number, &["select"], &["orders/shop.open_orders", "orders/shop.orders"]));
        if decision == Decision::Allow {
            append(&mut file, 1004, response(number, None));
        }
    }
    append(&mut file, 1005, in_shop(3, Command::Query, None, b"SELECT 1"));
    append(&mut file, 1006, verdict(3, Decision::Allow));
    drop(file);
    let path = &files(&state_dir).unwrap()[0];
    let of = |tables: &[&str], actions: &[&str]| {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        wanted(&FilterArgs { tables: owned(tables), actions: owned(actions), ..FilterArgs::default() }, path)
    };
    assert_eq!(numbers(path), [1, 2, 3]);
    assert_eq!(of(&["orders"], &[]), [1, 2]);
    assert_eq!(of(&["shop.open_orders"], &["read"]), [1, 2]);
    assert_eq!(of(&["orders"], &["write"]), [0; 0]);
    assert_eq!(of(&["vault.orders"], &[]), [0; 0]);
    fs::remove_dir_all(state_dir).unwrap();
}
