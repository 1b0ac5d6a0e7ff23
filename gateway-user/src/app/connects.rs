//! What the kernel programs tell of connects: logged and kept, and answered with a listener where one is wanted.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use portreeve_abi::{ConnectEvent, Tally};
use portreeve_recording::Connects;

use super::records;
use crate::{
    admin::ConnectView,
    gateway::Gateway,
    interception::{self, Events},
    limits::{CONNECTS_KEPT_MAX, NAMESPACES_LOOK_EVERY, NAMESPACES_LOOK_SHARE},
};

/// How long events may lie that nobody waits for.
const READ_EVERY: Duration = Duration::from_millis(200);

/// A thread of its own, since a held connect waits for it. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Watch {
    stopped: Arc<AtomicBool>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}

impl Watch {
    pub(super) fn start(gateway: Arc<Gateway>, mut events: Events) -> io::Result<Self> {
        let stopped = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stopped);
        let run = move || {
            let mut next_look = Instant::now();
            let mut lost = gateway.workloads.interception().tally(Tally::EventsLost).unwrap_or_default();
            while !told.load(Ordering::Relaxed) {
                let began = Instant::now();
                if began >= next_look {
                    look_for_namespaces(&gateway);
                    lost = count_lost(&gateway, lost);
                    next_look = Instant::now() + NAMESPACES_LOOK_EVERY.max(began.elapsed() * NAMESPACES_LOOK_SHARE);
                }
                // A flood of them must not keep us from looking.
                for event in std::iter::from_fn(|| events.next()).take(CONNECTS_KEPT_MAX) {
                    take(&gateway, &event);
                }
                events.wait(READ_EVERY);
            }
        };
        thread::Builder::new().name("connects".to_owned()).spawn(run)?;
        Ok(Self { stopped })
    }
}

fn look_for_namespaces(gateway: &Gateway) {
    let cgroups: Vec<PathBuf> =
        gateway.workloads.list().iter().map(|workload| gateway.cgroup_mount.join(&workload.cgroup)).collect();
    if let Err(error) = gateway.namespaces.look(cgroups, &|| gateway.workloads.interception()) {
        tracing::warn!("network namespaces of workloads are not looked for: {error:#}");
    }
}

/// Ends the listeners outside of the daemon's own network namespace.
pub(super) fn leave_namespaces(gateway: &Gateway) {
    gateway.namespaces.close_all(&|| gateway.workloads.interception());
}

fn take(gateway: &Gateway, event: &ConnectEvent) {
    if interception::wants_listener(event) && event.origin.netns_cookie != gateway.netns_cookie {
        gateway.namespaces.want(event.origin.netns_cookie, event.origin.pid, &|| gateway.workloads.interception());
    }
    let connect = connect_view(gateway, event);
    if let Some(reason) = &connect.refused {
        tracing::warn!(
            workload = connect.workload.as_deref().unwrap_or("(unknown)"),
            pid = connect.pid,
            comm = connect.comm,
            destination = connect.destination.map(tracing::field::display),
            "refused a connect: {reason}"
        );
    }
    records::connect(gateway, recorded(&connect));
    gateway.connects.push(connect);
}

/// Count and times are written by who records it.
fn recorded(connect: &ConnectView) -> Connects<'static> {
    Connects {
        refused: connect.refused.clone().map(Into::into),
        workload: connect.workload.clone().map(Into::into),
        destination: connect.destination.map(|destination| destination.to_string().into()),
        uid: connect.uid,
        pid: connect.pid,
        comm: connect.comm.clone().map(Into::into),
        cgroup_id: connect.cgroup_id,
        netns_cookie: connect.netns_cookie,
        count: 0,
        first_unix_ns: 0,
        last_unix_ns: 0,
    }
}

/// Tells the host recording how many events the kernel programs could not tell since `before`; the count of now.
fn count_lost(gateway: &Gateway, before: u64) -> u64 {
    let now = gateway.workloads.interception().tally(Tally::EventsLost).unwrap_or(before);
    gateway.recorder.host().events_lost(now.saturating_sub(before));
    now
}

/// An event of the kernel programs with the workload's name in it.
fn connect_view(gateway: &Gateway, event: &ConnectEvent) -> ConnectView {
    let origin = &event.origin;
    let workload = gateway.workloads.by_cgroup_id(origin.tagged_cgroup_id);
    // A packet's event has no process, and a process has a pid.
    let known = |value: u32| (origin.pid != 0).then_some(value);
    ConnectView {
        number: 0,
        time: format!("{:.3}", jiff::Timestamp::now()),
        refused: interception::refusal(event).map(str::to_owned),
        workload: workload.map(|workload| workload.name.clone()),
        destination: (origin.destination_port != 0).then(|| interception::destination(origin)),
        pid: known(origin.pid),
        uid: known(origin.uid),
        comm: known(origin.pid).map(|_| interception::comm(origin)),
        cgroup_id: origin.cgroup_id,
        netns_cookie: (origin.netns_cookie != 0).then_some(origin.netns_cookie),
    }
}
