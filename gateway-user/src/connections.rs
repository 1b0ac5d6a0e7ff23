//! The server connections that sessions hold now, by the server's own connection id: whose session a `KILL` names.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
};

/// Where a connection goes, and what `CONNECTION_ID()` gives there.
type Key = (SocketAddr, u32);

/// Read and written at logins, ends and kills only, never on the way of another statement.
#[derive(Debug, Default)]
pub(crate) struct Connections(Mutex<HashMap<Key, String>>);

/// One session's entry, gone with it.
#[derive(Debug)]
pub(crate) struct Connection<'c> {
    all: &'c Connections,
    key: Key,
}

impl Connections {
    /// Notes that a workload's session is that connection of the server.
    pub(crate) fn enter(&self, server: SocketAddr, connection_id: u32, spiffe_id: &str) -> Connection<'_> {
        let key = (server, connection_id);
        self.lock().insert(key, spiffe_id.to_owned());
        Connection { all: self, key }
    }

    /// Whether the connection is a session of that workload.
    pub(crate) fn is_of(&self, server: SocketAddr, connection_id: u64, spiffe_id: &str) -> bool {
        let Ok(connection_id) = u32::try_from(connection_id) else { return false };
        self.lock().get(&(server, connection_id)).is_some_and(|holder| holder == spiffe_id)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, String>> {
        // A panic elsewhere leaves the map whole: every change of it is one call.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection<'_> {
    /// What `CONNECTION_ID()` gives.
    pub(crate) fn id(&self) -> u32 {
        self.key.1
    }
}

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        self.all.lock().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_its_workloads_while_the_session_lives() {
        let connections = Connections::default();
        let (here, there) = ("127.0.0.2:3306".parse().unwrap(), "127.0.0.3:3306".parse().unwrap());
        let session = connections.enter(here, 7, "spiffe://example.org/a");
        assert!(connections.is_of(here, 7, "spiffe://example.org/a"));
        assert!(!connections.is_of(here, 7, "spiffe://example.org/b"));
        assert!(!connections.is_of(there, 7, "spiffe://example.org/a"));
        assert!(!connections.is_of(here, 7 + (1 << 32), "spiffe://example.org/a"));
        drop(session);
        assert!(!connections.is_of(here, 7, "spiffe://example.org/a"));
    }
}
