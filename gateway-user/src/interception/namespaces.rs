//! Network namespaces besides the daemon's own: one listener in each that holds threads of tagged workloads.
//!
//! They are found by a look at the tagged cgroups now and then, and at once when a connect comes from one that has no listener yet:
//! the kernel programs hold it meanwhile. Listeners keep their namespace alive, so they go soon after its last tagged thread.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read as _, Seek as _},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::OwnedFd,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow};
use nix::{
    sched::{CloneFlags, setns},
    sys::socket::{AddressFamily, SockFlag, SockType, socket},
};
use tokio::sync::{mpsc, oneshot, watch};

use super::{Interception, Listeners, tree, tree::Tree};
use crate::limits::{NAMESPACE_PROBLEM_EVERY, NAMESPACE_UNUSED_MAX};

/// Discard (RFC 863): nothing is ever sent there.
const PROBED_PORT: u16 = 9;

/// What else is opened within a namespace.
#[derive(Debug)]
struct Rest {
    /// `/proc/net/tcp` and `tcp6`.
    tables: Vec<Mutex<File>>,
    /// Tells whether the loopback interface is up. It never sends.
    probe: UdpSocket,
}

/// A namespace with its listeners.
#[derive(Debug)]
pub(crate) struct Namespace {
    cookie: u64,
    inode: u64,
    file: File,
    listen: Vec<SocketAddr>,
    port: u16,
    /// None once they were closed: sessions may hold on to the namespace, and a listener that nobody accepts from would swallow connects.
    listeners: Mutex<Option<Listeners>>,
    rest: Rest,
    closed: watch::Sender<bool>,
}

impl Namespace {
    /// `SO_NETNS_COOKIE` of every socket there.
    pub(crate) fn cookie(&self) -> u64 {
        self.cookie
    }

    /// Its listening sockets under descriptors of their own, for one more thread to accept from until [`Namespace::closed`].
    pub(crate) fn sockets(&self) -> io::Result<Vec<TcpListener>> {
        lock(&self.listeners).as_ref().map_or_else(|| Ok(Vec::new()), Listeners::try_clone)
    }

    /// Ready when nobody is left who could connect.
    pub(crate) async fn closed(&self) {
        // The sender lives as long as `self`, so that waiting cannot fail.
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }

    /// The kernel's tables of TCP sockets there, as `/proc/net/tcp` is written.
    pub(crate) fn tcp_tables(&self) -> io::Result<Vec<String>> {
        let read = |table: &Mutex<File>| {
            let mut table = lock(table);
            table.rewind()?;
            let mut text = String::new();
            table.read_to_string(&mut text).map(|_| text)
        };
        self.rest.tables.iter().map(read).collect()
    }

    /// What keeps agents there from reaching the listeners, and what to do.
    fn problem(&self) -> Option<String> {
        // Connecting a datagram socket only asks for a route.
        self.rest.probe.connect((Ipv4Addr::LOCALHOST, PROBED_PORT)).err().map(|error| {
            let by_whom = "run `ip link set lo up` there (`nsenter --net=/proc/<pid>/ns/net`)";
            format!("its loopback interface is down ({error}): {by_whom}")
        })
    }

    /// A TCP socket there, not connected: what it sends takes the routes and the NAT of the namespace.
    ///
    /// # Errors
    /// The namespace cannot be entered.
    pub(crate) async fn socket_towards(&self, destination: SocketAddr) -> Result<TcpStream> {
        let family = match destination.ip() {
            IpAddr::V4(_) => AddressFamily::Inet,
            IpAddr::V6(_) => AddressFamily::Inet6,
        };
        let namespace = self.file.try_clone()?;
        let (done, answer) = oneshot::channel();
        enter(namespace, move || {
            let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
            let made: Result<OwnedFd> = socket(family, SockType::Stream, flags, None).context("no socket");
            // Nobody waits any more when the session has ended.
            let _ = done.send(made.map(TcpStream::from));
        })?;
        answer.await.map_err(|_| anyhow!("the network namespace cannot be entered"))?
    }
}

/// Runs `job` within a namespace, on a thread that ends with it: a thread that went there need not find its way back.
fn enter(namespace: File, job: impl FnOnce() + Send + 'static) -> io::Result<thread::JoinHandle<()>> {
    thread::Builder::new().name("namespace".to_owned()).spawn(move || {
        match setns(namespace, CloneFlags::CLONE_NEWNET) {
            Ok(()) => job(),
            Err(error) => tracing::warn!("a network namespace cannot be entered: {error}"),
        }
    })
}

/// A namespace of which something is known.
#[derive(Debug)]
struct Known {
    state: Served,
    seen: Instant,
}

#[derive(Debug)]
enum Served {
    Listening(Arc<Namespace>),
    /// Why not, and when that was found. Tried again at each look, told again in a while.
    Not {
        why: String,
        told: Instant,
    },
}

