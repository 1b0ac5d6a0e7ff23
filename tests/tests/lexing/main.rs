//! A text is read as the session's server reads it, and what is judged is what arrives there: through the real daemon, with
//! real servers.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        reason = "a test that panics has failed"
    )
)]

mod random;

use portreeve_tests::{
    scene::{Scene, shop},
    servers::Flavour,
    wire::{CAPABILITIES, COMPRESS, Hello, Wire, framed},
};

const POLICY: &str = r#"
@id("reads")
permit (
  principal in Group::"reporting",
  action in [Action::"read", Action::"session"],
  resource in Server::"shop-db"
);
@id("no-customers")
forbid (principal, action, resource == Table::"shop-db/shop.customers");
"#;
const QUERY_ATTRIBUTES: u32 = 1 << 27;
const COM_QUERY: u8 = 0x03;
const COM_STMT_PREPARE: u8 = 0x16;
const COM_STMT_EXECUTE: u8 = 0x17;

/// Both servers, each with a daemon before it and its general log on.
fn scenes() -> [Scene; 2] {
    [Flavour::MariaDb, Flavour::MySql].map(|flavour| {
        let scene = Scene::with(shop(flavour).unwrap().into(), POLICY, |_| ()).unwrap();
        scene.server.log_statements().unwrap();
        scene
    })
}

fn login(scene: &Scene) -> Wire {
    Wire::login(&scene.reporting, scene.server.address(), "shop").unwrap()
}

/// The first column of the answer, or the error.
fn ask(wire: &mut Wire, sql: &str) -> Result<String, String> {
    let rows = wire.query(sql).map_err(|error| format!("{error:#}"))?;
    let texts = rows.iter().map(|row| row[0].as_ref().map_or("NULL".into(), |value| String::from_utf8_lossy(value)));
    Ok(texts.collect::<Vec<_>>().join(","))
}

#[test]
fn what_is_judged_is_what_the_server_runs() {
    for scene in scenes() {
        let mariadb = scene.server.flavour() == Flavour::MariaDb;
        let mut wire = login(&scene);
        let one_or_two = |is_two: bool| if is_two { "2" } else { "1" };
        for (sql, expected) in [
            ("SELECT 1 /*! + 1 */", "2"),
            ("SELECT 1 /*!40101 + 1 */", "2"),
            ("SELECT 1 /*!99999 + 1 */", "1"),
            ("SELECT 1 /*!999999 + 1 */", "1"),
            ("SELECT 1 /*!50800 + 1 */", one_or_two(!mariadb)),
            ("SELECT 1 /*!80000 + 1 */", one_or_two(!mariadb)),
            ("SELECT 1 /*!080000 + 1 */", one_or_two(!mariadb)),
            ("SELECT 1 /*!100000 + 1 */", one_or_two(mariadb)),
            ("SELECT 1 /*M! + 1 */", one_or_two(mariadb)),
            ("SELECT 1 /*M!50800 + 1 */", one_or_two(mariadb)),
            ("SELECT 1 /*! -- */ /*\n + 1 */", "2"),
            ("SELECT 1 /*!50000 /* x */ + 1 */", "2"),
            ("SELECT 1 /*!99999 /* x */ + 1 */", "1"),
            ("SELECT 1 /* a /* b */ + 1", "2"),
            ("SELECT 1 /*!50000 + /*!999999 9 */ 1 */", "2"),
            ("SELECT '*/' /*!40000 , '*/' */", "*/"),
            ("SELECT {fn LENGTH('ab')}", "2"),
            ("SELECT 'a\\\\' /*! */", "a\\"),
            ("/*!40101 SELECT item FROM orders WHERE id = 1 */", "teapot"),
        ] {
            assert_eq!(ask(&mut wire, sql).as_deref(), Ok(expected), "{sql} on {:?}", scene.server.flavour());
        }
        for sql in [
            "SELECT 1 /*! UNION SELECT card FROM customers */",
            "SELECT/*!40101 card*/FROM/*!40101 customers*/",
            "SELECT 1 /*! -- */ /*\n UNION SELECT card FROM customers */",
            "SELECT 1 /*!50000 + /*!50000 1 */ */",
            "SELECT 1 --\u{a0} FROM (SELECT 1 AS \u{a0}) x UNION SELECT card FROM customers",
        ] {
            let denied = ask(&mut wire, sql).unwrap_err();
            assert!(denied.contains("denied by policy"), "{sql}: {denied}");
        }
        let of_mariadb = ask(&mut wire, "SELECT item FROM orders /*M!100000 JOIN customers */ WHERE orders.id = 1");
        assert_eq!(of_mariadb.is_err(), mariadb, "{of_mariadb:?}");
        let log = scene.server.general_log();
        assert!(!log.contains("customers"), "{log}");
        assert!(log.contains("SELECT 1   + 1") && !log.contains("/*!40101"), "{log}");
    }
}

