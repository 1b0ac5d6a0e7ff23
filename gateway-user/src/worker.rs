//! A runtime thread: it accepts for itself and keeps the sessions it accepted to their end.

use std::{io, net::TcpListener as StdListener, rc::Rc, sync::Arc, thread, time::Duration};

use anyhow::{Context as _, Result};
use tokio::{net::TcpListener, sync::watch, task::LocalSet};

use crate::{
    gateway::Gateway,
    interception::{self, Namespace, Records},
    session::{self, Verdicts},
};

/// Pause after an accept that failed for lack of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long sessions may take to end when the daemon stops.
const END_MAX: Duration = Duration::from_secs(5);

/// How far the daemon is. It only goes on in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Connections are accepted.
    Serving,
    /// None are; sessions go on.
    Draining,
    /// Sessions were told to end.
    Ending,
}

/// Starts a thread that serves what arrives at `listeners` until `stage` says otherwise. It ends with its last session.
///
/// # Errors
/// The thread or its runtime cannot be made.
pub(crate) fn start(
    name: String,
    gateway: Arc<Gateway>,
    listeners: Vec<(StdListener, Records)>,
    stage: watch::Receiver<Stage>,
) -> Result<thread::JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("a runtime thread cannot be set up")?;
    let run = move || runtime.block_on(LocalSet::new().run_until(serve(gateway, listeners, stage)));
    thread::Builder::new().name(name).spawn(run).context("a runtime thread cannot be started")
}

async fn serve(gateway: Arc<Gateway>, listeners: Vec<(StdListener, Records)>, mut stage: watch::Receiver<Stage>) {
    let verdicts = Rc::new(Verdicts::default());
    let (alive, mut all_done) = tokio::sync::mpsc::channel::<()>(1);
    let mut namespaces = gateway.namespaces.follow();
    let others = {
        let (gateway, verdicts, alive) = (Arc::clone(&gateway), Rc::clone(&verdicts), alive.clone());
        async move {
            while let Some(namespace) = namespaces.recv().await {
                if let Err(error) = accept_there(&gateway, &verdicts, &namespace, &alive) {
                    tracing::error!("connections in a network namespace are refused: {error:#}");
                }
            }
        }
    };
    let mut leaving = stage.clone();
    tokio::task::spawn_local(async move {
        tokio::select! {
            () = others => {}
            _ = leaving.wait_for(|stage| *stage != Stage::Serving) => {}
        }
    });
    for (listener, records) in listeners {
        let netns_cookie = gateway.netns_cookie;
        let accepting =
            accept(Arc::clone(&gateway), Rc::clone(&verdicts), listener, records, netns_cookie, alive.clone());
        let mut stage = stage.clone();
        tokio::task::spawn_local(async move {
            tokio::select! {
                ended = accepting => if let Err(error) = ended {
                    tracing::error!("a listener failed, its connections are refused: {error}");
                },
                _ = stage.wait_for(|stage| *stage != Stage::Serving) => {}
            }
        });
    }
    drop(alive);
    // The sender outlives the threads: it is only dropped when the daemon stops as well.
    let _ = stage.wait_for(|stage| *stage != Stage::Serving).await;
    tokio::select! {
        _ = all_done.recv() => {}
        _ = stage.wait_for(|stage| *stage == Stage::Ending) => {
            let _ = tokio::time::timeout(END_MAX, all_done.recv()).await;
        }
    }
}

/// Accepts in another network namespace for as long as the daemon listens there.
fn accept_there(
    gateway: &Arc<Gateway>,
    verdicts: &Rc<Verdicts>,
    namespace: &Arc<Namespace>,
    alive: &tokio::sync::mpsc::Sender<()>,
) -> Result<()> {
    for listener in namespace.sockets().context("a listener cannot be shared")? {
        let records = gateway.workloads.interception().records()?;
        let (gateway, verdicts, namespace) = (Arc::clone(gateway), Rc::clone(verdicts), Arc::clone(namespace));
        let accepting = accept(gateway, verdicts, listener, records, namespace.cookie(), alive.clone());
        tokio::task::spawn_local(async move {
            tokio::select! {
                ended = accepting => if let Err(error) = ended {
                    tracing::error!("a listener failed, its connections are refused: {error}");
                },
                () = namespace.closed() => {}
            }
        });
    }
    Ok(())
}

async fn accept(
    gateway: Arc<Gateway>,
    verdicts: Rc<Verdicts>,
    listener: StdListener,
    mut records: Records,
    netns_cookie: u64,
    alive: tokio::sync::mpsc::Sender<()>,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!("a connection could not be accepted: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(local) = stream.local_addr() else { continue };
        // A connection that was reset while it waited has no peer any more, and its four-tuple may be another's by now.
        if stream.peer_addr().is_err() {
            continue;
        }
        let origin = match records.take(interception::flow(netns_cookie, peer, local)) {
            Ok(Some(origin)) => origin,
            Ok(None) => {
                gateway.unrecorded();
                tracing::warn!(%peer, "closed a connection without a kernel record: somebody dialled the gateway itself");
                continue;
            }
            Err(error) => {
                tracing::error!(%peer, "closed a connection whose kernel record cannot be taken: {error:#}");
                continue;
            }
        };
        let (gateway, verdicts, alive) = (Arc::clone(&gateway), Rc::clone(&verdicts), alive.clone());
        tokio::task::spawn_local(async move {
            session::serve(&gateway, &verdicts, stream, peer, origin).await;
            drop(alive);
        });
    }
}
