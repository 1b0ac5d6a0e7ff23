//! Rows of a text result set.

use crate::ProtocolError;
use crate::reader::Reader;

pub(crate) const NULL: u8 = 0xFB;

/// Reads the `columns` values of a text row (manual, "Text Resultset Row"); `None` is NULL.
///
/// # Errors
/// `Malformed` when the payload holds fewer values, or more.
pub fn text(payload: &[u8], columns: usize) -> Result<Vec<Option<&[u8]>>, ProtocolError> {
    let mut reader = Reader::new("text row", payload);
    let mut values = Vec::new();
    for _ in 0..columns {
        values.push(next_text(&mut reader)?);
    }
    reader.end("value")?;
    Ok(values)
}

/// Reads the next value of a text row; `None` is NULL.
pub(crate) fn next_text<'a>(reader: &mut Reader<'a>) -> Result<Option<&'a [u8]>, ProtocolError> {
    if reader.rest().first() == Some(&NULL) {
        reader.u8("value")?;
        return Ok(None);
    }
    reader.lenenc_bytes("value").map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_its_values_and_nothing_more() {
        let row = b"\x03abc\xfb\x00";
        assert_eq!(text(row, 3), Ok(vec![Some(&b"abc"[..]), None, Some(&b""[..])]));
        assert!(text(row, 2).is_err());
        assert!(text(row, 4).is_err());
        for cut in 0..row.len() {
            assert!(text(&row[..cut], 3).is_err(), "cut at {cut}");
        }
    }
}
