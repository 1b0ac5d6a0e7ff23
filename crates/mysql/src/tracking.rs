//! What an OK packet says behind its counters: the info text, and changes of the session's state.

use std::borrow::Cow;

use mysql_common::io::BufMutExt;

use crate::ProtocolError;
use crate::capabilities::{Capabilities, Negotiated, StatusFlags};
use crate::outcome::OkPacket;
use crate::reader::Reader;

/// Kinds of changes (`enum_session_state_type` in the servers' mysql_com.h).
const SYSTEM_VARIABLES: u8 = 0;
const SCHEMA: u8 = 1;

/// What an info text starts with that sends the client elsewhere (Azure Database for MySQL and MariaDB).
const LOCATION: &[u8] = b"Location:";
/// The system variable that does the same (MariaDB 11.3).
const REDIRECT_URL: &[u8] = b"redirect_url";

/// What session tracking said of what decides how statements are read; `None` where it said nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tracked {
    pub sql_mode: Option<Vec<u8>>,
    pub character_set_client: Option<Vec<u8>>,
    /// Empty when there is no default schema any more.
    pub schema: Option<Vec<u8>>,
}

/// An OK packet in its parts.
struct Parts<'a> {
    /// Up to the number of warnings.
    counters: &'a [u8],
    info: &'a [u8],
    /// What is behind the length of the changes; `None` without changes.
    changes: Option<&'a [u8]>,
    session_track: bool,
}

/// Whether a tail that cannot be read has anything in it that could send the client elsewhere.
fn may_redirect(tail: &[u8]) -> bool {
    let has = |word: &[u8]| tail.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word));
    has(LOCATION) || has(REDIRECT_URL)
}

impl<'a> Parts<'a> {
    /// The servers write the info with its length, be session tracking in force or not, and leave it out when it is empty
    /// and nothing comes behind it (`net_send_ok` in both); the manual has it up to the packet's end without tracking.
    fn read(payload: &'a [u8], negotiated: Negotiated) -> Result<(OkPacket, Self), ProtocolError> {
        let mut reader = Reader::new(OkPacket::PACKET, payload);
        let ok = OkPacket::read(&mut reader)?;
        let (counters, tail) =
            payload.split_at_checked(payload.len().saturating_sub(reader.rest().len())).unwrap_or((payload, &[]));
        let session_track = negotiated.has(Capabilities::CLIENT_SESSION_TRACK);
        let mut parts = Self { counters, info: &[], changes: None, session_track };
        if tail.is_empty() {
            return Ok((ok, parts));
        }
        if !session_track {
            let counted = reader.lenenc_bytes("info").ok().filter(|_| reader.is_empty());
            parts.info = counted.unwrap_or(tail);
            return Ok((ok, parts));
        }
        match Self::read_tail(&mut reader, ok) {
            Ok((info, changes)) => (parts.info, parts.changes) = (info, changes),
            // MariaDB writes the length of the state as a character of a server's character set: two bytes in ucs2. Clients
            // see no changes then. It passes as it is, in the counters' place, if it holds nothing that matters.
            Err(error) if may_redirect(tail) => return Err(error),
            Err(_) => parts.counters = payload,
        }
        Ok((ok, parts))
    }

    fn read_tail(reader: &mut Reader<'a>, ok: OkPacket) -> Result<(&'a [u8], Option<&'a [u8]>), ProtocolError> {
        let info = reader.lenenc_bytes("info")?;
        let changed = StatusFlags::from_bits_retain(ok.status).contains(StatusFlags::SERVER_SESSION_STATE_CHANGED);
        let mut changes = None;
        if changed && !reader.is_empty() {
            changes = Some(reader.lenenc_bytes("session state")?);
        }
        reader.end("session state")?;
        Ok((info, changes))
    }

    fn write(&self, info: &[u8], changes: Option<&[u8]>) -> Vec<u8> {
        let mut out = self.counters.to_vec();
        if self.session_track || !info.is_empty() {
            put_bytes(&mut out, info);
        }
        if let Some(changes) = changes {
            put_bytes(&mut out, changes);
        }
        out
    }
}

/// An OK packet without what sends the client to another server: an info text that starts with `Location:` is emptied,
/// changes of the variable `redirect_url` are left out. Everything else stays as it is.
///
/// `payload` may be the OK packet of a login, of a command, or in place of an EOF.
///
/// # Errors
/// `Malformed` when the payload is no OK packet as `negotiated` lays it out: what cannot be read may hold anything.
pub fn without_redirect(payload: &[u8], negotiated: Negotiated) -> Result<Cow<'_, [u8]>, ProtocolError> {
    let (_, parts) = Parts::read(payload, negotiated)?;
    rewrite(payload, &parts, &mut Tracked::default())
}

