//! A connection of the gateway's own, beside a session's: with the same credential, and without a byte of the client's.

use std::time::Duration;

use portreeve_mysql::{
    capabilities::{Capabilities, Negotiated},
    greeting::{self, ServerHello},
    outcome::{EOF, ERR, ErrorPacket, OK},
    packet::{self, Framed},
    response::{Expect, Response, State, Summary},
    row,
};
use portreeve_policy::Flavour;
use tokio::time::timeout;

use super::{
    arrival::Route,
    link::Link,
    login::{LoginFailure, Wanted, dial, dialect, from_server, log_in_to_server},
    reading::{self, Reading},
    relay::COM_QUIT,
};
use crate::{gateway::Gateway, limits::OWN_ROW_BYTES_MAX, tls::ServersTls};

const COM_QUERY: u8 = 0x03;
/// How long a server may take over each packet of an answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// An EOF packet is shorter than this; a row that begins with the same byte is longer.
const EOF_LEN_MAX: usize = 9;

/// Such a connection, logged in.
pub(super) struct Aside {
    link: Link,
    negotiated: Negotiated,
    /// Whose SQL the server reads.
    pub(super) flavour: Flavour,
    /// The version that it says it has.
    version: u32,
}

impl Aside {
    /// Logs in. `collation` is the server's own where none is given; `session` is whose it is.
    pub(super) async fn open(
        gateway: &Gateway,
        route: &Route<'_>,
        session: &str,
        collation: Option<u8>,
    ) -> Result<Self, String> {
        Self::open_with(&gateway.servers_tls, route, session, collation).await
    }

    /// The same without a gateway.
    pub(super) async fn open_with(
        servers_tls: &ServersTls,
        route: &Route<'_>,
        session: &str,
        collation: Option<u8>,
    ) -> Result<Self, String> {
        let mut link = dial(route).await?;
        let hello = from_server(&mut link).await.map_err(|ended| ended.to_string())?.0;
        let greeting = match greeting::parse(&hello).map_err(|error| error.to_string())? {
            ServerHello::Greeting(greeting) => greeting,
            ServerHello::Error(error) => return Err(format!("error {}", error.code)),
        };
        let (flavour, version) = dialect(greeting.flavour, greeting.version);
        let wanted = Wanted {
            // None that lays answers out otherwise.
            capabilities: Negotiated::from(Capabilities::CLIENT_PROTOCOL_41),
            collation: collation.unwrap_or(greeting.collation),
            schema: None,
            attributes: vec![(b"portreeve_session", session.as_bytes())],
            client_compressed: None,
        };
        let logged_in = log_in_to_server(&mut link, servers_tls, route, &greeting, wanted).await;
        let logged_in = logged_in.map_err(|failure| match failure {
            LoginFailure::Broken(ended) => ended.to_string(),
            LoginFailure::Insecure(why) | LoginFailure::Refused(why) => why,
            LoginFailure::Said { code, .. } => format!("error {code}"),
        })?;
        Ok(Self { link, negotiated: logged_in.leg.capabilities, flavour, version })
    }

    /// How the server reads texts on this connection.
    ///
    /// # Errors
    /// It does not say.
    pub(super) async fn reading(&mut self) -> Result<Reading, String> {
        match reading::ask(&mut self.link, self.negotiated, self.version).await {
            Ok(Ok(reading)) => Ok(reading),
            Ok(Err(code)) => Err(format!("it does not say how it reads statements: error {code}")),
            Err(ended) => Err(format!("it does not say how it reads statements: {ended}")),
        }
    }

