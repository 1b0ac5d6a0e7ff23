use crate::{Fault, ProtocolError};

/// Reads fields off the front of a payload; every failure names packet and field.
///
/// Hand-written because `mysql_common`'s reader panics on short input, takes the invalid length bytes `0xFB` and `0xFF`
/// for zero, and wants a NUL that real clients leave out.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    packet: &'static str,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(packet: &'static str, payload: &'a [u8]) -> Self {
        Self { packet, rest: payload }
    }

    /// The packet's name, as failures say it.
    pub(crate) const fn packet(&self) -> &'static str {
        self.packet
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// What is left, without taking it.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Everything that is left.
    pub(crate) fn take_rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    pub(crate) fn take(&mut self, len: usize, field: &'static str) -> Result<&'a [u8], ProtocolError> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or_else(|| self.fail(field, Fault::Truncated))?;
        self.rest = rest;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], ProtocolError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or_else(|| self.fail(field, Fault::Truncated))?;
        self.rest = rest;
        Ok(*head)
    }

    pub(crate) fn u8(&mut self, field: &'static str) -> Result<u8, ProtocolError> {
        self.array::<1>(field).map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self, field: &'static str) -> Result<u16, ProtocolError> {
        self.array(field).map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self, field: &'static str) -> Result<u32, ProtocolError> {
        self.array(field).map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self, field: &'static str) -> Result<u64, ProtocolError> {
        self.array(field).map(u64::from_le_bytes)
    }

    /// A length-encoded integer. `0xFB` (NULL) and `0xFF` are no integers.
    pub(crate) fn lenenc_int(&mut self, field: &'static str) -> Result<u64, ProtocolError> {
        match self.u8(field)? {
            short @ 0..=0xFA => Ok(u64::from(short)),
            0xFC => self.u16(field).map(u64::from),
            0xFD => {
                let [low, middle, high] = self.array(field)?;
                Ok(u64::from(u32::from_le_bytes([low, middle, high, 0])))
            }
            0xFE => self.u64(field),
            0xFB | 0xFF => Err(self.fail(field, Fault::Invalid)),
        }
    }

    pub(crate) fn lenenc_bytes(&mut self, field: &'static str) -> Result<&'a [u8], ProtocolError> {
        let len = self.lenenc_int(field)?;
        // A length that does not fit `usize` cannot be in the buffer either.
        self.take(usize::try_from(len).unwrap_or(usize::MAX), field)
    }

    /// Bytes up to a NUL, which is taken too.
    pub(crate) fn until_nul(&mut self, field: &'static str) -> Result<&'a [u8], ProtocolError> {
        let end = self.nul().ok_or_else(|| self.fail(field, Fault::Truncated))?;
        let text = self.take(end, field)?;
        self.u8(field)?;
        Ok(text)
    }

    /// Bytes up to a NUL or the end: clients leave the NUL of the last field out, and servers take that.
    pub(crate) fn until_nul_or_end(&mut self, field: &'static str) -> Result<&'a [u8], ProtocolError> {
        if self.nul().is_some() { self.until_nul(field) } else { Ok(self.take_rest()) }
    }

    /// Refuses whatever is left after the last `field`.
    pub(crate) fn end(&self, field: &'static str) -> Result<(), ProtocolError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.fail(field, Fault::Trailing { len: self.rest.len() })) }
    }

    pub(crate) const fn fail(&self, field: &'static str, fault: Fault) -> ProtocolError {
        ProtocolError::malformed(self.packet, field, fault)
    }

    fn nul(&self) -> Option<usize> {
        self.rest.iter().position(|byte| *byte == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_encoded_integers_of_every_width_are_read() {
        for (bytes, value) in [
            (&[0xFA][..], 0xFA),
            (&[0xFC, 0xFB, 0x00], 0xFB),
            (&[0xFD, 1, 2, 3], 0x03_0201),
            (&[0xFE, 1, 2, 3, 4, 5, 6, 7, 8], 0x0807_0605_0403_0201),
        ] {
            let mut reader = Reader::new("test", bytes);
            assert_eq!(reader.lenenc_int("n"), Ok(value));
            assert_eq!(reader.end("n"), Ok(()));
            for short in 0..bytes.len() {
                assert!(Reader::new("test", &bytes[..short]).lenenc_int("n").is_err());
            }
        }
    }

    #[test]
    fn null_and_the_reserved_byte_are_no_lengths() {
        for byte in [0xFB, 0xFF] {
            let bytes = [byte, 0, 0];
            let result = Reader::new("test", &bytes).lenenc_bytes("n");
            assert_eq!(result, Err(ProtocolError::malformed("test", "n", Fault::Invalid)));
        }
    }

    #[test]
    fn a_lying_length_is_refused() {
        let lie = [0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, b'x'];
        let result = Reader::new("test", &lie).lenenc_bytes("n");
        assert_eq!(result, Err(ProtocolError::malformed("test", "n", Fault::Truncated)));
    }
}