/// The OK packet of a login, as [`without_redirect`] and without its info text: MariaDB from 11.4 on proves there that the
/// server knows the password, over its own certificate. The client has another password and sees another certificate.
///
/// # Errors
/// As [`without_redirect`].
pub fn of_login(payload: &[u8], negotiated: Negotiated) -> Result<Cow<'_, [u8]>, ProtocolError> {
    let (_, parts) = Parts::read(payload, negotiated)?;
    if parts.info.is_empty() {
        return rewrite(payload, &parts, &mut Tracked::default());
    }
    let kept = parts.changes.map(|changes| without_redirect_url(changes, &mut Tracked::default())).transpose()?;
    Ok(Cow::Owned(parts.write(&[], kept.as_deref())))
}

/// Reads an OK packet, notes what it says into `tracked`, and takes redirects out of it: `Borrowed` when there were none.
pub(crate) fn follow<'a>(
    payload: &'a [u8],
    negotiated: Negotiated,
    tracked: &mut Tracked,
) -> Result<(OkPacket, Cow<'a, [u8]>), ProtocolError> {
    let (ok, parts) = Parts::read(payload, negotiated)?;
    Ok((ok, rewrite(payload, &parts, tracked)?))
}

fn rewrite<'a>(payload: &'a [u8], parts: &Parts<'_>, tracked: &mut Tracked) -> Result<Cow<'a, [u8]>, ProtocolError> {
    if parts.info.is_empty() && parts.changes.is_none() {
        return Ok(Cow::Borrowed(payload));
    }
    let moved = starts_with_ignoring_case(parts.info.trim_ascii_start(), LOCATION);
    let kept = parts.changes.map(|changes| without_redirect_url(changes, tracked)).transpose()?;
    let redirected = matches!(kept, Some(Cow::Owned(_)));
    if !moved && !redirected {
        return Ok(Cow::Borrowed(payload));
    }
    let info = if moved { &[] } else { parts.info };
    Ok(Cow::Owned(parts.write(info, kept.as_deref())))
}

/// Notes changes into `tracked`, and leaves those of `redirect_url` out: `Borrowed` when there were none.
fn without_redirect_url<'a>(changes: &'a [u8], tracked: &mut Tracked) -> Result<Cow<'a, [u8]>, ProtocolError> {
    let mut reader = Reader::new(OkPacket::PACKET, changes);
    let mut kept = Vec::new();
    let mut redirected = false;
    while !reader.is_empty() {
        let kind = reader.u8("session state")?;
        let data = reader.lenenc_bytes("session state")?;
        let data = match kind {
            SYSTEM_VARIABLES => variables(data, tracked)?,
            SCHEMA => {
                tracked.schema = Some(Reader::new(OkPacket::PACKET, data).lenenc_bytes("schema")?.to_vec());
                Cow::Borrowed(data)
            }
            _ => Cow::Borrowed(data),
        };
        redirected |= matches!(data, Cow::Owned(_));
        if !(kind == SYSTEM_VARIABLES && data.is_empty()) {
            kept.push(kind);
            put_bytes(&mut kept, &data);
        }
    }
    Ok(if redirected { Cow::Owned(kept) } else { Cow::Borrowed(changes) })
}

/// The variables of one change, each a name and a value: `Owned` when `redirect_url` was among them.
fn variables<'a>(data: &'a [u8], tracked: &mut Tracked) -> Result<Cow<'a, [u8]>, ProtocolError> {
    let mut reader = Reader::new(OkPacket::PACKET, data);
    let mut kept = Vec::new();
    let mut redirected = false;
    while !reader.is_empty() {
        let name = reader.lenenc_bytes("variable name")?;
        let value = reader.lenenc_bytes("variable value")?;
        if name.eq_ignore_ascii_case(REDIRECT_URL) {
            redirected = true;
            continue;
        }
        if name.eq_ignore_ascii_case(b"sql_mode") {
            tracked.sql_mode = Some(value.to_vec());
        } else if name.eq_ignore_ascii_case(b"character_set_client") {
            tracked.character_set_client = Some(value.to_vec());
        }
        put_bytes(&mut kept, name);
        put_bytes(&mut kept, value);
    }
    Ok(if redirected { Cow::Owned(kept) } else { Cow::Borrowed(data) })
}

pub(crate) fn starts_with_ignoring_case(text: &[u8], prefix: &[u8]) -> bool {
    text.get(..prefix.len()).is_some_and(|front| front.eq_ignore_ascii_case(prefix))
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.put_lenenc_int(bytes.len() as u64);
    out.extend_from_slice(bytes);
}
