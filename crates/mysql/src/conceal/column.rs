use mysql_common::constants::ColumnType;

use crate::reader::Reader;
use crate::{Fault, ProtocolError};

const NOT_NULL: u8 = 0x01;
/// Bytes of a definition's fixed part, which its length announces.
const FIXED_LEN: u64 = 0x0C;

/// What of a column's definition (manual, "Protocol::ColumnDefinition41") decides how it is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ColumnDefinition<'a> {
    pub(crate) name: &'a [u8],
    /// `None` for a type that nobody knows.
    pub(crate) column_type: Option<ColumnType>,
    /// Where in the payload the flags are.
    flags_at: usize,
    pub(crate) flags: u16,
    pub(crate) decimals: u8,
}

impl<'a> ColumnDefinition<'a> {
    /// `extended`: whether MariaDB's `EXTENDED_METADATA` is in force, which puts one more field before the fixed part.
    pub(crate) fn parse(payload: &'a [u8], extended: bool) -> Result<Self, ProtocolError> {
        let mut reader = Reader::new("column definition", payload);
        for field in ["catalog", "schema", "table", "original table"] {
            reader.lenenc_bytes(field)?;
        }
        let name = reader.lenenc_bytes("name")?;
        reader.lenenc_bytes("original name")?;
        if extended {
            reader.lenenc_bytes("extended metadata")?;
        }
        if reader.lenenc_int("length of fixed fields")? != FIXED_LEN {
            return Err(reader.fail("length of fixed fields", Fault::Invalid));
        }
        reader.u16("character set")?;
        reader.u32("column length")?;
        let column_type = ColumnType::try_from(reader.u8("type")?).ok();
        let flags_at = payload.len().saturating_sub(reader.rest().len());
        // Flags, decimals, filler. COM_FIELD_LIST has the default value behind.
        let [low, high, decimals, _, _] = reader.array::<5>("flags")?;
        Ok(Self { name, column_type, flags_at, flags: u16::from_le_bytes([low, high]), decimals })
    }

    /// The same definition for a column that may be NULL; `None` when it may be already.
    pub(crate) fn nullable(&self, payload: &[u8]) -> Option<Vec<u8>> {
        let mut changed = payload.to_vec();
        let flags = changed.get_mut(self.flags_at)?;
        if *flags & NOT_NULL == 0 {
            return None;
        }
        *flags &= !NOT_NULL;
        Some(changed)
    }
}
