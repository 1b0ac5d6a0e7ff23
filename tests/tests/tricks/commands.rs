//! Tricks that are no statements: other commands of the protocol, and what was agreed on at login.

use crate::{
    case::SECRET,
    stage::{MULTI_STATEMENTS, Stage},
    talk::Talk,
};
use portreeve_tests::{
    servers::Flavour,
    wire::{CAPABILITIES, Hello},
};

const INIT_DB: u8 = 0x02;
const FIELD_LIST: u8 = 0x04;
const CREATE_DB: u8 = 0x05;
const DROP_DB: u8 = 0x06;
const REFRESH: u8 = 0x07;
const SHUTDOWN: u8 = 0x08;
const PROCESS_INFO: u8 = 0x0A;
const PROCESS_KILL: u8 = 0x0C;
const DEBUG: u8 = 0x0D;
const BINLOG_DUMP: u8 = 0x12;
const TABLE_DUMP: u8 = 0x13;
const SET_OPTION: u8 = 0x1B;

/// `gbk_chinese_ci`
const GBK: u16 = 28;

fn agent(stage: &Stage, capabilities: u32) -> Talk {
    stage.agent(&Hello { schema: "shop", capabilities, ..Hello::default() }).unwrap()
}

fn silent(session: &Talk) -> bool {
    !String::from_utf8_lossy(&session.bytes).contains(SECRET)
}

/// The commands that do something by themselves are answered with an error, and nothing is changed.
fn check_commands(flavour: Flavour) {
    let stage = Stage::new(flavour).unwrap();
    let schemas = "SELECT GROUP_CONCAT(schema_name ORDER BY schema_name) FROM information_schema.schemata";
    let before = stage.look(schemas).unwrap();
    let mut session = agent(&stage, CAPABILITIES);
    let commands: [(&str, u8, &[u8]); 10] = [
        ("another schema", INIT_DB, b"vault"),
        ("a schema made", CREATE_DB, b"stolen"),
        ("a schema dropped", DROP_DB, b"vault"),
        ("a refresh", REFRESH, &[1]),
        ("a shutdown", SHUTDOWN, &[0]),
        ("the sessions of others", PROCESS_INFO, b""),
        ("another's session killed", PROCESS_KILL, &[1, 0, 0, 0]),
        ("debug", DEBUG, b""),
        ("the binary log", BINLOG_DUMP, &[4, 0, 0, 0, 0, 0, 99, 0, 0, 0]),
        ("a table dumped", TABLE_DUMP, b"\x05vault\x05users"),
    ];
    for (name, command, argument) in commands {
        session.command(command, argument).unwrap();
        // Two of them read the whole schema `shop`'s server: the policy permits `use` of every schema.
        let allowed = command == INIT_DB && session.error.is_none();
        assert!(allowed || session.error.is_some(), "{flavour:?}: {name}");
        assert!(silent(&session), "{flavour:?}: {name}");
    }
    session.query(b"SELECT password FROM users").unwrap();
    assert!(silent(&session), "{flavour:?}: a name in another schema");
    assert_eq!(stage.look(schemas).unwrap(), before);
    session.query(b"SELECT item FROM shop.orders").unwrap();
    assert!(session.error.is_none(), "{flavour:?}: the session goes on: {:?}", session.error);
    let reasons = stage.denials();
    assert!(reasons.iter().all(|reason| reason.contains("no policy permits")), "{reasons:?}");
    assert!(reasons.len() > 7, "{reasons:?}");
}

/// A listing of columns tells defaults.
fn check_columns(flavour: Flavour) {
    let stage = Stage::new(flavour).unwrap();
    let list = |session: &mut Talk, table: &[u8]| session.listing(FIELD_LIST, table).unwrap();
    let mut direct = stage.direct(&Hello { schema: "vault", ..Hello::default() }).unwrap();
    list(&mut direct, b"users\0%");
    assert!(!silent(&direct), "{flavour:?}: the command works no more");
    let mut session = agent(&stage, CAPABILITIES);
    session.command(INIT_DB, b"vault").unwrap();
    for table in [&b"users\0%"[..], b"users\0", b"vault.users\0%", b"USERS\0hint"] {
        list(&mut session, table);
        assert!(silent(&session) && session.error.is_some(), "{flavour:?}: {table:?}");
    }
}

/// Whatever a client agreed on and changed, each of several statements is judged.
fn check_several(flavour: Flavour) {
    let stage = Stage::new(flavour).unwrap();
    let several = b"SELECT 1; SELECT password FROM vault.users";
    for (capabilities, option) in [
        (CAPABILITIES, None),
        (CAPABILITIES, Some(1)),
        (CAPABILITIES & !MULTI_STATEMENTS, None),
        (CAPABILITIES & !MULTI_STATEMENTS, Some(0)),
    ] {
        let mut session = agent(&stage, capabilities);
        if let Some(option) = option {
            session.listing(SET_OPTION, &[option, 0]).unwrap();
        }
        session.query(several).unwrap();
        assert!(session.error.is_some() && silent(&session), "{flavour:?}: {option:?}");
        session.query(b"SELECT 1; SELECT 2 FROM shop.orders").unwrap();
        let on = option.map_or(capabilities & MULTI_STATEMENTS != 0, |option| option == 0);
        assert_eq!(session.error.is_none(), on, "{flavour:?}: {option:?}: {:?}", session.error);
    }
}

/// A change of user brings another character set, and another schema.
fn check_changes_of_user(flavour: Flavour) {
    let stage = Stage::new(flavour).unwrap();
    let mut session = agent(&stage, CAPABILITIES);
    let half = b"SELECT '\xBF\\', (SELECT password FROM vault.users LIMIT 1) -- '";
    let change = Hello { schema: "shop", collation: GBK, ..Hello::default() }.change();
    // Refused, the session may be over.
    if session.change_user(&change).is_ok() && session.error.is_none() {
        session.query(half).unwrap();
        assert!(silent(&session), "{flavour:?}: gbk");
    }
    let mut session = agent(&stage, CAPABILITIES);
    let change = Hello { schema: "vault", ..Hello::default() }.change();
    if session.change_user(&change).is_ok() && session.error.is_none() {
        session.query(b"SELECT password FROM users").unwrap();
        assert!(session.error.is_some() && silent(&session), "{flavour:?}: vault");
    }
}

/// What was prepared in one schema is not judged anew in another, nor does it mean another table there.
fn check_prepared_elsewhere(flavour: Flavour) {
    let stage = Stage::new(flavour).unwrap();
    let mut session = agent(&stage, CAPABILITIES);
    session.prepared(b"SELECT password FROM users").unwrap();
    assert!(session.error.is_none() && String::from_utf8_lossy(&session.bytes).contains("public"), "{flavour:?}");
    session.command(INIT_DB, b"vault").unwrap();
    session.prepared(b"SELECT password FROM users").unwrap();
    assert!(session.error.is_some() && silent(&session), "{flavour:?}");
}

macro_rules! on_both {
    ($($name:ident: $check:ident)*) => {
        $(#[test]
        fn $name() {
            $check(Flavour::MariaDb);
            $check(Flavour::MySql);
        })*
    };
}

on_both! {
    commands_do_no_more_than_statements: check_commands
    columns_are_not_listed: check_columns
    each_of_several_statements_is_judged: check_several
    a_change_of_user_changes_nothing_about_it: check_changes_of_user
    what_is_prepared_is_judged_where_it_is: check_prepared_elsewhere
}
