//! Records of a host recording, as lines and as JSON.

use portreeve_recording::{Connects, Host, PoliciesLoaded, Started, Tagged};
use serde::Serialize;

use super::{escape, time};
use crate::hex::hex;

/// A record of a host recording as JSON; `docs/recordings.md` has the keys.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Fields<'a> {
    Started {
        id: &'a str,
        continues: Option<&'a str>,
        gateway_version: &'a str,
        pid: u32,
        kernel: &'a str,
        boot_id: &'a str,
        config_path: &'a str,
        config_sha256: &'a str,
        policies_sha256: &'a str,
        observe: bool,
    },
    Follows {
        id: &'a str,
        ended: bool,
        frames: u64,
        chain: String,
    },
    Stopped {
        reason: &'a str,
        continued: Option<&'a str>,
    },
    Connects(ConnectsFields<'a>),
    Tagged(TaggedFields<'a>),
    Untagged(TaggedFields<'a>),
    PoliciesLoaded {
        sha256: &'a str,
        policies: u64,
        error: Option<&'a str>,
    },
    Lost {
        connect_events: u64,
        connects_unlisted: u64,
    },
    SessionBegan {
        session_id: &'a str,
    },
    SessionEnded {
        session_id: &'a str,
        frames: u64,
        chain: String,
    },
    Removed {
        id: &'a str,
        host: bool,
        bytes: u64,
        reason: &'a str,
    },
}

#[derive(Debug, Serialize)]
pub(super) struct ConnectsFields<'a> {
    refused: Option<&'a str>,
    /// `workload` is what every record has.
    of_workload: Option<&'a str>,
    destination: Option<&'a str>,
    uid: Option<u32>,
    pid: Option<u32>,
    comm: Option<&'a str>,
    cgroup_id: u64,
    netns_cookie: Option<u64>,
    count: u64,
    first: String,
    last: String,
}

#[derive(Debug, Serialize)]
pub(super) struct TaggedFields<'a> {
    cgroup: &'a str,
    cgroup_id: u64,
    of_workload: &'a str,
    spiffe_id: &'a str,
    groups: &'a [String],
    by: &'a str,
}

pub(super) fn fields<'a>(host: &'a Host<'_>) -> Fields<'a> {
    match host {
        Host::Started(started) => Fields::Started {
            id: &started.id,
            continues: started.continues.as_deref(),
            gateway_version: &started.gateway_version,
            pid: started.pid,
            kernel: &started.kernel,
            boot_id: &started.boot_id,
            config_path: &started.config_path,
            config_sha256: &started.config_sha256,
            policies_sha256: &started.policies_sha256,
            observe: started.observe,
        },
        Host::Follows(follows) => Fields::Follows {
            id: &follows.id,
            ended: follows.ended,
            frames: follows.frames,
            chain: hex(&follows.chain),
        },
        Host::Stopped(stopped) => Fields::Stopped { reason: &stopped.reason, continued: stopped.continued.as_deref() },
        Host::Connects(connects) => Fields::Connects(connects_fields(connects)),
        Host::Tagged(tagged) => Fields::Tagged(tagged_fields(tagged)),
        Host::Untagged(tagged) => Fields::Untagged(tagged_fields(tagged)),
        Host::PoliciesLoaded(loaded) => {
            Fields::PoliciesLoaded { sha256: &loaded.sha256, policies: loaded.policies, error: loaded.error.as_deref() }
        }
        Host::Lost(lost) => {
            Fields::Lost { connect_events: lost.connect_events, connects_unlisted: lost.connects_unlisted }
        }
        Host::SessionBegan(began) => Fields::SessionBegan { session_id: &began.session_id },
        Host::SessionEnded(ended) => {
            Fields::SessionEnded { session_id: &ended.session_id, frames: ended.frames, chain: hex(&ended.chain) }
        }
        Host::Removed(removed) => {
            Fields::Removed { id: &removed.id, host: removed.host, bytes: removed.bytes, reason: &removed.reason }
        }
    }
}

