//! The server's greeting (HandshakeV10), read from the server and mirrored to the client.

use crate::capabilities::{Capabilities, MariaDbCapabilities, Negotiated, TRANSPORT, offered};
use crate::limits::NONCE_LEN;
use crate::login::ClientPlugin;
use crate::outcome::{ERR, ErrorPacket};
use crate::reader::Reader;
use crate::{Fault, ProtocolError, Unsupported};

const PROTOCOL_10: u8 = 10;
const NONCE_HEAD_LEN: usize = 8;
/// What the server says of a 20-byte nonce: the NUL after it counts.
const NONCE_LEN_SAID: u8 = 21;
/// Behind them are four more, in which MariaDB has its extended capabilities.
const RESERVED_LEN: usize = 6;

/// Whose server it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    MariaDb,
    MySql,
}

/// A server's greeting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Greeting<'a> {
    /// As sent: MariaDB 10 puts `5.5.5-` in front.
    pub version: &'a [u8],
    /// What `CONNECTION_ID()` gives.
    pub connection_id: u32,
    pub nonce: [u8; NONCE_LEN],
    /// As sent, unmasked.
    pub capabilities: Negotiated,
    pub collation: u8,
    /// Bits of [`StatusFlags`](crate::capabilities::StatusFlags), unknown ones kept.
    pub status: u16,
    /// Empty when the server names none.
    pub auth_plugin: &'a [u8],
    pub flavour: Flavour,
}

/// The first packet of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerHello<'a> {
    Greeting(Greeting<'a>),
    /// "Too many connections", "Host is blocked": usually without SQLSTATE.
    Error(ErrorPacket<'a>),
}

/// Reads the first packet of a server.
///
/// # Errors
/// `Malformed`; `Unsupported` for a protocol before 4.1.
pub fn parse(payload: &[u8]) -> Result<ServerHello<'_>, ProtocolError> {
    match payload.first() {
        Some(&ERR) => ErrorPacket::parse(payload).map(ServerHello::Error),
        Some(&PROTOCOL_10) => greeting(payload).map(ServerHello::Greeting),
        Some(9) => Err(Unsupported::OldProtocol.into()),
        Some(_) => Err(Reader::new("greeting", payload).fail("protocol version", Fault::Invalid)),
        None => Err(Reader::new("greeting", payload).fail("protocol version", Fault::Truncated)),
    }
}

/// Hand-written: `mysql_common` computes the nonce's length with an overflow that panics in debug builds.
fn greeting(payload: &[u8]) -> Result<Greeting<'_>, ProtocolError> {
    let mut reader = Reader::new("greeting", payload);
    reader.u8("protocol version")?;
    let version = reader.until_nul("version")?;
    let connection_id = reader.u32("connection id")?;
    let nonce_head: [u8; NONCE_HEAD_LEN] = reader.array("nonce")?;
    reader.u8("filler")?;
    let capabilities_low = reader.u16("capabilities")?;
    let collation = reader.u8("collation")?;
    let status = reader.u16("status")?;
    let capabilities_high = reader.u16("capabilities")?;
    let capabilities = Capabilities::from_bits_retain(u32::from(capabilities_high) << 16 | u32::from(capabilities_low));
    if !capabilities.contains(Capabilities::CLIENT_PROTOCOL_41 | Capabilities::CLIENT_SECURE_CONNECTION) {
        return Err(Unsupported::OldProtocol.into());
    }
    let nonce_len = usize::from(reader.u8("nonce length")?);
    reader.take(RESERVED_LEN, "reserved bytes")?;
    let extended = reader.u32("extended capabilities")?;
    // The second part has at least 13 bytes whatever the length said (manual, Protocol::HandshakeV10).
    let nonce_tail = reader.take(nonce_len.saturating_sub(NONCE_HEAD_LEN).max(13), "nonce")?;
    let nonce = join_nonce(nonce_head, nonce_tail).ok_or_else(|| reader.fail("nonce", Fault::Truncated))?;
    let auth_plugin = if capabilities.contains(Capabilities::CLIENT_PLUGIN_AUTH) {
        reader.until_nul_or_end("authentication plugin")?
    } else {
        &[]
    };
    reader.end("authentication plugin")?;
    let flavour = flavour(version, capabilities);
    let capabilities = Negotiated { standard: capabilities, mariadb: mariadb(capabilities, extended) };
    Ok(Greeting { version, connection_id, nonce, capabilities, collation, status, auth_plugin, flavour })
}

fn join_nonce(head: [u8; NONCE_HEAD_LEN], tail: &[u8]) -> Option<[u8; NONCE_LEN]> {
    let tail = tail.get(..NONCE_LEN - NONCE_HEAD_LEN)?;
    let mut nonce = [0; NONCE_LEN];
    for (to, from) in nonce.iter_mut().zip(head.iter().chain(tail)) {
        *to = *from;
    }
    Some(nonce)
}

