//! OK, ERR and EOF packets.

use mysql_common::io::BufMutExt;

use crate::capabilities::Capabilities;
use crate::reader::Reader;
use crate::{Fault, ProtocolError};

pub use crate::tracking::{Tracked, of_login, without_redirect};

/// First byte of an OK packet.
pub const OK: u8 = 0x00;
/// First byte of an EOF packet, and of the OK packet that takes its place under `DEPRECATE_EOF`.
pub const EOF: u8 = 0xFE;
/// First byte of an ERR packet.
pub const ERR: u8 = 0xFF;

/// An ERR packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorPacket<'a> {
    pub code: u16,
    /// Absent before capabilities are negotiated.
    pub sqlstate: Option<[u8; 5]>,
    /// In the session's character set.
    pub message: &'a [u8],
}

impl<'a> ErrorPacket<'a> {
    /// # Errors
    /// `Malformed` when the payload is no ERR packet.
    pub fn parse(payload: &'a [u8]) -> Result<Self, ProtocolError> {
        let mut reader = Reader::new("ERR packet", payload);
        if reader.u8("header")? != ERR {
            return Err(reader.fail("header", Fault::Invalid));
        }
        let code = reader.u16("code")?;
        let rest = reader.take_rest();
        if let Some((sqlstate, message)) = rest.strip_prefix(b"#").and_then(<[u8]>::split_first_chunk::<5>) {
            return Ok(Self { code, sqlstate: Some(*sqlstate), message });
        }
        Ok(Self { code, sqlstate: None, message: rest })
    }
}

/// The counters of an OK packet, or of the OK packet that ends a result set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OkPacket {
    pub affected_rows: u64,
    pub last_insert_id: u64,
    /// Bits of [`StatusFlags`](crate::capabilities::StatusFlags), unknown ones kept.
    pub status: u16,
    pub warnings: u16,
}

impl OkPacket {
    pub(crate) const PACKET: &'static str = "OK packet";

    /// Reads the counters of a 4.1 OK packet with header `0x00` or `0xFE`; info and session state are left unread.
    ///
    /// # Errors
    /// `Malformed` when the payload is no OK packet.
    pub fn parse(payload: &[u8]) -> Result<Self, ProtocolError> {
        Self::read(&mut Reader::new(Self::PACKET, payload))
    }

    /// Reads the counters, and leaves the reader behind them.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, ProtocolError> {
        if !matches!(reader.u8("header")?, OK | EOF) {
            return Err(reader.fail("header", Fault::Invalid));
        }
        Ok(Self {
            affected_rows: reader.lenenc_int("affected rows")?,
            last_insert_id: reader.lenenc_int("last insert id")?,
            status: reader.u16("status")?,
            warnings: reader.u16("warnings")?,
        })
    }
}

/// An EOF packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EofPacket {
    pub warnings: u16,
    /// Bits of [`StatusFlags`](crate::capabilities::StatusFlags), unknown ones kept.
    pub status: u16,
}

impl EofPacket {
    /// # Errors
    /// `Malformed` when the payload is no 4.1 EOF packet.
    pub fn parse(payload: &[u8]) -> Result<Self, ProtocolError> {
        let mut reader = Reader::new("EOF packet", payload);
        if reader.u8("header")? != EOF {
            return Err(reader.fail("header", Fault::Invalid));
        }
        let eof = Self { warnings: reader.u16("warnings")?, status: reader.u16("status")? };
        reader.end("status")?;
        Ok(eof)
    }
}

/// Appends the payload of an ERR packet. Without `protocol_41` (capabilities not negotiated yet) the SQLSTATE is left out.
pub fn error_payload(code: u16, sqlstate: &[u8; 5], message: &str, protocol_41: bool, out: &mut Vec<u8>) {
    out.push(ERR);
    out.extend_from_slice(&code.to_le_bytes());
    if protocol_41 {
        out.push(b'#');
        out.extend_from_slice(sqlstate);
    }
    out.extend_from_slice(message.as_bytes());
}

/// Appends the payload of an OK packet without info and session state, which both layouts allow to be absent.
pub fn ok_payload(ok: &OkPacket, out: &mut Vec<u8>) {
    out.push(OK);
    out.put_lenenc_int(ok.affected_rows);
    out.put_lenenc_int(ok.last_insert_id);
    out.extend_from_slice(&ok.status.to_le_bytes());
    out.extend_from_slice(&ok.warnings.to_le_bytes());
}

/// Appends the payload of what ends a list that the gateway answers itself: EOF, or OK in its place.
pub fn end_payload(status: u16, capabilities: Capabilities, out: &mut Vec<u8>) {
    out.push(EOF);
    let [low, high] = status.to_le_bytes();
    if capabilities.contains(Capabilities::CLIENT_DEPRECATE_EOF) {
        out.extend_from_slice(&[0, 0, low, high, 0, 0]);
    } else {
        out.extend_from_slice(&[0, 0, low, high]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reads_back_as_written() {
        for (protocol_41, sqlstate) in [(true, Some(*b"42000")), (false, None)] {
            let mut payload = Vec::new();
            error_payload(1142, b"42000", "denied by policy `a`", protocol_41, &mut payload);
            let error = ErrorPacket { code: 1142, sqlstate, message: b"denied by policy `a`" };
            assert_eq!(ErrorPacket::parse(&payload), Ok(error));
        }
    }

    #[test]
    fn an_error_before_the_greeting_has_no_sqlstate() {
        let payload = b"\xff\x10\x04Too many connections";
        let error = ErrorPacket { code: 1040, sqlstate: None, message: b"Too many connections" };
        assert_eq!(ErrorPacket::parse(payload), Ok(error));
    }

    #[test]
    fn an_ok_reads_back_as_written() {
        let ok = OkPacket { affected_rows: 0x1_0000, last_insert_id: u64::MAX, status: 0x4002, warnings: 3 };
        let mut payload = Vec::new();
        ok_payload(&ok, &mut payload);
        assert_eq!(payload, b"\x00\xfd\x00\x00\x01\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x02\x40\x03\x00");
        assert_eq!(OkPacket::parse(&payload), Ok(ok));
        for short in 0..payload.len() {
            assert!(OkPacket::parse(&payload[..short]).is_err(), "{short} bytes");
        }
    }

    #[test]
    fn the_end_of_a_list_has_the_negotiated_layout() {
        let mut eof = Vec::new();
        end_payload(0x0022, Capabilities::empty(), &mut eof);
        assert_eq!(EofPacket::parse(&eof), Ok(EofPacket { warnings: 0, status: 0x0022 }));
        let mut ok = Vec::new();
        end_payload(0x0022, Capabilities::CLIENT_DEPRECATE_EOF, &mut ok);
        let expected = OkPacket { affected_rows: 0, last_insert_id: 0, status: 0x0022, warnings: 0 };
        assert_eq!(OkPacket::parse(&ok), Ok(expected));
        assert!(EofPacket::parse(&ok).is_err());
    }
}
