//! Servers that mean harm, or die: one session ends, the client is told nothing false, and no file of it is read.

use super::{QUERY, check_usable, reasons, session};
use portreeve_tests::{
    gateway::{Credential, Upstream},
    host,
    scene::{REPORTING_WORKS, Scene, server, shop},
    servers::Flavour,
    wire::{CAPABILITIES, Packet, Wire, framed},
};
use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

/// The password that the gateway would prove to a fake.
const HELD: &str = "the-held-secret";
/// After this a fake server stops waiting for the gateway.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server that speaks MySQL up to a point.
struct Fake {
    address: Ipv4Addr,
    /// What arrived after the harm was done.
    thread: JoinHandle<Vec<u8>>,
}

impl Fake {
    /// Serves one connection by `serve`, then reads up to its end.
    fn start(serve: impl FnOnce(&mut TcpStream) + Send + 'static) -> Self {
        let address = host::free_address().unwrap();
        let listener = TcpListener::bind((address, 3306)).unwrap();
        let thread = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            serve(&mut stream);
            let mut after = Vec::new();
            // A reset ends it as well.
            let _ = stream.read_to_end(&mut after);
            after
        });
        Self { address, thread }
    }

    /// One that logs anybody in, and then answers the first query with `answer`, byte for byte.
    fn answering(answer: Vec<u8>) -> Self {
        Self::answering_to("SELECT item", answer)
    }

    fn answering_to(query: &'static str, answer: Vec<u8>) -> Self {
        Self::start(move |stream| {
            log_in(stream);
            let mut command = read_packet(stream);
            if command.starts_with(b"\x03SELECT @@session.sql_mode") {
                stream.write_all(&reading()).unwrap();
                command = read_packet(stream);
            }
            assert!(
                command.strip_prefix(b"\x03").is_some_and(|text| text.starts_with(query.as_bytes())),
                "{command:?}"
            );
            stream.write_all(&answer).unwrap();
        })
    }
}

fn greet(stream: &mut TcpStream) {
    let [low, second, third, high] = CAPABILITIES.to_le_bytes();
    let mut greeting = b"\x0A8.0.36-fake\0\x07\0\0\0abcdefgh\0".to_vec();
    greeting.extend([low, second, 45, 2, 0, third, high, 21]);
    greeting.extend([0; 10]);
    greeting.extend(b"ijklmnopqrst\0mysql_native_password\0");
    stream.write_all(&framed(0, &greeting)).unwrap();
    read_packet(stream);
}

fn log_in(stream: &mut TcpStream) {
    greet(stream);
    stream.write_all(&framed(2, b"\0\0\0\x02\0\0\0")).unwrap();
}

/// The answer to what the gateway itself asks.
fn reading() -> Vec<u8> {
    let column = b"\x03def\0\0\0\x01c\x01c\x0C\x2D\0\0\x01\0\0\xFD\0\0\0\0\0";
    let eof = b"\xFE\0\0\x02\0";
    [
        framed(1, b"\x05"),
        framed(2, column),
        framed(3, column),
        framed(4, column),
        framed(5, column),
        framed(6, column),
        framed(7, eof),
        framed(8, b"\0\x07utf8mb4\x04shop\x011\x010"),
        framed(9, eof),
    ]
    .concat()
}

fn read_packet(stream: &mut TcpStream) -> Vec<u8> {
    let mut header = [0; 4];
    stream.read_exact(&mut header).unwrap();
    let mut payload = vec![0; u32::from_le_bytes([header[0], header[1], header[2], 0]) as usize];
    stream.read_exact(&mut payload).unwrap();
    payload
}

/// The shared MariaDB as `shop-db`, and the fakes as `fake`.
fn stage(fakes: &[&Fake]) -> Scene {
    let policy = format!(
        r#"{REPORTING_WORKS} @id("fakes") permit (principal, action in [Action::"read", Action::"session"], resource in Server::"fake");"#
    );
    stage_with(fakes, &policy)
}

fn stage_with(fakes: &[&Fake], policy: &str) -> Scene {
    Scene::with(server(Flavour::MariaDb).unwrap(), policy, |config| {
        config.servers.push(Upstream {
            name: "fake".into(),
            matches: fakes.iter().map(|fake| format!("{}:3306", fake.address)).collect(),
            credentials: vec![Credential { for_: vec!["*".into()], user: "held".into(), password: HELD.into() }],
            ..Upstream::default()
        });
    })
    .unwrap()
}

#[test]
fn an_honest_fake_is_served() {
    // The others end early because of what they answer, not because the fake is no server.
    let fake = Fake::answering(framed(1, b"\0\0\0\x02\0\0\0"));
    let scene = stage(&[&fake]);
    let mut wire = Wire::login(&scene.reporting, fake.address, "shop").unwrap();
    wire.command(QUERY, b"SELECT item FROM orders").unwrap();
    assert_eq!(wire.packet().unwrap(), Packet { id: 1, payload: b"\0\0\0\x02\0\0\0".to_vec() });
    drop(wire);
    fake.thread.join().unwrap();
}

