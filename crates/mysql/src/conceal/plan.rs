use mysql_common::io::BufMutExt;

use super::{ColumnDefinition, is_variable};
use crate::execute::{Width, width};
use crate::reader::Reader;
use crate::row::{NULL, next_text};
use crate::{Fault, ProtocolError};

const BINARY_ROW: &str = "binary row";
/// Bits of a binary row's NULL bitmap in front of the first column's.
const BITMAP_OFFSET: usize = 2;

/// What is concealed in the rows of one result set. A prepared statement's is worth keeping: its rows may come without
/// column definitions later on (COM_STMT_FETCH, cached metadata).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    columns: Vec<Column>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Column {
    treatment: Treatment,
    width: Width,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Treatment {
    Shown,
    /// NULL in every row.
    Hidden,
    /// The name of a variable.
    VariableName,
    /// The value of the variable that the same row names.
    VariableValue,
}

/// The row's value in one column, as it is written.
enum Cell<'a> {
    Null,
    Empty,
    AsItIs(&'a [u8]),
}

impl Plan {
    /// Whether rows must be looked at.
    #[must_use]
    pub fn hides(&self) -> bool {
        let has = |treatment| self.columns.iter().any(|column| column.treatment == treatment);
        has(Treatment::Hidden) || has(Treatment::VariableName) && has(Treatment::VariableValue)
    }

    /// The number of columns.
    #[must_use]
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// Takes the next column in. Returns its definition as the client is to read it, where it changes.
    pub(crate) fn add(&mut self, payload: &[u8], extended: bool) -> Result<Option<Vec<u8>>, ProtocolError> {
        let definition = ColumnDefinition::parse(payload, extended)?;
        let treatment = Treatment::of(&definition);
        self.columns.push(Column { treatment, width: definition.column_type.map_or(Width::None, width) });
        Ok(if treatment == Treatment::Hidden { definition.nullable(payload) } else { None })
    }

    /// A row as the client is to read it; `None` when it stays as it is.
    pub(crate) fn conceal(&self, payload: &[u8], binary: bool) -> Result<Option<Vec<u8>>, ProtocolError> {
        if binary { self.conceal_binary(payload) } else { self.conceal_text(payload) }
    }

    fn conceal_text(&self, payload: &[u8]) -> Result<Option<Vec<u8>>, ProtocolError> {
        let mut reader = Reader::new("text row", payload);
        let mut values = Vec::with_capacity(self.columns.len());
        for _ in &self.columns {
            values.push(next_text(&mut reader)?);
        }
        reader.end("value")?;
        let names_one = self.names_one(values.iter().copied());
        let mut out = Vec::with_capacity(payload.len());
        for (column, value) in self.columns.iter().zip(values) {
            match (column.treatment.cell(value, names_one), value) {
                (Cell::Null, _) => out.push(NULL),
                (Cell::Empty, _) => out.push(0),
                (Cell::AsItIs(value), _) => {
                    out.put_lenenc_int(value.len() as u64);
                    out.extend_from_slice(value);
                }
            }
        }
        Ok((out != payload).then_some(out))
    }

    fn conceal_binary(&self, payload: &[u8]) -> Result<Option<Vec<u8>>, ProtocolError> {
        let mut reader = Reader::new(BINARY_ROW, payload);
        let header = reader.u8("header")?;
        let bitmap_len = self.columns.len().saturating_add(BITMAP_OFFSET).div_ceil(8);
        let bitmap = reader.take(bitmap_len, "NULL bitmap")?;
        let mut values = Vec::with_capacity(self.columns.len());
        for (index, column) in self.columns.iter().enumerate() {
            values.push(if is_null(bitmap, index) { None } else { Some(next_binary(&mut reader, column.width)?) });
        }
        reader.end("value")?;
        let names_one = self.names_one(values.iter().map(|value| value.map(|(_, content)| content)));
        let mut out = Vec::with_capacity(payload.len());
        out.push(header);
        out.extend_from_slice(bitmap);
        for (index, (column, value)) in self.columns.iter().zip(values).enumerate() {
            match column.treatment.cell(value.map(|(whole, _)| whole), names_one) {
                Cell::Empty if column.width == Width::Counted => out.push(0),
                Cell::Null | Cell::Empty => set_null(&mut out, index),
                Cell::AsItIs(whole) => out.extend_from_slice(whole),
            }
        }
        Ok((out != payload).then_some(out))
    }