/// The last four reserved bytes, which are MariaDB's only where `LONG_PASSWORD` is clear.
pub(crate) fn mariadb(standard: Capabilities, reserved: u32) -> MariaDbCapabilities {
    let theirs = !standard.contains(Capabilities::CLIENT_LONG_PASSWORD);
    MariaDbCapabilities::from_bits_retain(if theirs { reserved } else { 0 })
}

fn flavour(version: &[u8], capabilities: Capabilities) -> Flavour {
    // MariaDB clears the bit since 10.2; before, only the version tells.
    let named = version.windows(7).any(|part| part.eq_ignore_ascii_case(b"mariadb"));
    if named || !capabilities.contains(Capabilities::CLIENT_LONG_PASSWORD) { Flavour::MariaDb } else { Flavour::MySql }
}

/// Appends the greeting for the client: version, connection id, collation and status byte for byte the server's.
///
/// Drivers choose their SQL by the version and cancel by the connection id. The capabilities are `offer` as far as the
/// server has and the gateway honours them, but those of [`TRANSPORT`] are as `offer` says; `nonce` is the gateway's own
/// ([`nonce_from_random`]), for the server must not be able to have its nonce answered by the client.
pub fn mirror(
    greeting: &Greeting<'_>,
    offer: Negotiated,
    plugin: ClientPlugin,
    nonce: &[u8; NONCE_LEN],
    out: &mut Vec<u8>,
) {
    let ours = offer.standard.intersection(TRANSPORT);
    let offer = offer.intersection(offered(greeting.capabilities));
    let standard = offer.standard.difference(TRANSPORT).union(ours);
    let names_plugin = standard.contains(Capabilities::CLIENT_PLUGIN_AUTH);
    let [bits_0, bits_1, bits_2, bits_3] = standard.bits().to_le_bytes();
    let (nonce_head, nonce_tail) = nonce.split_at(NONCE_HEAD_LEN);
    out.push(PROTOCOL_10);
    out.extend_from_slice(greeting.version);
    out.push(0);
    out.extend_from_slice(&greeting.connection_id.to_le_bytes());
    out.extend_from_slice(nonce_head);
    out.push(0);
    out.extend_from_slice(&[bits_0, bits_1, greeting.collation]);
    out.extend_from_slice(&greeting.status.to_le_bytes());
    out.extend_from_slice(&[bits_2, bits_3]);
    out.push(if names_plugin { NONCE_LEN_SAID } else { 0 });
    out.extend_from_slice(&[0; RESERVED_LEN]);
    // A greeting of MariaDB's has LONG_PASSWORD clear, and so has its mirror: others have no extended capabilities.
    out.extend_from_slice(&offer.mariadb.bits().to_le_bytes());
    out.extend_from_slice(nonce_tail);
    out.push(0);
    if names_plugin {
        out.extend_from_slice(plugin.name().as_bytes());
        out.push(0);
    }
}

