//! The text written anew, without what another reader could take otherwise.

use std::borrow::Cow;

use super::{Edit, Lexer};

impl Lexer<'_> {
    /// Leaves bytes of the text out: a space stands in their place.
    pub(super) fn drop_text(&mut self, bytes: usize) {
        self.replace(self.at, self.at + bytes, Cow::Borrowed(" "));
        self.at += bytes;
    }

    pub(super) fn replace(&mut self, from: usize, to: usize, with: Cow<'static, str>) {
        self.edits.push(Edit { from, to, with });
    }

    /// The text in which there are no comments but optimizer hints, and nothing that depends on version or mode, when it
    /// held any such thing; `None` when the client's own bytes will do. Everything else is byte for byte as it was.
    ///
    /// Asked at the end of the text.
    pub(crate) fn canonical(&self) -> Option<String> {
        if !self.rewritten {
            return None;
        }
        let mut canonical = String::with_capacity(self.text.len());
        let mut copied = 0;
        for Edit { from, to, with } in &self.edits {
            canonical.push_str(self.text.get(copied..*from)?);
            canonical.push_str(with);
            copied = *to;
        }
        canonical.push_str(self.text.get(copied..)?);
        // To both servers a text is not empty if it held a comment, and is answered with OK in place of an error (1065).
        Some(if canonical.trim_ascii().is_empty() { "/**/".to_owned() } else { canonical })
    }

    /// Whether what was read depends on version, mode or family.
    pub(crate) fn is_rewritten(&self) -> bool {
        self.rewritten
    }
}