#[test]
fn an_answer_that_was_not_asked_for_ends_the_session_and_reads_no_file() {
    let ok = b"\0\0\0\x02\0\0\0";
    let cases = [
        ("a request for a file", framed(1, b"\xFB/etc/passwd")),
        ("a request for a file with the client's sequence id", framed(0, b"\xFB/etc/passwd")),
        (
            "a request for a file as a second result",
            [framed(1, b"\0\0\0\x0A\0\0\0"), framed(2, b"\xFB/etc/passwd")].concat(),
        ),
        ("a wrong sequence id", framed(7, ok)),
        ("an answer within no command", [framed(1, ok), framed(2, ok)].concat()),
        ("a request for a file behind the answer", [framed(1, ok), framed(2, b"\xFB/etc/passwd")].concat()),
        ("a packet of nothing", framed(1, b"")),
        ("garbage", vec![0xA5; 40]),
    ];
    let fakes: Vec<_> = cases.iter().map(|(_, answer)| Fake::answering(answer.clone())).collect();
    let scene = stage(&fakes.iter().collect::<Vec<_>>());
    let mut other = session(&scene);
    for ((case, _), fake) in cases.iter().zip(fakes) {
        let mut wire = Wire::login(&scene.reporting, fake.address, "shop").unwrap();
        wire.command(QUERY, b"SELECT item FROM orders").unwrap();
        // A client that is asked for a file would answer: whatever it says must not arrive.
        wire.send_packet(2, b"root:x:0:0").unwrap();
        wire.finish();
        let rest = wire.rest().unwrap();
        let asks = |packet: &Packet| packet.payload.first() == Some(&0xFB) || packet.text().contains("/etc/passwd");
        assert!(!rest.iter().any(asks), "{case}: {rest:?}");
        let after = fake.thread.join().unwrap();
        assert!(!after.windows(4).any(|part| part == b"root"), "{case}: {after:?}");
        check_usable(&mut other);
    }
    let reasons = reasons(&scene, cases.len());
    for ((case, _), reason) in cases.iter().zip(&reasons) {
        assert!(reason.starts_with("server "), "{case}: {reason}");
    }
}

#[test]
fn a_server_may_ask_for_the_file_that_the_statement_names_and_for_no_other() {
    let policy = r#"@id("all") permit (principal, action, resource in Server::"fake");"#;
    for (asked, served) in
        [("/the/agents/file", true), ("/etc/passwd", false), ("/the/agents/file2", false), ("", false)]
    {
        let fake = Fake::answering_to("LOAD", framed(1, &[b"\xFB", asked.as_bytes()].concat()));
        let scene = stage_with(&[&fake], policy);
        let mut wire = Wire::login(&scene.reporting, fake.address, "shop").unwrap();
        wire.command(QUERY, b"LOAD DATA LOCAL INFILE '/the/agents/file' INTO TABLE loaded").unwrap();
        wire.send_packet(2, b"content").unwrap();
        wire.finish();
        let request = wire.rest().unwrap().into_iter().find(|packet| packet.payload.first() == Some(&0xFB));
        assert_eq!(request.is_some(), served, "{asked}: {request:?}");
        let after = fake.thread.join().unwrap();
        assert_eq!(after.windows(7).any(|part| part == b"content"), served, "{asked}: {after:?}");
    }
}

#[test]
fn a_server_that_asks_for_more_than_a_proof_does_not_get_the_held_password() {
    let answers: [&[u8]; 5] =
        [b"\xFEmysql_clear_password\0", b"\xFEdialog\0Password: ", b"\xFE", b"\x01\x04", b"\xFB/etc/passwd"];
    let fakes: Vec<_> = answers
        .iter()
        .map(|answer| {
            let answer = framed(2, answer);
            Fake::start(move |stream| {
                greet(stream);
                stream.write_all(&answer).unwrap();
            })
        })
        .collect();
    let scene = stage(&fakes.iter().collect::<Vec<_>>());
    for (fake, answer) in fakes.into_iter().zip(answers) {
        let refusal = Wire::refusal(&scene.reporting, fake.address).unwrap();
        assert_eq!(refusal.error_code(), Some(1045), "{answer:?}: {}", refusal.text());
        let after = fake.thread.join().unwrap();
        assert!(!after.windows(HELD.len()).any(|part| part == HELD.as_bytes()), "{answer:?}: {after:?}");
    }
    check_usable(&mut session(&scene));
}

#[test]
fn a_greeting_that_is_none_is_an_error_that_names_the_server() {
    let greetings: [&[u8]; 5] = [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
        &[0xFF; 100],
        &framed(0, b"\x0Ano end of the version"),
        b"",
    ];
    let fakes: Vec<_> = greetings
        .iter()
        .map(|greeting| {
            let greeting = greeting.to_vec();
            Fake::start(move |stream| {
                stream.write_all(&greeting).unwrap();
                stream.shutdown(std::net::Shutdown::Write).unwrap();
            })
        })
        .collect();
    let scene = stage(&fakes.iter().collect::<Vec<_>>());
    for (fake, greeting) in fakes.into_iter().zip(greetings) {
        let refusal = Wire::refusal(&scene.reporting, fake.address).unwrap();
        assert_eq!(refusal.error_code(), Some(1053), "{greeting:?}: {}", refusal.text());
        assert!(refusal.text().contains("`fake`"), "{}", refusal.text());
        fake.thread.join().unwrap();
    }
    check_usable(&mut session(&scene));
}

#[test]
fn a_server_that_dies_ends_its_sessions_cleanly() {
    let mut scene = Scene::with(shop(Flavour::MariaDb).unwrap().into(), REPORTING_WORKS, |_| ()).unwrap();
    let (mut idle, mut busy) = (session(&scene), session(&scene));
    busy.command(QUERY, b"SELECT item FROM orders WHERE id IN (SELECT o.id FROM orders o, orders p)").unwrap();
    busy.result().unwrap();
    Arc::get_mut(&mut scene.server).unwrap().kill9().unwrap();
    assert_eq!(idle.rest().unwrap(), []);
    assert_eq!(busy.rest().unwrap(), []);
    // And the next is told.
    let refusal = Wire::refusal(&scene.reporting, scene.server.address()).unwrap();
    assert_eq!(refusal.error_code(), Some(1053), "{}", refusal.text());
    let reasons = reasons(&scene, 3);
    assert!(reasons.iter().all(|reason| reason.contains("server")), "{reasons:?}");
}