    /// Whether a row names one of the variables.
    fn names_one<'a>(&self, values: impl Iterator<Item = Option<&'a [u8]>>) -> bool {
        let mut named = self.columns.iter().zip(values);
        named.any(|(column, value)| column.treatment == Treatment::VariableName && value.is_some_and(is_variable))
    }
}

impl Treatment {
    fn of(definition: &ColumnDefinition<'_>) -> Self {
        let name = definition.name;
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        if is(b"variable_name") {
            return Self::VariableName;
        }
        let value_of = name.len().checked_sub(6).and_then(|at| name.get(at..));
        // SESSION_VALUE, GLOBAL_VALUE and DEFAULT_VALUE in MariaDB's information_schema.system_variables.
        if is(b"value") || value_of.is_some_and(|end| end.eq_ignore_ascii_case(b"_value")) {
            return Self::VariableValue;
        }
        let plain: Vec<u8> = name.iter().copied().filter(|byte| !matches!(byte, b'`' | b' ' | b'\t' | b'\n')).collect();
        match plain.strip_prefix(b"@@") {
            Some(variable) if is_variable(without_scope(variable)) => Self::Hidden,
            // A bare name, `socket` say, is the application's: of a column, or of what it makes of one.
            Some(_) | None => Self::Shown,
        }
    }

    fn cell<'a>(self, value: Option<&'a [u8]>, names_one: bool) -> Cell<'a> {
        match (self, value) {
            (Self::Hidden, _) | (_, None) => Cell::Null,
            (Self::VariableValue, Some(_)) if names_one => Cell::Empty,
            (Self::Shown | Self::VariableName | Self::VariableValue, Some(value)) => Cell::AsItIs(value),
        }
    }
}

/// A variable's name behind `@@`, without `global.` and the like.
fn without_scope(variable: &[u8]) -> &[u8] {
    let dot = variable.iter().position(|byte| *byte == b'.');
    let Some((scope, name)) = dot.and_then(|at| variable.split_at_checked(at)) else { return variable };
    let known = [&b"global"[..], b"session", b"local", b"persist", b"persist_only"];
    if known.iter().any(|known| known.eq_ignore_ascii_case(scope)) {
        name.get(1..).unwrap_or_default()
    } else {
        variable
    }
}

/// Takes a value off a binary row: whole, and without its length.
fn next_binary<'a>(reader: &mut Reader<'a>, width: Width) -> Result<(&'a [u8], &'a [u8]), ProtocolError> {
    match width {
        Width::Fixed(len) => reader.take(len, "value").map(|value| (value, value)),
        Width::Counted => {
            let from = reader.rest();
            let content = reader.lenenc_bytes("value")?;
            let len = from.len().saturating_sub(reader.rest().len());
            Ok((from.get(..len).unwrap_or_default(), content))
        }
        Width::None => Err(reader.fail("value", Fault::Invalid)),
    }
}

fn is_null(bitmap: &[u8], index: usize) -> bool {
    let bit = index.saturating_add(BITMAP_OFFSET);
    bitmap.get(bit / 8).is_some_and(|byte| byte >> (bit % 8) & 1 == 1)
}

/// Marks a column NULL in a row that starts with header and bitmap.
fn set_null(row: &mut [u8], index: usize) {
    let bit = index.saturating_add(BITMAP_OFFSET);
    if let Some(byte) = row.get_mut((bit / 8).saturating_add(1)) {
        *byte |= 1 << (bit % 8);
    }
}
