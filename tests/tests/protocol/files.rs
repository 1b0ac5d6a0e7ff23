//! `LOAD DATA LOCAL INFILE`: the client's file is asked for only when policy permits the statement.

use super::{QUERY, check_error, check_usable, records, scene, session};
use portreeve_tests::{
    client, host,
    scene::{REPORTING_WORKS, Scene},
    servers::Flavour,
};
use std::fs;

const LOADS: &str = r#"
@id("reporting-loads") permit (principal in Group::"reporting", action == Action::"local_infile", resource);
"#;
const LOAD: &[u8] = b"LOAD DATA LOCAL INFILE '/the/agents/file' INTO TABLE loaded";

#[test]
fn without_a_permit_no_file_is_asked_for() {
    let scene = scene();
    scene.server.sql("CREATE TABLE shop.loaded_never (word VARCHAR(40))").unwrap();
    let mut wire = session(&scene);
    wire.command(QUERY, b"LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE loaded_never").unwrap();
    check_error(&mut wire, 1142, "no policy permits `local_infile` on `shop-db`");
    check_usable(&mut wire);
}

#[test]
fn with_a_permit_the_file_arrives() {
    let scene = Scene::mariadb(&format!("{REPORTING_WORKS}{LOADS}")).unwrap();
    scene.server.sql("CREATE TABLE shop.loaded (word VARCHAR(40))").unwrap();
    let mut wire = session(&scene);
    wire.command(QUERY, LOAD).unwrap();
    let request = wire.packet().unwrap();
    assert_eq!((request.id, request.payload.as_slice()), (1, &b"\xFB/the/agents/file"[..]));
    wire.send_packet(2, b"first\nsec").unwrap();
    wire.send_packet(3, b"ond\nthird\n").unwrap();
    wire.send_packet(4, b"").unwrap();
    let answer = wire.packet().unwrap();
    assert!(answer.is_ok() && answer.payload[1] == 3, "{answer:?}");
    assert_eq!(scene.server.sql("SELECT GROUP_CONCAT(word) FROM shop.loaded").unwrap(), "first,second,third\n");
    check_usable(&mut wire);
    assert_eq!(records(&scene, "response")[0]["affected_rows"], 3);
}

#[test]
fn a_real_clients_file_arrives_whole() {
    let scene = Scene::mariadb(&format!("{REPORTING_WORKS}{LOADS}")).unwrap();
    scene.server.sql("CREATE TABLE shop.loaded_large (number INT PRIMARY KEY, word VARCHAR(40))").unwrap();
    let dir = host::run_dir("file").unwrap();
    let file = dir.join("words.tsv");
    let lines: String = (0..100_000).map(|number| format!("{number}\tword number {number}\n")).collect();
    fs::write(&file, &lines).unwrap();
    let mut command = Flavour::MariaDb.client().unwrap();
    command.args(["--local-infile=1", &format!("-h{}", scene.server.address()), "-uagent", "-panything", "shop", "-e"]);
    command.arg(format!("LOAD DATA LOCAL INFILE '{}' INTO TABLE loaded_large", file.display()));
    let answer = client::run(Some(&scene.reporting), command).unwrap();
    host::remove_run_dir(&dir).unwrap();
    assert!(answer.ok(), "{answer:?}");
    let sum = scene.server.sql("SELECT COUNT(*), SUM(number), MAX(word) FROM shop.loaded_large").unwrap();
    assert_eq!(sum, "100000\t4999950000\tword number 99999\n");
}