fn connects_fields<'a>(connects: &'a Connects<'_>) -> ConnectsFields<'a> {
    ConnectsFields {
        refused: connects.refused.as_deref(),
        of_workload: connects.workload.as_deref(),
        destination: connects.destination.as_deref(),
        uid: connects.uid,
        pid: connects.pid,
        comm: connects.comm.as_deref(),
        cgroup_id: connects.cgroup_id,
        netns_cookie: connects.netns_cookie,
        count: connects.count,
        first: time(connects.first_unix_ns, 9),
        last: time(connects.last_unix_ns, 9),
    }
}

fn tagged_fields<'a>(tagged: &'a Tagged<'_>) -> TaggedFields<'a> {
    TaggedFields {
        cgroup: &tagged.cgroup,
        cgroup_id: tagged.cgroup_id,
        of_workload: &tagged.workload,
        spiffe_id: &tagged.spiffe_id,
        groups: &tagged.groups,
        by: &tagged.by,
    }
}

/// What one record says, in a line.
pub(super) fn text(host: &Host<'_>) -> String {
    match host {
        Host::Started(started) => self::started(started),
        Host::Follows(follows) => {
            let state = if follows.ended { "ended" } else { "is written still" };
            format!("follows {}, which {state}, after {} frames", shown(&follows.id), follows.frames)
        }
        Host::Stopped(stopped) => {
            let on = stopped.continued.as_deref().map(|id| format!(", goes on in {}", shown(id))).unwrap_or_default();
            format!("stopped {}{on}", shown(&stopped.reason))
        }
        Host::Connects(connects) => self::connects(connects),
        Host::Tagged(tagged) => self::tagged("tagged", tagged),
        Host::Untagged(tagged) => self::tagged("untagged", tagged),
        Host::PoliciesLoaded(loaded) => policies_loaded(loaded),
        Host::Lost(lost) => {
            format!("lost {} connect events; {} connects not told apart", lost.connect_events, lost.connects_unlisted)
        }
        Host::SessionBegan(began) => format!("session {} began", shown(&began.session_id)),
        Host::SessionEnded(ended) => {
            format!("session {} ended after {} frames", shown(&ended.session_id), ended.frames)
        }
        Host::Removed(removed) => {
            let what = if removed.host { "host recording" } else { "session" };
            format!("removed {what} {}, {} bytes: {}", shown(&removed.id), removed.bytes, shown(&removed.reason))
        }
    }
}

fn shown(text: &str) -> String {
    escape(text.as_bytes())
}

/// Enough of a hash to tell two apart.
fn short(sha256: &str) -> String {
    shown(&sha256.chars().take(12).collect::<String>())
}

fn policies_loaded(loaded: &PoliciesLoaded<'_>) -> String {
    let sha256 = short(&loaded.sha256);
    match &loaded.error {
        Some(error) => format!("policies stay {sha256}: {}", shown(error)),
        None => format!("policies {sha256}: {} in force", loaded.policies),
    }
}

fn started(started: &Started<'_>) -> String {
    let how = match &started.continues {
        Some(before) => format!("goes on from {}", shown(before)),
        None => "started".to_owned(),
    };
    let observes = if started.observe { ", observes only" } else { "" };
    format!(
        "{how}: portreeve {} (pid {}), kernel {}, configuration {}, policies {}{observes}",
        shown(&started.gateway_version),
        started.pid,
        shown(&started.kernel),
        short(&started.config_sha256),
        short(&started.policies_sha256),
    )
}

fn connects(connects: &Connects<'_>) -> String {
    let known = |text: &Option<_>| text.as_deref().map_or("-".to_owned(), shown);
    let number = |number: Option<u32>| number.map_or("-".to_owned(), |number| number.to_string());
    let what = connects.refused.as_deref().map_or("redirected".to_owned(), |why| format!("refused {}", shown(why)));
    let times = if connects.count > 1 { format!("  {} times", connects.count) } else { String::new() };
    format!(
        "{what}  {}  {}  pid {} ({})  uid {}{times}",
        known(&connects.workload),
        known(&connects.destination),
        number(connects.pid),
        known(&connects.comm),
        number(connects.uid),
    )
}

fn tagged(what: &str, tagged: &Tagged<'_>) -> String {
    format!("{what} {} as {}, by {}", shown(&tagged.cgroup), shown(&tagged.workload), shown(&tagged.by))
}
