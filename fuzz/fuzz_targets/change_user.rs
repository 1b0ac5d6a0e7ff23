//! A COM_CHANGE_USER can be anything: what is read of it lies within it, and fields that a capability brings need it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portreeve_mysql::capabilities::{Capabilities, GATEWAY, Negotiated};
use portreeve_mysql::login::ChangeUser;

fuzz_target!(|payload: &[u8]| {
    for without in [
        Capabilities::empty(),
        Capabilities::CLIENT_SECURE_CONNECTION,
        Capabilities::CLIENT_PLUGIN_AUTH,
        Capabilities::CLIENT_CONNECT_ATTRS,
    ] {
        let negotiated = Negotiated::without_mariadb(GATEWAY.difference(without));
        let Ok(change) = ChangeUser::parse(payload, negotiated) else { continue };
        let attrs: usize = change.connect_attrs.iter().map(|(name, value)| name.len() + value.len()).sum();
        let names =
            change.user.len() + change.schema.map_or(0, <[u8]>::len) + change.auth_plugin.map_or(0, <[u8]>::len);
        assert!(names + change.auth_response.len() + attrs < payload.len());
        assert!(!change.user.contains(&0) && !change.schema.is_some_and(|schema| schema.contains(&0)));
        assert!(change.auth_plugin.is_none() || negotiated.has(Capabilities::CLIENT_PLUGIN_AUTH));
        assert!(change.connect_attrs.is_empty() || negotiated.has(Capabilities::CLIENT_CONNECT_ATTRS));
    }
});
