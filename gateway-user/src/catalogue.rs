//! What servers say of their views and routines: one snapshot per server and account, shared by the sessions of all threads.
//!
//! A statement looks at atomics only. A snapshot that is too old, or older than a definition that some session changed, is
//! read anew before the statement is judged; reading at the same time is done once.

use std::{
    collections::HashMap,
    fmt,
    hash::{Hash, Hasher},
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use portreeve_policy::Catalogue;

use crate::limits::{
    CATALOGUE_AGE_MAX, CATALOGUE_LOOK_AGAIN_MIN, CATALOGUE_LOOK_AGAIN_SHARE, CATALOGUE_READ_MAX, CATALOGUE_RETRY,
};

/// Every generation is another catalogue, of whichever server. 0 is that nothing is known.
static GENERATION: AtomicU64 = AtomicU64::new(1);

/// The snapshots of all servers. Locked at logins only.
#[derive(Debug, Default)]
pub(crate) struct Catalogues {
    shelves: Mutex<HashMap<Key, Arc<Shelf>>>,
    changes: Mutex<HashMap<String, Arc<Changes>>>,
}

/// Accounts see different things, and behind one name there may be several servers.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    server: String,
    destination: SocketAddr,
    account: String,
}

/// How often sessions changed definitions at a server.
#[derive(Debug, Default)]
pub(crate) struct Changes(AtomicU64);

/// One catalogue as it was read.
pub(crate) struct Snapshot {
    pub(crate) catalogue: Catalogue,
    generation: u64,
    superseded: AtomicBool,
}

/// Where one account's newest snapshot of a server is.
#[derive(Debug)]
pub(crate) struct Shelf {
    newest: ArcSwapOption<Look>,
    changes: Arc<Changes>,
    /// Held by whoever reads.
    reading: tokio::sync::Mutex<()>,
}

/// A look at the server: it found the snapshot, or the same as the one before.
#[derive(Debug)]
struct Look {
    snapshot: Arc<Snapshot>,
    /// Changes that were begun before it.
    changes: u64,
    began: Instant,
    took: Duration,
}

impl Catalogues {
    /// The shelf of an account at a server.
    pub(crate) fn shelf(&self, server: &str, destination: SocketAddr, account: &str) -> Arc<Shelf> {
        let changes = self.changes(server);
        let key = Key { server: server.to_owned(), destination, account: account.to_owned() };
        let mut shelves = self.shelves.lock().unwrap_or_else(PoisonError::into_inner);
        let shelf = shelves.entry(key).or_insert_with(|| {
            Arc::new(Shelf { newest: ArcSwapOption::empty(), changes, reading: tokio::sync::Mutex::default() })
        });
        Arc::clone(shelf)
    }

    /// The changes at a server, whichever of its addresses and accounts they come by.
    pub(crate) fn changes(&self, server: &str) -> Arc<Changes> {
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(changes.entry(server.to_owned()).or_default())
    }
}

impl Changes {
    /// Says that a definition may change from now on, and once more when what is given is dropped: whenever it was within that
    /// time, who looks afterwards looks anew.
    pub(crate) fn begin(self: &Arc<Self>) -> Changing {
        self.count();
        Changing(Arc::clone(self))
    }

    fn count(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

/// A statement that may change definitions is under way.
#[derive(Debug)]
pub(crate) struct Changing(Arc<Changes>);

impl Drop for Changing {
    fn drop(&mut self) {
        self.0.count();
    }
}

impl Snapshot {
    /// Where no verdict depends on a catalogue.
    pub(crate) fn none() -> Arc<Self> {
        Arc::new(Self { catalogue: Catalogue::EMPTY.clone(), generation: 0, superseded: AtomicBool::new(false) })
    }

    fn new(catalogue: Catalogue) -> Arc<Self> {
        let generation = GENERATION.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self { catalogue, generation, superseded: AtomicBool::new(false) })
    }

    /// Whether nothing was ever read.
    pub(crate) fn is_none(&self) -> bool {
        self.generation == 0
    }

    /// Whether there is a newer one: verdicts by this one are of no use to sessions to come.
    pub(crate) fn is_superseded(&self) -> bool {
        self.superseded.load(Ordering::Relaxed)
    }
}

impl PartialEq for Snapshot {
    fn eq(&self, other: &Self) -> bool {
        self.generation == other.generation
    }
}

impl Eq for Snapshot {}

impl Hash for Snapshot {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.generation.hash(state);
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("generation", &self.generation).finish_non_exhaustive()
    }
}

impl Shelf {
    /// The newest snapshot, old as it may be.
    pub(crate) fn newest(&self) -> Option<Arc<Snapshot>> {
        self.newest.load().as_ref().map(|look| Arc::clone(&look.snapshot))
    }

    /// Whether `snapshot` is what a statement may be judged by now.
    pub(crate) fn is_fresh(&self, snapshot: &Snapshot) -> bool {
        self.newest.load().as_ref().is_some_and(|look| *look.snapshot == *snapshot && self.counts(look, Instant::now()))
    }

