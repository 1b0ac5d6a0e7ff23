//! Query attributes of MySQL: passed to the server, and in the recording.

use super::{EXECUTE, QUERY, check_error, prepare, records};
use portreeve_tests::{
    client,
    scene::{REPORTING_WORKS, Scene, shop},
    servers::Flavour,
    wire::{CAPABILITIES, Hello, Wire, framed},
};
use serde_json::json;

const QUERY_ATTRIBUTES: u32 = 1 << 27;
const TEXT: [u8; 2] = [0xFE, 0];
/// Flag of an execution: the number of parameters is in it, attributes included.
const PARAMETER_COUNT: u8 = 8;
const FUNCTIONS: &str = r#"@id("functions") permit (principal, action == Action::"execute", resource);"#;

fn text(text: &str) -> Vec<u8> {
    [&[text.len() as u8], text.as_bytes()].concat()
}

/// A text query with one attribute.
fn query(name: &str, value: &str, sql: &str) -> Vec<u8> {
    // One parameter, one set, no NULL, types follow.
    [&[QUERY, 1, 1, 0, 1][..], &TEXT, &text(name), &text(value), sql.as_bytes()].concat()
}

/// A MySQL whose statements can read their attributes.
fn scene() -> Scene {
    let server = shop(Flavour::MySql).unwrap();
    server.sql("INSTALL COMPONENT 'file://component_query_attributes'").unwrap();
    Scene::with(server.into(), &format!("{REPORTING_WORKS}{FUNCTIONS}"), |_| ()).unwrap()
}

#[test]
fn a_statement_reads_its_attributes_and_they_are_recorded() {
    let scene = scene();
    let hello = Hello { schema: "shop", capabilities: CAPABILITIES | QUERY_ATTRIBUTES, ..Hello::default() };
    let mut wire = Wire::login_with(&scene.reporting, scene.server.address(), &hello).unwrap();
    let sql = "SELECT mysql_query_attribute_string('trace')";
    wire.send(&framed(0, &query("trace", "id-7", sql))).unwrap();
    assert_eq!(wire.result().unwrap(), [[Some(b"id-7".to_vec())]]);
    // None, in one set.
    wire.send(&framed(0, &[&[QUERY, 0, 1], sql.as_bytes()].concat())).unwrap();
    assert_eq!(wire.result().unwrap(), [[None]]);
    wire.send(&framed(0, &query("trace", "id-8", "SELECT card FROM customers"))).unwrap();
    check_error(&mut wire, 1142, "no-customers");

    let prepared = prepare(&mut wire, "SELECT CONCAT(?, ' ', mysql_query_attribute_string('trace')) AS whole").unwrap();
    let flags: &[u8] = &[PARAMETER_COUNT, 1, 0, 0, 0];
    let bound = [&[2, 0, 1][..], &TEXT, &text(""), &TEXT, &text("trace"), &text("bound"), &text("id-9")].concat();
    wire.send(&framed(0, &[&[EXECUTE], &prepared[..], flags, &bound].concat())).unwrap();
    assert_eq!(wire.packet().unwrap().payload, [1]);
    wire.until_eof().unwrap();
    assert_eq!(wire.until_eof().unwrap(), [b"\0\0\x0Abound id-9"]);
    // Cut within the value: answered, and the session goes on.
    let cut = query("trace", "id-10", "");
    wire.send(&framed(0, &cut[..cut.len() - 2])).unwrap();
    check_error(&mut wire, 1835, "Malformed communication packet");
    wire.send(&framed(0, &query("trace", "id-11", sql))).unwrap();
    assert_eq!(wire.result().unwrap(), [[Some(b"id-11".to_vec())]]);

    let statements = records(&scene, "statement");
    let shown = |number: usize| -> Vec<_> {
        let parameters = statements[number]["parameters"].as_array().unwrap().iter();
        parameters.map(|parameter| parameter["text"].clone()).collect()
    };
    assert_eq!(statements[0]["sql"]["text"], sql);
    assert_eq!((shown(0), shown(1)), (vec![json!("trace='id-7'")], vec![]));
    assert_eq!(statements[2]["sql"]["text"], "SELECT card FROM customers");
    assert_eq!(shown(2), [json!("trace='id-8'")]);
    assert_eq!(shown(4), [json!("bound"), json!("trace='id-9'")]);
}

#[test]
fn the_command_line_clients_attributes_arrive() {
    let scene = scene();
    let mut command = Flavour::MySql.client().unwrap();
    let sql = "query_attributes trace from-the-cli;\nSELECT mysql_query_attribute_string('trace') AS seen";
    command.args(["--commands", &format!("-h{}", scene.server.address()), "-uagent", "-panything", "-e", sql]);
    let answer = client::run(Some(&scene.reporting), command).unwrap();
    assert!(answer.ok() && answer.stdout.contains("from-the-cli"), "{answer:?}");
    let statements = records(&scene, "statement");
    let seen = statements.iter().find(|statement| statement["sql"]["text"].as_str().unwrap().contains("seen")).unwrap();
    assert_eq!(seen["parameters"][0]["text"], "trace='from-the-cli'");
}

/// mysql2 for Node says that it has them, whatever the server says.
#[test]
fn a_client_that_says_so_alone_has_no_attributes() {
    let scene = Scene::mariadb(REPORTING_WORKS).unwrap();
    let hello = Hello { schema: "shop", capabilities: CAPABILITIES | QUERY_ATTRIBUTES, ..Hello::default() };
    let mut wire = Wire::login_with(&scene.reporting, scene.server.address(), &hello).unwrap();
    assert_eq!(wire.query("SELECT item FROM orders WHERE id = 1").unwrap(), [[Some(b"teapot".to_vec())]]);
}
