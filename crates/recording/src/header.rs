//! The first bytes of a session file.

use crate::limits::HEADER_LEN;

/// First eight bytes of every session file. The line ends show a file that went through a text conversion.
pub(crate) const MAGIC: [u8; 8] = *b"PRSESS\r\n";

/// The newest format, which is written.
const FORMAT_NEWEST: u32 = 2;

/// Versions of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// Without signatures, of sessions alone.
    One = 1,
    /// The last record of a file that was closed is its seal.
    Two = 2,
}

/// What a file is the recording of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One session.
    Session = 0,
    /// What befell the host and its daemon, and which sessions there were.
    Host = 1,
}

/// What the header says about the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Its version of the format.
    pub format: Format,
    /// What it is the recording of.
    pub kind: Kind,
    /// The session's UUID, or a host recording's own; bytes in the order they are printed.
    pub session_id: [u8; 16],
    /// When the file was made: nanoseconds since 1970 UTC.
    pub created_unix_ns: u64,
}

/// Why bytes are not a session file this crate can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Nothing but zeros, or nothing at all: the writer had no time to write the header.
    #[error("the file has no header yet; if no daemon is writing it, the daemon was stopped as it made it")]
    Blank,
    /// Fewer bytes than a header.
    #[error("the file has {0} bytes, a header has {HEADER_LEN}; it was cut short")]
    Short(usize),
    /// Not a session file.
    #[error("this is no session file; session files begin with `PRSESS`")]
    Magic,
    /// Written by a newer Portreeve, or damaged.
    #[error("session file format {0} is not known, this program reads up to {FORMAT_NEWEST}; use the newer portreeve")]
    Version(u32),
    /// The header's length or reserved bytes are not what the version says.
    #[error("the file header is damaged; compare the file with a copy")]
    Damaged,
}

impl Header {
    /// The header of a new file.
    #[must_use]
    pub const fn new(kind: Kind, session_id: [u8; 16], created_unix_ns: u64) -> Self {
        Self { format: Format::Two, kind, session_id, created_unix_ns }
    }

    /// The 64 bytes at the start of the file.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        let fields: [&[u8]; 6] = [
            &MAGIC,
            &(self.format as u32).to_le_bytes(),
            &(HEADER_LEN as u32).to_le_bytes(),
            &self.session_id,
            &self.created_unix_ns.to_le_bytes(),
            &[self.kind as u8],
        ];
        for (to, from) in bytes.iter_mut().zip(fields.into_iter().flatten()) {
            *to = *from;
        }
        bytes
    }

    /// Reads the header at the start of `bytes`.
    ///
    /// # Errors
    /// When the bytes are too few, are not a session file, or are of a format this crate does not know.
    pub fn read(bytes: &[u8]) -> Result<Self, ReadError> {
        let head = bytes.get(..bytes.len().min(HEADER_LEN)).unwrap_or_default();
        if head.iter().all(|&byte| byte == 0) {
            return Err(ReadError::Blank);
        }
        let Some(head) = head.first_chunk::<HEADER_LEN>() else { return Err(ReadError::Short(head.len())) };
        let (magic, rest) = take::<8>(head)?;
        let (version, rest) = take::<4>(rest)?;
        let (length, rest) = take::<4>(rest)?;
        let (session_id, rest) = take::<16>(rest)?;
        let (created, rest) = take::<8>(rest)?;
        let ([kind], reserved) = take::<1>(rest)?;
        if magic != MAGIC {
            return Err(ReadError::Magic);
        }
        let format = match u32::from_le_bytes(version) {
            1 => Format::One,
            2 => Format::Two,
            other => return Err(ReadError::Version(other)),
        };
        let kind = match (format, kind) {
            (Format::One | Format::Two, 0) => Kind::Session,
            (Format::Two, 1) => Kind::Host,
            (Format::One | Format::Two, _) => return Err(ReadError::Damaged),
        };
        if u32::from_le_bytes(length) as usize != HEADER_LEN || reserved.iter().any(|&byte| byte != 0) {
            return Err(ReadError::Damaged);
        }
        Ok(Self { format, kind, session_id, created_unix_ns: u64::from_le_bytes(created) })
    }
}

fn take<const N: usize>(bytes: &[u8]) -> Result<([u8; N], &[u8]), ReadError> {
    bytes.split_first_chunk::<N>().map(|(head, rest)| (*head, rest)).ok_or(ReadError::Short(bytes.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header = Header::new(Kind::Session, [7; 16], 1_790_000_000_000_000_000);

    fn check(change: impl FnOnce(&mut Vec<u8>), expected: Result<Header, ReadError>) {
        let mut bytes = HEADER.to_bytes().to_vec();
        change(&mut bytes);
        assert_eq!(Header::read(&bytes), expected);
    }

    #[test]
    fn a_header_is_read_back_and_its_damage_is_named() {
        check(|_| (), Ok(HEADER));
        check(|bytes| bytes.extend([9; 100]), Ok(HEADER));
        check(Vec::clear, Err(ReadError::Blank));
        check(|bytes| bytes.fill(0), Err(ReadError::Blank));
        check(|bytes| bytes.truncate(63), Err(ReadError::Short(63)));
        check(|bytes| bytes[0] = b'X', Err(ReadError::Magic));
        check(|bytes| bytes[8] = 3, Err(ReadError::Version(3)));
        check(|bytes| bytes[8] = 1, Ok(Header { format: Format::One, ..HEADER }));
        check(|bytes| bytes[40] = 1, Ok(Header { kind: Kind::Host, ..HEADER }));
        check(|bytes| bytes[40] = 2, Err(ReadError::Damaged));
        check(|bytes| (bytes[8], bytes[40]) = (1, 1), Err(ReadError::Damaged));
        check(|bytes| bytes[12] = 65, Err(ReadError::Damaged));
        check(|bytes| bytes[63] = 1, Err(ReadError::Damaged));
    }
}
