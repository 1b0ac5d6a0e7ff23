//! A clock for removing by age: one that is set ahead while the daemon runs makes nothing old.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use crate::limits::CLOCK_AHEAD_MAX_NS;

/// What the clock said when the daemon began, and how long ago that is by a clock that nobody sets.
#[derive(Debug)]
pub(super) struct SteadyClock {
    began_unix_ns: u64,
    /// Since the machine's boot, sleep included.
    began_boot_ns: u64,
}

impl SteadyClock {
    pub(super) fn starting_at(now_unix_ns: u64) -> Self {
        Self { began_unix_ns: now_unix_ns, began_boot_ns: since_boot() }
    }

    /// What the clock says, or, where it runs ahead of the time that has passed, that.
    pub(super) fn at_most(&self, now_unix_ns: u64) -> u64 {
        self.at_most_after(since_boot().saturating_sub(self.began_boot_ns), now_unix_ns)
    }

    fn at_most_after(&self, passed_ns: u64, now_unix_ns: u64) -> u64 {
        let believed = self.began_unix_ns.saturating_add(passed_ns);
        if now_unix_ns > believed.saturating_add(CLOCK_AHEAD_MAX_NS) { believed } else { now_unix_ns }
    }
}

/// Nanoseconds; 0 where the kernel does not say, and then no time passes.
fn since_boot() -> u64 {
    let passed = clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default();
    u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_ahead_is_not_believed() {
        const HOUR_NS: u64 = CLOCK_AHEAD_MAX_NS;
        let clock = SteadyClock { began_unix_ns: 1000 * HOUR_NS, began_boot_ns: 0 };
        assert_eq!(clock.at_most_after(5 * HOUR_NS, 1005 * HOUR_NS), 1005 * HOUR_NS);
        assert_eq!(clock.at_most_after(5 * HOUR_NS, 1006 * HOUR_NS), 1006 * HOUR_NS);
        assert_eq!(clock.at_most_after(5 * HOUR_NS, 9000 * HOUR_NS), 1005 * HOUR_NS);
        assert_eq!(clock.at_most_after(5 * HOUR_NS, 3 * HOUR_NS), 3 * HOUR_NS);
        assert!(SteadyClock::starting_at(7).at_most(u64::MAX) < HOUR_NS);
    }
}
