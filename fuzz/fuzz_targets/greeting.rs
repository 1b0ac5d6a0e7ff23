//! A greeting that can be read can be mirrored, and the mirrored one says the same but for nonce, plugin and mask.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portreeve_mysql::capabilities::{Capabilities, MariaDbCapabilities, Negotiated, TRANSPORT, offered};
use portreeve_mysql::greeting::{Greeting, ServerHello, mirror, nonce_from_random, parse};
use portreeve_mysql::login::ClientPlugin;

const ALL: Negotiated = Negotiated { standard: Capabilities::all(), mariadb: MariaDbCapabilities::all() };

fuzz_target!(|data: &[u8]| {
    let Ok(ServerHello::Greeting(server)) = parse(data) else { return };
    let nonce = nonce_from_random(server.nonce);
    let mut out = Vec::new();
    mirror(&server, ALL, ClientPlugin::CachingSha2, &nonce, &mut out);
    let mut capabilities = offered(server.capabilities);
    capabilities.standard.insert(TRANSPORT);
    let named = capabilities.has(Capabilities::CLIENT_PLUGIN_AUTH);
    let auth_plugin = if named { ClientPlugin::CachingSha2.name().as_bytes() } else { b"" };
    let expected = Greeting { nonce, capabilities, auth_plugin, ..server };
    assert_eq!(parse(&out), Ok(ServerHello::Greeting(expected)));
});
