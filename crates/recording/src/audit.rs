//! What the signatures of one file prove.

use crate::reader::Frame;
use crate::seal::{PublicKey, Signed};

/// Follows the frames of one file, in order from the first.
#[derive(Debug)]
pub struct Audit<'k> {
    /// The keys that may sign; any one may, where there is none.
    trusted: &'k [PublicKey],
    key: Option<PublicKey>,
    frames: u64,
    proof: Proof,
}

/// How far a file is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// Not at all.
    None,
    /// By a checkpoint: so many frames, and what follows them is not.
    Checkpoint {
        /// Frames up to the checkpoint, which is one of them.
        frames: u64,
    },
    /// By its seal, as a whole.
    Sealed,
}

/// Why a frame cannot be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Somebody computed the chain anew and could not sign it.
    #[error("the signature does not fit the frames before it: the file was altered")]
    Signature,
    /// Signed, by somebody else.
    #[error("it is signed by another key, {0}: the file is of another daemon, or was made anew")]
    OtherKey(PublicKey),
    /// One daemon writes a file, with one key.
    #[error("it is signed by {0}, frames before it by another key: the file was altered")]
    SecondKey(PublicKey),
}

impl<'k> Audit<'k> {
    /// With the keys that may sign; without any, the first that signs is held to sign the rest as well.
    #[must_use]
    pub fn new(trusted: &'k [PublicKey]) -> Self {
        Self { trusted, key: None, frames: 0, proof: Proof::None }
    }

    /// Looks at the next frame.
    ///
    /// # Errors
    /// Its signature is wrong, or of a key that may not sign here.
    pub fn take(&mut self, frame: &Frame<'_>) -> Result<(), Fault> {
        self.frames = frame.index + 1;
        let Some(claim) = frame.claim() else { return Ok(()) };
        let key = claim.key();
        if !claim.verifies() {
            return Err(Fault::Signature);
        }
        if !self.trusted.is_empty() && !self.trusted.contains(&key) {
            return Err(Fault::OtherKey(key));
        }
        if *self.key.get_or_insert(key) != key {
            return Err(Fault::SecondKey(key));
        }
        self.proof = match claim.signed {
            Signed::Checkpoint => Proof::Checkpoint { frames: self.frames },
            Signed::Seal => Proof::Sealed,
        };
        Ok(())
    }

    /// How far the frames so far are signed.
    #[must_use]
    pub fn proof(&self) -> Proof {
        self.proof
    }

    /// Who signed.
    #[must_use]
    pub fn key(&self) -> Option<PublicKey> {
        self.key
    }
}
