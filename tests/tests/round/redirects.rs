//! A server that sends its clients elsewhere: MariaDB's `redirect_url`, and the older `Location:` in an OK's text.

use super::{EVERYTHING, QUERY};
use portreeve_tests::{
    gateway::{Credential, Upstream},
    host,
    scene::{Scene, server},
    servers::Flavour,
    wire::{CAPABILITIES, COLLATION, Packet, Wire, framed, handshake_response},
};
use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    thread,
};

const SESSION_TRACK: u32 = 1 << 23;
const DEPRECATE_EOF: u32 = 1 << 24;
const ELSEWHERE: &str = "mysql://192.0.2.66:3306/user=agent&ttl=0";

fn counted(text: &[u8]) -> Vec<u8> {
    [&[u8::try_from(text.len()).unwrap()], text].concat()
}

/// An OK (or, with 0xFE, the end of rows) that leads elsewhere: by its text, and by session state where there is such.
fn ok(first: u8, tracks: bool) -> Vec<u8> {
    let location = format!("Location: {ELSEWHERE}\n");
    let status: &[u8] = if tracks { &[0x02, 0x40] } else { &[0x02, 0] };
    let mut payload = [&[first, 0, 0], status, &[0, 0]].concat();
    if !tracks {
        payload.extend(location.as_bytes());
        return payload;
    }
    payload.extend(counted(location.as_bytes()));
    let variable = |name: &str, value: &str| [counted(name.as_bytes()), counted(value.as_bytes())].concat();
    let redirect = variable("redirect_url", ELSEWHERE);
    let both = [variable("Redirect_URL", ELSEWHERE), variable("autocommit", "ON")].concat();
    let changes = [&[0], &counted(&redirect)[..], &[0], &counted(&both), &[1], &counted(&counted(b"shop"))].concat();
    payload.extend(counted(&changes));
    payload
}

/// The next packet's payload; none once the gateway has gone.
fn read_packet(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut header = [0; 4];
    stream.read_exact(&mut header).ok()?;
    let mut payload = vec![0; u32::from_le_bytes([header[0], header[1], header[2], 0]) as usize];
    stream.read_exact(&mut payload).ok()?;
    Some(payload)
}

/// A server of these capabilities that leads elsewhere wherever it can; it serves one connection.
fn start(capabilities: u32) -> Ipv4Addr {
    let address = host::free_address().unwrap();
    let listener = TcpListener::bind((address, 3306)).unwrap();
    let tracks = capabilities & SESSION_TRACK != 0;
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let [low, second, third, high] = capabilities.to_le_bytes();
        let mut greeting = b"\x0A8.0.36-fake\0\x07\0\0\0abcdefgh\0".to_vec();
        greeting.extend([low, second, COLLATION, 2, 0, third, high, 21]);
        greeting.extend([0; 10]);
        greeting.extend(b"ijklmnopqrst\0mysql_native_password\0");
        stream.write_all(&framed(0, &greeting)).unwrap();
        read_packet(&mut stream).unwrap();
        stream.write_all(&framed(2, &ok(0, tracks))).unwrap();
        while let Some(command) = read_packet(&mut stream) {
            let answer = match command.as_slice() {
                b"\x03SELECT a" => rows(&ok(0xFE, tracks)),
                b"\x03DO 1; DO 2" => {
                    let mut more = ok(0, tracks);
                    more[3] |= 0x08;
                    [framed(1, &more), framed(2, &ok(0, tracks))].concat()
                }
                _ => framed(1, &ok(0, tracks)),
            };
            stream.write_all(&answer).unwrap();
        }
    });
    address
}

/// A column, a row, and the end in place of an EOF.
fn rows(end: &[u8]) -> Vec<u8> {
    let column = b"\x03def\0\0\0\x01a\x01a\x0C\x2D\0\0\x01\0\0\xFD\0\0\0\0\0";
    [framed(1, b"\x01"), framed(2, column), framed(3, b"\x03row"), framed(4, end)].concat()
}

fn check(more: u32) {
    let address = start(CAPABILITIES | more);
    let scene = Scene::with(server(Flavour::MariaDb).unwrap(), EVERYTHING, |config| {
        config.servers.push(Upstream {
            name: "fake".into(),
            matches: vec![format!("{address}:3306")],
            credentials: vec![Credential { for_: vec!["*".into()], user: "held".into(), password: "held".into() }],
            ..Upstream::default()
        });
    })
    .unwrap();
    let mut wire = Wire::connect(&scene.reporting, address).unwrap();
    wire.packet().unwrap();
    let mut read: Vec<Packet> =
        vec![wire.answer_greeting(&handshake_response(CAPABILITIES | more, COLLATION, "shop")).unwrap()];
    let mut ask = |command: &[u8], answers: usize| {
        wire.send_packet(0, command).unwrap();
        read.extend((0..answers).map(|_| wire.packet().unwrap()));
    };
    ask(&[&[QUERY], &b"DO 1"[..]].concat(), 1);
    ask(&[0x0E], 1);
    ask(b"\x02shop", 1);
    ask(&[&[QUERY], &b"DO 1; DO 2"[..]].concat(), 2);
    if more & DEPRECATE_EOF != 0 {
        ask(&[&[QUERY], &b"SELECT a"[..]].concat(), 4);
    }
    for packet in &read {
        assert_eq!(packet.error_code(), None, "{more:#x}: {}", packet.text());
        let text = packet.text().to_lowercase();
        let leads = ["location", "192.0.2.66", "redirect_url"].iter().any(|word| text.contains(word));
        assert!(!leads, "{more:#x}: {packet:?}");
        // What stood beside it is still there.
        let tracks = packet.payload[0] == 0 && more & SESSION_TRACK != 0 && packet.payload.len() > 7;
        assert!(!tracks || text.contains("autocommit"), "{more:#x}: {packet:?}");
    }
    println!("{more:#x}: {:?}", read.iter().map(Packet::text).collect::<Vec<_>>());
}

#[test]
fn no_ok_leads_elsewhere() {
    check(0);
    check(SESSION_TRACK);
    check(DEPRECATE_EOF);
    check(SESSION_TRACK | DEPRECATE_EOF);
}
