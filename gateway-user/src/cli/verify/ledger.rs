//! All recordings of a host against its ledger, which is in the host recordings: what is missing, what is there and was never
//! listed, and what is not as it was when it ended.
//!
//! Of a host recording only what a signature covers is believed, or what another one, believed so far, saw as its end.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use portreeve_recording::{Host, Kind};
use uuid::Uuid;

use super::file::{self, Against, Finding, State};
use crate::recorder::directory::{self, SessionPath};
use crate::recorder::{followed_by, host_of};

/// How a file ended, or how far it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
    /// Until when it is believed: of what came later it says nothing yet.
    until_unix_ns: u64,
}

/// One host recording.
struct HostFile {
    id: Uuid,
    finding: Finding,
    says: Vec<Said>,
    follows: Vec<Seen>,
    /// The extents that it has had, of those that others saw.
    had: HashSet<Extent>,
    /// How many of its frames are believed.
    believed: u64,
    /// Of its last frame, and of the last that is signed, in nanoseconds since 1970 UTC.
    last_unix_ns: u64,
    signed_unix_ns: u64,
}

/// What a host recording says of a session or a removal.
struct Said {
    frame: u64,
    at_unix_ns: u64,
    host: Host<'static>,
}

/// How one host recording saw another.
#[derive(Clone, Copy)]
struct Seen {
    /// Which frame says so.
    frame: u64,
    of: Uuid,
    extent: Extent,
    /// Whether nothing may follow.
    ended: bool,
}

/// Everything below `state_dir`.
///
/// # Errors
/// A directory cannot be read.
pub(super) fn check_all(state_dir: &Path, against: Against<'_>) -> anyhow::Result<Vec<Finding>> {
    // Sessions are looked for first: of one that begins meanwhile the ledger knows more, not less.
    let mut sessions = Vec::new();
    for day in directory::days(state_dir)? {
        sessions.extend(directory::sessions(state_dir, &day)?);
    }
    let (ledger, mut findings) = Ledger::read(state_dir, against)?;
    let mut doubtful = Vec::new();
    for session in &sessions {
        let finding = ledger.session(session, against);
        match finding.state {
            State::Unlisted | State::Unreadable | State::Missing => doubtful.push(session),
            State::Sound | State::Open | State::Unfinished | State::Unsigned | State::WrongKey | State::Damaged => {
                findings.push(finding)
            }
        }
    }
    // A daemon may be at work: what looks wrong beside a ledger read a moment ago is held against the ledger of now.
    let (now, _) = Ledger::read(state_dir, against)?;
    let mut there: HashSet<_> = sessions.iter().map(|session| session.id).collect();
    for session in doubtful {
        let finding = now.session(session, against);
        if finding.is_absent {
            there.remove(&session.id);
        } else {
            findings.push(finding);
        }
    }
    findings.extend(now.missing(state_dir, &there, against));
    Ok(findings)
}

impl Ledger {
    /// Of all host recordings; also what is wrong with those.
    fn read(state_dir: &Path, against: Against<'_>) -> anyhow::Result<(Self, Vec<Finding>)> {
        let recordings = directory::host_recordings(state_dir)?;
        let follows = recordings.iter().flat_map(|recording| followed_by(&recording.path));
        let asked: HashSet<_> =
            follows.map(|follows| Extent { frames: follows.frames, chain: follows.chain }).collect();
        let mut files: Vec<_> = recordings.iter().map(|recording| HostFile::read(recording, &asked, against)).collect();
        believe(&mut files);
        Ok(Self::of(state_dir, files))
    }

    fn of(state_dir: &Path, files: Vec<HostFile>) -> (Self, Vec<Finding>) {
        let mut ledger = Self::default();
        for file in files.iter().filter(|file| file.believed > 0) {
            ledger.since_unix_ns = ledger.since_unix_ns.or(Some(file.finding.created_unix_ns));
            let is_whole = file.believed == file.finding.frames;
            let until = if is_whole { file.last_unix_ns } else { file.signed_unix_ns };
            ledger.until_unix_ns = ledger.until_unix_ns.max(until);
            file.says.iter().filter(|said| file.believes(said)).for_each(|said| ledger.take(said));
        }
        let mut seen: HashMap<Uuid, Vec<Seen>> = HashMap::new();
        for follows in files.iter().flat_map(HostFile::believed_follows) {
            seen.entry(follows.of).or_default().push(*follows);
        }
        let mut findings = Vec::new();
        for file in files {
            let as_seen = seen.remove(&file.id).unwrap_or_default();
            // Retention may be at work as well.
            if !file.finding.is_absent || !ledger.removed.contains(&file.id) {
                findings.push(file.beside_others(&as_seen));
            }
        }
        let gone = seen.into_keys().filter(|id| !ledger.removed.contains(id));
        findings.extend(gone.map(|id| missing(&state_dir.join("host"), id, "another host recording follows it")));
        if findings.is_empty() {
            let none =
                "no host recording is there, and each daemon makes one: sessions cannot be held against a ledger";
            findings.push(Finding::new(&state_dir.join("host"), State::Missing, Some(none.to_owned())));
        }
        (ledger, findings)
    }

