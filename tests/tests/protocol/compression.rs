//! Compression, each leg for itself.

use super::{EXECUTE, PING, QUERY, check_error, check_usable, execute, one, prepare, records};
use portreeve_tests::{
    client, host,
    scene::{REPORTING_WORKS, Scene, server},
    servers::Flavour,
    wire::{CAPABILITIES, COMPRESS, Hello, Wire, framed},
};
use serde_json::{Value, json};
use std::fs;

const LOADS: &str =
    r#"@id("loads") permit (principal in Group::"reporting", action == Action::"local_infile", resource);"#;

/// A daemon that is told how to compress towards the server.
fn scene(flavour: Flavour, compression: &str) -> Scene {
    let server = server(flavour).unwrap();
    if flavour == Flavour::MySql {
        // MySQL has it off.
        server.sql("SET GLOBAL local_infile = ON").unwrap();
    }
    Scene::with(server, &format!("{REPORTING_WORKS}{LOADS}"), |config| {
        config.servers[0].extra = format!("compression = \"{compression}\"");
    })
    .unwrap()
}

fn compressed(scene: &Scene) -> Wire {
    let hello = Hello { schema: "shop", capabilities: CAPABILITIES | COMPRESS, ..Hello::default() };
    Wire::login_with(&scene.reporting, scene.server.address(), &hello).unwrap()
}

/// What is in force towards the server.
fn towards_server(flavour: Flavour, compression: &str) -> Value {
    match (flavour, compression) {
        (_, "none") | (Flavour::MariaDb, "zstd") => Value::Null,
        (Flavour::MySql, "zstd") => json!("zstd"),
        _ => json!("zlib"),
    }
}

fn check_conversation(scene: &Scene, table: &str) {
    let mut wire = compressed(scene);
    check_usable(&mut wire);
    wire.command(QUERY, b"SELECT card FROM customers").unwrap();
    check_error(&mut wire, 1142, "no-customers");

    // 20 MB there and back, in packets longer than a compressed one may be.
    scene.server.sql(&format!("CREATE TABLE shop.{table} (body LONGTEXT)")).unwrap();
    let body = "0123456789".repeat(2_000_000);
    wire.query(&format!("INSERT INTO {table} VALUES ('{body}')")).unwrap();
    let sum = scene.server.sql(&format!(
        "SELECT LENGTH(body), SHA2(body, 256) = SHA2(REPEAT('0123456789', 2000000), 256) FROM shop.{table}"
    ));
    assert_eq!(sum.unwrap(), "20000000\t1\n");
    assert!(wire.query(&format!("SELECT body FROM {table}")).unwrap() == [[Some(body.into_bytes())]]);
    check_usable(&mut wire);

    // Several commands in one compressed packet, then one in a packet of its own behind them.
    let query = |sql: &str| framed(0, &[&[QUERY], sql.as_bytes()].concat());
    let commands =
        [query("SELECT item FROM orders WHERE id = 1"), framed(0, &[PING]), query("SELECT card FROM customers")];
    wire.send(&commands.concat()).unwrap();
    wire.send(&query("SELECT item FROM orders WHERE id = 3")).unwrap();
    assert_eq!(wire.result().unwrap(), [[Some(b"teapot".to_vec())]]);
    assert!(wire.packet().unwrap().is_ok());
    check_error(&mut wire, 1142, "no-customers");
    assert_eq!(wire.result().unwrap(), [[Some(b"tray".to_vec())]]);

    check_statements(&mut wire, table);
    check_file(scene, &mut wire, table);

    let hello = Hello { user: "somebody", schema: "vault", ..Hello::default() };
    assert!(wire.change_user(&hello.change()).unwrap().is_ok());
    assert_eq!(one(&mut wire, "SELECT CONCAT(CURRENT_USER(), ' in ', DATABASE())"), "shop_reporting@127.% in vault");
    wire.command(0x1F, b"").unwrap();
    assert!(wire.packet().unwrap().is_ok());
    check_usable(&mut wire);
    wire.command(0x01, b"").unwrap();
    assert_eq!(wire.rest().unwrap(), []);
}

