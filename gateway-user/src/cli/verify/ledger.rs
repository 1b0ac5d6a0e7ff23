//! All recordings of a host against its ledger, which is in the host recordings: what is missing, what is there and was never
//! listed, and what is not as it was when it ended.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use portreeve_recording::{Host, Kind, PublicKey};
use uuid::Uuid;

use super::file::{self, Finding, State};
use crate::recorder::directory::{self, SessionPath};
use crate::recorder::{followed_by, host_of};

/// How a file ended, or how far it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Extent {
    frames: u64,
    chain: [u8; 32],
}

/// What the host recordings say of recordings.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// When each session's file was made, in nanoseconds since 1970 UTC.
    began: HashMap<Uuid, u64>,
    ended: HashMap<Uuid, Extent>,
    removed: HashSet<Uuid>,
    /// When the oldest host recording was made.
    since_unix_ns: Option<u64>,
}

/// Everything below `state_dir`.
///
/// # Errors
/// A directory cannot be read.
pub(super) fn check_all(state_dir: &Path, trusted: &[PublicKey]) -> anyhow::Result<Vec<Finding>> {
    // Sessions are looked for first: of one that begins meanwhile the ledger knows more, not less.
    let mut sessions = Vec::new();
    for day in directory::days(state_dir)? {
        sessions.extend(directory::sessions(state_dir, &day)?);
    }
    let (ledger, mut findings) = Ledger::read(state_dir, trusted)?;
    let mut doubtful = Vec::new();
    for session in &sessions {
        let finding = ledger.session(session, trusted);
        match finding.state {
            State::Unlisted | State::Unreadable | State::Missing => doubtful.push(session),
            State::Sound | State::Open | State::Unfinished | State::Unsigned | State::WrongKey | State::Damaged => {
                findings.push(finding)
            }
        }
    }
    // A daemon may be at work: what looks wrong beside a ledger read a moment ago is held against the ledger of now.
    let (now, _) = Ledger::read(state_dir, trusted)?;
    let mut there: HashSet<_> = sessions.iter().map(|session| session.id).collect();
    for session in doubtful {
        let finding = now.session(session, trusted);
        if finding.is_absent {
            there.remove(&session.id);
        } else {
            findings.push(finding);
        }
    }
    findings.extend(now.missing(state_dir, &there, trusted));
    Ok(findings)
}

impl Ledger {
    /// Of all host recordings; also what is wrong with those.
    fn read(state_dir: &Path, trusted: &[PublicKey]) -> anyhow::Result<(Self, Vec<Finding>)> {
        let (mut ledger, mut findings) = (Self::default(), Vec::new());
        let recordings = directory::host_recordings(state_dir)?;
        let mut followed: HashMap<Uuid, Vec<Extent>> = HashMap::new();
        for follows in recordings.iter().flat_map(|recording| followed_by(&recording.path)) {
            let extent = Extent { frames: follows.frames, chain: follows.chain };
            followed.entry(parse(&follows.id)).or_default().push(extent);
        }
        for recording in &recordings {
            let extents = followed.remove(&recording.id).unwrap_or_default();
            findings.push((recording.id, ledger.read_one(recording, extents, trusted)));
        }
        // Retention may be at work as well.
        findings.retain(|(id, finding)| !finding.is_absent || !ledger.removed.contains(id));
        let mut findings: Vec<_> = findings.into_iter().map(|(_, finding)| finding).collect();
        let gone = followed.into_keys().filter(|id| !ledger.removed.contains(id));
        findings.extend(gone.map(|id| missing(&state_dir.join("host"), id, "another host recording follows it")));
        Ok((ledger, findings))
    }

    /// One host recording, which others saw as long as `extents`.
    fn read_one(&mut self, recording: &SessionPath, mut extents: Vec<Extent>, trusted: &[PublicKey]) -> Finding {
        let finding = file::check_each(&recording.path, trusted, &mut |frame| {
            extents.retain(|seen| *seen != Extent { frames: frame.index, chain: frame.chain_before() });
            if let Some(host) = host_of(frame) {
                self.take(frame.entry.at_unix_ns.to_native(), host);
            }
        });
        self.since_unix_ns = self.since_unix_ns.or(Some(finding.created_unix_ns));
        extents.retain(|seen| *seen != Extent { frames: finding.frames, chain: finding.chain });
        match extents.first() {
            // What is wrong with the file itself says more.
            _ if matches!(finding.state, State::Damaged | State::WrongKey | State::Unreadable) => finding,
            _ if !file::of_kind(&recording.path, Kind::Host) => {
                finding.found(State::Damaged, "this is no host recording, and lies among them".to_owned())
            }
            Some(lost) => {
                let problem = format!(
                    "another host recording saw it with {} frames, and not with these: it was cut or made anew",
                    lost.frames
                );
                finding.found(State::Damaged, problem)
            }
            None => finding,
        }
    }