    fn take(&mut self, said: &Said) {
        match &said.host {
            Host::SessionBegan(session) => {
                self.began.entry(parse(&session.session_id)).or_insert(said.at_unix_ns);
            }
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
    fn session(&self, session: &SessionPath, against: Against<'_>) -> Finding {
        let finding = file::check(&session.path, against);
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
            None if self.began.contains_key(&session.id) || self.says_nothing_of(finding.created_unix_ns) => finding,
            // Its daemon was killed between making and listing it, and it says nothing.
            None if finding.frames == 0 => finding,
            None => finding.found(
                State::Unlisted,
                "no ledger lists it: it was put there, or the end of the ledger was lost with the power".to_owned(),
            ),
        }
    }

    /// Whether a file is from before the oldest ledger that is kept, or from after what is signed.
    fn says_nothing_of(&self, created_unix_ns: u64) -> bool {
        self.since_unix_ns.is_none_or(|since| created_unix_ns < since) || created_unix_ns > self.until_unix_ns
    }

    /// Sessions that are listed and not `there`.
    fn missing(&self, state_dir: &Path, there: &HashSet<Uuid>, against: Against<'_>) -> Vec<Finding> {
        let gone = self.began.iter().filter(|(id, _)| !there.contains(*id) && !self.removed.contains(*id));
        let mut findings = Vec::new();
        for (id, began_unix_ns) in gone {
            let path = expected_path(state_dir, *id, *began_unix_ns);
            let session = SessionPath { day: String::new(), id: *id, path };
            // It may have begun a moment ago.
            let finding = self.session(&session, against);
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

/// Believes what is signed; then the whole of a file whose end a believed frame of another one says, until nothing is added.
fn believe(files: &mut [HostFile]) {
    let last: HashMap<_, _> = files.iter().map(|file| (file.id, file.end())).collect();
    loop {
        let ends: HashSet<Uuid> = files
            .iter()
            .flat_map(HostFile::believed_follows)
            .filter(|seen| seen.ended && last.get(&seen.of) == Some(&seen.extent))
            .map(|seen| seen.of)
            .collect();
        let mut is_settled = true;
        for file in files.iter_mut().filter(|file| ends.contains(&file.id) && file.believed < file.finding.frames) {
            file.believed = file.finding.frames;
            is_settled = false;
        }
        if is_settled {
            return;
        }
    }
}

impl HostFile {
    fn read(recording: &SessionPath, asked: &HashSet<Extent>, against: Against<'_>) -> Self {
        let (mut says, mut follows, mut had) = (Vec::new(), Vec::new(), HashSet::new());
        let (mut last_unix_ns, mut signed_unix_ns) = (0, 0);
        let finding = file::check_each(&recording.path, against, &mut |frame| {
            had.extend(asked.get(&Extent { frames: frame.index, chain: frame.chain_before() }));
            last_unix_ns = frame.entry.at_unix_ns.to_native();
            if frame.claim().is_some() {
                signed_unix_ns = last_unix_ns;
            }
            match host_of(frame) {
                Some(Host::Follows(one)) => {
                    let extent = Extent { frames: one.frames, chain: one.chain };
                    let of = parse(&one.id);
                    follows.push(Seen { frame: frame.index, of, extent, ended: one.ended });
                }
                Some(host @ (Host::SessionBegan(_) | Host::SessionEnded(_) | Host::Removed(_))) => {
                    says.push(Said { frame: frame.index, at_unix_ns: last_unix_ns, host });
                }
                Some(
                    Host::Started(_)
                    | Host::Stopped(_)
                    | Host::Connects(_)
                    | Host::Tagged(_)
                    | Host::Untagged(_)
                    | Host::PoliciesLoaded(_)
                    | Host::Lost(_),
                )
                | None => {}
            }
        });
        had.extend(asked.get(&Extent { frames: finding.frames, chain: finding.chain }));
        let finding = match file::of_kind(&recording.path, Kind::Host) {
            true => finding,
            false => finding.found(State::Damaged, "this is no host recording, and lies among them".to_owned()),
        };
        let (id, believed) = (recording.id, finding.signed_frames);
        Self { id, finding, says, follows, had, believed, last_unix_ns, signed_unix_ns }
    }

    /// A removal is signed in one write with its record: one that is not was added before the next daemon looked.
    fn believes(&self, said: &Said) -> bool {
        let frames = if matches!(said.host, Host::Removed(_)) { self.finding.signed_frames } else { self.believed };
        said.frame < frames
    }

    /// How it saw others, as far as it is believed.
    fn believed_follows(&self) -> impl Iterator<Item = &Seen> {
        self.follows.iter().filter(|seen| seen.frame < self.believed)
    }

    fn end(&self) -> Extent {
        Extent { frames: self.finding.frames, chain: self.finding.chain }
    }

    /// What is wrong with it, also beside those that saw it.
    fn beside_others(self, seen: &[Seen]) -> Finding {
        let (end, Self { finding, had, .. }) = (self.end(), self);
        // What is wrong with the file itself says more.
        if matches!(finding.state, State::Damaged | State::WrongKey | State::Unreadable) {
            return finding;
        }
        let other = seen.iter().find(|seen| !had.contains(&seen.extent) || (seen.ended && seen.extent != end));
        let Some(other) = other else { return finding };
        let frames = other.extent.frames;
        let problem = match had.contains(&other.extent) {
            true => format!("frame {frames}: another host recording saw it end before this frame, which was added"),
            false => {
                format!(
                    "another host recording saw it with {frames} frames, and not with these: it was cut or made anew"
                )
            }
        };
        finding.found(State::Damaged, problem)
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
