//! One intercepted connection, from accept to close.
//!
//! `arrival` finds out who is there and where they want to go, `login` speaks both logins, `relay` passes commands and
//! answers. The types follow that order: there is no way to relay before the login, nor to log in without a recording.

mod abandon;
mod again;
mod anew;
mod answer;
mod arrival;
mod aside;
mod catalogue;
mod commands;
mod journal;
mod link;
mod login;
mod parameters;
mod peer;
mod reading;
mod refusal;
mod relay;
mod streams;
mod verdicts;

use std::{net::SocketAddr, rc::Rc};

use portreeve_abi::Origin;
use portreeve_mysql::ProtocolError;
use tokio::net::TcpStream;

use crate::gateway::Gateway;
pub(crate) use again::Again;
use journal::JournalError;
use link::{Link, LinkError};
pub(crate) use verdicts::Verdicts;

/// Why a session ended. Decides log level and the recording's last line.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("client quit")]
    ClientQuit,
    #[error("client {0}")]
    Client(LinkError),
    #[error("server {0}")]
    Server(LinkError),
    /// The client was told, and that was the end of it.
    #[error("refused: {0}")]
    Refused(String),
    #[error("client did not log in in time")]
    LoginTimeout,
    #[error("client stopped in the middle of a command")]
    ClientPause,
    #[error("{0}")]
    Revoked(&'static str),
    #[error(transparent)]
    Recording(#[from] JournalError),
}

impl Ended {
    /// Whose doing it was, for the log: an operator wants to see what the gateway or a server did, not every client
    /// that hangs up.
    const fn is_ordinary(&self) -> bool {
        matches!(self, Self::ClientQuit | Self::Client(LinkError::Closed | LinkError::Io(_)) | Self::Revoked(_))
    }
}

/// Serves one accepted connection whose origin the kernel has told. Never fails: whatever goes wrong ends this
/// session, with its reason in the recording and the log, and no other.
pub(crate) async fn serve(
    gateway: &Gateway,
    verdicts: &Rc<Verdicts>,
    stream: TcpStream,
    peer: SocketAddr,
    origin: Origin,
) {
    let _open = gateway.counters.session();
    let client = match Link::new(stream) {
        Ok(client) => client,
        Err(error) => return tracing::warn!("accepted connection failed: {error}"),
    };
    let Some(arrived) = arrival::Arrival::open(gateway, client, peer, &origin).await else { return };
    let id = arrived.id.clone();
    let span_workload = arrived.workload_name();
    let reason = arrived.run(gateway, verdicts).await;
    if reason.ordinary {
        tracing::debug!(session = %id, workload = span_workload, "session ended: {}", reason.text);
    } else {
        tracing::warn!(session = %id, workload = span_workload, "session ended: {}", reason.text);
    }
}

/// A protocol error of the client's leg.
fn client_fault(error: ProtocolError) -> Ended {
    Ended::Client(LinkError::Protocol(error))
}

/// A protocol error of the server's leg.
fn server_fault(error: ProtocolError) -> Ended {
    Ended::Server(LinkError::Protocol(error))
}
