//! Rows on their way to the client, taken for whoever records them: up to a bound, and never more of them in memory.

use std::mem::take;
use std::sync::Arc;

use super::Expect;
use super::stage::Stage;
use crate::conceal::ColumnDefinition;
use crate::execute::{RowColumn, push_value};
use crate::limits::{COLUMN_DEFINITION_MAX, COLUMN_NAME_KEPT_MAX, TAKEN_VALUE_LEN};
use crate::reader::Reader;
use crate::row::next_text;
use crate::{Fault, ProtocolError};

/// Bits of a binary row's NULL bitmap in front of the first column's.
const BITMAP_OFFSET: usize = 2;

/// How much of one answer is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowLimits {
    /// Rows, in all result sets.
    pub rows: u64,
    /// Bytes of values and names, with [`TAKEN_VALUE_LEN`] for each.
    pub bytes: usize,
}

/// What a packet holds that may be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    Column,
    Row,
    Nothing,
}

impl Holds {
    const fn at(stage: Stage) -> Self {
        match stage {
            Stage::Columns { .. } | Stage::PreparedColumns { .. } => Self::Column,
            Stage::Rows { .. } => Self::Row,
            Stage::Result
            | Stage::Simple
            | Stage::Statistics
            | Stage::ColumnsEnd
            | Stage::FieldList
            | Stage::LocalInfile
            | Stage::AfterLocalInfile
            | Stage::Prepare
            | Stage::PreparedParameters { .. }
            | Stage::PreparedParametersEnd { .. }
            | Stage::UndescribedParametersEnd { .. }
            | Stage::PreparedColumnsEnd
            | Stage::BinlogEvents
            | Stage::Complete => Self::Nothing,
        }
    }
}

/// The columns of a result set. A prepared statement's are worth keeping: its rows may come without definitions later on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Columns {
    names: Vec<String>,
    types: Vec<Option<RowColumn>>,
}

impl Columns {
    /// Of which no definition is known.
    fn unnamed(count: u64) -> Self {
        let count = usize::try_from(count).unwrap_or_default();
        Self { names: vec![String::new(); count], types: vec![None; count] }
    }

    /// Their names, in order.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Appends what a definition says. Returns the length of the name.
    fn add(&mut self, payload: &[u8], extended: bool) -> Result<usize, ProtocolError> {
        let definition = ColumnDefinition::parse(payload, extended)?;
        let kept = definition.name.get(..COLUMN_NAME_KEPT_MAX).unwrap_or(definition.name);
        let name = String::from_utf8_lossy(kept).into_owned();
        let len = name.len();
        self.names.push(name);
        self.types.push(RowColumn::of(&definition));
        Ok(len)
    }

    /// Bytes that they count for in a record.
    fn cost(&self) -> usize {
        self.names.iter().map(|name| name.len().saturating_add(TAKEN_VALUE_LEN)).sum()
    }
}

/// Rows of one result set that went through one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenRows {
    /// Which of the answer's result sets, from 0.
    pub result_set: u32,
    /// Number of the first row in its result set, from 0.
    pub first: u64,
    pub columns: Arc<Columns>,
    /// What follows in this answer is not taken.
    pub truncated: bool,
    bytes: Vec<u8>,
    /// Where each value ends in `bytes`; `None` is NULL.
    ends: Vec<Option<usize>>,
}

impl TakenRows {
    /// Row after row, one value for each column; `None` is NULL.
    pub fn values(&self) -> impl Iterator<Item = Option<&[u8]>> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let end = (*end)?;
            self.bytes.get(std::mem::replace(&mut start, end)..end)
        })
    }
}

/// Takes the rows of one answer.
#[derive(Debug)]
pub(super) struct Taking {
    left: RowLimits,
    binary: bool,
    /// Of an earlier answer to the same statement.
    known: Option<Arc<Columns>>,
    /// Of the first result set.
    learned: Option<Arc<Columns>>,
    /// Definitions that came so far of the result set at hand.
    defined: Columns,
    /// What all definitions of it count for, also those that were too many to be kept.
    defined_cost: usize,
    columns: Option<Arc<Columns>>,
    /// What came of the packet at hand.
    packet: Vec<u8>,
    /// It is longer than what may be taken.
    is_over: bool,
    /// Result sets so far.
    sets: u32,
    /// Number of the next row in its result set.
    row: u64,
    /// Nothing more is taken.
    is_full: bool,
    batch: Option<TakenRows>,
    ready: Vec<TakenRows>,
}

impl Taking {
    pub(super) fn new(expect: Expect, left: RowLimits, known: Option<Arc<Columns>>) -> Self {
        let fetches = expect == Expect::Fetch;
        Self {
            left,
            binary: expect.is_binary(),
            columns: known.clone().filter(|_| fetches),
            known,
            learned: None,
            defined: Columns::default(),
            defined_cost: 0,
            packet: Vec::new(),
            is_over: false,
            sets: u32::from(fetches),
            row: 0,
            is_full: false,
            batch: None,
            ready: Vec::new(),
        }
    }

    /// A result set begins, or the definitions of one that is prepared.
    pub(super) fn begin_columns(&mut self, count: u64, described: bool) {
        self.ready.extend(self.batch.take());
        self.sets = self.sets.saturating_add(1);
        self.row = 0;
        (self.defined, self.defined_cost) = (Columns::default(), 0);
        // What was known is of one result set: the first.
        let known = self.known.take().filter(|known| known.names.len() as u64 == count);
        self.columns = (!described).then(|| known.unwrap_or_else(|| Arc::new(Columns::unnamed(count))));
    }

