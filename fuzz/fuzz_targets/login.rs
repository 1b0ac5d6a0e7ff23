//! A login that can be read reads the same after being written, and the client's leg survives any answer to it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portreeve_mysql::capabilities::{Capabilities, GATEWAY};
use portreeve_mysql::login::{ClientLogin, ClientPlugin, ClientStep, HandshakeResponse};

fuzz_target!(|data: &[u8]| {
    let Some((&answer_len, data)) = data.split_first() else { return };
    let (answer, payload) = data.split_at(usize::from(answer_len).min(data.len()));
    let Ok(login) = HandshakeResponse::parse(payload, GATEWAY) else { return };
    if login.capabilities.contains(Capabilities::CLIENT_SECURE_CONNECTION) {
        let mut written = Vec::new();
        login.write(&mut written).expect("what was read can be written");
        assert_eq!(HandshakeResponse::parse(&written, GATEWAY).as_ref(), Ok(&login));
    }
    for greeted in [ClientPlugin::Native, ClientPlugin::CachingSha2] {
        let mut leg = ClientLogin::new(greeted, *b"abcdefghijklmnopqrst");
        if let Ok(ClientStep::Send(_)) = leg.start(&login) {
            let answered = leg.answer(answer);
            assert!(!matches!(answered, Ok(ClientStep::Send(_))), "a client is asked once at most");
        }
    }
});
