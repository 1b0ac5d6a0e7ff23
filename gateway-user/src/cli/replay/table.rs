//! Result sets as the `mariadb` and `mysql` clients draw them.

use std::io::{self, Write};

use portreeve_recording::{Rows, Text};

use crate::cli::render::escape;

/// Characters of a value that are shown.
const VALUE_SHOWN_CHARS: usize = 200;

/// Draws each result set that rows are recorded of.
pub(super) fn write(rows: &[Rows<'_>], out: &mut impl Write) -> io::Result<()> {
    for set in rows.chunk_by(|one, next| one.result_set == next.result_set) {
        let Some(columns) = set.first().map(|first| &first.columns).filter(|columns| !columns.is_empty()) else {
            continue;
        };
        let mut lines = vec![columns.iter().map(|name| escape(name.as_bytes())).collect::<Vec<_>>()];
        lines.extend(
            set.iter().flat_map(|rows| rows.values.chunks(columns.len())).map(|row| row.iter().map(value).collect()),
        );
        draw(&lines, out)?;
        if set.iter().any(|rows| rows.truncated) {
            writeln!(out, "-- the rows that follow are not recorded")?;
        }
    }
    Ok(())
}

fn value(value: &Option<Text<'_>>) -> String {
    let Some(text) = value else { return "NULL".to_owned() };
    let mut shown = escape(text.kept());
    if let Some((at, _)) = shown.char_indices().nth(VALUE_SHOWN_CHARS) {
        shown.truncate(at);
        shown.push('…');
    }
    shown
}

/// The first line is the heading.
fn draw(lines: &[Vec<String>], out: &mut impl Write) -> io::Result<()> {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or_default()).collect();
    let rule: String = widths.iter().map(|width| format!("+{}", "-".repeat(width + 2))).collect();
    writeln!(out, "{rule}+")?;
    for (number, line) in lines.iter().enumerate() {
        for (cell, &width) in line.iter().zip(&widths) {
            write!(out, "| {cell:<width$} ")?;
        }
        writeln!(out, "|")?;
        if number == 0 {
            writeln!(out, "{rule}+")?;
        }
    }
    writeln!(out, "{rule}+")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(result_set: u32, columns: &[&str], values: &[Option<&'static [u8]>], truncated: bool) -> Rows<'static> {
        Rows {
            number: 1,
            result_set,
            first: 0,
            columns: columns.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>().into(),
            values: values.iter().map(|value| value.map(Text::of_bytes)).collect::<Vec<_>>().into(),
            truncated,
        }
    }

    #[test]
    fn each_result_set_is_a_table_as_the_client_draws_it() {
        let first = rows(0, &["id", "item"], &[Some(b"1"), Some(b"tea\x1bpot")], false);
        let more = rows(0, &["id", "item"], &[Some(b"22"), None], true);
        let second = rows(1, &["n"], &[Some(b"7")], false);
        // No daemon writes one without columns, or half a row.
        let hostile = [rows(2, &[], &[Some(b"x")], false), rows(3, &["a", "b"], &[Some(b"x")], false)];
        let mut out = Vec::new();
        write(&[&[first, more, second], &hostile[..]].concat(), &mut out).unwrap();
        let expected = r"+----+--------------+
| id | item         |
+----+--------------+
| 1  | tea\u{1b}pot |
| 22 | NULL         |
+----+--------------+
-- the rows that follow are not recorded
+---+
| n |
+---+
| 7 |
+---+
+---+---+
| a | b |
+---+---+
| x |
+---+---+
";
        assert_eq!(String::from_utf8(out).unwrap(), expected.replace(r"\\u", r"\u"));
    }
}
