//! A statement whose client left: killed at the server, so that it does not work on for nobody.

use std::time::Duration;

use portreeve_mysql::{
    capabilities::{Capabilities, Negotiated},
    greeting::{self, ServerHello},
    outcome::{ErrorPacket, OK},
    packet, row,
};
use tokio::time::timeout;

use super::{
    link::Link,
    login::{LoginFailure, Wanted, dial, from_server, log_in_to_server},
    relay::{COM_QUIT, Session},
};
use crate::{config::OnClientGone, gateway::Gateway};

/// How long the kill may take in all.
const KILL_MAX: Duration = Duration::from_secs(10);
const COM_QUERY: u8 = 0x03;

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
        let mut link = dial(self.route.destination).await?;
        let hello = from_server(&mut link).await.map_err(|ended| ended.to_string())?.0;
        let greeting = match greeting::parse(&hello).map_err(|error| error.to_string())? {
            ServerHello::Greeting(greeting) => greeting,
            ServerHello::Error(error) => return Err(format!("error {}", error.code)),
        };
        let wanted = Wanted {
            capabilities: Negotiated::from(Capabilities::CLIENT_PROTOCOL_41),
            collation: greeting.collation,
            schema: None,
            attributes: vec![(b"portreeve_session", self.arrival.id.as_bytes())],
            client_compressed: None,
        };
        let logged_in = log_in_to_server(&mut link, gateway, &self.route, &greeting, wanted).await;
        logged_in.map_err(|failure| match failure {
            LoginFailure::Broken(ended) => ended.to_string(),
            LoginFailure::Insecure(why) | LoginFailure::Refused(why) => why,
            LoginFailure::Said { code, .. } => format!("error {code}"),
        })?;
        // The connection could lead to another server than the session's: behind a load balancer, the id is a stranger's.
        let (_, local) = self.upstream.addresses().map_err(|error| error.to_string())?;
        let port = local.port();
        let listed =
            format!("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID = {id} AND HOST LIKE '%:{port}'");
        if ask(&mut link, &listed).await?.as_deref() != Some(b"1") {
            return Err(format!("the server that answers lists no such connection from port {port}"));
        }
        ask(&mut link, &format!("KILL {id}")).await?;
        let _ = link.send(COM_QUIT).await;
        Ok(())
    }
}

/// Asks for one value; none for a statement without a result. The session has no capability that lays answers out otherwise.
async fn ask(link: &mut Link, sql: &str) -> Result<Option<Vec<u8>>, String> {
    let mut wire = Vec::new();
    packet::write_packet(&mut wire, &mut 0, &[&[COM_QUERY], sql.as_bytes()].concat());
    link.send(&wire).await.map_err(|error| error.to_string())?;
    let next =
        async |link: &mut Link| from_server(link).await.map(|(packet, _)| packet).map_err(|ended| ended.to_string());
    let first = next(link).await?;
    if let Ok(error) = ErrorPacket::parse(&first) {
        return Err(format!("error {}: {}", error.code, String::from_utf8_lossy(error.message)));
    }
    if first.first() == Some(&OK) {
        return Ok(None);
    }
    // The column's definition and the end of definitions, the row, the end of rows.
    next(link).await?;
    next(link).await?;
    let row = next(link).await?;
    next(link).await?;
    let values = row::text(&row, 1).map_err(|error| error.to_string())?;
    Ok(values.first().copied().flatten().map(<[u8]>::to_vec))
}
