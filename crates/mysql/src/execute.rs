//! COM_STMT_EXECUTE: which statement, with which parameter values.

mod value;

use std::collections::BTreeSet;

use mysql_common::constants::ColumnType;

use crate::command::statement_id;
use crate::reader::Reader;
use crate::{Fault, ProtocolError};

pub use value::Value;

const UNSIGNED: u8 = 0x80;

/// The fixed part of COM_STMT_EXECUTE, and the bytes of its parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Execute<'a> {
    pub statement_id: u32,
    /// Cursor flags; the answer to other than 0 is not read by [`Response`](crate::response::Response).
    pub flags: u8,
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
    /// One for each parameter.
    pub values: Vec<Value<'a>>,
}

impl<'a> Execute<'a> {
    const PACKET: &'static str = "COM_STMT_EXECUTE";

    pub(crate) fn parse(rest: &'a [u8]) -> Result<Self, ProtocolError> {
        let mut reader = Reader::new(Self::PACKET, rest);
        let statement_id = statement_id(&mut reader)?;
        let flags = reader.u8("flags")?;
        // Always 1; the servers do not read it, nor do we.
        reader.u32("iteration count")?;
        Ok(Self { statement_id, flags, body: reader.take_rest() })
    }

    /// Reads the values of the statement's `count` parameters.
    ///
    /// `remembered` are the types bound last, for an execution that binds none (sysbench); `long_data` are the indexes
    /// of parameters sent by COM_STMT_SEND_LONG_DATA, which have no value here, even when marked NULL.
    ///
    /// # Errors
    /// `Malformed` for missing types, unknown types, short values and anything left over.
    pub fn parameters(
        &self,
        count: u16,
        remembered: &[ParameterType],
        long_data: &BTreeSet<u16>,
    ) -> Result<Parameters<'a>, ProtocolError> {
        let mut reader = Reader::new(Self::PACKET, self.body);
        if count == 0 {
            reader.end("iteration count")?;
            return Ok(Parameters { bound: None, values: Vec::new() });
        }
        let nulls = reader.take(usize::from(count).div_ceil(8), "NULL bitmap")?;
        let bound = match reader.u8("new-params-bound flag")? {
            0 => None,
            1 => Some(types(&mut reader, count)?),
            _ => return Err(Self::invalid("new-params-bound flag")),
        };
        let types = bound.as_deref().unwrap_or(remembered);
        if types.len() != usize::from(count) {
            return Err(Self::invalid("new-params-bound flag"));
        }
        let mut values = Vec::with_capacity(types.len());
        for (index, parameter) in (0..count).zip(types) {
            values.push(if long_data.contains(&index) {
                Value::LongData
            } else if is_null(nulls, index) {
                Value::Null
            } else {
                Value::read(&mut reader, *parameter)?
            });
        }
        reader.end("parameter value")?;
        Ok(Parameters { bound, values })
    }

    fn invalid(field: &'static str) -> ProtocolError {
        ProtocolError::malformed(Self::PACKET, field, Fault::Invalid)
    }
}

fn types(reader: &mut Reader<'_>, count: u16) -> Result<Vec<ParameterType>, ProtocolError> {
    let mut types = Vec::with_capacity(usize::from(count));
    for _ in 0..count {
        let [column_type, flags] = reader.array("parameter type")?;
        let column_type = ColumnType::try_from(column_type).map_err(|_| Execute::invalid("parameter type"))?;
        if !value::is_bindable(column_type) || flags & !UNSIGNED != 0 {
            return Err(Execute::invalid("parameter type"));
        }
        types.push(ParameterType { column_type, unsigned: flags == UNSIGNED });
    }
    Ok(types)
}

fn is_null(nulls: &[u8], index: u16) -> bool {
    nulls.get(usize::from(index / 8)).is_some_and(|byte| byte >> (index % 8) & 1 == 1)
}

#[cfg(test)]
mod tests;
