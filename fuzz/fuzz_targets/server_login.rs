//! A server can answer a login or a change of user with anything: no panic, no endless exchange, and without TLS the password
//! never as it is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portreeve_mysql::capabilities::{GATEWAY, GATEWAY_MARIADB, Negotiated};
use portreeve_mysql::greeting::{ServerHello, parse};
use portreeve_mysql::limits::LOGIN_SEED_LEN;
use portreeve_mysql::login::{ChangeUserRequest, LoginRequest, ServerLeg, ServerLogin, ServerStep};

const GREETING: &[u8] = b"\x0a9.7.0\0\x04\x03\x02\x01abcdefgh\0\
    \xff\xff\xff\x02\0\xff\xdf\x15\0\0\0\0\0\0\0\0\0\0ijklmnopqrst\0caching_sha2_password\0";
const PASSWORD: &[u8] = b"correct horse battery staple";
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The input as an RSA key: random bytes would hardly ever get behind the PEM frame and the base64 in it.
fn key_packet(der: &[u8]) -> Vec<u8> {
    let mut packet = b"\x01-----BEGIN PUBLIC KEY-----\n".to_vec();
    for group in der.chunks(3) {
        let bits = group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for digit in 0..4 {
            let index = (bits >> (18 - 6 * digit) & 0x3F) as usize;
            packet.push(if digit > group.len() { b'=' } else { DIGITS[index] });
        }
    }
    packet.extend_from_slice(b"\n-----END PUBLIC KEY-----\n");
    packet
}

/// Begins a login or, with a change of user, the second one of a leg. Returns what was sent.
fn begin(flags: u8, greeting: &[u8]) -> Option<(ServerLogin, Vec<u8>)> {
    let Ok(ServerHello::Greeting(greeting)) = parse(greeting) else { return None };
    let tls = flags & 1 != 0;
    let login = ServerLogin::new(&greeting, PASSWORD, tls, [7; LOGIN_SEED_LEN]);
    let request = LoginRequest {
        capabilities: Negotiated { standard: GATEWAY, mariadb: GATEWAY_MARIADB },
        max_packet_size: 1 << 24,
        collation: 45,
        user: b"orders_ro",
        schema: Some(b"shop"),
        connect_attrs: vec![(b"program_name", b"portreeve")],
        zstd_level: None,
    };
    let mut sent = Vec::new();
    // Only a server that never offered TLS is refused.
    let capabilities = login.handshake_response(&request, &mut sent).ok()?;
    if flags & 2 == 0 {
        return Some((login, sent));
    }
    let leg = ServerLeg { capabilities, nonce: greeting.nonce, tls, verified: tls };
    let login = ServerLogin::change_user(&leg, PASSWORD, [7; LOGIN_SEED_LEN]);
    let request =
        ChangeUserRequest { user: b"orders_ro", schema: None, collation: 255, connect_attrs: vec![(b"a", b"b")] };
    login.change_user_request(&request, &mut sent).expect("the request is well-formed");
    Some((login, sent))
}

fuzz_target!(|data: &[u8]| {
    let Some((&[flags, greeting_len], mut rest)) = data.split_first_chunk::<2>() else { return };
    let mut greeting = GREETING;
    if greeting_len > 0 {
        (greeting, rest) = rest.split_at(usize::from(greeting_len).min(rest.len()));
    }
    let Some((mut login, mut sent)) = begin(flags, greeting) else { return };
    let mut steps = 0;
    while let Some((&len, after)) = rest.split_first() {
        let (packet, after) = after.split_at(usize::from(len).min(after.len()));
        rest = after;
        // Twice the odd marker: the rest of the input as a key.
        let packet = if packet == b"kk" { key_packet(std::mem::take(&mut rest)) } else { packet.to_vec() };
        match login.answer(&packet) {
            Ok(ServerStep::Send(payload)) => sent.extend_from_slice(&payload),
            Ok(ServerStep::Wait) => {}
            Ok(ServerStep::Done | ServerStep::Denied(_)) | Err(_) => break,
        }
        steps += 1;
    }
    assert!(steps <= 10, "the login goes on and on");
    let tls = flags & 1 != 0;
    assert!(tls || !sent.windows(PASSWORD.len()).any(|part| part == PASSWORD));
});
