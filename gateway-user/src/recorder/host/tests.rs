//! The host recording against time, floods and its end.

use std::fs;

use crate::recorder::tests::{directory as folder, host_begun_at};
use crate::recorder::{Recorder, host_of};

use super::*;

/// 2026-11-21, some hours into it.
const NOW_NS: u64 = 1_795_231_554_000_000_000;
const DAY_NS: u64 = 24 * 60 * MINUTE_NS;

fn begin(state_dir: &std::path::Path) -> Arc<HostRecording> {
    host_begun_at(state_dir, NOW_NS)
}

/// What each host recording says, oldest first.
fn said(state_dir: &std::path::Path) -> Vec<Vec<Host<'static>>> {
    let read = |path: &std::path::Path| {
        let mut stream = portreeve_recording::Stream::open(fs::File::open(path).unwrap()).unwrap();
        let mut hosts = Vec::new();
        while let Ok(frame) = stream.next_frame().unwrap() {
            hosts.extend(host_of(&frame));
        }
        hosts
    };
    directory::host_recordings(state_dir).unwrap().iter().map(|recording| read(&recording.path)).collect()
}

fn connect(uid: usize, at_unix_ns: u64) -> Connects<'static> {
    Connects {
        refused: Some("other-creator".into()),
        workload: None,
        destination: None,
        uid: u32::try_from(uid).ok(),
        pid: None,
        comm: None,
        cgroup_id: 0,
        netns_cookie: None,
        count: 1,
        first_unix_ns: at_unix_ns,
        last_unix_ns: at_unix_ns,
    }
}

#[test]
fn a_flood_of_connects_is_few_records_and_all_are_counted() {
    let state_dir = folder("flood");
    let host = begin(&state_dir);
    for round in 0..1000 {
        host.connect(NOW_NS, connect(1, NOW_NS + round)).unwrap();
    }
    for uid in 2..CONNECT_KINDS_PER_MINUTE_MAX + 10 {
        host.connect(NOW_NS, connect(uid, NOW_NS)).unwrap();
    }
    host.keep(NOW_NS + MINUTE_NS - 1).unwrap();
    let connects = || -> Vec<_> {
        let all = said(&state_dir).concat().into_iter();
        all.filter_map(|host| if let Host::Connects(connects) = host { Some(*connects) } else { None }).collect()
    };
    assert_eq!(connects().len(), CONNECT_KINDS_PER_MINUTE_MAX);
    host.keep(NOW_NS + MINUTE_NS).unwrap();
    let found = connects();
    assert_eq!(found.len(), CONNECT_KINDS_PER_MINUTE_MAX + 1);
    let last = found.last().unwrap();
    assert_eq!((last.uid, last.count, last.first_unix_ns, last.last_unix_ns), (Some(1), 999, NOW_NS + 1, NOW_NS + 999));
    let all = said(&state_dir).concat();
    let lost = all.into_iter().find_map(|host| if let Host::Lost(lost) = host { Some(*lost) } else { None });
    assert_eq!(lost, Some(Lost { connect_events: 0, connects_unlisted: 9 }));
    // Another minute, another first.
    host.connect(NOW_NS, connect(1, NOW_NS)).unwrap();
    assert_eq!(connects().len(), found.len() + 1);
    fs::remove_dir_all(state_dir).unwrap();
}

#[test]
fn another_day_is_another_file_that_follows_the_one_before() {
    let state_dir = folder("rotation");
    let host = begin(&state_dir);
    host.events_lost(3);
    host.keep(NOW_NS + DAY_NS).unwrap();
    host.stop(NOW_NS + DAY_NS, "done").unwrap();
    let recordings = directory::host_recordings(&state_dir).unwrap();
    let days: Vec<_> = recordings.iter().map(|recording| recording.day.as_str()).collect();
    assert_eq!(days, ["2026-11-21", "2026-11-22"]);
    let [first, second] = &said(&state_dir)[..] else { panic!("two files") };
    let (old, new) = (recordings[0].id.to_string(), recordings[1].id.to_string());
    let Some(Host::Stopped(stopped)) = first.last() else { panic!("{first:?}") };
    assert_eq!(stopped.continued.as_deref(), Some(new.as_str()));
    let [Host::Started(started), Host::Follows(follows), Host::Stopped(_)] = &second[..] else { panic!("{second:?}") };
    assert_eq!((started.continues.as_deref(), started.id.as_ref()), (Some(old.as_str()), new.as_str()));
    // A checkpoint behind what it begins with, another since a day lies between, and its seal as well.
    assert_eq!((follows.id.as_ref(), follows.ended, follows.frames), (old.as_str(), true, first.len() as u64 + 3));
    fs::remove_dir_all(state_dir).unwrap();
}

/// Ends what has the recordings open as `kill -9` would.
fn kill<T>(state_dir: &std::path::Path, daemon: T) {
    let days = directory::days(state_dir).unwrap();
    let sessions = days.iter().flat_map(|day| directory::sessions(state_dir, day).unwrap());
    let all = sessions.chain(directory::host_recordings(state_dir).unwrap());
    let files: Vec<_> = all.map(|one| (fs::read(&one.path).unwrap(), one.path)).collect();
    drop(daemon);
    files.into_iter().for_each(|(bytes, path)| fs::write(path, bytes).unwrap());
}