    fn take(&mut self, at_unix_ns: u64, host: Host<'_>) {
        match host {
            Host::SessionBegan(session) => drop(self.began.insert(parse(&session.session_id), at_unix_ns)),
            Host::SessionEnded(session) => {
                let extent = Extent { frames: session.frames, chain: session.chain };
                self.ended.insert(parse(&session.session_id), extent);
            }
            Host::Removed(removed) => drop(self.removed.insert(parse(&removed.id))),
            Host::Started(_)
            | Host::Follows(_)
            | Host::Stopped(_)
            | Host::Connects(_)
            | Host::Tagged(_)
            | Host::Untagged(_)
            | Host::PoliciesLoaded(_)
            | Host::Lost(_) => {}
        }
    }

    /// One session's file, by itself and as the ledger has it.
    fn session(&self, session: &SessionPath, trusted: &[PublicKey]) -> Finding {
        let finding = file::check(&session.path, trusted);
        match finding.state {
            State::Sound | State::Open | State::Unfinished => {}
            State::Unsigned
            | State::WrongKey
            | State::Damaged
            | State::Unreadable
            | State::Missing
            | State::Unlisted => return finding,
        }
        if !file::of_kind(&session.path, Kind::Session) {
            return finding.found(State::Damaged, "this is no session, and lies among them".to_owned());
        }
        let extent = Extent { frames: finding.frames, chain: finding.chain };
        match self.ended.get(&session.id) {
            Some(ended) if *ended != extent => {
                let problem = format!(
                    "frame {}, at byte {}: it ended after {} frames, says the ledger, and not with these: it was cut or made anew",
                    finding.frames, finding.byte, ended.frames
                );
                finding.found(State::Damaged, problem)
            }
            Some(_) => finding,
            None if self.began.contains_key(&session.id) || self.is_older(finding.created_unix_ns) => finding,
            // Its daemon was killed between making and listing it, and it says nothing.
            None if finding.frames == 0 => finding,
            None => finding.found(State::Unlisted, "no ledger lists it: it was put there".to_owned()),
        }
    }

    /// Whether a file is from before the oldest ledger that is kept.
    fn is_older(&self, created_unix_ns: u64) -> bool {
        self.since_unix_ns.is_none_or(|since| created_unix_ns < since)
    }

    /// Sessions that are listed and not `there`.
    fn missing(&self, state_dir: &Path, there: &HashSet<Uuid>, trusted: &[PublicKey]) -> Vec<Finding> {
        let gone = self.began.iter().filter(|(id, _)| !there.contains(*id) && !self.removed.contains(*id));
        let mut findings = Vec::new();
        for (id, began_unix_ns) in gone {
            let path = expected_path(state_dir, *id, *began_unix_ns);
            let session = SessionPath { day: String::new(), id: *id, path };
            // It may have begun a moment ago.
            let finding = self.session(&session, trusted);
            findings.push(match finding.is_absent {
                true => {
                    finding.found(State::Missing, "it is gone, and the ledger says nothing of its removal".to_owned())
                }
                false => finding,
            });
        }
        findings
    }
}

fn expected_path(state_dir: &Path, id: Uuid, began_unix_ns: u64) -> PathBuf {
    let day = jiff::Timestamp::from_nanosecond(i128::from(began_unix_ns))
        .map(|time| time.strftime("%Y-%m-%d").to_string())
        .unwrap_or_default();
    directory::of_day(state_dir, &day).join(directory::file_name(id))
}

/// An id as a signed record says it; nil where it is none.
fn parse(id: &str) -> Uuid {
    Uuid::try_parse(id).unwrap_or_default()
}

fn missing(folder: &Path, id: Uuid, why: &str) -> Finding {
    let problem = format!("it is gone, and the ledger says nothing of its removal: {why}");
    Finding::new(&folder.join(directory::file_name(id)), State::Missing, Some(problem))
}
