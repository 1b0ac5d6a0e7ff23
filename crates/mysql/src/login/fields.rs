//! Fields that the packets of a login share.

use mysql_common::io::BufMutExt;

use crate::capabilities::{Capabilities, Negotiated};
use crate::limits::CONNECT_ATTRS_LEN_MAX;
use crate::reader::Reader;
use crate::{Fault, ProtocolError};

const ATTRS: &str = "connection attributes";

/// Name and value of one connection attribute.
pub type ConnectAttr<'a> = (&'a [u8], &'a [u8]);

/// Reads the attributes where they are in force and there; their order and duplicates are kept.
pub(super) fn read_attrs<'a>(
    reader: &mut Reader<'a>,
    capabilities: Negotiated,
) -> Result<Vec<ConnectAttr<'a>>, ProtocolError> {
    let mut attrs = Vec::new();
    if !capabilities.has(Capabilities::CLIENT_CONNECT_ATTRS) || reader.is_empty() {
        return Ok(attrs);
    }
    let len = reader.lenenc_int(ATTRS)?;
    check_attrs_len(reader.packet(), len)?;
    let mut pairs = Reader::new(reader.packet(), reader.take(usize::try_from(len).unwrap_or(usize::MAX), ATTRS)?);
    while !pairs.is_empty() {
        attrs.push((pairs.lenenc_bytes(ATTRS)?, pairs.lenenc_bytes(ATTRS)?));
    }
    Ok(attrs)
}

pub(super) fn write_attrs(
    packet: &'static str,
    attrs: &[ConnectAttr<'_>],
    out: &mut Vec<u8>,
) -> Result<(), ProtocolError> {
    let mut pairs = Vec::new();
    for (name, value) in attrs {
        write_lenenc(name, &mut pairs);
        write_lenenc(value, &mut pairs);
    }
    check_attrs_len(packet, pairs.len() as u64)?;
    write_lenenc(&pairs, out);
    Ok(())
}

fn check_attrs_len(packet: &'static str, len: u64) -> Result<(), ProtocolError> {
    let max = CONNECT_ATTRS_LEN_MAX as u64;
    if len > max {
        return Err(ProtocolError::malformed(packet, ATTRS, Fault::TooLong { len, max }));
    }
    Ok(())
}

/// A name and its NUL.
pub(super) fn write_name(
    packet: &'static str,
    name: &[u8],
    field: &'static str,
    out: &mut Vec<u8>,
) -> Result<(), ProtocolError> {
    // A NUL would let the rest of the name be read as the next field.
    if name.contains(&0) {
        return Err(ProtocolError::malformed(packet, field, Fault::Invalid));
    }
    out.extend_from_slice(name);
    out.push(0);
    Ok(())
}

/// Bytes behind a length of one byte.
pub(super) fn write_short(
    packet: &'static str,
    bytes: &[u8],
    field: &'static str,
    out: &mut Vec<u8>,
) -> Result<(), ProtocolError> {
    let len = bytes.len() as u64;
    let fault = Fault::TooLong { len, max: u64::from(u8::MAX) };
    out.push(u8::try_from(len).map_err(|_| ProtocolError::malformed(packet, field, fault))?);
    out.extend_from_slice(bytes);
    Ok(())
}

/// Bytes behind a length-encoded length.
pub(super) fn write_lenenc(bytes: &[u8], out: &mut Vec<u8>) {
    out.put_lenenc_int(bytes.len() as u64);
    out.extend_from_slice(bytes);
}