    /// Whether it is worth while to look again for a name that the catalogue does not have. A session with tables of its own
    /// names such ones all the time: looks take a small share of the time at most.
    pub(crate) fn may_look_again(&self) -> bool {
        let pause = |look: &Look| CATALOGUE_LOOK_AGAIN_MIN.max(look.took.saturating_mul(CATALOGUE_LOOK_AGAIN_SHARE));
        self.newest.load().as_ref().is_none_or(|look| look.began.elapsed() > pause(look))
    }

    fn counts(&self, look: &Look, now: Instant) -> bool {
        let age_max = match look.snapshot.catalogue.why_unreadable() {
            Some(_) => CATALOGUE_RETRY,
            None => CATALOGUE_AGE_MAX,
        };
        look.changes == self.changes.0.load(Ordering::Acquire) && now.saturating_duration_since(look.began) < age_max
    }

    /// A snapshot that a statement may be judged by, read by `read` if there is none; `since` asks for one from then on.
    /// A server that cannot be read has a catalogue that says why.
    pub(crate) async fn look(
        &self,
        since: Option<Instant>,
        read: impl Future<Output = Result<Catalogue, String>>,
    ) -> Arc<Snapshot> {
        let _one_at_a_time = self.reading.lock().await;
        let newest = self.newest.load_full();
        let now = Instant::now();
        if let Some(look) = &newest
            && self.counts(look, now)
            && since.is_none_or(|since| look.began >= since)
        {
            return Arc::clone(&look.snapshot);
        }
        let changes = self.changes.0.load(Ordering::Acquire);
        let read = tokio::time::timeout(CATALOGUE_READ_MAX, read).await;
        let late = |_| Err(format!("it was not told within {} s", CATALOGUE_READ_MAX.as_secs()));
        let catalogue = read.unwrap_or_else(late).unwrap_or_else(|why| {
            tracing::warn!("a server's views and routines cannot be read: {why}");
            Catalogue::unreadable(why)
        });
        let snapshot = match &newest {
            // Verdicts found by it stay.
            Some(look) if look.snapshot.catalogue == catalogue => Arc::clone(&look.snapshot),
            Some(look) => {
                look.snapshot.superseded.store(true, Ordering::Relaxed);
                Snapshot::new(catalogue)
            }
            None => Snapshot::new(catalogue),
        };
        let look = Look { snapshot: Arc::clone(&snapshot), changes, began: now, took: now.elapsed() };
        self.newest.store(Some(Arc::new(look)));
        snapshot
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portreeve_policy::Relation;

    fn shelf() -> (Catalogues, Arc<Shelf>) {
        let catalogues = Catalogues::default();
        let shelf = catalogues.shelf("orders", "127.0.0.1:3306".parse().unwrap(), "reporting");
        (catalogues, shelf)
    }

    fn with_table(name: &str) -> Catalogue {
        let mut catalogue = Catalogue::new(0);
        catalogue.add_relation("shop", name, Relation::Table);
        catalogue
    }

    #[tokio::test]
    async fn a_snapshot_is_read_once_until_something_changes() {
        let (catalogues, shelf) = shelf();
        let first = shelf.look(None, async { Ok(with_table("a")) }).await;
        assert!(shelf.is_fresh(&first));
        let again = shelf.look(None, async { panic!("it is there") }).await;
        assert_eq!(first, again);

        let changing = catalogues.changes("orders").begin();
        assert!(!shelf.is_fresh(&first));
        let during = shelf.look(None, async { Ok(with_table("b")) }).await;
        assert!(shelf.is_fresh(&during) && first.is_superseded() && first != during);
        // It may have been read before the server was done.
        drop(changing);
        assert!(!shelf.is_fresh(&during));
        let same = shelf.look(None, async { Ok(with_table("b")) }).await;
        assert!(shelf.is_fresh(&same) && same == during && !same.is_superseded());
        drop(catalogues.changes("another").begin());
        assert!(shelf.is_fresh(&same));
    }

    #[tokio::test]
    async fn accounts_do_not_share_what_they_see() {
        let (catalogues, shelf) = shelf();
        shelf.look(None, async { Ok(with_table("a")) }).await;
        let other = catalogues.shelf("orders", "127.0.0.1:3306".parse().unwrap(), "ingest");
        assert!(shelf.newest().is_some() && other.newest().is_none());
    }

    #[tokio::test]
    async fn who_asks_for_a_newer_one_gets_it() {
        let (_catalogues, shelf) = shelf();
        let first = shelf.look(None, async { Ok(with_table("a")) }).await;
        let newer = shelf.look(Some(Instant::now()), async { Ok(with_table("b")) }).await;
        assert_ne!(first, newer);
        assert!(!shelf.may_look_again());
    }

    #[tokio::test]
    async fn a_server_that_cannot_be_read_is_asked_again_soon_and_not_at_once() {
        let (catalogues, shelf) = shelf();
        let snapshot = shelf.look(None, async { Err("error 1040".to_owned()) }).await;
        assert_eq!(snapshot.catalogue.why_unreadable(), Some("error 1040"));
        assert!(shelf.is_fresh(&snapshot));
        drop(catalogues.changes("orders").begin());
        let read = shelf.look(None, async { Ok(with_table("a")) }).await;
        assert_eq!(read.catalogue.why_unreadable(), None);
    }
}
