//! The formats.

use std::io::{self, Write};

use super::Format;
use super::ocsf;
use super::parquet::Parquet;
use crate::cli::recorded::{COLUMNS, Cell, Row};
use crate::cli::render::{json, lines, time};

/// Writes rows in one format.
pub(super) trait Sink {
    /// # Errors
    /// When the output cannot be written.
    fn row(&mut self, row: &Row<'_>) -> anyhow::Result<()>;

    /// Writes what is left, and the end.
    ///
    /// # Errors
    /// When the output cannot be written.
    fn finish(self: Box<Self>) -> anyhow::Result<()>;
}

type Out = Box<dyn Write + Send>;

/// # Errors
/// When the beginning cannot be written.
pub(super) fn new(format: Format, out: Out) -> anyhow::Result<Box<dyn Sink>> {
    Ok(match format {
        Format::Jsonl => Box::new(Lines { out, line: |row| json::line(row) }),
        Format::Ocsf => Box::new(Lines { out, line: |row| json::line(&ocsf::event(row)) }),
        Format::Csv => Box::new(Csv::new(out)?),
        Format::Parquet => Box::new(Parquet::new(out)?),
    })
}

/// A line of JSON for each row.
struct Lines {
    out: Out,
    line: fn(&Row<'_>) -> serde_json::Result<String>,
}

impl Sink for Lines {
    fn row(&mut self, row: &Row<'_>) -> anyhow::Result<()> {
        let line = (self.line)(row).map_err(io::Error::from)?;
        Ok(writeln!(self.out, "{line}")?)
    }

    fn finish(mut self: Box<Self>) -> anyhow::Result<()> {
        Ok(self.out.flush()?)
    }
}

struct Csv(csv::Writer<Out>);

impl Csv {
    fn new(out: Out) -> anyhow::Result<Self> {
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record(COLUMNS.iter().map(|column| column.name)).map_err(io::Error::from)?;
        Ok(Self(writer))
    }
}

impl Sink for Csv {
    fn row(&mut self, row: &Row<'_>) -> anyhow::Result<()> {
        let fields = COLUMNS.iter().map(|column| field(&(column.of)(row))).collect::<Result<Vec<_>, _>>()?;
        Ok(self.0.write_record(fields).map_err(io::Error::from)?)
    }

    fn finish(mut self: Box<Self>) -> anyhow::Result<()> {
        Ok(self.0.flush()?)
    }
}

/// A field: empty for none, a list as JSON.
fn field(cell: &Cell<'_>) -> anyhow::Result<String> {
    Ok(match cell {
        Cell::None => String::new(),
        Cell::Text(text) => lines(text),
        Cell::Number(number) => number.to_string(),
        Cell::Flag(flag) => flag.to_string(),
        Cell::Time(unix_ns) => time(*unix_ns, 9),
        Cell::List(texts) if texts.is_empty() => String::new(),
        Cell::List(_) => json::line(cell).map_err(io::Error::from)?,
    })
}