fn ended(state_dir: &std::path::Path) -> Vec<String> {
    let newest = said(state_dir).pop().unwrap().into_iter();
    let ended = newest.filter_map(|host| if let Host::SessionEnded(ended) = host { Some(*ended) } else { None });
    ended.map(|ended| ended.session_id.into_owned()).collect()
}

#[test]
fn a_session_of_yesterday_whose_daemon_was_killed_is_entered_by_the_next() {
    let state_dir = folder("outlives");
    let id = Uuid::from_u128(1);
    let recorder = Recorder::new(&state_dir);
    let session = recorder.create(id, NOW_NS).unwrap();
    recorder.host().keep(NOW_NS + DAY_NS).unwrap();
    kill(&state_dir, (session, recorder));
    // One that is killed before it has come to that leaves it to its next.
    kill(&state_dir, host_begun_at(&state_dir, NOW_NS + DAY_NS));
    let next = host_begun_at(&state_dir, NOW_NS + DAY_NS);
    assert_eq!(ended(&state_dir), [] as [String; 0]);
    next.keep(NOW_NS + DAY_NS).unwrap();
    assert_eq!(ended(&state_dir), [id.to_string()]);
    drop(next);
    let after = host_begun_at(&state_dir, NOW_NS + DAY_NS);
    after.keep(NOW_NS + DAY_NS).unwrap();
    assert_eq!(ended(&state_dir), [] as [String; 0], "once is enough");
    fs::remove_dir_all(state_dir).unwrap();
}

#[test]
fn a_daemon_that_is_killed_while_it_drains_is_entered_when_another_file_begins() {
    let state_dir = folder("drains");
    let id = Uuid::from_u128(1);
    let draining = Recorder::new(&state_dir);
    let session = draining.create(id, NOW_NS).unwrap();
    let successor = begin(&state_dir);
    successor.keep(NOW_NS).unwrap();
    kill(&state_dir, (session, draining));
    successor.keep(NOW_NS + DAY_NS).unwrap();
    successor.keep(NOW_NS + DAY_NS).unwrap();
    assert_eq!(ended(&state_dir), [id.to_string()]);
    fs::remove_dir_all(state_dir).unwrap();
}

/// Nobody connects any more, and what was recorded last is proven all the same.
#[test]
fn what_happens_seldom_is_signed() {
    let state_dir = folder("seldom");
    let host = begin(&state_dir);
    host.policies_are(NOW_NS, PoliciesLoaded { sha256: "00".into(), policies: 1, error: None }).unwrap();
    let signatures = || {
        let path = directory::host_recordings(&state_dir).unwrap().remove(0).path;
        let mut stream = portreeve_recording::Stream::open(fs::File::open(path).unwrap()).unwrap();
        let mut signed = Vec::new();
        while let Ok(frame) = stream.next_frame().unwrap() {
            signed.push(frame.claim().is_some());
        }
        signed
    };
    host.keep(NOW_NS + 1_000_000_000).unwrap();
    assert_eq!(signatures(), [false, true, false]);
    host.keep(NOW_NS + 11_000_000_000).unwrap();
    host.keep(NOW_NS + 30_000_000_000).unwrap();
    assert_eq!(signatures(), [false, true, false, true]);
    fs::remove_dir_all(state_dir).unwrap();
}

#[test]
fn tags_and_policies_are_recorded_when_they_change() {
    let state_dir = folder("known");
    let host = begin(&state_dir);
    let tag = |cgroup_id, workload: &'static str| Tagged {
        cgroup: "agents".into(),
        cgroup_id,
        workload: workload.into(),
        spiffe_id: "".into(),
        groups: (&[]).into(),
        by: "command".into(),
    };
    let policies =
        |error: Option<&'static str>| PoliciesLoaded { sha256: "00".into(), policies: 1, error: error.map(Into::into) };
    for _ in 0..2 {
        host.tags_are(NOW_NS, vec![tag(1, "a")]).unwrap();
        host.policies_are(NOW_NS, policies(None)).unwrap();
    }
    host.tags_are(NOW_NS, vec![tag(1, "b")]).unwrap();
    host.policies_are(NOW_NS, policies(Some("nonsense"))).unwrap();
    let said = said(&state_dir).concat();
    let expected = [
        Host::Tagged(Box::new(tag(1, "a"))),
        Host::PoliciesLoaded(Box::new(policies(None))),
        Host::Untagged(Box::new(tag(1, "a"))),
        Host::Tagged(Box::new(tag(1, "b"))),
        Host::PoliciesLoaded(Box::new(policies(Some("nonsense")))),
    ];
    assert_eq!(said[1..], expected);
    fs::remove_dir_all(state_dir).unwrap();
}

#[test]
fn no_session_begins_where_the_ledger_has_ended() {
    let state_dir = folder("ended");
    let recorder = Recorder::new(&state_dir);
    recorder.host().stop(NOW_NS, "done").unwrap();
    let error = recorder.create(Uuid::from_u128(1), NOW_NS).unwrap_err().to_string();
    assert!(error.contains("the host recording has ended"), "{error}");
    assert_eq!(directory::sessions(&state_dir, "2026-11-21").unwrap(), [], "an unlisted file was left");
    fs::remove_dir_all(state_dir).unwrap();
}
