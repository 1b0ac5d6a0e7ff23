//! A statement whose client left: killed at the server, so that it does not work on for nobody.

use std::time::Duration;

use tokio::time::timeout;

use super::{aside::Aside, relay::Session};
use crate::{config::OnClientGone, gateway::Gateway};

/// How long the kill may take in all.
const KILL_MAX: Duration = Duration::from_secs(10);

impl Session<'_> {
    /// Has the server end the connection, if the configuration says so, and records what came of it. A recording that
    /// cannot be written has its error told where the session ends.
    pub(super) async fn abandon(&mut self, gateway: &Gateway, number: u64, why: &str) {
        let id = self.connection.id();
        let (killed, detail) = match self.route.server.on_client_gone {
            OnClientGone::Finish => (false, format!("{why}; the server may finish")),
            OnClientGone::Kill => match timeout(KILL_MAX, self.kill(gateway, id)).await {
                Ok(Ok(())) => (true, format!("{why}; connection {id} was killed at the server")),
                Ok(Err(error)) => (false, format!("{why}; connection {id} could not be killed: {error}")),
                Err(_) => (false, format!("{why}; no kill of connection {id} within {} s", KILL_MAX.as_secs())),
            },
        };
        if !killed && self.route.server.on_client_gone == OnClientGone::Kill {
            tracing::warn!(session = %self.arrival.id, server = %self.route.server.name, "{detail}");
        }
        if let Err(error) = self.arrival.journal.abandoned(number, killed, &detail) {
            tracing::error!(session = %self.arrival.id, "{error}");
        }
    }

    /// On a connection of its own, with the same credential: an account may kill what is its own.
    async fn kill(&self, gateway: &Gateway, id: u32) -> Result<(), String> {
        let mut aside = Aside::open(gateway, &self.route, &self.arrival.id, None).await?;
        // The connection could lead to another server than the session's: behind a load balancer, the id is a stranger's.
        let (_, local) = self.upstream.addresses().map_err(|error| error.to_string())?;
        let port = local.port();
        let listed =
            format!("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID = {id} AND HOST LIKE '%:{port}'");
        if aside.value(&listed).await?.as_deref() != Some(b"1") {
            return Err(format!("the server that answers lists no such connection from port {port}"));
        }
        aside.value(&format!("KILL {id}")).await?;
        aside.close().await;
        Ok(())
    }
}
