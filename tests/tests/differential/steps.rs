//! What is said in both lanes: every command, in the layout that the capabilities in force ask for.

use crate::conversation::{Capabilities, MARIADB_BULK, QUERY_ATTRIBUTES};
use portreeve_tests::wire::PACKET_MAX;

/// The schema, made anew for each lane.
pub(crate) const SCHEMA: &str = "
    SET NAMES utf8mb4;
    DROP DATABASE IF EXISTS wire;
    CREATE DATABASE wire CHARACTER SET utf8mb4;
    USE wire;
    CREATE TABLE kinds (
        id INT PRIMARY KEY AUTO_INCREMENT, tiny TINYINT, small SMALLINT UNSIGNED, big BIGINT, f FLOAT, d DOUBLE,
        exact DECIMAL(20,5), day DATE, clock TIME(3), moment DATETIME(6), stamp TIMESTAMP NULL, year YEAR, word VARCHAR(40),
        bytes VARBINARY(300), text LONGTEXT, enumerated ENUM('a','b'), chosen SET('x','y'), bits BIT(9), place POINT, doc JSON);
    INSERT INTO kinds VALUES
        (1, -1, 65535, -9223372036854775808, 1.5, 2.25, 12345.67890, '2026-11-24', '-12:30:00.125', '2026-11-24 15:00:00.000001',
         '2026-01-01 00:00:00', 2026, 'ä€😀', x'00ff', 'long', 'a', 'x,y', b'101010101', POINT(1, 2), '{\"a\": [1, null]}'),
        (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
    CREATE TABLE notes (id INT PRIMARY KEY AUTO_INCREMENT, word VARCHAR(10), body LONGBLOB);
    DELIMITER //
    CREATE PROCEDURE several(IN a INT, OUT b INT)
    BEGIN SELECT a; SELECT id, word FROM kinds; SET b = a + 1; END//
    CREATE PROCEDURE broken() BEGIN SELECT 1; SELECT * FROM not_there; END//
    DELIMITER ;
";

type Commands = Box<dyn Fn(u32) -> Vec<Vec<u8>>>;

/// Commands that are sent together, given the statement that was prepared last.
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) commands: Commands,
    /// Contents for a request for a local file.
    pub(crate) file: Option<Vec<Vec<u8>>>,
}

const TINY: u8 = 1;
const DOUBLE: u8 = 5;
const LONG_LONG: u8 = 8;
const DATETIME: u8 = 12;
const BLOB: u8 = 252;
const STRING: u8 = 253;

/// A parameter: its type, and its value as bytes, none for NULL.
type Parameter = (u8, Option<Vec<u8>>);

/// All steps of one session but the long ones.
pub(crate) fn all(capabilities: Capabilities, mariadb: bool) -> Vec<Step> {
    let mut steps = texts(capabilities);
    steps.extend(plain_commands());
    steps.extend(prepared(capabilities));
    steps.extend(cursors(capabilities));
    if mariadb {
        steps.extend(of_mariadb(capabilities));
    }
    steps.extend(endings(capabilities));
    steps
}

