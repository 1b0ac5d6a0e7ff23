//! A statement whose client left: killed at the server, so that it does not work on for nobody.

use std::time::Duration;

use portreeve_mysql::{
    capabilities::{Capabilities, Negotiated},
    greeting::{self, ServerHello},
    outcome::ErrorPacket,
    packet,
};
use tokio::time::timeout;

use super::{
    login::{LoginFailure, Wanted, dial, from_server, log_in_to_server},
    relay::Session,
};
use crate::{config::OnClientGone, gateway::Gateway};

/// How long the kill may take in all.
const KILL_MAX: Duration = Duration::from_secs(10);
const COM_QUERY: u8 = 0x03;
const COM_QUIT: &[u8] = b"\x01\0\0\0\x01";

impl Session<'_> {
    /// Has the server end the connection, if the configuration says so, and records what came of it. A recording that
    /// cannot be written has its error told where the session ends.
    pub(super) async fn abandon(&mut self, gateway: &Gateway, number: u64) {
        let id = self.connection.id();
        let (killed, detail) = match self.route.server.on_client_gone {
            OnClientGone::Finish => (false, "the client left; the server may finish".to_owned()),
            OnClientGone::Kill => match timeout(KILL_MAX, self.kill(gateway, id)).await {
                Ok(Ok(())) => (true, format!("the client left; connection {id} was killed at the server")),
                Ok(Err(why)) => (false, format!("the client left; connection {id} could not be killed: {why}")),
                Err(_) => {
                    (false, format!("the client left; no kill of connection {id} within {} s", KILL_MAX.as_secs()))
                }
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
        let mut wire = Vec::new();
        packet::write_packet(&mut wire, &mut 0, &[&[COM_QUERY], format!("KILL {id}").as_bytes()].concat());
        link.begin_exchange(1);
        link.send(&wire).await.map_err(|error| error.to_string())?;
        let (answer, _) = from_server(&mut link).await.map_err(|ended| ended.to_string())?;
        let _ = link.send(COM_QUIT).await;
        match ErrorPacket::parse(&answer) {
            Ok(error) => Err(format!("error {}: {}", error.code, String::from_utf8_lossy(error.message))),
            Err(_) => Ok(()),
        }
    }
}
