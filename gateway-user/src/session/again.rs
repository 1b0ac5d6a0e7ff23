//! Statements that a recorded session ran, run again: on a connection of the gateway's own, which can only read.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use portreeve_mysql::response::Summary;

use super::{arrival::Route, aside::Aside};
use crate::{
    config::{Account, Server},
    limits::REPEATED_ANSWER_MAX,
    tls::ServersTls,
};

/// `utf8mb4_general_ci`, which both families have.
const UTF8MB4: u8 = 45;
/// The server then refuses what would change rows after all: a function, a sequence.
const READ_ONLY: &[u8] = b"SET SESSION TRANSACTION READ ONLY";

/// Such a connection.
pub(crate) struct Again(Aside);

impl Again {
    /// Logs in, with the credential that is given.
    ///
    /// # Errors
    /// Why not.
    pub(crate) async fn open(
        servers_tls: &ServersTls,
        server: &Server,
        (account, password): (&Account, &[u8]),
        destination: SocketAddr,
    ) -> Result<Self, String> {
        let route = Route { destination, server, account, password, reader: None, from: None };
        let mut again = Self(Aside::open_with(servers_tls, &route, "replay", Some(UTF8MB4)).await?);
        match again.ask(READ_ONLY).await?.0.error {
            None => Ok(again),
            Some(error) => Err(format!("the server does not make the session read-only: error {}", error.code)),
        }
    }

    /// Asks, and sums the answer up; also how long it took.
    ///
    /// # Errors
    /// There is no answer; the server's own error is one.
    pub(crate) async fn ask(&mut self, sql: &[u8]) -> Result<(Summary, Duration), String> {
        let sent = Instant::now();
        let summary = self.0.summary(sql, REPEATED_ANSWER_MAX).await?;
        Ok((summary, sent.elapsed()))
    }

    pub(crate) async fn close(self) {
        self.0.close().await;
    }
}
