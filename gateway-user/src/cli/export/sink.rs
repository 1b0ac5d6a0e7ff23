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

/// `raw` is for CSV.
///
/// # Errors
/// When the beginning cannot be written.
pub(super) fn new(format: Format, raw: bool, out: Out) -> anyhow::Result<Box<dyn Sink>> {
    Ok(match format {
        Format::Jsonl => Box::new(Lines { out, line: |row| json::line(row) }),
        Format::Ocsf => Box::new(Lines { out, line: |row| json::line(&ocsf::event(row)) }),
        Format::Csv => Box::new(Csv::new(out, raw)?),
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

struct Csv {
    writer: csv::Writer<Out>,
    raw: bool,
}

impl Csv {
    fn new(out: Out, raw: bool) -> anyhow::Result<Self> {
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record(COLUMNS.iter().map(|column| column.name)).map_err(io_error)?;
        Ok(Self { writer, raw })
    }
}

impl Sink for Csv {
    fn row(&mut self, row: &Row<'_>) -> anyhow::Result<()> {
        let fields = COLUMNS.iter().map(|column| field(&(column.of)(row), self.raw)).collect::<Result<Vec<_>, _>>()?;
        Ok(self.writer.write_record(fields).map_err(io_error)?)
    }

    fn finish(mut self: Box<Self>) -> anyhow::Result<()> {
        Ok(self.writer.flush()?)
    }
}

/// The system's own error: a reader that goes away must be known as such.
fn io_error(error: csv::Error) -> io::Error {
    let text = error.to_string();
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        _ => io::Error::other(text),
    }
}

/// A field: empty for none, a list as JSON.
fn field(cell: &Cell<'_>, raw: bool) -> anyhow::Result<String> {
    Ok(match cell {
        Cell::None => String::new(),
        Cell::Text(text) if raw => text.to_string(),
        Cell::Text(text) => no_formula(lines(text)),
        Cell::Number(number) => number.to_string(),
        Cell::Flag(flag) => flag.to_string(),
        Cell::Time(unix_ns) => time(*unix_ns, 9),
        Cell::List(texts) if texts.is_empty() => String::new(),
        Cell::List(_) => json::line(cell).map_err(io::Error::from)?,
    })
}

/// What a spreadsheet takes for the beginning of a formula, quoted or not (OWASP, "CSV Injection"); the last four are wide forms of the
/// first.
const FORMULA: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];

/// Text that does nothing to a spreadsheet: agents choose what is in it, and who investigates opens it.
fn no_formula(text: String) -> String {
    if text.starts_with(FORMULA) { format!("'{text}") } else { text }
}
