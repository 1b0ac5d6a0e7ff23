use std::fmt::{self, Display, Formatter, Write as _};

use mysql_common::constants::ColumnType;

use super::ParameterType;
use crate::reader::Reader;
use crate::{Fault, ProtocolError};

const FIELD: &str = "parameter value";

/// The value of one parameter. `Display` gives it as one would write it in a statement, for reading, not for sending.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    Null,
    /// Sent before by COM_STMT_SEND_LONG_DATA.
    LongData,
    Int(i64),
    UInt(u64),
    Float(f32),
    Double(f64),
    /// Texts, decimals, blobs: in the session's character set.
    Bytes(&'a [u8]),
    Date {
        year: u16,
        month: u8,
        day: u8,
    },
    DateTime {
        year: u16,
        month: u8,
        day: u8,
        hour: u8,
        minute: u8,
        second: u8,
        microsecond: u32,
    },
    Time {
        negative: bool,
        days: u32,
        hours: u8,
        minutes: u8,
        seconds: u8,
        microseconds: u32,
    },
}

/// Whether a client may bind a parameter of that type; the others exist in tables and replication only.
pub(super) const fn is_bindable(column_type: ColumnType) -> bool {
    !matches!(
        column_type,
        ColumnType::MYSQL_TYPE_NEWDATE
            | ColumnType::MYSQL_TYPE_TIMESTAMP2
            | ColumnType::MYSQL_TYPE_DATETIME2
            | ColumnType::MYSQL_TYPE_TIME2
            | ColumnType::MYSQL_TYPE_TYPED_ARRAY
            | ColumnType::MYSQL_TYPE_UNKNOWN
    )
}

/// How far the length of a value is known from its type alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Width {
    Fixed(usize),
    /// A length-encoded string, or a date or time, whose length of one byte reads the same.
    Counted,
    /// No value of that type is in a row or a command.
    None,
}

/// How a value of that type lies in a binary row.
pub(crate) const fn width(column_type: ColumnType) -> Width {
    match column_type {
        ColumnType::MYSQL_TYPE_TINY => Width::Fixed(1),
        ColumnType::MYSQL_TYPE_SHORT | ColumnType::MYSQL_TYPE_YEAR => Width::Fixed(2),
        ColumnType::MYSQL_TYPE_LONG | ColumnType::MYSQL_TYPE_INT24 | ColumnType::MYSQL_TYPE_FLOAT => Width::Fixed(4),
        ColumnType::MYSQL_TYPE_LONGLONG | ColumnType::MYSQL_TYPE_DOUBLE => Width::Fixed(8),
        ColumnType::MYSQL_TYPE_NULL
        | ColumnType::MYSQL_TYPE_NEWDATE
        | ColumnType::MYSQL_TYPE_TIMESTAMP2
        | ColumnType::MYSQL_TYPE_DATETIME2
        | ColumnType::MYSQL_TYPE_TIME2
        | ColumnType::MYSQL_TYPE_TYPED_ARRAY
        | ColumnType::MYSQL_TYPE_UNKNOWN => Width::None,
        ColumnType::MYSQL_TYPE_DATE
        | ColumnType::MYSQL_TYPE_DATETIME
        | ColumnType::MYSQL_TYPE_TIMESTAMP
        | ColumnType::MYSQL_TYPE_TIME
        | ColumnType::MYSQL_TYPE_DECIMAL
        | ColumnType::MYSQL_TYPE_NEWDECIMAL
        | ColumnType::MYSQL_TYPE_VARCHAR
        | ColumnType::MYSQL_TYPE_BIT
        | ColumnType::MYSQL_TYPE_VECTOR
        | ColumnType::MYSQL_TYPE_JSON
        | ColumnType::MYSQL_TYPE_ENUM
        | ColumnType::MYSQL_TYPE_SET
        | ColumnType::MYSQL_TYPE_TINY_BLOB
        | ColumnType::MYSQL_TYPE_MEDIUM_BLOB
        | ColumnType::MYSQL_TYPE_LONG_BLOB
        | ColumnType::MYSQL_TYPE_BLOB
        | ColumnType::MYSQL_TYPE_VAR_STRING
        | ColumnType::MYSQL_TYPE_STRING
        | ColumnType::MYSQL_TYPE_GEOMETRY => Width::Counted,
    }
}

