//! Accounts whose password has expired: the server serves nothing but its change.

use super::{QUERY, check_error, one, records};
use portreeve_tests::{
    gateway::Credential,
    scene::{REPORTING_WORKS, Scene, server},
    servers::Flavour,
    wire::{CAPABILITIES, Hello, Wire},
};

const CAN_HANDLE_EXPIRED_PASSWORDS: u32 = 1 << 22;
const EVERYTHING: &str = r#"@id("everything") permit (principal, action, resource);"#;
const HELD: &str = "held-and-expired";

/// The shared server, at which `reporting` is an account whose password has expired.
fn scene(flavour: Flavour, account: &str, policy: &str) -> Scene {
    let server = server(flavour).unwrap();
    // MariaDB lets everybody in otherwise, to find it out at the first statement.
    let disconnect = if flavour == Flavour::MariaDb { "SET GLOBAL disconnect_on_expired_password = ON;" } else { "" };
    server
        .sql(&format!(
            "{disconnect} CREATE USER {account}@'127.%' IDENTIFIED BY '{HELD}'; GRANT ALL ON *.* TO {account}@'127.%'; \
             ALTER USER {account}@'127.%' PASSWORD EXPIRE"
        ))
        .unwrap();
    Scene::with(server, policy, |config| {
        config.servers[0].credentials[0] =
            Credential { for_: vec!["group:reporting".into()], user: account.into(), password: HELD.into() };
    })
    .unwrap()
}

fn check(flavour: Flavour) {
    let scene = scene(flavour, "expired_served", EVERYTHING);
    // Who cannot handle it is refused by the server, and reads nothing of the account.
    let refusal = Wire::refusal(&scene.reporting, scene.server.address()).unwrap();
    assert_eq!(refusal.error_code(), Some(1045), "{}", refusal.text());
    assert!(!refusal.text().contains("expired_served"), "{}", refusal.text());

    let capabilities = CAPABILITIES | CAN_HANDLE_EXPIRED_PASSWORDS;
    let hello = Hello { capabilities, ..Hello::default() };
    let mut wire = Wire::login_with(&scene.reporting, scene.server.address(), &hello).unwrap();
    wire.command(QUERY, b"SELECT 1").unwrap();
    check_error(&mut wire, 1820, "You must");
    let change = match flavour {
        Flavour::MariaDb => format!("SET PASSWORD = PASSWORD('{HELD}')"),
        Flavour::MySql => format!("ALTER USER USER() IDENTIFIED BY '{HELD}'"),
    };
    wire.query(&change).unwrap();
    assert_eq!(one(&mut wire, "SELECT 1"), "1");
    let verdicts = records(&scene, "verdict");
    assert_eq!(verdicts[1]["class"], "users");
    let change = &records(&scene, "statement")[1];
    assert_eq!(change["sql"]["redacted"], true);
    assert!(!change["sql"]["text"].as_str().unwrap().contains(HELD), "{change}");
}

#[test]
fn a_client_that_can_handle_it_gets_in_and_may_change_the_password() {
    check(Flavour::MariaDb);
    check(Flavour::MySql);
}

/// The server does not say how it reads texts, so that no verdict could be right.
#[test]
fn where_verdicts_depend_on_the_text_nobody_gets_in() {
    for flavour in [Flavour::MariaDb, Flavour::MySql] {
        let scene = scene(flavour, "expired_refused", REPORTING_WORKS);
        let mut wire = Wire::connect(&scene.reporting, scene.server.address()).unwrap();
        wire.packet().unwrap();
        let hello = Hello { capabilities: CAPABILITIES | CAN_HANDLE_EXPIRED_PASSWORDS, ..Hello::default() };
        let answer = wire.answer_greeting(&hello.response()).unwrap();
        assert_eq!(answer.error_code(), Some(1105), "{}", answer.text());
        assert!(answer.text().contains("does not say how it reads statements"), "{}", answer.text());
        assert_eq!(wire.rest().unwrap(), []);
    }
}