fn texts(capabilities: Capabilities) -> Vec<Step> {
    let many = (0..300).map(|n| format!("{n} AS c{n}")).collect::<Vec<_>>().join(",");
    let texts = [
        "SELECT 1",
        "SELECT * FROM kinds",
        "SELECT id FROM kinds WHERE id > 100",
        "SELECT NULL, '', 'a'",
        "SELECT REPEAT('x', 250), REPEAT('y', 251), REPEAT('z', 70000)",
        "SELECT seq.id FROM kinds a, kinds b, kinds c, kinds d, kinds e, kinds f, kinds g, kinds seq",
        "",
        "-- nothing",
        "SELEC 1",
        "SELECT * FROM not_there",
        "SELECT 1; SELECT 2; SELECT 3",
        "SELECT 1; SELECT * FROM not_there; SELECT 3",
        "INSERT INTO notes (word) VALUES ('a'), ('b'), ('c')",
        "UPDATE notes SET word = 'b' WHERE word IN ('a', 'b')",
        "SELECT LAST_INSERT_ID()",
        "DELETE FROM notes WHERE id = 3; SELECT ROW_COUNT()",
        "SET sql_mode = ''",
        "INSERT INTO notes (word) VALUES ('much longer than ten')",
        "SHOW WARNINGS",
        "SELECT CAST('12x' AS SIGNED)",
        "SHOW COUNT(*) WARNINGS",
        "SET sql_mode = DEFAULT",
        "CALL several(7, @b)",
        "SELECT @b",
        "CALL broken()",
        "BEGIN",
        "INSERT INTO notes (word) VALUES ('t')",
        "ROLLBACK",
        "SET autocommit = 0",
        "SELECT 1 FROM notes",
        "SET autocommit = 1",
        "USE information_schema",
        "USE wire",
        "SET NAMES latin1",
        "SELECT 'ä'",
        "SET NAMES utf8mb4",
        "SET character_set_client = utf8mb4, time_zone = '+02:00'",
        "SET time_zone = DEFAULT",
        "SHOW CREATE TABLE kinds",
        "SHOW COLUMNS FROM kinds",
        "EXPLAIN SELECT * FROM kinds WHERE id = 1",
        "CREATE TEMPORARY TABLE passing (id INT)",
        "DROP TABLE passing, passing",
        "PREPARE text FROM 'SELECT ?, ?'",
        "SET @a = 1, @b = NULL",
        "EXECUTE text USING @a, @b",
        "DEALLOCATE PREPARE text",
        "LOCK TABLES notes READ",
        "INSERT INTO notes (word) VALUES ('l')",
        "UNLOCK TABLES",
        "CHECK TABLE notes",
        "HANDLER kinds OPEN",
        "HANDLER kinds READ FIRST",
        "HANDLER kinds CLOSE",
        "DO SLEEP(0.01)",
        "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'so be it', MYSQL_ERRNO = 4711",
        "KILL 4294967295",
        "SELECT 'a\0b'",
        "SELECT 1\0",
    ];
    let mut steps: Vec<_> = texts.iter().map(|text| text_step(capabilities, text)).collect();
    steps.push(text_step(capabilities, &format!("SELECT {many}")));
    let load = "LOAD DATA LOCAL INFILE '/none' INTO TABLE notes (word)";
    let file = vec![b"one\ntw".to_vec(), b"o\n".to_vec(), vec![b'x'; 100_000]];
    steps.push(Step { file: Some(file), ..text_step(capabilities, load) });
    steps.push(Step { file: Some(vec![]), ..text_step(capabilities, load) });
    steps.push(text_step(capabilities, "SELECT COUNT(*), MAX(LENGTH(word)) FROM notes"));
    steps
}

/// Packets that are continued in the next, both ways; they take their time.
pub(crate) fn long(capabilities: Capabilities) -> Vec<Step> {
    vec![
        text_step(capabilities, "SELECT REPEAT('x', 17000000)"),
        text_step(capabilities, &format!("SELECT LENGTH('{}')", "l".repeat(17_000_000))),
        // The row has a length of four bytes before the cell: the packet is just full, and an empty one follows.
        text_step(capabilities, "SELECT REPEAT('x', 16777211)"),
        step("a query that just fills a packet", move |_| {
            let head = query(capabilities, "SELECT LENGTH('");
            let filling = vec![b'l'; PACKET_MAX - head.len() - 2];
            vec![[head, filling, b"')".to_vec()].concat()]
        }),
        step("prepare long text", |_| prepare("SELECT LENGTH(?)")),
        step("execute with a long value", move |id| {
            let value = [&b"\xfe"[..], &17_000_000_u64.to_le_bytes(), &vec![b'l'; 17_000_000]].concat();
            vec![execute(capabilities, id, 0, &[(STRING, Some(value))], true)]
        }),
        text_step(capabilities, "SELECT 'behind'"),
    ]
}