impl<'a> Value<'a> {
    /// Reads one binary value (manual, "Binary Protocol Value").
    ///
    /// NULL, YEAR and INT24 are types of rows only: MySQL 9.7 takes a value bound as one for a string and refuses it then,
    /// MariaDB 10.11 takes none at all. What lies behind it (for an attribute, the statement) would be read otherwise.
    pub(crate) fn read(reader: &mut Reader<'a>, parameter: ParameterType) -> Result<Self, ProtocolError> {
        let unsigned = parameter.unsigned;
        let value = match parameter.column_type {
            ColumnType::MYSQL_TYPE_TINY => {
                let [byte] = reader.array(FIELD)?;
                if unsigned { Self::UInt(byte.into()) } else { Self::Int(i8::from_le_bytes([byte]).into()) }
            }
            ColumnType::MYSQL_TYPE_SHORT => {
                let bytes = reader.array(FIELD)?;
                if unsigned {
                    Self::UInt(u16::from_le_bytes(bytes).into())
                } else {
                    Self::Int(i16::from_le_bytes(bytes).into())
                }
            }
            ColumnType::MYSQL_TYPE_LONG => {
                let bytes = reader.array(FIELD)?;
                if unsigned {
                    Self::UInt(u32::from_le_bytes(bytes).into())
                } else {
                    Self::Int(i32::from_le_bytes(bytes).into())
                }
            }
            ColumnType::MYSQL_TYPE_LONGLONG => {
                let bytes = reader.array(FIELD)?;
                if unsigned { Self::UInt(u64::from_le_bytes(bytes)) } else { Self::Int(i64::from_le_bytes(bytes)) }
            }
            ColumnType::MYSQL_TYPE_FLOAT => Self::Float(f32::from_le_bytes(reader.array(FIELD)?)),
            ColumnType::MYSQL_TYPE_DOUBLE => Self::Double(f64::from_le_bytes(reader.array(FIELD)?)),
            ColumnType::MYSQL_TYPE_DATE | ColumnType::MYSQL_TYPE_DATETIME | ColumnType::MYSQL_TYPE_TIMESTAMP => {
                date_time(reader)?
            }
            ColumnType::MYSQL_TYPE_TIME => time(reader)?,
            ColumnType::MYSQL_TYPE_NULL
            | ColumnType::MYSQL_TYPE_YEAR
            | ColumnType::MYSQL_TYPE_INT24
            | ColumnType::MYSQL_TYPE_NEWDATE
            | ColumnType::MYSQL_TYPE_TIMESTAMP2
            | ColumnType::MYSQL_TYPE_DATETIME2
            | ColumnType::MYSQL_TYPE_TIME2
            | ColumnType::MYSQL_TYPE_TYPED_ARRAY
            | ColumnType::MYSQL_TYPE_UNKNOWN => return Err(reader.fail("parameter type", Fault::Invalid)),
            ColumnType::MYSQL_TYPE_DECIMAL
            | ColumnType::MYSQL_TYPE_NEWDECIMAL
            | ColumnType::MYSQL_TYPE_VARCHAR
            | ColumnType::MYSQL_TYPE_BIT
            | ColumnType::MYSQL_TYPE_VECTOR
            | ColumnType::MYSQL_TYPE_JSON
            | ColumnType::MYSQL_TYPE_ENUM
            | ColumnType::MYSQL_TYPE_SET
            | ColumnType::MYSQL_TYPE_TINY_BLOB
            | ColumnType::MYSQL_TYPE_MEDIUM_BLOB
            | ColumnType::MYSQL_TYPE_LONG_BLOB
            | ColumnType::MYSQL_TYPE_BLOB
            | ColumnType::MYSQL_TYPE_VAR_STRING
            | ColumnType::MYSQL_TYPE_STRING
            | ColumnType::MYSQL_TYPE_GEOMETRY => Self::Bytes(reader.lenenc_bytes(FIELD)?),
        };
        Ok(value)
    }
}