/// Makes a nonce of random bytes: seven bits each, never NUL (it ends the nonce for some clients) and never `$` (it ends
/// the salt in a stored hash), as the servers do.
#[must_use]
pub fn nonce_from_random(random: [u8; NONCE_LEN]) -> [u8; NONCE_LEN] {
    random.map(|byte| match byte & 0x7F {
        seven @ (0 | b'$') => seven | 1,
        seven => seven,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    fn parsed(payload: &[u8]) -> Greeting<'_> {
        match parse(payload) {
            Ok(ServerHello::Greeting(greeting)) => greeting,
            other => panic!("no greeting: {other:?}"),
        }
    }

    #[test]
    fn the_greeting_of_mariadb_is_read() {
        let greeting = parsed(samples::MARIADB_GREETING);
        assert_eq!(greeting.version, b"5.5.5-10.11.19-MariaDB-0+deb12u1");
        assert_eq!(greeting.connection_id, 31);
        assert_eq!(greeting.nonce, *samples::NONCE);
        assert_eq!((greeting.collation, greeting.status), (45, 2));
        assert_eq!(greeting.auth_plugin, b"mysql_native_password");
        assert_eq!(greeting.flavour, Flavour::MariaDb);
        assert_eq!(greeting.capabilities.mariadb.bits(), 0x1D);
        assert_eq!(greeting.capabilities.standard.bits(), 0x81FF_F7FE);
    }

    #[test]
    fn the_greeting_of_mysql_is_read() {
        let greeting = parsed(samples::MYSQL_GREETING);
        assert_eq!((greeting.version, greeting.connection_id), (&b"9.7.0"[..], 0x0102_0304));
        assert_eq!((greeting.nonce, greeting.collation), (*samples::NONCE, 255));
        assert_eq!((greeting.auth_plugin, greeting.flavour), (&b"caching_sha2_password"[..], Flavour::MySql));
        assert_eq!(greeting.capabilities, Capabilities::from_bits_retain(0xDFFF_FFFF).into());
    }

    #[test]
    fn reserved_bytes_of_another_server_are_no_extended_capabilities() {
        let mut sample = samples::MYSQL_GREETING.to_vec();
        let reserved_at = sample.iter().position(|byte| *byte == NONCE_LEN_SAID).unwrap() + 1 + RESERVED_LEN;
        sample[reserved_at..reserved_at + 4].copy_from_slice(&[0xFF; 4]);
        assert_eq!(parsed(&sample), parsed(samples::MYSQL_GREETING));
    }

    #[test]
    fn every_cut_of_a_greeting_is_refused_but_the_last_nul() {
        for sample in [samples::MARIADB_GREETING, samples::MYSQL_GREETING] {
            let plugin_at = sample.len() - 1 - parsed(sample).auth_plugin.len();
            for short in 0..plugin_at {
                assert!(parse(&sample[..short]).is_err(), "{short} bytes");
            }
            assert_eq!(parsed(&sample[..sample.len() - 1]), parsed(sample));
            assert!(parse(&[sample, &b"x"[..]].concat()).is_err());
        }
    }

    #[test]
    fn every_said_nonce_length_is_survived() {
        let at = samples::MYSQL_GREETING.iter().position(|byte| *byte == 21).unwrap();
        for said in 0..=255 {
            let mut sample = samples::MYSQL_GREETING.to_vec();
            sample[at] = said;
            if let Ok(ServerHello::Greeting(greeting)) = parse(&sample) {
                assert_eq!(greeting.nonce, *samples::NONCE, "said {said}");
            }
        }
    }

    #[test]
    fn old_protocols_are_refused_by_name() {
        assert_eq!(parse(b"\x093.23.58\0"), Err(Unsupported::OldProtocol.into()));
        let mut sample = samples::MYSQL_GREETING.to_vec();
        let capabilities_at = 1 + b"9.7.0".len() + 1 + 4 + 8 + 1;
        sample[capabilities_at + 1] &= !0x02;
        assert_eq!(parse(&sample), Err(Unsupported::OldProtocol.into()));
    }

    const ALL: Negotiated = Negotiated { standard: Capabilities::all(), mariadb: MariaDbCapabilities::all() };

    #[test]
    fn a_mirrored_greeting_keeps_what_clients_act_on() {
        for sample in [samples::MARIADB_GREETING, samples::MYSQL_GREETING] {
            let server = parsed(sample);
            let nonce = nonce_from_random([0x80; NONCE_LEN]);
            let mut out = Vec::new();
            mirror(&server, ALL, ClientPlugin::CachingSha2, &nonce, &mut out);
            let mirrored = parsed(&out);
            let mut capabilities = offered(server.capabilities);
            capabilities.standard.insert(TRANSPORT);
            let expected = Greeting { nonce, capabilities, auth_plugin: b"caching_sha2_password", ..server };
            assert_eq!(mirrored, expected);
            let reserved_at = 1 + server.version.len() + 1 + 4 + 8 + 1 + 2 + 1 + 2 + 2 + 1;
            assert_eq!(out[reserved_at..reserved_at + RESERVED_LEN], [0; RESERVED_LEN]);
        }
    }

    fn mirrored(server: &Greeting<'_>, offer: Negotiated) -> Negotiated {
        let mut out = Vec::new();
        mirror(server, offer, ClientPlugin::Native, samples::NONCE, &mut out);
        parsed(&out).capabilities
    }

    #[test]
    fn what_the_caller_takes_away_is_not_offered() {
        let server = parsed(samples::MARIADB_GREETING);
        let mut offer = offered(server.capabilities);
        offer.standard.remove(Capabilities::CLIENT_LOCAL_FILES);
        offer.mariadb.remove(MariaDbCapabilities::MARIADB_CLIENT_CACHE_METADATA);
        assert_eq!(mirrored(&server, offer), offer);
    }

    #[test]
    fn the_transport_is_offered_as_the_caller_says_whatever_the_server_has() {
        for has in [Capabilities::empty(), TRANSPORT] {
            let mut server = parsed(samples::MYSQL_GREETING);
            server.capabilities.standard = server.capabilities.standard.difference(TRANSPORT).union(has);
            for bits in [Capabilities::empty(), Capabilities::CLIENT_SSL, Capabilities::CLIENT_COMPRESS, TRANSPORT] {
                let mut offer = offered(server.capabilities);
                offer.standard = offer.standard.difference(TRANSPORT).union(bits);
                assert_eq!(mirrored(&server, offer).standard.intersection(TRANSPORT), bits);
            }
        }
    }

    #[test]
    fn no_random_byte_makes_a_forbidden_nonce_byte() {
        for byte in 0..=255 {
            let nonce = nonce_from_random([byte; NONCE_LEN]);
            assert!(nonce.iter().all(|made| *made != 0 && *made != b'$' && *made < 0x80), "{byte}");
        }
    }
}
