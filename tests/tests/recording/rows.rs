//! `rows_of`: what clients received is in the recording, up to a bound, and what was not asked for is not.

use super::of_kind;
use portreeve_tests::{
    scene::{REPORTING_WORKS, Scene, server},
    servers::Flavour,
    wire::Wire,
};
use serde_json::{Value, json};

/// Values of each kind that the protocols write in two ways.
const VALUES: &str = "SELECT -1 AS i, CAST(18446744073709551615 AS UNSIGNED) AS u, 1.50 AS d, 1.5e0 AS f, NULL AS n, \
    CAST('2026-11-25' AS DATE) AS day, CAST('2026-11-25 03:04:05.25' AS DATETIME(2)) AS at, \
    CAST('-26:03:04' AS TIME) AS t, CAST('' AS CHAR) AS e, item FROM orders WHERE id < 3 ORDER BY id";
const NAMES: [&str; 10] = ["i", "u", "d", "f", "n", "day", "at", "t", "e", "item"];
/// Rows of an answer that are recorded.
const ROWS_KEPT_MAX: usize = 1000;

fn scene(flavour: Flavour, rows_of: &str) -> Scene {
    let recording = format!("recording = {{ rows_of = {rows_of} }}");
    Scene::with(server(flavour).unwrap(), REPORTING_WORKS, |config| config.extra = recording).unwrap()
}

fn login(scene: &Scene) -> Wire {
    Wire::login(&scene.reporting, scene.server.address(), "shop").unwrap()
}

/// Prepares, executes (`flags` may ask for a cursor) and fetches what a cursor holds back.
fn execute(wire: &mut Wire, sql: &str, flags: u8) {
    wire.command(0x16, sql.as_bytes()).unwrap();
    let prepared = wire.packet().unwrap();
    assert!(prepared.error_code().is_none(), "{}", prepared.text());
    wire.until_eof().unwrap();
    let id = &prepared.payload[1..5];
    wire.command(0x17, &[id, &[flags, 1, 0, 0, 0]].concat()).unwrap();
    let first = wire.packet().unwrap();
    assert!(first.error_code().is_none(), "{}", first.text());
    wire.until_eof().unwrap();
    if flags == 0 {
        wire.until_eof().unwrap();
    } else {
        wire.command(0x1C, &[id, &[100, 0, 0, 0]].concat()).unwrap();
        assert_eq!(wire.until_eof().unwrap().len(), 2);
    }
}

/// The rows of a record, as texts.
fn texts(rows: &Value) -> Vec<Vec<Option<&str>>> {
    rows["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row.as_array().unwrap().iter().map(|value| value["text"].as_str()).collect())
        .collect()
}

fn both_protocols(flavour: Flavour) {
    let scene = scene(flavour, r#"["group:reporting"]"#);
    let mut wire = login(&scene);
    let received = wire.query(VALUES).unwrap();
    execute(&mut wire, VALUES, 0);
    execute(&mut wire, VALUES, 1);
    drop(wire);
    let records = scene.records_when_closed(1).unwrap();
    let rows = of_kind(&records, "rows");
    assert_eq!(rows.len(), 3, "{rows:#?}");
    let received: Vec<Vec<_>> = received
        .iter()
        .map(|row| row.iter().map(|cell| cell.as_ref().map(|cell| str::from_utf8(cell).unwrap())).collect())
        .collect();
    for recorded in rows {
        assert_eq!(recorded["columns"], json!(NAMES));
        assert_eq!(texts(recorded), received);
        assert_eq!((&recorded["first"], &recorded["truncated"]), (&json!(0), &json!(false)));
        // Each between the verdict on its statement, if there is one, and the response.
        let at = |kind: &str| {
            let is_it = |record: &Value| record["record"] == kind && record["number"] == recorded["number"];
            records.iter().position(is_it).unwrap()
        };
        assert!(at("statement") < at("rows") && at("rows") < at("response"));
    }
}

#[test]
fn rows_of_both_protocols_and_of_cursors_are_recorded_on_mariadb() {
    both_protocols(Flavour::MariaDb);
}

#[test]
fn rows_of_both_protocols_and_of_cursors_are_recorded_on_mysql() {
    both_protocols(Flavour::MySql);
}

#[test]
fn a_replay_shows_every_result_as_the_client_did_and_tail_only_how_many_rows() {
    for flavour in [Flavour::MariaDb, Flavour::MySql] {
        let scene = scene(flavour, r#"["*"]"#);
        let answer = scene.report("SELECT id, item FROM orders WHERE id < 3 ORDER BY id; CALL two_results()").unwrap();
        assert!(answer.ok());
        let records = scene.records_when_closed(1).unwrap();
        let session = records[0]["session"].as_str().unwrap();
        let shown = scene.portreeve(&["replay", session, "--speed", "max"]).unwrap();
        let table =
            "+----+--------+\n| id | item   |\n+----+--------+\n| 1  | teapot |\n| 2  | cup    |\n+----+--------+\n";
        assert!(shown.contains(table), "{shown}");
        assert!(
            shown.contains("| one |\n+-----+\n| 1   |\n| 2   |\n") && shown.contains("| two |\n+-----+\n| b   |\n")
        );
        let lines = scene.portreeve(&["tail", "--lines", "0"]).unwrap();
        assert!(lines.contains(" 2 recorded\n") && !lines.contains("teapot"), "{lines}");
    }
}

#[test]
fn what_is_over_the_bound_is_marked_and_still_reaches_the_client() {
    for flavour in [Flavour::MariaDb, Flavour::MySql] {
        let scene = scene(flavour, r#"["workload:reporting"]"#);
        let mut wire = login(&scene);
        let digits = (0..10).map(|digit| format!("SELECT {digit} AS d")).collect::<Vec<_>>().join(" UNION ALL ");
        let thousand = "SELECT x.d + 10 * y.d + 100 * z.d + 1 AS i FROM t x, t y, t z";
        let numbers = format!("WITH t AS ({digits}) {thousand} UNION ALL SELECT 1001 ORDER BY i");
        let received = wire.query(&numbers).unwrap().len();
        assert_eq!(received, ROWS_KEPT_MAX + 1);
        assert_eq!(wire.query("SELECT REPEAT('x', 2000000) AS big UNION ALL SELECT 'y'").unwrap().len(), 2);
        drop(wire);
        let records = scene.records_when_closed(1).unwrap();
        let (many, big): (Vec<_>, Vec<_>) =
            of_kind(&records, "rows").into_iter().partition(|rows| rows["columns"] == json!(["i"]));
        let kept: Vec<_> = many.iter().flat_map(|rows| texts(rows)).collect();
        assert_eq!((kept.len(), kept[999][0]), (ROWS_KEPT_MAX, Some("1000")));
        assert!(many.iter().rev().skip(1).all(|rows| rows["truncated"] == false));
        assert_eq!(many.last().unwrap()["truncated"], true);
        assert_eq!(big.len(), 1);
        assert_eq!((texts(big[0]).len(), &big[0]["truncated"]), (0, &json!(true)));
        let responses = of_kind(&records, "response");
        assert_eq!(responses.iter().map(|response| response["rows"].as_u64().unwrap()).sum::<u64>(), 1003);
    }
}

#[test]
fn nobody_s_rows_are_recorded_unasked() {
    for rows_of in ["[]", r#"["workload:ingest"]"#] {
        let scene = scene(Flavour::MariaDb, rows_of);
        assert!(scene.report("SELECT item FROM orders").unwrap().ok());
        assert!(of_kind(&scene.records_when_closed(1).unwrap(), "rows").is_empty());
    }
}
