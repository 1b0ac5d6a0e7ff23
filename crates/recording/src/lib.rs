//! Portreeve's session file: what one session asked, what was decided and what came back.
//!
//! A file is a [`Header`] followed by frames; each frame is one [`Entry`] in rkyv form, readable in place, under a
//! checksum and a BLAKE3 chain. `docs/recording-format.md` has it byte by byte.
//!
//! [`Encoder`] turns entries into frames and signs them, [`Reader`] walks frames in a slice, [`Stream`] walks them in a file
//! that may still grow, [`Audit`] says what the signatures among them prove. The crate opens no files, maps no memory and reads no clock: bytes and times are arguments.

#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        reason = "a test that panics has failed"
    )
)]

mod audit;
mod encoder;
mod frame;
mod header;
mod host;
pub mod limits;
mod reader;
mod record;
pub mod redact;
mod seal;
mod stream;
mod text;

pub use audit::{Audit, Fault, Proof};
pub use encoder::{EncodeError, Encoder};
pub use header::{Format, Header, Kind, ReadError};
pub use host::{
    Connects, Follows, Host, Lost, PoliciesLoaded, Removed, SessionBegan, SessionEnded, Started, Stopped, Tagged,
};
pub use reader::{End, Frame, Position, Reader, TornWhy};
pub use record::{
    Abandoned, ArchivedDecision, ArchivedEntry, ArchivedRecord, Chosen, Closed, Command, Decision, Entry, ErrorText,
    Evidence, Facts, Forwarded, Login, Opened, Record, Response, Rows, Signature, Statement, Transport, Verdict,
};
pub use seal::{Claim, KeyError, PublicKey, Signed, SigningKey};
pub use stream::{Stream, StreamError};
pub use text::{Text, clip};