    /// Asks, and sums the answer up. A server that asks for a file gets none, and the answer is an error.
    ///
    /// # Errors
    /// The server's silence for so long, and what is no answer; its own error is part of what is summed up.
    pub(super) async fn summary(&mut self, sql: &[u8], silence_max: Duration) -> Result<Summary, String> {
        let mut wire = Vec::new();
        packet::write_packet(&mut wire, &mut 0, &[&[COM_QUERY], sql].concat());
        self.link.begin_exchange(1);
        self.link.send(&wire).await.map_err(|error| error.to_string())?;
        let mut response = Response::new(Expect::Query, self.negotiated);
        loop {
            match timeout(silence_max, self.link.fill()).await {
                Ok(Ok(0)) => return Err("the server closed the connection".to_owned()),
                Ok(read) => read.map_err(|error| error.to_string())?,
                Err(_) => return Err(format!("no answer within {} s", silence_max.as_secs())),
            };
            loop {
                let progress = response.feed(self.link.unread()).map_err(|error| error.to_string())?;
                self.link.consume(progress.consumed);
                match progress.state {
                    State::Complete => return Ok(response.summary().clone()),
                    State::LocalInfile => return Err("it asks for a file".to_owned()),
                    State::More if progress.consumed == 0 => break,
                    State::More => {}
                }
            }
        }
    }

    /// Asks, and hands over each row of the answer; a statement without a result has none.
    ///
    /// # Errors
    /// The server's error, its silence, and what `each` says.
    pub(super) async fn rows(
        &mut self,
        sql: &str,
        mut each: impl FnMut(&[Option<&[u8]>]) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut wire = Vec::new();
        packet::write_packet(&mut wire, &mut 0, &[&[COM_QUERY], sql.as_bytes()].concat());
        self.link.begin_exchange(1);
        self.link.send(&wire).await.map_err(|error| error.to_string())?;
        let head = self.packet().await?;
        let columns = match *head.as_slice() {
            [OK, ..] => return Ok(()),
            [columns] if columns != ERR => usize::from(columns),
            _ => return Err(said(&head)),
        };
        while !is_eof(&self.packet().await?) {}
        loop {
            let row = self.packet().await?;
            if is_eof(&row) {
                return Ok(());
            }
            if row.first() == Some(&ERR) {
                return Err(said(&row));
            }
            each(&row::text(&row, columns).map_err(|error| error.to_string())?)?;
        }
    }

    /// The first value of the answer; none for a statement without a result.
    pub(super) async fn value(&mut self, sql: &str) -> Result<Option<Vec<u8>>, String> {
        let mut value = None;
        self.rows(sql, |row| {
            value = row.first().copied().flatten().map(<[u8]>::to_vec);
            Ok(())
        })
        .await?;
        Ok(value)
    }

    /// Says goodbye, so that the server does not count an aborted connection.
    pub(super) async fn close(mut self) {
        self.link.begin_exchange(1);
        let _ = self.link.send(COM_QUIT).await;
    }

    async fn packet(&mut self) -> Result<Vec<u8>, String> {
        let link = &mut self.link;
        let wire_len = match timeout(ANSWER_MAX, link.packet(OWN_ROW_BYTES_MAX)).await {
            Ok(wire_len) => wire_len.map_err(|error| error.to_string())?,
            Err(_) => return Err(format!("no answer within {} s", ANSWER_MAX.as_secs())),
        };
        let payload = match packet::frame(link.unread(), OWN_ROW_BYTES_MAX).map_err(|error| error.to_string())? {
            Framed::Packet(packet) => packet.payload.into_owned(),
            Framed::Incomplete { .. } => return Err("a packet that is not whole".to_owned()),
        };
        link.consume(wire_len);
        Ok(payload)
    }
}

fn is_eof(payload: &[u8]) -> bool {
    payload.first() == Some(&EOF) && payload.len() < EOF_LEN_MAX
}

/// What an unexpected packet says.
fn said(payload: &[u8]) -> String {
    match ErrorPacket::parse(payload) {
        Ok(error) => format!("error {}: {}", error.code, String::from_utf8_lossy(error.message)),
        Err(_) => "an answer that is none to a query".to_owned(),
    }
}