/// Prepared, with long data, and with a cursor.
fn check_statements(wire: &mut Wire, table: &str) {
    let id = prepare(wire, &format!("INSERT INTO {table} VALUES (?)")).unwrap();
    wire.command(0x18, &[&id[..], &[0, 0], &vec![b'y'; 3_000_000]].concat()).unwrap();
    wire.command(EXECUTE, &[&id[..], &[0, 1, 0, 0, 0, 0, 1, 0xFB, 0]].concat()).unwrap();
    let inserted = wire.packet().unwrap();
    assert!(inserted.is_ok(), "{}", inserted.text());
    assert_eq!(one(wire, &format!("SELECT COUNT(*) FROM {table} WHERE body = REPEAT('y', 3000000)")), "1");
    let id = prepare(wire, "SELECT item FROM orders ORDER BY id").unwrap();
    execute(wire, &id, 1);
    assert_eq!(wire.packet().unwrap().payload, [1]);
    wire.until_eof().unwrap();
    wire.command(0x1C, &[&id[..], &[2, 0, 0, 0]].concat()).unwrap();
    assert_eq!(wire.until_eof().unwrap(), [&b"\0\0\x06teapot"[..], b"\0\0\x03cup"]);
}

fn check_file(scene: &Scene, wire: &mut Wire, table: &str) {
    wire.command(QUERY, format!("LOAD DATA LOCAL INFILE '/the/agents/file' INTO TABLE {table}").as_bytes()).unwrap();
    let request = wire.packet().unwrap();
    assert_eq!((request.id, request.payload.as_slice()), (1, &b"\xFB/the/agents/file"[..]));
    for (id, part) in [(2, &b"first\nsec"[..]), (3, b"ond\nthird\n"), (4, b"")] {
        wire.send_packet(id, part).unwrap();
    }
    let answer = wire.packet().unwrap();
    assert!(answer.is_ok() && answer.payload[1] == 3, "{}", answer.text());
    let words =
        scene.server.sql(&format!("SELECT COUNT(*) FROM shop.{table} WHERE body IN ('first', 'second', 'third')"));
    assert_eq!(words.unwrap(), "3\n");
}

fn check_legs(flavour: Flavour) {
    for compression in ["client", "none", "zlib", "zstd"] {
        let scene = scene(flavour, compression);
        check_conversation(&scene, &format!("compressed_{compression}"));
        let transport = records(&scene, "transport").remove(0);
        assert_eq!(transport["client_compression"], "zlib");
        assert_eq!(transport["server_compression"], towards_server(flavour, compression), "{compression}");
        // A client that compresses nothing is served alike.
        let mut plain = super::session(&scene);
        check_usable(&mut plain);
        assert_eq!(one(&mut plain, "SELECT LENGTH(REPEAT('plain ', 1000000))"), "6000000");
        let rows = plain.query("SELECT REPEAT('plain ', 1000000)").unwrap();
        assert_eq!(rows[0][0].as_ref().map(Vec::len), Some(6_000_000));
    }
}

#[test]
fn what_a_client_compresses_is_what_it_is_uncompressed_on_mariadb() {
    check_legs(Flavour::MariaDb);
}

#[test]
fn what_a_client_compresses_is_what_it_is_uncompressed_on_mysql() {
    check_legs(Flavour::MySql);
}

/// A command line client, its options, and what it compresses with.
const CLIS: [(Flavour, &[&str], &str); 6] = [
    (Flavour::MySql, &["--compression-algorithms=zlib", "--ssl-mode=DISABLED"], "zlib"),
    (Flavour::MySql, &["--compression-algorithms=zlib", "--ssl-mode=REQUIRED"], "zlib"),
    (Flavour::MySql, &["--compression-algorithms=zstd", "--ssl-mode=DISABLED"], "zstd"),
    (Flavour::MySql, &["--compression-algorithms=zstd", "--zstd-compression-level=9", "--ssl-mode=REQUIRED"], "zstd"),
    (Flavour::MariaDb, &["--compress", "--skip-ssl"], "zlib"),
    (Flavour::MariaDb, &["--compress", "--ssl"], "zlib"),
];

