//! The daemon from its announcement to its end: it serves, then it keeps its sessions to their end, then it ends them.

use std::{path::PathBuf, process::ExitCode, sync::Arc, thread::JoinHandle, time::Duration};

use anyhow::{Context as _, Result};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    time::Instant,
};

use super::{HOUSE_EVERY, admin_runtime, connects, control::Control, follow_policies, keep_house, records::Keeper};
use crate::{
    admin::{self, Lock, lock_file},
    gateway::Gateway,
    handover::{Estate, Predecessor},
    interception::{Events, Listeners},
    notify::Notifier,
    worker::Stage,
};

/// Between two looks whether the last session has ended.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What a running daemon is made of.
#[derive(Debug)]
pub(super) struct Daemon {
    pub(super) gateway: Arc<Gateway>,
    pub(super) control: Arc<Control>,
    pub(super) estate: Arc<Estate>,
    /// None once nothing is accepted here.
    pub(super) listeners: Option<Listeners>,
    /// None once it is the successor's.
    pub(super) lock: Option<Lock>,
    pub(super) notifier: Notifier,
    pub(super) stage: watch::Sender<Stage>,
    pub(super) workers: Vec<JoinHandle<()>>,
    pub(super) keeper: Keeper,
}

/// Why a daemon serves no longer.
#[derive(Debug, Clone, Copy)]
enum Leaving {
    /// It was told to stop. `kept` says whether somebody keeps the listeners for the next one.
    Stopped { kept: bool },
    /// A successor serves in its place.
    HandedOver,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("SIGTERM cannot be handled")?,
            interrupt: signal(SignalKind::interrupt()).context("SIGINT cannot be handled")?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    /// Ready when a draining daemon is to wait no longer: at `deadline`, and at SIGINT. SIGTERM shortens it to `stop` from then on: a
    /// service manager sends it to a daemon that was upgraded as well, and again to what the main process leaves behind.
    async fn over(&mut self, mut deadline: Instant, stop: Duration) {
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(deadline) => return,
                _ = self.terminate.recv() => deadline = deadline.min(Instant::now() + stop),
                _ = self.interrupt.recv() => return,
            }
        }
    }
}

impl Daemon {
    /// Announces itself and serves to the end.
    ///
    /// # Errors
    /// It could not be announced.
    pub(super) fn serve(mut self, events: Events, predecessor: &mut Option<Predecessor>) -> Result<ExitCode> {
        let served = admin_runtime()?.block_on(self.serve_and_drain(events, predecessor));
        // Also of a daemon that could not be announced: sessions end in order, then the threads.
        self.gateway.workloads.end_all("gateway stopped");
        self.stage.send_replace(Stage::Ending);
        for worker in self.workers {
            if worker.join().is_err() {
                tracing::error!("a runtime thread panicked");
            }
        }
        self.keeper.stop(match self.estate.successor() {
            Some(_) => "another process has taken over",
            None => "the daemon was told to stop",
        });
        served.map(|()| ExitCode::SUCCESS)
    }

    async fn serve_and_drain(&mut self, events: Events, predecessor: &mut Option<Predecessor>) -> Result<()> {
        let mut signals = Signals::new()?;
        let (Some(listeners), Some(lock)) = (&self.listeners, &self.lock) else { return Ok(()) };
        let kept = self.announce(listeners, lock, predecessor)?;
        let leaving = self.until_left(events, kept, &mut signals).await?;
        self.drain(leaving, &mut signals).await;
        Ok(())
    }

    async fn until_left(&self, events: Events, kept: bool, signals: &mut Signals) -> Result<Leaving> {
        let gateway = &self.gateway;
        let hangup = signal(SignalKind::hangup()).context("SIGHUP cannot be handled")?;
        let open = || gateway.counters.sessions_open();
        tokio::select! {
            () = keep_house(gateway, events) => Ok(Leaving::Stopped { kept }),
            () = follow_policies(gateway, hangup) => Ok(Leaving::Stopped { kept }),
            successor = self.estate.handed_over() => {
                tracing::info!("process {successor} has taken over: keeping {} sessions to their end", open());
                Ok(Leaving::HandedOver)
            }
            name = signals.next() => {
                tracing::info!("{name}: stopping, with {} sessions open", open());
                let estate = Arc::clone(&self.estate);
                let successor = tokio::task::spawn_blocking(move || estate.close()).await.context("no thread can be had")?;
                Ok(successor.map_or(Leaving::Stopped { kept }, |_| Leaving::HandedOver))
            }
        }
    }