/// Parts that the length says are absent are zero.
fn date_time<'a>(reader: &mut Reader<'_>) -> Result<Value<'a>, ProtocolError> {
    let len = reader.u8(FIELD)?;
    if len == 0 {
        return Ok(Value::Date { year: 0, month: 0, day: 0 });
    }
    let year = reader.u16(FIELD)?;
    let [month, day] = reader.array(FIELD)?;
    let [hour, minute, second] = match len {
        4 => return Ok(Value::Date { year, month, day }),
        7 | 11 => reader.array(FIELD)?,
        _ => return Err(reader.fail(FIELD, Fault::Invalid)),
    };
    let microsecond = if len == 11 { reader.u32(FIELD)? } else { 0 };
    Ok(Value::DateTime { year, month, day, hour, minute, second, microsecond })
}

fn time<'a>(reader: &mut Reader<'_>) -> Result<Value<'a>, ProtocolError> {
    let len = reader.u8(FIELD)?;
    if len == 0 {
        return Ok(Value::Time { negative: false, days: 0, hours: 0, minutes: 0, seconds: 0, microseconds: 0 });
    }
    if !matches!(len, 8 | 12) {
        return Err(reader.fail(FIELD, Fault::Invalid));
    }
    let negative = reader.u8(FIELD)? != 0;
    let days = reader.u32(FIELD)?;
    let [hours, minutes, seconds] = reader.array(FIELD)?;
    let microseconds = if len == 12 { reader.u32(FIELD)? } else { 0 };
    Ok(Value::Time { negative, days, hours, minutes, seconds, microseconds })
}

impl Display for Value<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Null => f.write_str("NULL"),
            Self::LongData => f.write_str("<long data>"),
            Self::Int(value) => write!(f, "{value}"),
            Self::UInt(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value}"),
            Self::Double(value) => write!(f, "{value}"),
            Self::Bytes(bytes) => write_bytes(bytes, f),
            Self::Date { year, month, day } => write!(f, "'{year:04}-{month:02}-{day:02}'"),
            Self::DateTime { year, month, day, hour, minute, second, microsecond } => {
                write!(f, "'{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")?;
                write_fraction(microsecond, f)
            }
            Self::Time { negative, days, hours, minutes, seconds, microseconds } => {
                let hours = u64::from(days).saturating_mul(24).saturating_add(hours.into());
                write!(f, "'{}{hours:02}:{minutes:02}:{seconds:02}", if negative { "-" } else { "" })?;
                write_fraction(microseconds, f)
            }
        }
    }
}

fn write_fraction(microseconds: u32, f: &mut Formatter<'_>) -> fmt::Result {
    if microseconds == 0 { f.write_str("'") } else { write!(f, ".{microseconds:06}'") }
}

/// Text in quotes where it is text, else in hexadecimal.
fn write_bytes(bytes: &[u8], f: &mut Formatter<'_>) -> fmt::Result {
    let Ok(text) = std::str::from_utf8(bytes) else {
        f.write_str("0x")?;
        return bytes.iter().try_for_each(|byte| write!(f, "{byte:02X}"));
    };
    f.write_char('\'')?;
    for character in text.chars() {
        match character {
            '\'' => f.write_str("''")?,
            '\\' => f.write_str("\\\\")?,
            // Nothing in a recording may steer the terminal of who reads it.
            control if control.is_control() => write!(f, "{}", control.escape_default())?,
            other => f.write_char(other)?,
        }
    }
    f.write_char('\'')
}
