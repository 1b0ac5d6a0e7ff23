//! Parameters of prepared statements as the recording keeps them.

use std::borrow::Cow;

use portreeve_mysql::{
    ProtocolError,
    attributes::Attribute,
    bulk::{BulkRows, BulkValue},
    execute::Value,
};
use portreeve_recording::Text;

/// Bytes kept of one parameter.
const PARAMETER_KEPT_MAX: usize = 4 * 1024;
/// Bytes kept of all parameters of one execution.
const PARAMETERS_KEPT_MAX: usize = 256 * 1024;

/// The values in order, each as one would write it, cut to the bounds above. What is cut is marked as truncated.
pub(super) fn texts<'a>(values: &[Value<'a>]) -> Vec<Text<'a>> {
    let mut left = PARAMETERS_KEPT_MAX;
    values
        .iter()
        .map(|value| {
            let text = match value {
                Value::Bytes(bytes) => kept(bytes, left.min(PARAMETER_KEPT_MAX)),
                other => owned(other.to_string(), left.min(PARAMETER_KEPT_MAX)),
            };
            left = left.saturating_sub(text.kept().len());
            text
        })
        .collect()
}

/// Attributes of a statement, as `name=value`.
pub(super) fn attributes<'a>(attributes: impl Iterator<Item = Attribute<'a>>) -> Vec<Text<'static>> {
    let mut left = PARAMETERS_KEPT_MAX;
    attributes
        .map(|attribute| {
            let name = attribute.name.get(..PARAMETER_KEPT_MAX).unwrap_or(attribute.name);
            owned(format!("{}={}", String::from_utf8_lossy(name), shown(attribute.value)), PARAMETER_KEPT_MAX)
        })
        .take_while(|text| {
            left = left.saturating_sub(text.kept().len());
            left > 0
        })
        .collect()
}

/// The rows of a bulk execution, one text each, as far as the bounds go; all of them are read.
///
/// # Errors
/// A row that cannot be read.
pub(super) fn of_rows(rows: &mut BulkRows<'_>) -> Result<(Vec<Text<'static>>, u64), ProtocolError> {
    let (mut texts, mut count) = (Vec::new(), 0);
    let mut left = PARAMETERS_KEPT_MAX;
    let mut values = Vec::new();
    while rows.next_row(&mut values)? {
        count += 1;
        if left == 0 {
            continue;
        }
        let text = row(&values, left.min(PARAMETER_KEPT_MAX));
        left = left.saturating_sub(text.kept().len());
        texts.push(text);
    }
    Ok((texts, count))
}

/// One row, no more of it than is kept: what is behind is not looked at.
fn row(values: &[BulkValue<'_>], max: usize) -> Text<'static> {
    let mut text = "(".to_owned();
    for (index, value) in values.iter().enumerate() {
        if text.len() > max {
            break;
        }
        if index > 0 {
            text.push_str(", ");
        }
        match value {
            BulkValue::Value(value) => text.push_str(&shown(*value)),
            BulkValue::Default => text.push_str("DEFAULT"),
            BulkValue::Ignore => text.push_str("IGNORE"),
        }
    }
    text.push(')');
    owned(text, max)
}

/// A value of any length takes a bounded time and room to show.
fn shown(value: Value<'_>) -> String {
    match value {
        Value::Bytes(bytes) => Value::Bytes(bytes.get(..PARAMETER_KEPT_MAX).unwrap_or(bytes)).to_string(),
        other => other.to_string(),
    }
}

/// The beginning of a piece of long data.
pub(super) fn long_data(data: &[u8]) -> Text<'_> {
    kept(data, PARAMETER_KEPT_MAX)
}

/// The beginning of a piece of long data that has not all come. `length` is what its first packet announces: of data that go
/// on in further packets, more is not known when it is recorded.
pub(super) fn beginning_of_long_data(come: &[u8], length: usize) -> Text<'_> {
    let kept = kept(come, PARAMETER_KEPT_MAX);
    Text { length: length as u64, truncated: true, ..kept }
}

fn kept(bytes: &[u8], max: usize) -> Text<'_> {
    let kept = bytes.get(..max).unwrap_or(bytes);
    Text {
        bytes: Cow::Borrowed(kept),
        length: bytes.len() as u64,
        truncated: kept.len() < bytes.len(),
        redacted: false,
    }
}

fn owned(text: String, max: usize) -> Text<'static> {
    let length = text.len() as u64;
    let mut bytes = text.into_bytes();
    bytes.truncate(max);
    bytes.shrink_to_fit();
    Text { truncated: (bytes.len() as u64) < length, bytes: Cow::Owned(bytes), length, redacted: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_value_is_cut_at_its_bound_and_says_so() {
        let at_limit = vec![b'x'; PARAMETER_KEPT_MAX];
        let past = vec![b'x'; PARAMETER_KEPT_MAX + 1];
        let texts = texts(&[Value::Bytes(&at_limit), Value::Bytes(&past), Value::Int(-7), Value::Null]);
        assert_eq!((texts[0].kept().len(), texts[0].truncated), (PARAMETER_KEPT_MAX, false));
        assert_eq!((texts[1].kept().len(), texts[1].truncated), (PARAMETER_KEPT_MAX, true));
        assert_eq!(texts[1].length, past.len() as u64);
        assert_eq!((texts[2].kept(), texts[3].kept()), (&b"-7"[..], &b"NULL"[..]));
    }

    #[test]
    fn a_row_is_cut_at_its_bound_whatever_is_behind() {
        let long = vec![b'x'; 3 * PARAMETER_KEPT_MAX];
        let values = vec![BulkValue::Value(Value::Bytes(&long)); 1000];
        let text = row(&values, PARAMETER_KEPT_MAX);
        assert_eq!((text.kept().len(), text.truncated), (PARAMETER_KEPT_MAX, true));
        let short = row(&[BulkValue::Value(Value::Int(7)), BulkValue::Default, BulkValue::Ignore], PARAMETER_KEPT_MAX);
        assert_eq!((short.kept(), short.truncated), (&b"(7, DEFAULT, IGNORE)"[..], false));
    }

    #[test]
    fn an_attribute_is_cut_before_it_is_shown() {
        let long = vec![b'\n'; 3 * PARAMETER_KEPT_MAX];
        let texts = attributes([Attribute { name: &long, value: Value::Bytes(&long) }].into_iter());
        assert_eq!((texts[0].kept().len(), texts[0].truncated), (PARAMETER_KEPT_MAX, true));
    }

    #[test]
    fn all_values_together_stay_within_their_bound() {
        let long = vec![b'x'; PARAMETER_KEPT_MAX];
        let values = vec![Value::Bytes(&long); PARAMETERS_KEPT_MAX / PARAMETER_KEPT_MAX + 1];
        let texts = texts(&values);
        assert_eq!(texts.iter().map(|text| text.kept().len()).sum::<usize>(), PARAMETERS_KEPT_MAX);
        assert!(texts.last().unwrap().truncated);
    }
}
