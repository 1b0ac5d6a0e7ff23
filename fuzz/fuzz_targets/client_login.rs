//! The client's leg survives any login, any change of user and any answer: it ends within a few steps, never asks for a
//! password without TLS, and leaves no answer behind.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portreeve_mysql::ProtocolError;
use portreeve_mysql::capabilities::{Capabilities, GATEWAY, Negotiated};
use portreeve_mysql::login::{ChangeUser, ClientLogin, ClientPlugin, ClientStep, HandshakeResponse};

const OFFER: Negotiated = Negotiated::without_mariadb(GATEWAY);
/// `caching_sha2_password`: the password itself, please.
const FULL_AUTH: [u8; 2] = [1, 4];

/// One piece of the input, of the length that its first byte says.
fn piece<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let Some((&len, after)) = rest.split_first() else { return &[] };
    let (piece, after) = after.split_at(usize::from(len).min(after.len()));
    *rest = after;
    piece
}

/// Runs an exchange to its end.
fn check(leg: &mut ClientLogin, tls: bool, mut step: Result<ClientStep, ProtocolError>, mut answers: &[u8]) {
    let mut steps = 0;
    while let Ok(ClientStep::Send(payload)) = &step {
        assert!(tls || *payload != FULL_AUTH, "asked for a password in the clear");
        steps += 1;
        assert!(steps <= 2, "the client is asked again and again");
        let mut answer = piece(&mut answers).to_vec();
        step = leg.answer(&mut answer);
        assert!(answer.iter().all(|byte| *byte == 0), "an answer was left behind");
    }
    let mut unasked = *b"unasked";
    assert!(leg.answer(&mut unasked).is_err() || step.is_err(), "an answer after the end");
}

fuzz_target!(|data: &[u8]| {
    let Some((&flags, mut rest)) = data.split_first() else { return };
    let tls = flags & 1 != 0;
    let greeted = if flags & 2 != 0 { ClientPlugin::Native } else { ClientPlugin::CachingSha2 };
    let mut negotiated = OFFER;
    negotiated.standard.set(Capabilities::CLIENT_PLUGIN_AUTH, flags & 4 != 0);
    negotiated.standard.set(Capabilities::CLIENT_CONNECT_ATTRS, flags & 8 != 0);
    negotiated.standard.set(Capabilities::CLIENT_SECURE_CONNECTION, flags & 16 != 0);
    let first = piece(&mut rest);
    let mut leg = ClientLogin::new(greeted, *b"abcdefghijklmnopqrst", tls);
    if flags & 32 != 0 {
        let Ok(login) = HandshakeResponse::parse(first, OFFER) else { return };
        let step = leg.start(&login);
        check(&mut leg, tls, step, rest);
    } else {
        let Ok(change) = ChangeUser::parse(first, negotiated) else { return };
        let step = leg.start_change(&change, negotiated);
        check(&mut leg, tls, step, rest);
    }
});
