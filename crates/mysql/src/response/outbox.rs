use super::Pass;
use crate::packet::write_packet;

/// Goes through bytes that are passed on, copying them only once something is put in the place of some.
#[derive(Debug)]
pub(super) struct Outbox<'a> {
    bytes: &'a [u8],
    consumed: usize,
    /// What goes out for the first `copied` bytes.
    out: Option<Vec<u8>>,
    copied: usize,
}

impl<'a> Outbox<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, consumed: 0, out: None, copied: 0 }
    }

    pub(super) const fn consumed(&self) -> usize {
        self.consumed
    }

    /// The bytes not consumed yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.consumed..).unwrap_or_default()
    }

    /// Passes the next `len` bytes on.
    pub(super) const fn pass(&mut self, len: usize) {
        self.consumed = self.consumed.saturating_add(len);
    }

    /// Puts one packet in the place of the next `len` bytes.
    pub(super) fn replace(&mut self, len: usize, mut sequence_id: u8, payload: &[u8]) {
        let before = self.bytes.get(self.copied..self.consumed).unwrap_or_default();
        let out = self.out.get_or_insert_default();
        out.extend_from_slice(before);
        write_packet(out, &mut sequence_id, payload);
        self.consumed = self.consumed.saturating_add(len);
        self.copied = self.consumed;
    }

    pub(super) fn into_pass(self) -> Pass {
        let behind = self.bytes.get(self.copied..self.consumed).unwrap_or_default();
        match self.out {
            None => Pass::Verbatim,
            Some(mut out) => {
                out.extend_from_slice(behind);
                Pass::Rewritten(out)
            }
        }
    }
}
