//! What of a recording may be believed by who acts on it.

use std::path::Path;

use anyhow::bail;

use super::file::{Against, State, check};
use super::public_key;
use crate::recorder;

/// The frames of a recording that a signature covers.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cli) struct SignedFrames {
    pub(in crate::cli) signed: u64,
    /// Frames behind them, which anybody could have appended.
    pub(in crate::cli) unsigned: u64,
    /// Whose signature it is, where nobody said whose it must be.
    pub(in crate::cli) anyones: Option<String>,
}

/// Reads a recording to its end. The key must be one of `given`, else the state directory's; where there is none, whichever the file
/// names.
///
/// # Errors
/// The file was altered, is signed by another or not at all, or cannot be read; or a given key cannot.
pub(in crate::cli) fn signed_frames(path: &Path, given: &[String], state_dir: &Path) -> anyhow::Result<SignedFrames> {
    let mut trusted = given.iter().map(|given| public_key(given)).collect::<anyhow::Result<Vec<_>>>()?;
    let own = recorder::public_path(state_dir);
    if trusted.is_empty() && own.exists() {
        trusted.push(recorder::read_public(&own)?);
    }
    let finding = check(path, Against { trusted: &trusted, is_served: true });
    match finding.state {
        State::Sound | State::Open | State::Unfinished => {}
        State::Unsigned | State::WrongKey | State::Damaged | State::Unreadable | State::Missing | State::Unlisted => {
            let problem = finding.problem.unwrap_or_default();
            bail!("`{}`: {problem}", path.display())
        }
    }
    let unsigned = finding.frames.saturating_sub(finding.signed_frames);
    let anyones = finding.key.filter(|_| !finding.key_is_trusted);
    Ok(SignedFrames { signed: finding.signed_frames, unsigned, anyones })
}