#[test]
fn a_text_that_was_written_anew_is_recorded_as_sent_and_as_forwarded() {
    for scene in scenes() {
        let mut wire = login(&scene);
        wire.query("SELECT 1 /*!40101 + 1 */").unwrap();
        wire.query("SELECT 1 /* plain */").unwrap();
        wire.command(COM_STMT_PREPARE, b"SELECT ? /*!40101 + 1 */").unwrap();
        wire.packet().unwrap();
        drop(wire);
        let records = scene.records_when_closed(1).unwrap();
        let texts = |kind: &str| -> Vec<String> {
            let of_kind = records.iter().filter(|record| record["record"] == kind);
            of_kind.filter_map(|record| record["sql"]["text"].as_str().map(str::to_owned)).collect()
        };
        assert_eq!(
            texts("statement"),
            ["SELECT 1 /*!40101 + 1 */", "SELECT 1 /* plain */", "SELECT ? /*!40101 + 1 */"]
        );
        assert_eq!(texts("forwarded"), ["SELECT 1   + 1  ", "SELECT ?   + 1  "]);
        let log = scene.server.general_log();
        assert!(log.contains("SELECT ?   + 1") && log.contains("SELECT 1 /* plain */"), "{log}");
    }
}

/// Of MySQL, which reads attributes before a text; 16 MiB of them are more than one packet.
#[test]
fn query_attributes_go_with_the_text_that_was_written_anew() {
    let server = shop(Flavour::MySql).unwrap();
    server.sql("INSTALL COMPONENT 'file://component_query_attributes'").unwrap();
    let functions = r#"@id("functions") permit (principal, action == Action::"execute", resource);"#;
    let scene = Scene::with(server.into(), &format!("{POLICY}{functions}"), |_| ()).unwrap();
    let hello = Hello { schema: "shop", capabilities: CAPABILITIES | QUERY_ATTRIBUTES, ..Hello::default() };
    let mut wire = Wire::login_with(&scene.reporting, scene.server.address(), &hello).unwrap();
    let sql = "SELECT LENGTH(mysql_query_attribute_string('trace')) /*!40101 + 1 */";
    // One parameter, one set, no NULL, types follow; a string by name, its length in eight bytes.
    let head = [&[COM_QUERY, 1, 1, 0, 1, 0xFE, 0, 5][..], b"trace", &[0xFE]].concat();
    let full = 0x00FF_FFFF - head.len() - 8 - sql.len();
    for length in [4, full - 1, full, full + 3, 17_000_000] {
        let size = (length as u64).to_le_bytes();
        wire.send(&framed(0, &[&head[..], &size, &vec![b'x'; length], sql.as_bytes()].concat())).unwrap();
        // The component keeps 1023 bytes of a value.
        let sum = (length.min(1023) + 1).to_string();
        assert_eq!(wire.result().unwrap(), [[Some(sum.into())]], "{length}");
    }
}

