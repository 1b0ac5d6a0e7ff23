//! `COM_CHANGE_USER`: the client says who it is once more, and is who it was.

use super::{check_error, check_usable, execute, one, prepare, reasons, records, scene, session};
use portreeve_tests::{
    scene::{REPORTING_WORKS, Scene},
    wire::{CAPABILITIES, Hello, PLUGIN_AUTH, Wire},
};

const NO_VAULT: &str =
    r#"@id("no-vault") forbid (principal, action == Action::"use", resource == Schema::"shop-db/vault");"#;
/// `latin1_swedish_ci` and `gbk_chinese_ci`
const LATIN1: u16 = 8;
const GBK: u16 = 28;

fn check(scene: &Scene) {
    let mut wire = session(scene);
    wire.query("SET @kept = 1").unwrap();
    let id = prepare(&mut wire, "SELECT item FROM orders WHERE id = 1").unwrap();
    let connection = one(&mut wire, "SELECT CONNECTION_ID()");
    for hello in [
        Hello { user: "root", schema: "vault", ..Hello::default() },
        Hello { user: "shop_ingest", schema: "shop", auth: b"", ..Hello::default() },
        Hello { plugin: "caching_sha2_password", auth: &[9; 32], schema: "shop", ..Hello::default() },
        Hello { plugin: "dialog", auth: b"a password\0", schema: "shop", ..Hello::default() },
        Hello { user: "", plugin: "", ..Hello::default() },
    ] {
        let answer = wire.change_user(&hello.change()).unwrap();
        assert!(answer.is_ok(), "{hello:?}: {}", answer.text());
        let who = one(&mut wire, "SELECT CONCAT(CURRENT_USER(), ' in ', COALESCE(DATABASE(), 'none'))");
        let schema = if hello.schema.is_empty() { "none" } else { hello.schema };
        assert_eq!(who, format!("shop_reporting@127.% in {schema}"), "{hello:?}");
        assert_eq!(wire.query("SELECT @kept").unwrap(), [[None]]);
        execute(&mut wire, &id, 0);
        check_error(&mut wire, 1243, "Unknown prepared statement handler");
        check_usable(&mut wire);
    }
    assert_eq!(one(&mut wire, "SELECT CONNECTION_ID()"), connection);
    // What a name without schema means has changed with the schema.
    assert!(wire.change_user(&Hello { schema: "shop", ..Hello::default() }.change()).unwrap().is_ok());
    let denied = wire.query("SELECT name FROM customers").unwrap_err().to_string();
    assert!(denied.contains("no-customers: `select` on `shop-db/shop.customers`"), "{denied}");
    drop(wire);

    assert_eq!(reasons(scene, 1).len(), 1);
    let records = scene.gateway.records(&[]).unwrap();
    assert!(records.iter().all(|record| record["workload"] == "spiffe://example.org/reporting"));
    let of_kind = |kind: &str| records.iter().filter(|record| record["record"] == kind).count();
    // A login each, of one connection.
    assert_eq!((of_kind("opened"), of_kind("login")), (1, 7));
    let ids: Vec<_> = records.iter().filter_map(|record| record.get("server_connection_id")).collect();
    assert!(ids.iter().all(|id| id.to_string() == connection), "{ids:?}");
    let changes = records.iter().filter(|record| record["command"] == "change_user").count();
    assert_eq!(changes, 6);
}

#[test]
fn another_name_is_still_the_held_account() {
    check(&scene());
    check(&Scene::mysql(REPORTING_WORKS).unwrap());
}

fn check_character_sets(scene: &Scene) {
    let mut wire = session(scene);
    assert!(wire.change_user(&Hello { collation: LATIN1, ..Hello::default() }.change()).unwrap().is_ok());
    assert_eq!(one(&mut wire, "SELECT @@character_set_client"), "latin1");
    assert_eq!(one(&mut wire, "SELECT COALESCE(DATABASE(), 'none')"), "none");
    let refused = wire.change_user(&Hello { collation: GBK, ..Hello::default() }.change()).unwrap();
    assert_eq!(refused.error_code(), Some(1115), "{}", refused.text());
    assert!(refused.text().contains("collation 28"), "{}", refused.text());
    assert_eq!(wire.rest().unwrap(), []);
}

#[test]
fn the_character_set_is_that_of_the_change() {
    check_character_sets(&scene());
    check_character_sets(&Scene::mysql(REPORTING_WORKS).unwrap());
}

/// Clients without PLUGIN_AUTH end behind the schema.
#[test]
fn an_old_clients_change_keeps_the_character_set_of_its_login() {
    for scene in [scene(), Scene::mysql(REPORTING_WORKS).unwrap()] {
        let hello = Hello { capabilities: CAPABILITIES & !PLUGIN_AUTH, collation: LATIN1, ..Hello::default() };
        let mut wire = Wire::login_with(&scene.reporting, scene.server.address(), &hello).unwrap();
        let answer = wire.change_user(b"agent\0\0shop\0").unwrap();
        assert!(answer.is_ok(), "{}", answer.text());
        assert_eq!(one(&mut wire, "SELECT CONCAT(@@character_set_client, ' ', DATABASE())"), "latin1 shop");
        check_usable(&mut wire);
    }
}

fn check_refused(scene: &Scene, argument: &[u8], code: u16, text: &str) {
    let mut wire = session(scene);
    let refused = wire.change_user(argument).unwrap();
    assert_eq!(refused.error_code(), Some(code), "{}", refused.text());
    assert!(refused.text().contains(text), "no `{text}` in {}", refused.text());
    assert_eq!(wire.rest().unwrap(), []);
}

fn check_refusals(scene: &Scene) {
    let to = |schema| Hello { schema, ..Hello::default() }.change();
    check_refused(scene, &to("vault"), 1044, "42000Access denied by portreeve: `use` on `shop-db/vault` is forbidden");
    check_refused(scene, &to("not_there"), 1049, "42000Unknown database 'not_there'");
    let reasons = reasons(scene, 2);
    assert!(reasons.iter().all(|reason| reason.contains("refused")), "{reasons:?}");
    // Nothing of the first reached the server.
    let responses = records(scene, "response");
    assert!(responses.is_empty(), "{responses:?}");
}

#[test]
fn a_change_to_a_schema_that_is_denied_or_not_there_ends_the_session() {
    let policy = format!("{REPORTING_WORKS}{NO_VAULT}");
    check_refusals(&Scene::mariadb(&policy).unwrap());
    check_refusals(&Scene::mysql(&policy).unwrap());
}

#[test]
fn a_change_that_cannot_be_read_ends_the_session_only() {
    let scene = scene();
    let mut other = session(&scene);
    let cut: [&[u8]; 3] = [b"", b"no end of the name", b"agent\0\x14cut"];
    for argument in cut {
        let mut wire = session(&scene);
        wire.command(0x11, argument).unwrap();
        let rest = wire.rest().unwrap();
        assert!(rest.iter().all(|packet| packet.error_code().is_some()), "{argument:?}: {rest:?}");
        assert!(rest.len() == 1, "{argument:?}: {rest:?}");
        check_usable(&mut other);
    }
}
