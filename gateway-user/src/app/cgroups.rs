//! Cgroups that come and go: tagged when they appear.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use super::HOUSE_EVERY;
use crate::{
    gateway::Gateway,
    limits::{CGROUPS_LOOK_MIN, CGROUPS_LOOK_SHARE},
};

/// A thread of its own: looking at a large tree takes time. It has ended when this is dropped, so that it never works against a
/// successor.
#[derive(Debug)]
pub(super) struct Watch {
    stopped: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("following the cgroups failed");
        }
    }
}

impl Watch {
    pub(super) fn start(gateway: Arc<Gateway>) -> io::Result<Self> {
        let stopped = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stopped);
        let run = move || {
            while !told.load(Ordering::Relaxed) {
                let appeared = gateway.workloads.wait_for_cgroups(HOUSE_EVERY);
                let looked = gateway.workloads.follow_cgroups();
                if appeared {
                    // Whoever makes cgroups all the time keeps neither a processor busy nor others waiting for what is locked meanwhile.
                    thread::sleep((looked * CGROUPS_LOOK_SHARE).clamp(CGROUPS_LOOK_MIN, HOUSE_EVERY));
                }
            }
        };
        let thread = thread::Builder::new().name("cgroups".to_owned()).spawn(run)?;
        Ok(Self { stopped, thread: Some(thread) })
    }
}