    /// Turns refusing into redirecting, and tells everybody who waits for it. Says whether the listeners are kept for the next
    /// daemon.
    fn announce(&self, listeners: &Listeners, lock: &Lock, predecessor: &mut Option<Predecessor>) -> Result<bool> {
        let config = &self.gateway.config;
        let waiting = admin::listen(&config.control_socket(), lock)?;
        self.gateway.workloads.interception().announce(listeners, config.interception.connections_per_workload)?;
        tokio::spawn(admin::serve(waiting.appear()?, Arc::clone(&self.control) as Arc<dyn admin::Authority>));
        lock.claim().with_context(|| format!("cannot write `{}`", lock_file(&config.run_dir).display()))?;
        let kept = self.notifier.keep(listeners.named(), !listeners.are_inherited());
        self.notifier.ready();
        if let Some(predecessor) = predecessor.take() {
            predecessor.serves();
        }
        tracing::info!(
            listen = ?listeners.addresses(), workloads = self.gateway.workloads.list().len(),
            "portreeve {} is ready", env!("CARGO_PKG_VERSION")
        );
        if config.observe {
            tracing::warn!("NOTHING IS DENIED: the daemon only observes, and records what policy would have denied");
        }
        Ok(kept)
    }

    /// Until no session is left, or the time for that is over.
    async fn drain(&mut self, leaving: Leaving, signals: &mut Signals) {
        let config = &self.gateway.config;
        let (seconds, socket) = match leaving {
            Leaving::Stopped { kept } => {
                self.stop(kept);
                (config.stop_drain_seconds, config.control_socket())
            }
            Leaving::HandedOver => {
                // The successor's alone: should it be killed, the next daemon must not find it taken.
                self.lock = None;
                let socket = draining_socket(&config.run_dir);
                serve_draining(&socket, &self.control);
                (config.upgrade_drain_seconds, socket)
            }
        };
        // Nobody keeps these: connects there are held until the next daemon listens there.
        connects::leave_namespaces(&self.gateway);
        self.stage.send_replace(Stage::Draining);
        self.listeners = None;
        let open = || self.gateway.counters.sessions_open();
        tokio::select! {
            () = self.all_ended(leaving) => {}
            () = self.follow_policies() => {}
            () = signals.over(Instant::now() + patience(seconds), patience(config.stop_drain_seconds)) => {
                tracing::warn!("ending {} sessions that did not end by themselves", open());
            }
        }
        let _ = std::fs::remove_file(socket);
    }

    /// Connects wait at listeners that are kept, and are refused where none are.
    fn stop(&self, kept: bool) {
        self.notifier.stopping();
        if !kept && let Err(error) = self.gateway.workloads.interception().retreat() {
            tracing::error!("the kernel programs were not told that the gateway stops: {error:#}");
        }
    }

    /// Sessions that go on are judged by the policies as they come to be.
    async fn follow_policies(&self) {
        match signal(SignalKind::hangup()) {
            Ok(hangup) => follow_policies(&self.gateway, hangup).await,
            Err(_) => std::future::pending().await,
        }
    }

    async fn all_ended(&self, leaving: Leaving) {
        if let Leaving::HandedOver = leaving {
            // Whoever asked for it reads the answer first.
            tokio::time::sleep(HOUSE_EVERY).await;
        }
        while !self.workers.iter().all(JoinHandle::is_finished) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

fn patience(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}

/// Where a draining daemon answers: `status` of its successor asks there.
fn draining_socket(run_dir: &std::path::Path) -> PathBuf {
    run_dir.join(format!("{}{}", admin::client::DRAINING, std::process::id()))
}

/// Failing at it loses a line of `portreeve status`, and the end of sessions whose tag is ended meanwhile.
fn serve_draining(socket: &std::path::Path, control: &Arc<Control>) {
    match admin::listen_at(socket) {
        Ok(listener) => {
            tokio::spawn(admin::serve(listener, Arc::clone(control) as Arc<dyn admin::Authority>));
        }
        Err(error) => tracing::warn!("the successor cannot ask for the sessions that remain here: {error:#}"),
    }
}