#[test]
fn a_text_written_anew_goes_compressed_where_the_leg_is() {
    for flavour in [Flavour::MariaDb, Flavour::MySql] {
        let scene = Scene::with(shop(flavour).unwrap().into(), POLICY, |_| ()).unwrap();
        let hello = Hello { schema: "shop", capabilities: CAPABILITIES | COMPRESS, ..Hello::default() };
        let mut wire = Wire::login_with(&scene.reporting, scene.server.address(), &hello).unwrap();
        for _ in 0..3 {
            assert_eq!(ask(&mut wire, "SELECT 1 /*!40101 + 1 */").unwrap(), "2");
            let long = format!("SELECT LENGTH('{}') /*!40101 + 1 */", "x".repeat(100_000));
            assert_eq!(ask(&mut wire, &long).unwrap(), "100001");
        }
    }
}

#[test]
fn modes_that_a_session_sets_are_followed() {
    for scene in scenes() {
        let mut wire = login(&scene);
        let trick = "SELECT 'a\\', (SELECT card FROM customers LIMIT 1) -- '";
        assert!(ask(&mut wire, trick).unwrap().starts_with("a',"));
        assert_eq!(ask(&mut wire, "SELECT \"item\" FROM orders WHERE id = 1").unwrap(), "item");
        for set in [
            "SET sql_mode = 'ANSI_QUOTES'",
            "SET sql_mode = CONCAT(@@sql_mode, ',ANSI_QUOTES')",
            "SET sql_mode = @ansi",
        ] {
            wire.query("SET sql_mode = '', @ansi = 'ANSI_QUOTES'").unwrap();
            wire.query(set).unwrap();
            assert_eq!(ask(&mut wire, "SELECT \"item\" FROM \"orders\" WHERE id = 1").unwrap(), "teapot", "{set}");
            let denied = ask(&mut wire, "SELECT \"card\" FROM \"customers\"").unwrap_err();
            assert!(denied.contains("no-customers"), "{set}: {denied}");
        }
        wire.query("SET sql_mode = 'NO_BACKSLASH_ESCAPES'").unwrap();
        let denied = ask(&mut wire, trick).unwrap_err();
        assert!(denied.contains("no-customers"), "{denied}");
        assert_eq!(ask(&mut wire, "SELECT 'a\\'").unwrap(), "a\\");
        wire.query("SET sql_mode = DEFAULT").unwrap();
        assert!(ask(&mut wire, trick).unwrap().starts_with("a',"));
        // In one text, what comes after is read by nobody who knows.
        let denied = ask(&mut wire, &format!("SET sql_mode = 'NO_BACKSLASH_ESCAPES'; {trick}")).unwrap_err();
        assert!(denied.contains("unparsed"), "{denied}");
    }
}

/// Prepares, and returns the statement's id.
fn prepare(wire: &mut Wire, sql: &str) -> [u8; 4] {
    wire.command(COM_STMT_PREPARE, sql.as_bytes()).unwrap();
    let prepared = wire.packet().unwrap();
    assert!(prepared.error_code().is_none(), "{prepared:?}");
    // Definitions of the columns.
    wire.until_eof().unwrap();
    prepared.payload[1..5].try_into().unwrap()
}

/// Executes, and returns the error's code if there is one.
fn execute(wire: &mut Wire, id: [u8; 4]) -> Option<u16> {
    wire.command(COM_STMT_EXECUTE, &[&id[..], &[0, 1, 0, 0, 0]].concat()).unwrap();
    let first = wire.packet().unwrap();
    if first.error_code().is_none() {
        wire.until_eof().unwrap();
        wire.until_eof().unwrap();
    }
    first.error_code()
}

