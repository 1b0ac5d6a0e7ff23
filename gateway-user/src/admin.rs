//! The control socket: how `portreeve tag`, `untag`, `workloads` and `status` speak to the daemon.
//!
//! A Unix socket `<run_dir>/control.sock`, one JSON object per line each way, for root and the daemon's own user only.

pub(crate) mod client;
pub(crate) mod lock;
pub(crate) mod message;
pub(crate) mod server;
#[cfg(test)]
mod tests;

pub(crate) use lock::Lock;
pub(crate) use message::{
    ConnectView, NamespaceView, PolicyFailure, PolicyView, Reloaded, Source, Status, TagRequest, WorkloadView,
};
pub(crate) use server::{Authority, listen, serve};
