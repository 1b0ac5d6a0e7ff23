//! Rows of a text result set.

use crate::ProtocolError;
use crate::reader::Reader;

const NULL: u8 = 0xFB;

/// Reads the `columns` values of a text row (manual, "Text Resultset Row"); `None` is NULL.
///
/// # Errors
/// `Malformed` when the payload holds fewer values, or more.
pub fn text(payload: &[u8], columns: usize) -> Result<Vec<Option<&[u8]>>, ProtocolError> {
    const FIELD: &str = "value";
    let mut reader = Reader::new("text row", payload);
    let mut values = Vec::new();
    for _ in 0..columns {
        let mut ahead = reader.clone();
        if ahead.u8(FIELD)? == NULL {
            reader = ahead;
            values.push(None);
        } else {
            values.push(Some(reader.lenenc_bytes(FIELD)?));
        }
    }
    reader.end(FIELD)?;
    Ok(values)
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
