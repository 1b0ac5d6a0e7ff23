//! Text from the client, kept up to a bound.

use std::borrow::Cow;

use rkyv::with::AsOwned;
use rkyv::{Archive, Deserialize, Serialize};

use crate::limits::{NAME_KEPT_MAX, TEXT_KEPT_MAX};
use crate::redact::{self, Quoting};

/// A statement or parameter. Bytes, because the client's character set decides what they mean.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Text<'a> {
    /// At most [`TEXT_KEPT_MAX`] bytes.
    #[rkyv(with = AsOwned)]
    pub bytes: Cow<'a, [u8]>,
    /// Bytes that the client sent.
    pub length: u64,
    /// Whether the end was cut off.
    pub truncated: bool,
    /// Whether secrets were replaced (see [`redact`]).
    pub redacted: bool,
}

impl<'a> Text<'a> {
    /// SQL text: cut at [`TEXT_KEPT_MAX`], and secrets replaced. Borrows unless a secret was found. `quoting` is the session's, where
    /// it is known.
    ///
    /// It is cut first: looking through what is thrown away would cost time in proportion to what a client sends.
    #[must_use]
    pub fn of_sql(sql: &'a [u8], quoting: Option<Quoting>) -> Self {
        let kept = Self::of_bytes(sql);
        match redact::sql(kept.kept(), quoting) {
            Cow::Borrowed(_) => kept,
            Cow::Owned(mut bytes) => {
                // Short secrets become longer, and there may be many.
                let truncated = kept.truncated || bytes.len() > TEXT_KEPT_MAX;
                bytes.truncate(TEXT_KEPT_MAX);
                Self { bytes: Cow::Owned(bytes), redacted: true, truncated, ..kept }
            }
        }
    }

    /// Any other text: cut at [`TEXT_KEPT_MAX`].
    #[must_use]
    pub fn of_bytes(bytes: &'a [u8]) -> Self {
        let kept = bytes.get(..TEXT_KEPT_MAX).unwrap_or(bytes);
        Self {
            bytes: Cow::Borrowed(kept),
            length: bytes.len() as u64,
            truncated: kept.len() < bytes.len(),
            redacted: false,
        }
    }

    /// No text, for commands that have none.
    #[must_use]
    pub fn empty() -> Self {
        Self::of_bytes(&[])
    }

    /// The same text, for a caller whose bytes do not stay.
    #[must_use]
    pub fn into_owned(self) -> Text<'static> {
        Text { bytes: Cow::Owned(self.bytes.into_owned()), ..self }
    }

    /// The bytes that are kept.
    #[must_use]
    pub fn kept(&self) -> &[u8] {
        &self.bytes
    }
}

/// A name or message from the client or server as UTF-8, at most [`NAME_KEPT_MAX`] bytes; one that is longer ends
/// in `…`. Bytes that are no UTF-8 are replaced by U+FFFD.
#[must_use]
pub fn clip(name: &[u8]) -> Cow<'_, str> {
    if name.len() <= NAME_KEPT_MAX
        && let Ok(name) = std::str::from_utf8(name)
    {
        return Cow::Borrowed(name);
    }
    let kept = name.get(..NAME_KEPT_MAX).unwrap_or(name);
    let mut text = String::from_utf8_lossy(kept).into_owned();
    let mark = if kept.len() < name.len() { "…" } else { "" };
    text.truncate(text.floor_char_boundary(NAME_KEPT_MAX - mark.len()));
    text.push_str(mark);
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_one_past_the_limit_and_says_so() {
        let at_limit = vec![b'x'; TEXT_KEPT_MAX];
        let text = Text::of_sql(&at_limit, None);
        assert_eq!((text.kept().len(), text.length, text.truncated), (TEXT_KEPT_MAX, TEXT_KEPT_MAX as u64, false));

        let past = vec![b'x'; TEXT_KEPT_MAX + 1];
        let text = Text::of_sql(&past, None);
        assert_eq!((text.kept().len(), text.length, text.truncated), (TEXT_KEPT_MAX, TEXT_KEPT_MAX as u64 + 1, true));
        assert!(!text.redacted);
    }

    #[test]
    fn a_secret_that_the_cut_runs_through_is_not_kept() {
        let mut sql = b"ALTER USER a IDENTIFIED BY '".to_vec();
        sql.resize(TEXT_KEPT_MAX + 100, b's');
        let text = Text::of_sql(&sql, None);
        assert!(text.truncated && text.redacted);
        assert_eq!(text.kept(), b"ALTER USER a IDENTIFIED BY '<redacted>'");
    }

    #[test]
    fn a_text_that_redaction_makes_longer_is_cut_and_says_so() {
        let sql = [b"SET PASSWORD = ", b"'' ".repeat(TEXT_KEPT_MAX / 4).as_slice()].concat();
        let text = Text::of_sql(&sql, None);
        assert_eq!((text.kept().len(), text.length, text.truncated), (TEXT_KEPT_MAX, sql.len() as u64, true));
    }

    #[test]
    fn names_stay_within_their_limit() {
        assert!(matches!(clip(b"orders"), Cow::Borrowed("orders")));
        assert_eq!(clip(b"caf\xe9"), "caf\u{fffd}");
        let at_limit = "x".repeat(NAME_KEPT_MAX);
        assert_eq!(clip(at_limit.as_bytes()), at_limit);
        let past = clip("é".repeat(NAME_KEPT_MAX).as_bytes()).into_owned();
        assert!(past.len() <= NAME_KEPT_MAX && past.ends_with("é…"), "{} bytes", past.len());
        assert!(clip(&vec![0xff; NAME_KEPT_MAX]).len() <= NAME_KEPT_MAX);
    }
}
