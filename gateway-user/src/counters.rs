//! What the daemon has seen since it started, for `portreeve status`.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts that only grow, and one that follows the open sessions. Relaxed: each is a fact by itself.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    sessions_open: AtomicU64,
    sessions_total: AtomicU64,
    statements_total: AtomicU64,
    denied_total: AtomicU64,
    /// Forwarded although policy denies, as the daemon only observes.
    would_deny_total: AtomicU64,
    /// Connections accepted without a kernel record: somebody dialled the gateway directly.
    unrecorded_total: AtomicU64,
}

impl Counters {
    /// Counts a session as open until the guard is dropped.
    pub(crate) fn session(&self) -> OpenSession<'_> {
        self.sessions_open.fetch_add(1, Ordering::Relaxed);
        self.sessions_total.fetch_add(1, Ordering::Relaxed);
        OpenSession(self)
    }

    pub(crate) fn statement(&self, denied: bool) {
        self.statements_total.fetch_add(1, Ordering::Relaxed);
        if denied {
            self.denied_total.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn would_deny(&self) {
        self.statements_total.fetch_add(1, Ordering::Relaxed);
        self.would_deny_total.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn unrecorded(&self) {
        self.unrecorded_total.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn sessions_open(&self) -> u64 {
        self.sessions_open.load(Ordering::Relaxed)
    }

    pub(crate) fn sessions_total(&self) -> u64 {
        self.sessions_total.load(Ordering::Relaxed)
    }

    pub(crate) fn statements_total(&self) -> u64 {
        self.statements_total.load(Ordering::Relaxed)
    }

    pub(crate) fn denied_total(&self) -> u64 {
        self.denied_total.load(Ordering::Relaxed)
    }

    pub(crate) fn would_deny_total(&self) -> u64 {
        self.would_deny_total.load(Ordering::Relaxed)
    }

    pub(crate) fn unrecorded_total(&self) -> u64 {
        self.unrecorded_total.load(Ordering::Relaxed)
    }
}

/// One open session.
#[derive(Debug)]
pub(crate) struct OpenSession<'a>(&'a Counters);

impl Drop for OpenSession<'_> {
    fn drop(&mut self) {
        self.0.sessions_open.fetch_sub(1, Ordering::Relaxed);
    }
}
