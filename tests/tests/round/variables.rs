//! A server's variables that name another way to it are NULL or empty to the connectors that ask for them.

use super::EVERYTHING;
use portreeve_tests::{scene::Scene, servers::Flavour, wire::Wire};

type Rows = Vec<Vec<Option<Vec<u8>>>>;

const FLAVOURS: [Flavour; 2] = [Flavour::MariaDb, Flavour::MySql];

fn scene(flavour: Flavour) -> Scene {
    Scene::with(portreeve_tests::scene::server(flavour).unwrap(), EVERYTHING, |_| ()).unwrap()
}

fn session(scene: &Scene) -> Wire {
    Wire::login(&scene.reporting, scene.server.address(), "shop").unwrap()
}

/// The value that a result of SHOW VARIABLES and the like has for a name.
fn value_of(rows: &Rows, name: &str) -> Option<Option<String>> {
    let row = rows.iter().find(|row| row[0].as_ref().is_some_and(|n| n.eq_ignore_ascii_case(name.as_bytes())))?;
    Some(row[1].clone().map(|value| String::from_utf8(value).unwrap()))
}

/// The rows of a prepared statement without parameters, as they stand on the wire.
fn prepared(wire: &mut Wire, sql: &str) -> Vec<Vec<u8>> {
    wire.command(0x16, sql.as_bytes()).unwrap();
    let prepared = wire.packet().unwrap();
    assert!(prepared.is_ok(), "{}", prepared.text());
    wire.until_eof().unwrap();
    wire.command(0x17, &[&prepared.payload[1..5], &[0, 1, 0, 0, 0][..]].concat()).unwrap();
    let first = wire.packet().unwrap();
    assert_eq!(first.error_code(), None, "{}", first.text());
    wire.until_eof().unwrap();
    wire.until_eof().unwrap()
}

fn contains(bytes: &[u8], part: &str) -> bool {
    bytes.windows(part.len()).any(|window| window == part.as_bytes())
}

/// Names the server's socket, in text and as a prepared statement: neither has its path.
const ASKING: [&str; 9] = [
    "SELECT @@max_allowed_packet,@@wait_timeout,@@socket",
    "SELECT @@SOCKET, @@global.socket, @@`socket`, @@GLOBAL . Socket",
    "SELECT @@socket LIMIT 1",
    "SELECT 1, @@socket, 'beside'",
    "SHOW VARIABLES LIKE 'socket'",
    "SHOW GLOBAL VARIABLES WHERE Variable_name = 'socket'",
    "SHOW VARIABLES",
    "SELECT @@socket UNION SELECT @@socket",
    "(SELECT @@socket)",
];

#[test]
fn no_answer_to_a_connectors_question_has_the_sockets_path() {
    for flavour in FLAVOURS {
        let scene = scene(flavour);
        let path = scene.server.socket().display().to_string();
        let tables: &[&str] = match flavour {
            Flavour::MariaDb => &[
                "SELECT * FROM information_schema.global_variables WHERE VARIABLE_NAME = 'SOCKET'",
                "SELECT variable_name, variable_value FROM information_schema.session_variables WHERE variable_name LIKE 's%'",
                "SELECT * FROM information_schema.system_variables WHERE VARIABLE_NAME IN ('socket', 'sql_mode')",
            ],
            Flavour::MySql => &[
                "SELECT * FROM performance_schema.global_variables WHERE VARIABLE_NAME = 'socket'",
                "SELECT variable_name, variable_value FROM performance_schema.session_variables WHERE variable_name LIKE 's%'",
                "SELECT * FROM performance_schema.session_variables",
            ],
        };
        let mut wire = session(&scene);
        for sql in ASKING.iter().chain(tables) {
            let rows = wire.query(sql).unwrap();
            assert!(!rows.is_empty(), "{sql}");
            let shown = rows.iter().flatten().flatten().any(|cell| contains(cell, &path));
            assert!(!shown, "{flavour:?}, {sql}: {rows:?}");
            let rows = prepared(&mut wire, sql);
            assert!(!rows.is_empty(), "{sql}");
            assert!(!rows.iter().any(|row| contains(row, &path)), "{flavour:?}, prepared {sql}");
        }
        // The server itself does say it.
        assert_eq!(scene.server.sql("SELECT @@socket").unwrap().trim(), path);
    }
}

