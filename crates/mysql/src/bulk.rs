//! COM_STMT_BULK_EXECUTE: one prepared statement of MariaDB, executed once for each row of parameters.

use crate::command::StatementId;
use crate::execute::{ParameterType, Value};
use crate::reader::Reader;
use crate::{Fault, ProtocolError};

const PACKET: &str = "COM_STMT_BULK_EXECUTE";

/// Flag: the answer is a result set with the generated id and the affected rows of each row.
const UNIT_RESULTS: u16 = 64;
/// Flag: the types of the parameters precede the rows.
const TYPES_SENT: u16 = 128;

/// The fixed part of COM_STMT_BULK_EXECUTE, and the bytes of its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BulkExecute<'a> {
    pub statement: StatementId,
    pub flags: u16,
    body: &'a [u8],
}

/// What stands for one parameter in one row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum BulkValue<'a> {
    /// NULL included.
    Value(Value<'a>),
    /// The column's default.
    Default,
    /// The column keeps what it has.
    Ignore,
}

/// The rows, read one after the other.
#[derive(Debug, Clone)]
pub struct BulkRows<'a> {
    reader: Reader<'a>,
    types: Vec<ParameterType>,
    bound: bool,
}

impl<'a> BulkExecute<'a> {
    pub(crate) fn parse(rest: &'a [u8]) -> Result<Self, ProtocolError> {
        let mut reader = Reader::new(PACKET, rest);
        let statement = StatementId::read(&mut reader)?;
        let flags = reader.u16("flags")?;
        Ok(Self { statement, flags, body: reader.take_rest() })
    }

    /// Whether the answer is to have a row for each of the rows; only under `BULK_UNIT_RESULTS` (MariaDB 11.5).
    #[must_use]
    pub const fn unit_results(&self) -> bool {
        self.flags & UNIT_RESULTS != 0
    }

    /// The rows for a statement of `count` parameters; `remembered` are the types bound last, for when none are sent.
    ///
    /// # Errors
    /// `Malformed` for missing or unknown types, and for a statement without parameters: MariaDB refuses it too, and
    /// nothing would say how many rows there are.
    pub fn rows(&self, count: u16, remembered: &[ParameterType]) -> Result<BulkRows<'a>, ProtocolError> {
        let mut reader = Reader::new(PACKET, self.body);
        let bound = self.flags & TYPES_SENT != 0;
        let mut types = Vec::new();
        if bound {
            for _ in 0..count {
                types.push(ParameterType::read(&mut reader)?);
            }
        } else {
            types.extend_from_slice(remembered);
        }
        if count == 0 || types.len() != usize::from(count) {
            return Err(reader.fail("parameter type", Fault::Invalid));
        }
        Ok(BulkRows { reader, types, bound })
    }
}

impl<'a> BulkRows<'a> {
    /// Types bound by this execution, to be remembered for the next ones; `None` when the remembered ones were used.
    #[must_use]
    pub fn bound(&self) -> Option<&[ParameterType]> {
        self.bound.then_some(&self.types)
    }

    /// Reads the next row into `values`, in place of what they held; `false` when there is none.
    ///
    /// # Errors
    /// `Malformed` for an unknown indicator or values that are cut off. What was read before stands, but MariaDB executes
    /// nothing of such a command.
    pub fn next_row(&mut self, values: &mut Vec<BulkValue<'a>>) -> Result<bool, ProtocolError> {
        values.clear();
        if self.reader.is_empty() {
            return Ok(false);
        }
        for parameter in &self.types {
            values.push(match self.reader.u8("indicator")? {
                0 => BulkValue::Value(Value::read(&mut self.reader, *parameter)?),
                1 => BulkValue::Value(Value::Null),
                2 => BulkValue::Default,
                3 => BulkValue::Ignore,
                _ => return Err(self.reader.fail("indicator", Fault::Invalid)),
            });
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use mysql_common::constants::ColumnType;

    use super::*;

    /// As MariaDB 10.11 takes it: types LONG and VAR_STRING, then (1, 'a'), (NULL, DEFAULT), (IGNORE, 'bc').
    const THREE: &[u8] = b"\xff\xff\xff\xff\x80\0\x03\0\xfd\0\0\x01\0\0\0\0\x01a\x01\x02\x03\0\x02bc";

    fn all<'a>(bulk: &BulkExecute<'a>, remembered: &[ParameterType]) -> Result<Vec<Vec<BulkValue<'a>>>, ProtocolError> {
        let mut rows = bulk.rows(2, remembered)?;
        let (mut all, mut values) = (Vec::new(), Vec::new());
        while rows.next_row(&mut values)? {
            all.push(values.clone());
        }
        Ok(all)
    }

    fn expected() -> Vec<Vec<BulkValue<'static>>> {
        let text = |text| BulkValue::Value(Value::Bytes(text));
        vec![
            vec![BulkValue::Value(Value::Int(1)), text(b"a")],
            vec![BulkValue::Value(Value::Null), BulkValue::Default],
            vec![BulkValue::Ignore, text(b"bc")],
        ]
    }

    #[test]
    fn rows_are_read_with_their_indicators() {
        let bulk = BulkExecute::parse(THREE).unwrap();
        assert_eq!((bulk.statement, bulk.flags, bulk.unit_results()), (StatementId::LastPrepared, 128, false));
        assert_eq!(all(&bulk, &[]), Ok(expected()));
        let types = bulk.rows(2, &[]).unwrap().bound().unwrap().to_vec();
        assert_eq!(types[0], ParameterType { column_type: ColumnType::MYSQL_TYPE_LONG, unsigned: false });
        let unbound = [b"\x07\0\0\0\x40\0", &THREE[10..]].concat();
        let bulk = BulkExecute::parse(&unbound).unwrap();
        assert!(bulk.unit_results());
        assert_eq!(all(&bulk, &types), Ok(expected()));
        assert_eq!(bulk.rows(2, &types).unwrap().bound(), None);
        assert!(all(&bulk, &[]).is_err(), "no types were ever bound");
    }

    #[test]
    fn a_row_is_whole_or_refused() {
        let ends_of_rows = [THREE.len() - 5, THREE.len() - 7, THREE.len() - 15];
        for cut in 0..THREE.len() {
            let read = BulkExecute::parse(&THREE[..cut]).and_then(|bulk| all(&bulk, &[]).map(|rows| rows.len()));
            assert_eq!(read.is_ok(), ends_of_rows.contains(&cut), "cut at {cut}");
        }
    }

    #[test]
    fn other_indicators_and_statements_without_parameters_are_refused() {
        let mut payload = THREE.to_vec();
        payload[10] = 4;
        assert!(all(&BulkExecute::parse(&payload).unwrap(), &[]).is_err());
        assert!(BulkExecute::parse(THREE).unwrap().rows(0, &[]).is_err());
    }
}