fn plain_commands() -> Vec<Step> {
    let commands: [(&str, &'static [u8]); 21] = [
        ("ping", b"\x0e"),
        ("ping with more", b"\x0emore"),
        ("init db", b"\x02mysql"),
        ("init db, not there", b"\x02not_there"),
        ("init db, back", b"\x02wire"),
        ("field list", b"\x04kinds\0"),
        ("field list by pattern", b"\x04kinds\0b%"),
        ("field list, not there", b"\x04not_there\0"),
        ("set option: off", b"\x1b\x01\0"),
        ("set option: on", b"\x1b\0\0"),
        ("set option: what", b"\x1b\x07\0"),
        ("kill nobody", b"\x0c\xff\xff\xff\xff"),
        ("refresh tables", b"\x07\x04"),
        ("sleep", b"\0"),
        ("create db", b"\x05other"),
        ("time", b"\x0f"),
        ("delayed insert", b"\x10"),
        ("daemon", b"\x1d"),
        ("unknown", b"\x7f"),
        ("nothing", b""),
        ("fetch of no statement", b"\x1c\x63\0\0\0\x01\0\0\0"),
    ];
    commands.into_iter().map(|(name, bytes)| step(name, move |_| vec![bytes.to_vec()])).collect()
}

fn prepared(capabilities: Capabilities) -> Vec<Step> {
    let parameters: Vec<Parameter> = vec![
        (TINY, Some(vec![5])),
        (LONG_LONG, Some((-7_i64).to_le_bytes().to_vec())),
        (DOUBLE, Some(2.5_f64.to_le_bytes().to_vec())),
        (STRING, Some(b"\x04word".to_vec())),
        (DATETIME, Some(b"\x07\xea\x07\x0b\x18\x0f\0\0".to_vec())),
        (STRING, None),
    ];
    let two: Vec<Parameter> = vec![(STRING, Some(b"\x01w".to_vec())), (BLOB, Some(vec![0]))];
    let long = vec![(STRING, Some(b"\x01w".to_vec()))];
    vec![
        step("prepare without parameters", |_| prepare("SELECT * FROM kinds")),
        step("execute it", move |id| vec![execute(capabilities, id, 0, &[], true)]),
        step("execute what is closed", move |id| vec![close(id), execute(capabilities, id, 0, &[], true)]),
        step("prepare with an error", |_| prepare("SELECT * FROM not_there")),
        step("prepare two at once", |_| prepare("SELECT 1; SELECT 2")),
        step("prepare with parameters", |_| prepare("SELECT ?, ?, ?, ?, ?, ?")),
        step("execute with every kind", move |id| vec![execute(capabilities, id, 0, &parameters, true)]),
        step("prepare an insertion", |_| prepare("INSERT INTO notes (word, body) VALUES (?, ?)")),
        step("execute it with nothing", move |id| vec![execute(capabilities, id, 0, &two, true)]),
        step("long data, then execute", move |id| {
            let data = |text: &[u8]| [&b"\x18"[..], &id.to_le_bytes(), b"\x01\0", text].concat();
            let execute = execute(capabilities, id, 0, &[long.clone(), vec![(BLOB, None)]].concat(), true);
            vec![data(b"first "), data(&vec![b'l'; 100_000]), execute]
        }),
        step("reset", |id| vec![[&b"\x1a"[..], &id.to_le_bytes()].concat()]),
        step("reset of no statement", |_| vec![b"\x1a\x63\0\0\0".to_vec()]),
        step("what was inserted", |_| prepare("SELECT id, word, LENGTH(body), body FROM notes ORDER BY id")),
        step("execute that", move |id| vec![execute(capabilities, id, 0, &[], true)]),
        step("prepare a call", |_| prepare("CALL several(?, @b)")),
        step("execute the call", move |id| {
            vec![execute(capabilities, id, 0, &[(LONG_LONG, Some(3_i64.to_le_bytes().to_vec()))], true)]
        }),
        step("prepare a call with OUT", |_| prepare("CALL several(?, ?)")),
        step("execute the call with OUT", move |id| {
            let parameters = [(LONG_LONG, Some(3_i64.to_le_bytes().to_vec())), (LONG_LONG, None)];
            vec![execute(capabilities, id, 0, &parameters, true)]
        }),
        step("execute with the types of before", move |id| {
            let parameters = [(LONG_LONG, Some(4_i64.to_le_bytes().to_vec())), (LONG_LONG, None)];
            vec![execute(capabilities, id, 0, &parameters, false)]
        }),
        step("prepare and execute at once", move |id| {
            [prepare("SELECT 'at once'"), vec![execute(capabilities, id + 1, 0, &[], true)]].concat()
        }),
        step("close, then query", move |id| vec![close(id), query(capabilities, "SELECT 'behind a close'")]),
    ]
}

fn cursors(capabilities: Capabilities) -> Vec<Step> {
    const READ_ONLY: u8 = 1;
    let fetch = |id: u32, rows: u32| [&b"\x1c"[..], &id.to_le_bytes(), &rows.to_le_bytes()].concat();
    vec![
        step("prepare for a cursor", |_| prepare("SELECT a.id, b.* FROM kinds a, kinds b ORDER BY 1, 2")),
        step("open a cursor", move |id| vec![execute(capabilities, id, READ_ONLY, &[], true)]),
        step("fetch one", move |id| vec![fetch(id, 1)]),
        step("fetch two", move |id| vec![fetch(id, 2)]),
        step("fetch the rest", move |id| vec![fetch(id, 100)]),
        step("fetch behind the end", move |id| vec![fetch(id, 1)]),
        step("open it again, and reset", move |id| {
            vec![execute(capabilities, id, READ_ONLY, &[], true), [&b"\x1a"[..], &id.to_le_bytes()].concat()]
        }),
        step("fetch of a closed cursor", move |id| vec![fetch(id, 1)]),
        step("prepare an empty result", |_| prepare("SELECT id FROM kinds WHERE id < 0")),
        step("open a cursor on nothing", move |id| vec![execute(capabilities, id, READ_ONLY, &[], true)]),
        step("fetch nothing", move |id| vec![fetch(id, 5)]),
        step("prepare without a result", |_| prepare("DO 1")),
        step("a cursor without a result", move |id| vec![execute(capabilities, id, READ_ONLY, &[], true)]),
    ]
}

fn of_mariadb(capabilities: Capabilities) -> Vec<Step> {
    const LAST: u32 = u32::MAX;
    let mut steps = vec![
        step("prepare for the last", |_| prepare("SELECT 'last'")),
        step("execute the last", move |_| vec![execute(capabilities, LAST, 0, &[], true)]),
        text_step(capabilities, "INSERT INTO notes (word) VALUES ('r') RETURNING id, word"),
        text_step(capabilities, "SELECT * FROM kinds PROCEDURE ANALYSE()"),
        text_step(capabilities, "SELECT place, doc FROM kinds"),
    ];
    if capabilities.mariadb & MARIADB_BULK != 0 {
        steps.push(step("prepare for a bulk", |_| prepare("INSERT INTO notes (word) VALUES (?)")));
        steps.push(step("execute a bulk", |id| {
            // Types are sent (128); each value has an indicator: 0 a value, 1 NULL.
            let rows = b"\0\x03one\x01\0\x05three";
            vec![[&b"\xfa"[..], &id.to_le_bytes(), b"\x80\0", &[STRING, 0], rows].concat()]
        }));
        steps.push(text_step(capabilities, "SELECT word FROM notes ORDER BY id DESC LIMIT 3"));
    }
    steps
}

/// What changes the session for good.
fn endings(capabilities: Capabilities) -> Vec<Step> {
    vec![
        text_step(capabilities, "SET @kept = 1, sql_mode = 'ANSI_QUOTES'"),
        text_step(capabilities, "SELECT \"id\" FROM kinds"),
        step("reset the connection", |_| vec![b"\x1f".to_vec()]),
        text_step(capabilities, "SELECT @kept, @@sql_mode, DATABASE()"),
        step("debug", |_| vec![b"\x0d".to_vec()]),
    ]
}

fn step(name: &str, commands: impl Fn(u32) -> Vec<Vec<u8>> + 'static) -> Step {
    Step { name: name.into(), commands: Box::new(commands), file: None }
}

fn text_step(capabilities: Capabilities, sql: &str) -> Step {
    let payload = query(capabilities, sql);
    let name: String = sql.chars().take(60).collect();
    step(&format!("`{name}`"), move |_| vec![payload.clone()])
}

/// COM_QUERY; with query attributes it says that there are none, in one set.
fn query(capabilities: Capabilities, sql: &str) -> Vec<u8> {
    let attributes: &[u8] = if capabilities.has(QUERY_ATTRIBUTES) { &[0, 1] } else { &[] };
    [&b"\x03"[..], attributes, sql.as_bytes()].concat()
}

fn prepare(sql: &str) -> Vec<Vec<u8>> {
    vec![[b"\x16", sql.as_bytes()].concat()]
}

fn close(id: u32) -> Vec<u8> {
    [&b"\x19"[..], &id.to_le_bytes()].concat()
}

/// COM_STMT_EXECUTE. `bound`: types are sent.
fn execute(capabilities: Capabilities, id: u32, cursor: u8, parameters: &[Parameter], bound: bool) -> Vec<u8> {
    const COUNT_AVAILABLE: u8 = 8;
    let attributes = capabilities.has(QUERY_ATTRIBUTES);
    let flags = if attributes { cursor | COUNT_AVAILABLE } else { cursor };
    let mut payload = [&b"\x17"[..], &id.to_le_bytes(), &[flags, 1, 0, 0, 0]].concat();
    if attributes {
        payload.push(u8::try_from(parameters.len()).unwrap());
    }
    if parameters.is_empty() {
        return payload;
    }
    let mut nulls = vec![0_u8; parameters.len().div_ceil(8)];
    for (index, _) in parameters.iter().enumerate().filter(|(_, (_, value))| value.is_none()) {
        nulls[index / 8] |= 1 << (index % 8);
    }
    payload.extend(nulls);
    payload.push(u8::from(bound));
    if bound {
        for (kind, _) in parameters {
            payload.extend([*kind, 0]);
            if attributes {
                // Its name.
                payload.push(0);
            }
        }
    }
    payload.extend(parameters.iter().filter_map(|(_, value)| value.clone()).flatten());
    payload
}