#[test]
fn what_stands_beside_is_the_servers_own() {
    for flavour in FLAVOURS {
        let scene = scene(flavour);
        let mut wire = session(&scene);
        let sql = "SELECT @@max_allowed_packet,@@wait_timeout,@@socket";
        let own = scene.server.sql("SELECT @@max_allowed_packet,@@global.wait_timeout").unwrap();
        let cells = wire.query(sql).unwrap().remove(0);
        let text = |cell: &Option<Vec<u8>>| String::from_utf8(cell.clone().unwrap()).unwrap();
        assert_eq!(format!("{}\t{}\n", text(&cells[0]), text(&cells[1])), own);
        assert_eq!(cells[2], None);
        // Binary: the third column's bit of the NULL bitmap, and two numbers of eight bytes.
        let row = prepared(&mut wire, sql).remove(0);
        assert_eq!((row[0], row[1], row.len()), (0, 1 << 4, 18), "{row:?}");
        assert_eq!(format!("{}", u64::from_le_bytes(row[2..10].try_into().unwrap())), text(&cells[0]));
        let ports = wire.query("SHOW VARIABLES LIKE '%port%'").unwrap();
        assert_eq!(value_of(&ports, "port"), Some(Some("3306".into())), "{flavour:?}");
        // Each server has some of them.
        for other in ["extra_port", "admin_port", "mysqlx_port"] {
            let value = value_of(&ports, other);
            assert!(value.is_none() || value == Some(Some(String::new())), "{flavour:?}, {other}: {value:?}");
        }
        let sockets = wire.query("SHOW VARIABLES LIKE 'socket'").unwrap();
        assert_eq!(value_of(&sockets, "socket"), Some(Some(String::new())), "{flavour:?}");
        assert_eq!(value_of(&wire.query("SHOW VARIABLES LIKE 'sql_mode'").unwrap(), "sql_mode").unwrap().unwrap(), {
            let own = wire.query("SELECT @@sql_mode").unwrap();
            String::from_utf8(own[0][0].clone().unwrap()).unwrap()
        });
    }
}

/// A table's own columns, read in many ways.
const OF_THE_APPLICATION: [&str; 10] = [
    "SELECT socket, extra_port, redirect_url FROM devices",
    "SELECT * FROM devices",
    "SELECT d.socket FROM devices AS d",
    "SELECT d.socket FROM (SELECT socket FROM devices) AS d",
    "SELECT d.socket FROM (SELECT DISTINCT socket FROM devices LIMIT 5) AS d",
    "SELECT socket FROM device_view",
    "SELECT socket FROM devices GROUP BY socket",
    "SELECT MAX(socket) AS socket FROM devices",
    "SELECT socket FROM devices UNION SELECT 'wall' AS socket",
    "SELECT variable_name, value FROM settings",
];

#[test]
fn columns_of_an_application_with_such_names_are_untouched() {
    let mut changed = Vec::new();
    for flavour in FLAVOURS {
        let scene = scene(flavour);
        scene
            .server
            .sql(
                "USE shop; CREATE TABLE devices (socket VARCHAR(40), extra_port INT, redirect_url VARCHAR(40));
                 INSERT INTO devices VALUES ('wall', 7, 'https://example.org');
                 CREATE VIEW device_view AS SELECT socket FROM devices;
                 CREATE TABLE settings (variable_name VARCHAR(40), value VARCHAR(40));
                 INSERT INTO settings VALUES ('colour', 'blue'), ('height', '3')",
            )
            .unwrap();
        let mut wire = session(&scene);
        for sql in OF_THE_APPLICATION {
            let own = scene.server.sql(&format!("USE shop; {sql}")).unwrap();
            let line = |row: &Vec<Option<Vec<u8>>>| {
                let cells = row.iter().map(|cell| String::from_utf8(cell.clone().unwrap_or(b"NULL".to_vec())).unwrap());
                cells.collect::<Vec<_>>().join("\t") + "\n"
            };
            let rows: String = wire.query(sql).unwrap().iter().map(line).collect();
            if rows != own {
                changed.push(format!("{flavour:?}, {sql}: {rows:?}, not {own:?}"));
            }
        }
    }
    assert!(changed.is_empty(), "{changed:#?}");
}