#[test]
fn a_prepared_text_is_not_read_anew_in_another_mode() {
    for scene in scenes() {
        let mysql = scene.server.flavour() == Flavour::MySql;
        let mut wire = login(&scene);
        let trick = prepare(&mut wire, "SELECT 'a\\', (SELECT card FROM customers LIMIT 1) -- ', id FROM orders");
        let plain = prepare(&mut wire, "SELECT item FROM orders WHERE id = 1");
        assert_eq!(execute(&mut wire, trick), None);
        wire.query("SET sql_mode = 'NO_BACKSLASH_ESCAPES'").unwrap();
        scene.server.sql("ALTER TABLE shop.orders COMMENT = 'changed', ALGORITHM = COPY").unwrap();
        // MySQL would prepare it again, as another statement.
        assert_eq!(execute(&mut wire, trick), mysql.then_some(1615));
        assert_eq!(execute(&mut wire, plain), None);
        wire.query("SET sql_mode = DEFAULT").unwrap();
        assert_eq!(execute(&mut wire, plain), None);
    }
}

#[test]
fn a_character_set_that_hides_quotes_leaves_nothing_to_read() {
    for scene in scenes() {
        let mut wire = login(&scene);
        for set in
            ["SET NAMES gbk", "SET CHARACTER SET sjis", "SET @@character_set_client = big5", "SET NAMES 'gb18030'"]
        {
            assert!(ask(&mut wire, set).unwrap_err().contains("unparsed"), "{set}");
        }
        // By a variable it is set, and from then on nothing is read.
        wire.query("SET @charset = 'gbk'").unwrap();
        wire.query("SET character_set_client = @charset").unwrap();
        for sql in ["SELECT 1", "SET NAMES utf8mb4", "SELECT item FROM orders"] {
            let denied = ask(&mut wire, sql).unwrap_err();
            assert!(denied.contains("unparsed"), "{sql}: {denied}");
        }
    }
}

#[test]
fn a_text_of_comments_is_answered_as_without_portreeve() {
    for scene in scenes() {
        let mut wire = login(&scene);
        for sql in ["/* c */", "/*!999999 DROP TABLE orders */", "/*!40101 */", "-- c"] {
            wire.command(0x03, sql.as_bytes()).unwrap();
            assert!(wire.packet().unwrap().is_ok(), "{sql}");
        }
        for sql in ["", "  ", ";"] {
            wire.command(0x03, sql.as_bytes()).unwrap();
            let answer = wire.packet().unwrap();
            assert!(matches!(answer.error_code(), Some(1064 | 1065)), "{sql}: {answer:?}");
        }
    }
}

#[test]
fn who_may_do_everything_has_its_own_bytes_forwarded() {
    for flavour in [Flavour::MariaDb, Flavour::MySql] {
        let policy = r#"@id("all") permit (principal, action, resource);"#;
        let scene = Scene::with(shop(flavour).unwrap().into(), policy, |_| ()).unwrap();
        scene.server.log_statements().unwrap();
        let mut wire = login(&scene);
        assert_eq!(ask(&mut wire, "SELECT 1 /*! + 1 */ /* a /* b */").unwrap(), "2");
        assert!(scene.server.general_log().contains("SELECT 1 /*! + 1 */ /* a /* b */"));
    }
}

#[test]
fn a_server_that_says_it_is_another_version_has_no_executable_comment_read() {
    let arguments = ["--version=10.11.99-MariaDB-of-ours".to_owned()];
    let address = portreeve_tests::host::free_address().unwrap();
    let server = portreeve_tests::scene::shop_with(Flavour::MariaDb, address, &arguments).unwrap();
    let scene = Scene::with(server.into(), POLICY, |_| ()).unwrap();
    let mut wire = login(&scene);
    assert_eq!(ask(&mut wire, "SELECT 1 /* + 1 */").unwrap(), "1");
    let denied = ask(&mut wire, "SELECT 1 /*!40101 + 1 */").unwrap_err();
    assert!(denied.contains("unparsed"), "{denied}");
}
