//! Query attributes: named values that a client sends along with a statement (MySQL, `CLIENT_QUERY_ATTRIBUTES`).

use crate::execute::{ParameterType, Value, is_null, parameter_count};
use crate::reader::Reader;
use crate::{Fault, ProtocolError};

/// One attribute.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Attribute<'a> {
    /// In the session's character set; empty where the client gave none.
    pub name: &'a [u8],
    pub value: Value<'a>,
}

/// The attributes of one COM_QUERY, read over again whenever they are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attributes<'a> {
    count: u16,
    nulls: &'a [u8],
    /// From the first type on, up to the statement.
    types: &'a [u8],
    /// From the first value on, up to the statement.
    values: &'a [u8],
}

const PACKET: &str = "COM_QUERY";

impl<'a> Attributes<'a> {
    /// Reads what precedes the statement, and leaves the reader at its first byte.
    ///
    /// As `parse_query_bind_params` in MySQL's sql/protocol_classic.cc does: exactly one set, and types always.
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Self, ProtocolError> {
        let count = parameter_count(reader)?;
        if reader.lenenc_int("number of parameter sets")? != 1 {
            return Err(reader.fail("number of parameter sets", Fault::Invalid));
        }
        if count == 0 {
            return Ok(Self::default());
        }
        let nulls = reader.take(usize::from(count).div_ceil(8), "NULL bitmap")?;
        if reader.u8("new-params-bound flag")? == 0 {
            return Err(reader.fail("new-params-bound flag", Fault::Invalid));
        }
        let types = reader.rest();
        let mut declared = reader.clone();
        for _ in 0..count {
            ParameterType::read(reader)?;
            reader.lenenc_bytes("parameter name")?;
        }
        let values = reader.rest();
        for index in 0..count {
            let parameter = ParameterType::read(&mut declared)?;
            declared.lenenc_bytes("parameter name")?;
            if !is_null(nulls, index) {
                Value::read(reader, parameter)?;
            }
        }
        Ok(Self { count, nulls, types, values })
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> u16 {
        self.count
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// All of them, in the order sent.
    pub fn iter(&self) -> impl Iterator<Item = Attribute<'a>> + use<'a> {
        let Self { count, nulls, types, values } = *self;
        let (mut types, mut values) = (Reader::new(PACKET, types), Reader::new(PACKET, values));
        // What was read once does not fail now.
        (0..count).map_while(move |index| {
            let parameter = ParameterType::read(&mut types).ok()?;
            let name = types.lenenc_bytes("parameter name").ok()?;
            let null = is_null(nulls, index);
            let value = if null { Value::Null } else { Value::read(&mut values, parameter).ok()? };
            Some(Attribute { name, value })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &[u8] = b"\x02\x01\x02\x01\x03\x80\x07traceid\xfd\x00\x00\x2a\0\0\0SELECT 1";

    #[test]
    fn names_and_values_precede_the_statement() {
        let mut reader = Reader::new(PACKET, TWO);
        let attributes = Attributes::read(&mut reader).unwrap();
        assert_eq!(reader.take_rest(), b"SELECT 1");
        let all: Vec<_> = attributes.iter().collect();
        let trace = Attribute { name: b"traceid", value: Value::UInt(42) };
        assert_eq!(all, [trace, Attribute { name: b"", value: Value::Null }]);
        assert_eq!((attributes.len(), attributes.is_empty()), (2, false));
        for cut in 0..TWO.len() - 8 {
            assert!(Attributes::read(&mut Reader::new(PACKET, &TWO[..cut])).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn without_attributes_two_counts_precede_it() {
        let mut reader = Reader::new(PACKET, b"\x00\x01SELECT 1");
        let attributes = Attributes::read(&mut reader).unwrap();
        assert_eq!((attributes.iter().count(), reader.take_rest()), (0, &b"SELECT 1"[..]));
    }

    #[test]
    fn what_mysql_refuses_is_refused() {
        for (why, payload) in [
            ("no set", &b"\x00\x00SELECT 7"[..]),
            ("two sets", b"\x00\x02SELECT 7"),
            ("no types", b"\x01\x01\x01\x00SELECT 7"),
            ("too many", b"\xfd\x00\x00\x01\x01SELECT 7"),
            // MySQL 9.7 reads strings for these three, other servers nothing or a number: the statement would move.
            ("INT24", b"\x01\x01\x00\x01\x09\x00\x01n\x04abcdSELECT 7"),
            ("YEAR", b"\x01\x01\x00\x01\x0d\x00\x01n\x04abcdSELECT 7"),
            ("NULL with a value", b"\x01\x01\x00\x01\x06\x00\x01n\x04abcdSELECT 7"),
        ] {
            assert!(Attributes::read(&mut Reader::new(PACKET, payload)).is_err(), "{why}");
        }
    }
}
