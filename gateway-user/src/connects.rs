//! The newest refused and redirected connects, for `portreeve tail --connects`.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{admin::ConnectView, limits::CONNECTS_KEPT_MAX};

/// Bounded: the oldest go first, and who reads too late is told how many went.
#[derive(Debug, Default)]
pub(crate) struct Connects(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    connects: VecDeque<ConnectView>,
    /// The number of the newest; they begin with 1.
    newest: u64,
}

impl Connects {
    /// Keeps one more, under the next number.
    pub(crate) fn push(&self, mut connect: ConnectView) {
        let mut kept = self.lock();
        kept.newest += 1;
        connect.number = kept.newest;
        if kept.connects.len() >= CONNECTS_KEPT_MAX {
            kept.connects.pop_front();
        }
        kept.connects.push_back(connect);
    }

    /// Those with a number above `after`, oldest first, and how many of them are gone already.
    pub(crate) fn since(&self, after: u64) -> (Vec<ConnectView>, u64) {
        let kept = self.lock();
        let connects: Vec<_> = kept.connects.iter().filter(|connect| connect.number > after).cloned().collect();
        let first = connects.first().map_or(kept.newest + 1, |connect| connect.number);
        (connects, first.saturating_sub(after.saturating_add(1)))
    }

    /// A thread that panicked leaves whole values here.
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reads_too_late_is_told_how_many_went() {
        let connects = Connects::default();
        assert_eq!(connects.since(0), (vec![], 0));
        for _ in 0..CONNECTS_KEPT_MAX + 3 {
            connects.push(ConnectView::default());
        }
        let numbers = |after| {
            let (connects, missed) = connects.since(after);
            (connects.first().map(|connect| connect.number), connects.len(), missed)
        };
        assert_eq!(numbers(0), (Some(4), CONNECTS_KEPT_MAX, 3));
        let newest = CONNECTS_KEPT_MAX as u64 + 3;
        assert_eq!(numbers(newest - 1), (Some(newest), 1, 0));
        assert_eq!(numbers(newest), (None, 0, 0));
    }
}