/// The programs in force, locked for one change: not while a namespace is entered.
pub(crate) type Kernel<'k> = &'k dyn Fn() -> MutexGuard<'k, Interception>;

/// One namespace, for `portreeve status`.
#[derive(Debug, Clone)]
pub(crate) struct Overview {
    pub(crate) inode: u64,
    pub(crate) cookie: Option<u64>,
    pub(crate) listen: Vec<SocketAddr>,
    pub(crate) problem: Option<String>,
}

/// Every namespace that holds tagged threads, but the daemon's own.
#[derive(Debug)]
pub(crate) struct Namespaces {
    own_inode: u64,
    /// What the kernel programs take for the port of a namespace that they do not know.
    port: u16,
    /// Ports that have a rule.
    ruled: Vec<u16>,
    known: Mutex<HashMap<u64, Known>>,
    by_cookie: RwLock<HashMap<u64, Arc<Namespace>>>,
    acceptors: Mutex<Vec<mpsc::UnboundedSender<Arc<Namespace>>>>,
    ended_total: AtomicU64,
}

/// A lock held by a thread that panicked still guards whole values here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Namespaces {
    /// # Errors
    /// It cannot be told which namespace is our own.
    pub(crate) fn new(port: u16, ruled: Vec<u16>) -> Result<Self> {
        Ok(Self {
            own_inode: tree::own_namespace()?,
            port,
            ruled,
            known: Mutex::default(),
            by_cookie: RwLock::default(),
            acceptors: Mutex::default(),
            ended_total: AtomicU64::new(0),
        })
    }

    /// Every namespace that has listeners, and each that gets some, for a thread that accepts.
    pub(crate) fn follow(&self) -> mpsc::UnboundedReceiver<Arc<Namespace>> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut acceptors = lock(&self.acceptors);
        for namespace in self.by_cookie.read().unwrap_or_else(PoisonError::into_inner).values() {
            // The receiver is at hand.
            let _ = sender.send(Arc::clone(namespace));
        }
        acceptors.push(sender);
        receiver
    }

    /// The namespace with this cookie, while it has listeners.
    pub(crate) fn by_cookie(&self, cookie: u64) -> Option<Arc<Namespace>> {
        self.by_cookie.read().unwrap_or_else(PoisonError::into_inner).get(&cookie).cloned()
    }

    /// Looks at cgroups (paths): listens in namespaces that are new, and no longer in those that hold nobody.
    ///
    /// # Errors
    /// It cannot be told which namespace is whose.
    pub(crate) fn look(&self, cgroups: Vec<PathBuf>, kernel: Kernel<'_>) -> Result<()> {
        let began = Instant::now();
        let tree = Tree::of(cgroups)?;
        let mut known = lock(&self.known);
        for (inode, file) in tree.namespaces {
            self.serve(&mut known, inode, file, None, kernel);
        }
        let unused = |known: &Known| began.saturating_duration_since(known.seen) > NAMESPACE_UNUSED_MAX;
        let gone: Vec<u64> = known.iter().filter(|(_, known)| unused(known)).map(|(inode, _)| *inode).collect();
        for inode in gone {
            if let Some(Known { state: Served::Listening(namespace), .. }) = known.remove(&inode) {
                self.close(&namespace, kernel);
            }
        }
        Ok(())
    }

    /// Listens where a connect comes from that is held: in the namespace with this cookie, if the process is there.
    pub(crate) fn want(&self, cookie: u64, pid: u32, kernel: Kernel<'_>) {
        if self.by_cookie(cookie).is_some() {
            return;
        }
        let mut known = lock(&self.known);
        for (inode, file) in tree::namespaces_of_process(pid) {
            if inode != self.own_inode {
                self.serve(&mut known, inode, file, Some(cookie), kernel);
            }
        }
    }

    /// A process's number may be another's by now: what it led to counts when it has the cookie that the kernel told.
    fn serve(&self, known: &mut HashMap<u64, Known>, inode: u64, file: File, wanted: Option<u64>, kernel: Kernel<'_>) {
        let now = Instant::now();
        let mut told = None;
        if let Some(known) = known.get_mut(&inode) {
            known.seen = now;
            match &known.state {
                Served::Listening(_) => return,
                Served::Not { told: last, .. } => told = Some(*last),
            }
        }
        let state = match self.open(inode, file, kernel) {
            Ok(namespace) if wanted.is_some_and(|cookie| cookie != namespace.cookie) => return,
            Ok(namespace) => match self.announce(&namespace, kernel) {
                Ok(()) => Served::Listening(namespace),
                Err(error) => Served::Not { why: format!("{error:#}"), told: tell(&error, inode, told) },
            },
            Err(error) => Served::Not { why: format!("{error:#}"), told: tell(&error, inode, told) },
        };
        known.insert(inode, Known { state, seen: now });
    }

    fn open(&self, inode: u64, file: File, kernel: Kernel<'_>) -> Result<Arc<Namespace>> {
        let (port, ruled) = (self.port, self.ruled.clone());
        let marker = kernel().marker()?;
        let (done, answer) = std::sync::mpsc::channel();
        enter(file.try_clone()?, move || {
            let opened = Listeners::bind_elsewhere(port, |port| ruled.contains(&port), |socket| marker.mark(socket))
                .and_then(|made| Ok((made, Rest::open()?)));
            let _ = done.send(opened);
        })?;
        let (listeners, rest) = answer.recv().context("the network namespace cannot be entered")??;
        Ok(Arc::new(Namespace {
            cookie: listeners.netns_cookie(),
            inode,
            file,
            listen: listeners.addresses(),
            port: listeners.port(),
            listeners: Mutex::new(Some(listeners)),
            rest,
            closed: watch::Sender::new(false),
        }))
    }

    /// Accepting begins before connects are led there.
    fn announce(&self, namespace: &Arc<Namespace>, kernel: Kernel<'_>) -> Result<()> {
        let mut acceptors = lock(&self.acceptors);
        self.write().insert(namespace.cookie, Arc::clone(namespace));
        acceptors.retain(|acceptor| acceptor.send(Arc::clone(namespace)).is_ok());
        drop(acceptors);
        let announced = match lock(&namespace.listeners).as_ref() {
            Some(listeners) => kernel().announce_in(namespace.cookie, listeners),
            None => Err(anyhow!("its listeners are closed")),
        };
        match &announced {
            Ok(()) => tracing::info!(
                inode = namespace.inode, netns_cookie = namespace.cookie, listen = ?namespace.listen,
                problem = namespace.problem(),
                "listens in a network namespace that holds tagged workloads"
            ),
            Err(_) => self.withdraw(namespace),
        }
        announced
    }

    fn withdraw(&self, namespace: &Namespace) {
        self.write().remove(&namespace.cookie);
        drop(lock(&namespace.listeners).take());
        namespace.closed.send_replace(true);
    }

    fn close(&self, namespace: &Namespace, kernel: Kernel<'_>) {
        if let Err(error) = kernel().retreat_from(namespace.cookie, namespace.port) {
            tracing::warn!("a network namespace stays known to the kernel programs: {error:#}");
        }
        self.withdraw(namespace);
        self.ended_total.fetch_add(1, Ordering::Relaxed);
        tracing::info!(
            inode = namespace.inode,
            netns_cookie = namespace.cookie,
            "no longer listens in a network namespace: no tagged workload is there"
        );
    }

    /// Ends listening everywhere, for a daemon that stops or hands over.
    pub(crate) fn close_all(&self, kernel: Kernel<'_>) {
        for (_, known) in lock(&self.known).drain() {
            match known.state {
                Served::Listening(namespace) => self.close(&namespace, kernel),
                Served::Not { .. } => {}
            }
        }
    }

    /// All of them, in the order in which they were made.
    pub(crate) fn list(&self) -> Vec<Overview> {
        let known = lock(&self.known);
        let mut list: Vec<Overview> = known.iter().map(|(inode, known)| overview(*inode, &known.state)).collect();
        list.sort_by_key(|namespace| (namespace.cookie, namespace.inode));
        list
    }

    /// How many had listeners that were closed since.
    pub(crate) fn ended_total(&self) -> u64 {
        self.ended_total.load(Ordering::Relaxed)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, HashMap<u64, Arc<Namespace>>> {
        self.by_cookie.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn overview(inode: u64, state: &Served) -> Overview {
    match state {
        Served::Listening(namespace) => {
            let listen = namespace.listen.clone();
            Overview { inode, cookie: Some(namespace.cookie), listen, problem: namespace.problem() }
        }
        Served::Not { why, .. } => Overview { inode, cookie: None, listen: Vec::new(), problem: Some(why.clone()) },
    }
}

/// Logs it unless that was done a little while ago; returns when it was last.
fn tell(error: &anyhow::Error, inode: u64, last: Option<Instant>) -> Instant {
    const fn is_recent(since: Duration) -> bool {
        since.as_millis() < NAMESPACE_PROBLEM_EVERY.as_millis()
    }
    match last {
        Some(last) if is_recent(last.elapsed()) => last,
        Some(_) | None => {
            tracing::warn!(inode, "agents in a network namespace are refused: {error:#}");
            Instant::now()
        }
    }
}

impl Rest {
    /// Of the namespace that this thread is in.
    fn open() -> Result<Self> {
        let tables = ["/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"].into_iter();
        // A kernel without IPv6 has only the first.
        let tables = tables.filter_map(|path| File::open(path).ok()).map(Mutex::new).collect();
        Ok(Self { tables, probe: UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).context("no datagram socket")? })
    }
}
