//! The control socket: how `portreeve tag`, `untag`, `workloads` and `status` speak to the daemon.
//!
//! A Unix socket `<run_dir>/control.sock`, one JSON object per line each way, for root and the daemon's own user only.

pub(crate) mod client;
pub(crate) mod lock;
pub(crate) mod message;
pub(crate) mod server;
#[cfg(test)]
mod tests;

pub(crate) use lock::{InUse, Lock, lock_file};
pub(crate) use message::{
    ConnectView, NamespaceView, PolicyFailure, PolicyView, PredecessorView, Reloaded, Source, Status, TagRequest,
    Upgraded, WorkloadView,
};
pub(crate) use server::{Authority, listen, listen_at, serve};