fn check_clis(flavour: Flavour) {
    let scene = scene(flavour, "client");
    let dir = host::run_dir("file").unwrap();
    let file = dir.join("words.txt");
    fs::write(&file, "a word of the file\n".repeat(200_000)).unwrap();
    for (number, (cli, options, algorithm)) in CLIS.into_iter().enumerate() {
        // Only MySQL has zstd to offer.
        let has_zstd = flavour == Flavour::MySql;
        if algorithm == "zstd" && !has_zstd {
            continue;
        }
        let table = format!("cli_{number}");
        scene.server.sql(&format!("CREATE TABLE shop.{table} (word VARCHAR(40))")).unwrap();
        let mut command = cli.client().unwrap();
        let sql = format!(
            "LOAD DATA LOCAL INFILE '{}' INTO TABLE {table}; SELECT COUNT(*) AS loaded FROM {table}; \
             SELECT REPEAT('long ', 1000000) AS body; SELECT item FROM orders WHERE id = 1",
            file.display()
        );
        command.args(["--local-infile=1", &format!("-h{}", scene.server.address()), "-uagent", "-panything"]);
        command.args(options).args(["shop", "-e", &sql]);
        let answer = client::run(Some(&scene.reporting), command).unwrap();
        assert!(answer.ok(), "{options:?}: {}", answer.stderr);
        assert!(answer.stdout.len() > 5_000_000 && answer.stdout.contains("\nlong long "), "{options:?}");
        assert!(answer.stdout.contains("loaded\n200000\n") && answer.stdout.ends_with("teapot\n"), "{options:?}");
        let transport = records(&scene, "transport").pop().unwrap();
        assert_eq!(transport["client_compression"], algorithm, "{options:?}: {transport}");
        assert_eq!(transport["server_compression"], algorithm, "{options:?}: {transport}");
        let is_plain = options.iter().any(|option| option.contains("DISABLED") || option.contains("skip"));
        assert_eq!(transport["client_tls"].is_null(), is_plain, "{options:?}: {transport}");
    }
    host::remove_run_dir(&dir).unwrap();
}

#[test]
fn real_clients_compress_with_and_without_tls() {
    check_clis(Flavour::MariaDb);
    check_clis(Flavour::MySql);
}

/// Each leg has its own: what the client compresses with zstd goes on with zlib, plain, or under TLS.
#[test]
fn a_client_that_compresses_with_zstd_is_served_whatever_the_server_is_told() {
    for (compression, tls) in [("none", "disabled"), ("zlib", "disabled"), ("zlib", "required"), ("zstd", "required")] {
        let scene = Scene::with(server(Flavour::MySql).unwrap(), REPORTING_WORKS, |config| {
            config.servers[0].tls = tls.into();
            config.servers[0].extra = format!("compression = \"{compression}\"");
        })
        .unwrap();
        let mut command = Flavour::MySql.client().unwrap();
        command.args(["--compression-algorithms=zstd", &format!("-h{}", scene.server.address())]);
        let sql = "SELECT REPEAT('long ', 1000000) AS body; SELECT item FROM orders WHERE id = 1";
        command.args(["-uagent", "-panything", "shop", "-e", sql]);
        let answer = client::run(Some(&scene.reporting), command).unwrap();
        assert!(answer.ok(), "{compression}, {tls}: {}", answer.stderr);
        assert!(answer.stdout.len() > 5_000_000 && answer.stdout.ends_with("teapot\n"), "{compression}, {tls}");
        let transport = records(&scene, "transport").remove(0);
        assert_eq!(transport["client_compression"], "zstd");
        assert_eq!(transport["server_compression"], towards_server(Flavour::MySql, compression), "{tls}");
        assert_eq!(transport["server_tls"].is_null(), tls == "disabled", "{transport}");
    }
}

#[test]
fn what_is_no_compressed_packet_ends_its_session_only() {
    let scene = scene(Flavour::MariaDb, "client");
    let mut other = compressed(&scene);
    let query = b"\x20\0\0\0\x03SELECT item FROM orders WHERE 1";
    let wrong: [Vec<u8>; 4] = [
        // In clear text, cut into a header that announces garbage.
        query.to_vec(),
        // No zlib.
        [&[40, 0, 0, 0, 90, 0, 0][..], &[0xA5; 40]].concat(),
        // A wrong number.
        [&[36, 0, 0, 9, 0, 0, 0][..], query].concat(),
        // 16 MB announced, and no more than a line of them there.
        [&[9, 0, 0, 0, 0xFF, 0xFF, 0xFF][..], b"\x78\x9C\x03\0\0\0\0\0\x01"].concat(),
    ];
    for bytes in wrong {
        // The bridge is not told, so that the bytes are sent as they are.
        let mut wire = Wire::connect(&scene.reporting, scene.server.address()).unwrap();
        wire.packet().unwrap();
        let hello = Hello { schema: "shop", capabilities: CAPABILITIES | COMPRESS, ..Hello::default() };
        assert!(wire.answer_greeting(&hello.response()).unwrap().is_ok());
        wire.send(&bytes).unwrap();
        wire.finish();
        while let Ok(Some(packet)) = wire.packet_or_end() {
            assert!(!packet.text().contains("teapot"), "{bytes:?}: {packet:?}");
        }
        check_usable(&mut other);
    }
    let closed = super::reasons(&scene, 4);
    assert!(closed.iter().all(|reason| reason.starts_with("client ")), "{closed:?}");
}
