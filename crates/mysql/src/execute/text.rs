//! Values of binary rows as the same values are in text rows.

use std::io::Write as _;

use mysql_common::constants::{ColumnFlags, ColumnType};

use super::{ParameterType, Value, Width, width};
use crate::ProtocolError;
use crate::conceal::ColumnDefinition;
use crate::reader::Reader;

/// Digits of a fraction of seconds, at most.
const FRACTION_DIGITS_MAX: u8 = 6;

/// What decides how a value of a binary row is read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowColumn {
    column_type: ColumnType,
    unsigned: bool,
    decimals: u8,
}

impl RowColumn {
    /// `None` for a type of which no value can be read. `SELECT NULL` has a type of its own, and only NULL in it.
    pub(crate) fn of(definition: &ColumnDefinition<'_>) -> Option<Self> {
        let column_type = definition.column_type?;
        let readable = width(column_type) != Width::None || column_type == ColumnType::MYSQL_TYPE_NULL;
        let unsigned = ColumnFlags::from_bits_truncate(definition.flags).contains(ColumnFlags::UNSIGNED_FLAG);
        readable.then_some(Self { column_type, unsigned, decimals: definition.decimals })
    }
}

/// Reads the next value and appends its text.
pub(crate) fn push_value(reader: &mut Reader<'_>, column: RowColumn, out: &mut Vec<u8>) -> Result<(), ProtocolError> {
    let RowColumn { column_type, unsigned, decimals } = column;
    // Types of rows alone lie there as others do.
    let (read_as, unsigned) = match column_type {
        ColumnType::MYSQL_TYPE_YEAR => (ColumnType::MYSQL_TYPE_SHORT, true),
        ColumnType::MYSQL_TYPE_INT24 => (ColumnType::MYSQL_TYPE_LONG, unsigned),
        other => (other, unsigned),
    };
    let value = Value::read(reader, ParameterType { column_type: read_as, unsigned })?;
    // Writing to memory does not fail.
    let _ = match value {
        Value::Null | Value::LongData => Ok(()),
        Value::Bytes(bytes) => out.write_all(bytes),
        Value::UInt(year) if column_type == ColumnType::MYSQL_TYPE_YEAR => write!(out, "{year:04}"),
        Value::Int(value) => write!(out, "{value}"),
        Value::UInt(value) => write!(out, "{value}"),
        Value::Float(value) if has_exponent(value.into()) => write!(out, "{value:e}"),
        Value::Float(value) => write!(out, "{value}"),
        Value::Double(value) if has_exponent(value) => write!(out, "{value:e}"),
        Value::Double(value) => write!(out, "{value}"),
        Value::Date { year, month, day } if column_type == ColumnType::MYSQL_TYPE_DATE => {
            write!(out, "{year:04}-{month:02}-{day:02}")
        }
        Value::Date { year, month, day } => {
            let written = write!(out, "{year:04}-{month:02}-{day:02} 00:00:00");
            written.and_then(|()| fraction(0, decimals, out))
        }
        Value::DateTime { year, month, day, hour, minute, second, microsecond } => {
            let written = write!(out, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}");
            written.and_then(|()| fraction(microsecond, decimals, out))
        }
        Value::Time { negative, days, hours, minutes, seconds, microseconds } => {
            let hours = u64::from(days).saturating_mul(24).saturating_add(hours.into());
            let sign = if negative { "-" } else { "" };
            let written = write!(out, "{sign}{hours:02}:{minutes:02}:{seconds:02}");
            written.and_then(|()| fraction(microseconds, decimals, out))
        }
    };
    Ok(())
}

/// Where the servers write floating-point numbers with an exponent.
fn has_exponent(value: f64) -> bool {
    value != 0.0 && !(1e-15..1e15).contains(&value.abs())
}

/// As many digits as the column has; all of them where that is not said.
fn fraction(microseconds: u32, decimals: u8, out: &mut Vec<u8>) -> std::io::Result<()> {
    let digits = match decimals {
        0 => return Ok(()),
        1..=FRACTION_DIGITS_MAX => decimals,
        _ if microseconds == 0 => return Ok(()),
        _ => FRACTION_DIGITS_MAX,
    };
    let all = format!("{microseconds:06}");
    write!(out, ".{}", all.get(..digits.into()).unwrap_or(&all))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(column_type: ColumnType, unsigned: bool, decimals: u8, bytes: &[u8], text: &str) {
        let mut out = Vec::new();
        let mut reader = Reader::new("test", bytes);
        push_value(&mut reader, RowColumn { column_type, unsigned, decimals }, &mut out).unwrap();
        assert_eq!((String::from_utf8(out).unwrap().as_str(), reader.is_empty()), (text, true), "{column_type:?}");
    }

    #[test]
    fn values_are_written_as_in_text_rows() {
        check(ColumnType::MYSQL_TYPE_TINY, false, 0, &[0xFF], "-1");
        check(ColumnType::MYSQL_TYPE_TINY, true, 0, &[0xFF], "255");
        check(ColumnType::MYSQL_TYPE_YEAR, true, 0, &[0, 0], "0000");
        check(ColumnType::MYSQL_TYPE_INT24, false, 0, &[0xFE, 0xFF, 0xFF, 0xFF], "-2");
        check(ColumnType::MYSQL_TYPE_LONGLONG, true, 0, &[0xFF; 8], "18446744073709551615");
        check(ColumnType::MYSQL_TYPE_DOUBLE, false, 31, &1.5_f64.to_le_bytes(), "1.5");
        check(ColumnType::MYSQL_TYPE_DOUBLE, false, 31, &1e300_f64.to_le_bytes(), "1e300");
        check(ColumnType::MYSQL_TYPE_NEWDECIMAL, false, 2, b"\x041.50", "1.50");
        check(ColumnType::MYSQL_TYPE_DATE, false, 0, &[0], "0000-00-00");
        check(ColumnType::MYSQL_TYPE_DATE, false, 0, &[4, 0xEA, 0x07, 11, 25], "2026-11-25");
        check(ColumnType::MYSQL_TYPE_DATETIME, false, 3, &[0], "0000-00-00 00:00:00.000");
        check(ColumnType::MYSQL_TYPE_DATETIME, false, 0, &[7, 0xEA, 0x07, 11, 25, 3, 4, 5], "2026-11-25 03:04:05");
        check(
            ColumnType::MYSQL_TYPE_TIMESTAMP,
            false,
            2,
            &[11, 0xEA, 0x07, 11, 25, 3, 4, 5, 0x20, 0xA1, 7, 0],
            "2026-11-25 03:04:05.50",
        );
        check(ColumnType::MYSQL_TYPE_TIME, false, 0, &[8, 1, 1, 0, 0, 0, 2, 3, 4], "-26:03:04");
        check(ColumnType::MYSQL_TYPE_TIME, false, 0, &[0], "00:00:00");
    }
}
