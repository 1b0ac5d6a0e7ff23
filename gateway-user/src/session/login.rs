//! Both logins: the client's, which proves nothing, and the gateway's own at the server.

mod client;
mod server;

use std::{borrow::Cow, rc::Rc, time::Duration};

use portreeve_mysql::{
    collation,
    greeting::Flavour,
    packet::{self, Framed},
};
use portreeve_policy::{Decision, Flavour as PolicyFlavour};
use portreeve_recording::{ErrorText, Login as LoginRecord, clip};
use tokio::time::timeout;

use super::{
    Ended, Verdicts,
    arrival::{Arrival, Route},
    link::{Link, LinkError},
    reading,
    refusal::Refusal,
    relay::Session,
    verdicts::ScopeKey,
};
use crate::{gateway::Gateway, workloads::Workload};
use client::Client;
use server::Server;

pub(super) use server::from_server;

/// Payload bytes of one packet during login.
const LOGIN_PACKET_MAX: usize = 128 * 1024;
/// Dials the server, shows the client its greeting, takes the client's login, and logs in with the held credential.
///
/// # Errors
/// Why there is no session; the client has been told where that is possible.
pub(super) async fn log_in<'a>(
    arrival: &'a mut Arrival,
    gateway: &Gateway,
    verdicts: &Rc<Verdicts>,
    workload: &Workload,
    route: &Route<'_>,
) -> Result<Session<'a>, Ended> {
    let mut upstream = server::dial(arrival, route).await?;
    let (server, login, mut client) = server::greet(arrival, &mut upstream, route).await?;
    let key = ScopeKey {
        spiffe_id: workload.spiffe_id.clone(),
        groups: workload.groups.clone(),
        server: route.server.name.clone(),
        schema: None,
        flavour: match server.flavour {
            Flavour::MariaDb => PolicyFlavour::MariaDb,
            Flavour::MySql => PolicyFlavour::MySql,
        },
        no_backslash_escapes: false,
        ansi_quotes: false,
    };
    let key = admit(arrival, gateway, &mut client, &server, key).await?;
    let ok = server::authenticate(arrival, &mut upstream, login, &server, &client, workload, route).await?;
    let reading = match reading::ask(&mut upstream, client.capabilities).await {
        Ok(reading) => reading,
        Err(ended) => {
            let refusal = Refusal::failed("the server does not say how it reads statements", &arrival.id);
            // The reason is in the recording's last line.
            let _ = deny(arrival, &client, &server, &refusal).await;
            return Err(ended);
        }
    };
    if let Some(why) = &reading.unreadable {
        let refusal = Refusal::access(why, &arrival.id);
        return Err(deny(arrival, &client, &server, &refusal).await);
    }
    let key = ScopeKey {
        schema: reading.schema,
        no_backslash_escapes: reading.no_backslash_escapes,
        ansi_quotes: reading.ansi_quotes,
        ..key
    };
    record(arrival, &client, &server, None)?;
    let mut wire = Vec::with_capacity(ok.len());
    packet::write_packet(&mut wire, &mut client.next_sequence_id, &ok);
    arrival.client.send(&wire).await.map_err(Ended::Client)?;
    Ok(Session::new(arrival, upstream, client.capabilities, verdicts, verdicts.scope(key)))
}

/// Tells a client that cannot be served why not, after a login of its own: most clients print an error in place of a
/// greeting only as part of a longer complaint of theirs.
pub(super) async fn turn_away(arrival: &mut Arrival, refusal: &Refusal) {
    let Ok(client) = client::greet_alone(&mut arrival.client, &arrival.id).await else { return };
    let server = Server { version: Vec::new(), connection_id: 0, flavour: Flavour::MySql };
    // Whatever went wrong is said in the recording's last line as well.
    let _ = record(arrival, &client, &server, Some(refusal));
    let _ = arrival.client.send(&refusal.packet(client.next_sequence_id)).await;
}

/// [`turn_away`] where there is no recording, for want of space or the like.
pub(super) async fn turn_away_unrecorded(link: &mut Link, id: &str, refusal: &Refusal) {
    let Ok(client) = client::greet_alone(link, id).await else { return };
    let _ = link.send(&refusal.packet(client.next_sequence_id)).await;
}

/// Tells the client and ends.
async fn refuse(arrival: &mut Arrival, wire: &[u8], why: String) -> Ended {
    let _ = arrival.client.send(wire).await;
    Ended::Refused(why)
}

/// Payload and sequence id of the next packet of the login.
async fn receive(link: &mut Link, within: Duration) -> Result<Option<(Vec<u8>, u8)>, LinkError> {
    let Ok(wire_len) = timeout(within, link.packet(LOGIN_PACKET_MAX)).await else { return Ok(None) };
    let wire_len = wire_len?;
    let Framed::Packet(packet) = packet::frame(link.unread(), LOGIN_PACKET_MAX)? else { return Err(LinkError::Closed) };
    let received = (packet.payload.into_owned(), packet.last_sequence_id);
    link.consume(wire_len);
    Ok(Some(received))
}

/// What policy says before anything goes to the server: the character set must be one that is read as the server reads
/// it, and an initial schema is a `USE`.
async fn admit(
    arrival: &mut Arrival,
    gateway: &Gateway,
    client: &mut Client,
    server: &Server,
    mut key: ScopeKey,
) -> Result<ScopeKey, Ended> {
    if !collation::character_set(client.collation).is_some_and(portreeve_policy::is_known_charset) {
        let refusal = Refusal::character_set(client.collation, &arrival.id);
        return Err(deny(arrival, client, server, &refusal).await);
    }
    let Some(schema) = client.schema.clone() else { return Ok(key) };
    let Ok(schema) = String::from_utf8(schema) else {
        let refusal = Refusal::schema("the name of the initial schema is not UTF-8", &arrival.id);
        return Err(deny(arrival, client, server, &refusal).await);
    };
    let verdict = gateway.policies.judge_use_schema(&key.subject(), &schema, &key.context(false));
    if verdict.decision != Decision::Allow {
        let refusal = Refusal::schema(&verdict.reason, &arrival.id);
        return Err(deny(arrival, client, server, &refusal).await);
    }
    key.schema = Some(schema);
    Ok(key)
}

async fn deny(arrival: &mut Arrival, client: &Client, server: &Server, refusal: &Refusal) -> Ended {
    if let Err(ended) = record(arrival, client, server, Some(refusal)) {
        return ended;
    }
    refuse(arrival, &refusal.packet(client.next_sequence_id), refusal.message().to_owned()).await
}

fn record(arrival: &mut Arrival, client: &Client, server: &Server, error: Option<&Refusal>) -> Result<(), Ended> {
    arrival.journal.login(LoginRecord {
        user: Cow::Borrowed(&client.user),
        schema: client.schema.as_deref().map(clip),
        client_attributes: Cow::Borrowed(&client.attributes),
        server_version: clip(&server.version),
        server_connection_id: server.connection_id,
        accepted: error.is_none(),
        error: error.map(|refusal| ErrorText {
            code: refusal.code(),
            sqlstate: Cow::Borrowed(refusal.sqlstate()),
            message: Cow::Borrowed(refusal.message()),
        }),
    })?;
    Ok(())
}

fn random<const LEN: usize>() -> Result<[u8; LEN], Ended> {
    let mut bytes = [0; LEN];
    getrandom::fill(&mut bytes)
        .map_err(|error| Ended::Refused(format!("the kernel gives no random bytes: {error}")))?;
    Ok(bytes)
}
