use crate::limits::{HEADER_LEN, PACKET_PAYLOAD_MAX};
use crate::packet::header;

/// Gives packets in a stream the sequence ids that the plain protocol would have.
///
/// Under compression neither servers nor clients look at them, and they jump: a server goes on with the compressed
/// packets' count whenever it flushes (`net_flush` in sql-common/net_serv.cc).
#[derive(Debug)]
pub(super) struct Numbering {
    next: u8,
    rule: Rule,
    header: [u8; HEADER_LEN],
    header_len: usize,
    /// Payload bytes up to the next header.
    left: usize,
    /// Whether that header goes on with a logical packet.
    continued: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// Each logical packet starts anew.
    Commands,
    /// Each packet goes on behind the one before.
    Exchange,
}

impl Numbering {
    pub(super) const fn commands() -> Self {
        Self { next: 0, rule: Rule::Commands, header: [0; HEADER_LEN], header_len: 0, left: 0, continued: false }
    }

    pub(super) const fn set_commands(&mut self) {
        self.rule = Rule::Commands;
    }

    pub(super) const fn set_exchange(&mut self, next: u8) {
        self.rule = Rule::Exchange;
        self.next = next;
    }

    /// Numbers the packets whose headers, or the ends of such, are in the stream's next `bytes`.
    pub(super) fn apply(&mut self, bytes: &mut [u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let passed = self.left.min(rest.len());
            self.left = self.left.saturating_sub(passed);
            let (_, behind) = rest.split_at_mut_checked(passed).unwrap_or_default();
            let Some((byte, behind)) = behind.split_first_mut() else { return };
            self.take_header_byte(byte);
            rest = behind;
        }
    }

    fn take_header_byte(&mut self, byte: &mut u8) {
        if self.header_len.saturating_add(1) == HEADER_LEN {
            *byte = self.number();
        }
        if let Some(place) = self.header.get_mut(self.header_len) {
            *place = *byte;
        }
        self.header_len = self.header_len.saturating_add(1);
        if self.header_len == HEADER_LEN {
            self.header_len = 0;
            self.left = header(self.header).0 as usize;
            self.continued = self.left == PACKET_PAYLOAD_MAX;
        }
    }

    fn number(&mut self) -> u8 {
        let number = if self.rule == Rule::Commands && !self.continued { 0 } else { self.next };
        self.next = number.wrapping_add(1);
        number
    }
}
