//! Rows as Apache Parquet: the columns of [`COLUMNS`], flat, every one optional; a list is a text of JSON.

use std::io::Write;
use std::sync::Arc;

use parquet::data_type::{BoolType, ByteArray, ByteArrayType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::sink::Sink;
use crate::cli::recorded::{COLUMNS, Cell, Kind, Row};
use crate::cli::render::json;
use crate::limits::{EXPORT_GROUP_BYTES_MAX, EXPORT_GROUP_ROWS_MAX};

/// Gathers rows by column, and writes them in groups.
pub(super) struct Parquet<W: Write + Send> {
    writer: SerializedFileWriter<W>,
    columns: Vec<Gathered>,
    rows: usize,
    bytes: usize,
}

/// The values of one column, and for each row whether it has one.
struct Gathered {
    values: Values,
    is_there: Vec<i16>,
}

enum Values {
    /// One after the other, and where each begins and how long it is: millions of small allocations would be most of the time.
    Texts(Vec<u8>, Vec<(usize, usize)>),
    Numbers(Vec<i64>),
    Flags(Vec<bool>),
}

impl<W: Write + Send> Parquet<W> {
    /// # Errors
    /// When the beginning cannot be written.
    pub(super) fn new(out: W) -> anyhow::Result<Self> {
        let fields: String = COLUMNS.iter().map(|column| field(column.name, column.kind)).collect();
        let schema = parse_message_type(&format!("message portreeve {{ {fields} }}"))?;
        let writer = SerializedFileWriter::new(out, Arc::new(schema), Arc::new(WriterProperties::builder().build()))?;
        let columns = COLUMNS.iter().map(|column| Gathered::new(column.kind)).collect();
        Ok(Self { writer, columns, rows: 0, bytes: 0 })
    }

    fn write_group(&mut self) -> anyhow::Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        let mut group = self.writer.next_row_group()?;
        for gathered in &mut self.columns {
            let Some(mut column) = group.next_column()? else { break };
            let is_there = Some(gathered.is_there.as_slice());
            match &mut gathered.values {
                Values::Texts(bytes, places) => {
                    let bytes = ByteArray::from(std::mem::take(bytes));
                    let values: Vec<_> = places.iter().map(|(start, len)| bytes.slice(*start, *len)).collect();
                    column.typed::<ByteArrayType>().write_batch(&values, is_there, None)?
                }
                Values::Numbers(values) => column.typed::<Int64Type>().write_batch(values, is_there, None)?,
                Values::Flags(values) => column.typed::<BoolType>().write_batch(values, is_there, None)?,
            };
            column.close()?;
            gathered.clear();
        }
        group.close()?;
        (self.rows, self.bytes) = (0, 0);
        Ok(())
    }
}

impl<W: Write + Send> Sink for Parquet<W> {
    fn row(&mut self, row: &Row<'_>) -> anyhow::Result<()> {
        for (column, gathered) in COLUMNS.iter().zip(&mut self.columns) {
            self.bytes += gathered.push(&(column.of)(row))?;
        }
        self.rows += 1;
        if self.rows >= EXPORT_GROUP_ROWS_MAX || self.bytes >= EXPORT_GROUP_BYTES_MAX {
            self.write_group()?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> anyhow::Result<()> {
        self.write_group()?;
        let mut out = self.writer.into_inner()?;
        Ok(out.flush()?)
    }
}

/// A column of the schema.
fn field(name: &str, kind: Kind) -> String {
    match kind {
        Kind::Text | Kind::List => format!("optional byte_array {name} (STRING); "),
        Kind::Number => format!("optional int64 {name} (INTEGER(64,false)); "),
        Kind::Flag => format!("optional boolean {name}; "),
        Kind::Time => format!("optional int64 {name} (TIMESTAMP(NANOS,true)); "),
    }
}

impl Gathered {
    fn new(kind: Kind) -> Self {
        let values = match kind {
            Kind::Text | Kind::List => Values::Texts(Vec::new(), Vec::new()),
            Kind::Number | Kind::Time => Values::Numbers(Vec::new()),
            Kind::Flag => Values::Flags(Vec::new()),
        };
        Self { values, is_there: Vec::new() }
    }

    /// Takes a value, and says how many bytes it has.
    fn push(&mut self, cell: &Cell<'_>) -> anyhow::Result<usize> {
        let len = match (&mut self.values, cell) {
            (Values::Texts(bytes, places), Cell::Text(text)) => push_text(bytes, places, text),
            (Values::Texts(bytes, places), Cell::List(_)) => {
                push_text(bytes, places, &json::line(cell).map_err(std::io::Error::from)?)
            }
            // The column says that it has no sign: the bits are what counts.
            (Values::Numbers(values), Cell::Number(number) | Cell::Time(number)) => {
                values.push(number.cast_signed());
                size_of::<i64>()
            }
            (Values::Flags(values), Cell::Flag(flag)) => {
                values.push(*flag);
                1
            }
            (Values::Texts(..) | Values::Numbers(_) | Values::Flags(_), _) => {
                self.is_there.push(0);
                return Ok(0);
            }
        };
        self.is_there.push(1);
        Ok(len)
    }

    fn clear(&mut self) {
        self.is_there.clear();
        match &mut self.values {
            Values::Texts(bytes, places) => {
                bytes.clear();
                places.clear();
            }
            Values::Numbers(values) => values.clear(),
            Values::Flags(values) => values.clear(),
        }
    }
}

fn push_text(bytes: &mut Vec<u8>, places: &mut Vec<(usize, usize)>, text: &str) -> usize {
    places.push((bytes.len(), text.len()));
    bytes.extend_from_slice(text.as_bytes());
    text.len()
}