    /// Some of a packet that goes through.
    pub(super) fn piece(&mut self, stage: Stage, bytes: &[u8]) {
        let max = match Holds::at(stage) {
            Holds::Column if !self.is_full => COLUMN_DEFINITION_MAX,
            Holds::Row if !self.is_full => self.left.bytes,
            Holds::Column | Holds::Row | Holds::Nothing => return,
        };
        self.is_over |= self.packet.len().saturating_add(bytes.len()) > max;
        if !self.is_over {
            self.packet.extend_from_slice(bytes);
        }
    }

    /// The packet is whole.
    pub(super) fn end_packet(&mut self, stage: Stage, extended: bool) -> Result<(), ProtocolError> {
        if self.is_full {
            return Ok(());
        }
        let (packet, is_over) = (take(&mut self.packet), take(&mut self.is_over));
        match Holds::at(stage) {
            Holds::Column if is_over => {
                return Err(ProtocolError::malformed("column definition", "length", Fault::Invalid));
            }
            Holds::Column => self.define(&packet, extended)?,
            Holds::Row => self.take_row(&packet, is_over)?,
            Holds::Nothing => {}
        }
        // Its room is for the next one.
        self.packet = packet;
        self.packet.clear();
        Ok(())
    }

    /// The next column. Of a result set whose names alone are more than may be taken, nothing is remembered: no row of it fits.
    fn define(&mut self, packet: &[u8], extended: bool) -> Result<(), ProtocolError> {
        let name_len = self.defined.add(packet, extended)?;
        self.defined_cost = self.defined_cost.saturating_add(name_len).saturating_add(TAKEN_VALUE_LEN);
        if self.defined_cost > self.left.bytes {
            self.defined = Columns::default();
        }
        Ok(())
    }

    /// What went through since the last call.
    pub(super) fn ready(&mut self) -> Vec<TakenRows> {
        self.ready.extend(self.batch.take());
        take(&mut self.ready)
    }

    /// Of the first result set, or of the statement prepared.
    pub(super) fn learned(&mut self) -> Option<&Arc<Columns>> {
        self.settle_columns();
        self.learned.as_ref()
    }

    /// All definitions of the result set at hand have come.
    fn settle_columns(&mut self) {
        if self.columns.is_none() && !self.defined.names.is_empty() {
            let columns = Arc::new(take(&mut self.defined));
            if self.sets == 1 {
                self.learned = Some(Arc::clone(&columns));
            }
            self.columns = Some(columns);
        }
    }

    fn take_row(&mut self, packet: &[u8], is_over: bool) -> Result<(), ProtocolError> {
        let first = self.row;
        self.row = self.row.saturating_add(1);
        self.settle_columns();
        let columns = self.columns.clone().unwrap_or_default();
        let names = if self.batch.is_some() { 0 } else { columns.cost() };
        let values = columns.names.len().saturating_mul(TAKEN_VALUE_LEN);
        let cost = packet.len().saturating_add(values).saturating_add(names);
        // Of a binary row, the types must be known.
        let unreadable = columns.names.is_empty() || self.binary && columns.types.iter().any(Option::is_none);
        if is_over || unreadable || self.left.rows == 0 || cost > self.left.bytes {
            self.stop(first, columns);
            return Ok(());
        }
        self.left.rows = self.left.rows.saturating_sub(1);
        self.left.bytes = self.left.bytes.saturating_sub(cost);
        let result_set = self.sets.saturating_sub(1);
        let empty = || TakenRows { result_set, first, columns, truncated: false, bytes: Vec::new(), ends: Vec::new() };
        let batch = self.batch.get_or_insert_with(empty);
        if self.binary { batch.add_binary(packet) } else { batch.add_text(packet) }
    }

    /// From this row on, nothing is taken.
    fn stop(&mut self, first: u64, columns: Arc<Columns>) {
        self.is_full = true;
        self.packet = Vec::new();
        if let Some(batch) = &mut self.batch {
            batch.truncated = true;
            return;
        }
        // Names that are longer than all that may be taken are not either.
        let columns = if columns.cost() > self.left.bytes { Arc::default() } else { columns };
        let result_set = self.sets.saturating_sub(1);
        self.batch =
            Some(TakenRows { result_set, first, columns, truncated: true, bytes: Vec::new(), ends: Vec::new() });
    }
}

impl TakenRows {
    fn add_text(&mut self, packet: &[u8]) -> Result<(), ProtocolError> {
        let mut reader = Reader::new("text row", packet);
        for _ in &self.columns.names {
            let value = next_text(&mut reader)?;
            self.ends.push(value.map(|value| {
                self.bytes.extend_from_slice(value);
                self.bytes.len()
            }));
        }
        reader.end("value")
    }

    fn add_binary(&mut self, packet: &[u8]) -> Result<(), ProtocolError> {
        let mut reader = Reader::new("binary row", packet);
        reader.u8("header")?;
        let bitmap_len = self.columns.types.len().saturating_add(BITMAP_OFFSET).div_ceil(8);
        let bitmap = reader.take(bitmap_len, "NULL bitmap")?;
        for (index, column) in self.columns.types.iter().enumerate() {
            let bit = index.saturating_add(BITMAP_OFFSET);
            if bitmap.get(bit / 8).is_some_and(|byte| byte >> (bit % 8) & 1 == 1) {
                self.ends.push(None);
                continue;
            }
            let column = column.ok_or_else(|| reader.fail("type", Fault::Invalid))?;
            push_value(&mut reader, column, &mut self.bytes)?;
            self.ends.push(Some(self.bytes.len()));
        }
        reader.end("value")
    }
}
