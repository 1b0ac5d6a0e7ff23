//! COM_STMT_EXECUTE: which statement, with which parameter values.

mod text;
mod value;

use std::collections::BTreeSet;

use mysql_common::constants::ColumnType;

use crate::attributes::Attribute;
use crate::command::StatementId;
use crate::limits::PARAMETERS_MAX;
use crate::reader::Reader;
use crate::{Fault, ProtocolError};

pub(crate) use text::{RowColumn, push_value};
pub use value::Value;
pub(crate) use value::{Width, width};

const UNSIGNED: u8 = 0x80;
/// Flag of COM_STMT_EXECUTE: the number of parameters precedes them.
const PARAMETER_COUNT_AVAILABLE: u8 = 0x08;
/// Flags that ask for a cursor: read-only, for update, scrollable.
const CURSOR_TYPES: u8 = 0x01 | 0x02 | 0x04;

/// The fixed part of COM_STMT_EXECUTE, and the bytes of its parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Execute<'a> {
    pub statement: StatementId,
    /// As sent; the servers ignore bits that they do not know.
    pub flags: u8,
    /// Whether `QUERY_ATTRIBUTES` is in force: then parameters are counted and named.
    query_attributes: bool,
    body: &'a [u8],
}

/// The type of a parameter, as the client bound it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParameterType {
    pub column_type: ColumnType,
    pub unsigned: bool,
}

/// The parameters of one execution.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters<'a> {
    /// Types bound by this execution, to be remembered for the next ones; `None` when the remembered ones were used.
    pub bound: Option<Vec<ParameterType>>,
    /// One for each parameter of the statement.
    pub values: Vec<Value<'a>>,
    /// What was sent beyond them, under `QUERY_ATTRIBUTES`.
    pub attributes: Vec<Attribute<'a>>,
}

impl<'a> Execute<'a> {
    pub(crate) const PACKET: &'static str = "COM_STMT_EXECUTE";

    pub(crate) fn parse(rest: &'a [u8], query_attributes: bool) -> Result<Self, ProtocolError> {
        let mut reader = Reader::new(Self::PACKET, rest);
        let statement = StatementId::read(&mut reader)?;
        let flags = reader.u8("flags")?;
        // Always 1; the servers do not read it, nor do we.
        reader.u32("iteration count")?;
        Ok(Self { statement, flags, query_attributes, body: reader.take_rest() })
    }

    /// Whether the client asks for a cursor: the server may then keep the rows for COM_STMT_FETCH.
    #[must_use]
    pub const fn cursor(&self) -> bool {
        self.flags & CURSOR_TYPES != 0
    }

    /// Reads the values of the statement's `count` parameters.
    ///
    /// `remembered` are the types bound last, for an execution that binds none (sysbench); `long_data` are the indexes
    /// of parameters sent by COM_STMT_SEND_LONG_DATA, which have no value here, even when marked NULL.
    ///
    /// What is left over is not read, by the servers neither. Under `QUERY_ATTRIBUTES`, MySQL 9.7 reads the number of
    /// parameters whenever the statement has any, and else when `PARAMETER_COUNT_AVAILABLE` is set
    /// (`parse_query_bind_params` in sql/protocol_classic.cc); without it that flag means nothing, and Node's mysql2 sets it.
    ///
    /// # Errors
    /// `Malformed` for missing types, unknown types, short values, and fewer values than the statement has.
    pub fn parameters(
        &self,
        count: u16,
        remembered: &[ParameterType],
        long_data: &BTreeSet<u16>,
    ) -> Result<Parameters<'a>, ProtocolError> {
        let mut reader = Reader::new(Self::PACKET, self.body);
        let counted = self.query_attributes && (count > 0 || self.flags & PARAMETER_COUNT_AVAILABLE != 0);
        let sent = if counted { parameter_count(&mut reader)? } else { count };
        if sent < count {
            return Err(Self::invalid("number of parameters"));
        }
        let mut parameters = Parameters { bound: None, values: Vec::new(), attributes: Vec::new() };
        if sent == 0 {
            return Ok(parameters);
        }
        let nulls = reader.take(usize::from(sent).div_ceil(8), "NULL bitmap")?;
        let declared = match reader.u8("new-params-bound flag")? {
            0 => None,
            _ => Some(declarations(&mut reader, sent, counted)?),
        };
        let types: Vec<ParameterType> = match &declared {
            Some(declared) => declared.iter().map(|(parameter, _)| *parameter).collect(),
            None => remembered.to_vec(),
        };
        for index in 0..sent {
            // Without a type of its own, what is beyond the statement's parameters can only be NULL.
            let parameter = types.get(usize::from(index)).copied();
            let value = if long_data.contains(&index) && index < count {
                Value::LongData
            } else if is_null(nulls, index) {
                Value::Null
            } else {
                Value::read(&mut reader, parameter.ok_or_else(|| Self::invalid("new-params-bound flag"))?)?
            };
            if index < count {
                parameters.values.push(value);
            } else {
                let name =
                    declared.as_ref().and_then(|all| all.get(usize::from(index))).map_or(&[][..], |(_, name)| *name);
                parameters.attributes.push(Attribute { name, value });
            }
        }
        if declared.is_none() && remembered.len() != usize::from(count) {
            return Err(Self::invalid("new-params-bound flag"));
        }
        parameters.bound = declared.map(|_| types.into_iter().take(usize::from(count)).collect());
        Ok(parameters)
    }

    fn invalid(field: &'static str) -> ProtocolError {
        ProtocolError::malformed(Self::PACKET, field, Fault::Invalid)
    }
}

/// Reads a number of parameters; MySQL accepts no more than fit 16 bits.
pub(crate) fn parameter_count(reader: &mut Reader<'_>) -> Result<u16, ProtocolError> {
    let count = reader.lenenc_int("number of parameters")?;
    let too_many = reader.fail("number of parameters", Fault::TooLong { len: count, max: PARAMETERS_MAX });
    u16::try_from(count).map_err(|_| too_many)
}

/// Reads `count` types, each with a name when `named`, else with an empty one.
pub(crate) fn declarations<'a>(
    reader: &mut Reader<'a>,
    count: u16,
    named: bool,
) -> Result<Vec<(ParameterType, &'a [u8])>, ProtocolError> {
    let mut declared = Vec::new();
    for _ in 0..count {
        let parameter = ParameterType::read(reader)?;
        let name = if named { reader.lenenc_bytes("parameter name")? } else { &[] };
        declared.push((parameter, name));
    }
    Ok(declared)
}

impl ParameterType {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, ProtocolError> {
        let [column_type, flags] = reader.array("parameter type")?;
        let column_type = ColumnType::try_from(column_type).ok().filter(|known| value::is_bindable(*known));
        match column_type {
            Some(column_type) if flags & !UNSIGNED == 0 => Ok(Self { column_type, unsigned: flags == UNSIGNED }),
            Some(_) | None => Err(reader.fail("parameter type", Fault::Invalid)),
        }
    }
}

pub(crate) fn is_null(nulls: &[u8], index: u16) -> bool {
    nulls.get(usize::from(index / 8)).is_some_and(|byte| byte >> (index % 8) & 1 == 1)
}

#[cfg(test)]
mod tests;
