//! What a client sends first reads the same after being written, whatever was offered to it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portreeve_mysql::capabilities::{Capabilities, GATEWAY, GATEWAY_MARIADB, Negotiated};
use portreeve_mysql::login::{FirstPacket, HandshakeResponse};

const MYSQL: Negotiated = Negotiated::without_mariadb(GATEWAY);
const MARIADB: Negotiated =
    Negotiated { standard: GATEWAY.difference(Capabilities::CLIENT_LONG_PASSWORD), mariadb: GATEWAY_MARIADB };
const PLAIN: Negotiated = Negotiated::without_mariadb(GATEWAY.difference(Capabilities::CLIENT_SSL));

fn check_login(login: &HandshakeResponse<'_>, offer: Negotiated) {
    assert_eq!(login.capabilities.intersection(offer), login.capabilities, "more than was offered");
    // A response up to a NUL is read from old clients and never written; a zstd level may be missing and is written.
    if !login.capabilities.has(Capabilities::CLIENT_SECURE_CONNECTION) {
        return;
    }
    let mut written = Vec::new();
    login.write(&mut written).expect("what was read can be written");
    let mut again = HandshakeResponse::parse(&written, offer).expect("what was written can be read");
    if login.zstd_level.is_none() {
        again.zstd_level = None;
    }
    assert_eq!(again, *login);
}

fuzz_target!(|data: &[u8]| {
    let Some((&split, payload)) = data.split_first() else { return };
    for offer in [MYSQL, MARIADB, PLAIN] {
        match FirstPacket::parse(payload, offer) {
            Ok(FirstPacket::Response(login)) => check_login(&login, offer),
            Ok(FirstPacket::SslRequest(request)) => {
                let mut written = Vec::new();
                request.write(&mut written);
                assert_eq!(FirstPacket::parse(&written, offer), Ok(FirstPacket::SslRequest(request)));
            }
            Err(_) => {}
        }
        // A request for TLS, and then a login within.
        let (request, login) = payload.split_at(usize::from(split).min(payload.len()));
        if let Ok(FirstPacket::SslRequest(request)) = FirstPacket::parse(request, offer)
            && let Ok(login) = HandshakeResponse::parse(login, offer)
            && request.check(&login).is_ok()
        {
            let carried = Capabilities::CLIENT_COMPRESS | Capabilities::CLIENT_ZSTD_COMPRESSION_ALGORITHM;
            let changed = request.capabilities.standard.symmetric_difference(login.capabilities.standard);
            assert!(!changed.intersects(carried | Capabilities::CLIENT_PLUGIN_AUTH));
        }
    }
});
