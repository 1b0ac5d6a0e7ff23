//! Both logins: the client's, which proves nothing, and the gateway's own at the server.

mod admission;
mod client;
mod compressed;
mod failure;
mod record;
mod server;

use std::{net::SocketAddr, rc::Rc, time::Duration};

use portreeve_mysql::{
    greeting::{self, Flavour, Greeting, ServerHello},
    login::ClientPlugin,
    outcome,
    packet::{self, Framed},
};
use portreeve_policy::{Flavour as PolicyFlavour, Modes, version_number};
use tokio::time::timeout;

use super::{
    Ended, Verdicts,
    arrival::{Arrival, Route},
    catalogue::Definitions,
    commands::Commands,
    link::{Link, LinkError},
    refusal::Refusal,
    relay::Session,
    server_fault,
    verdicts::ScopeKey,
};
use crate::{catalogue::Snapshot, gateway::Gateway, workloads::Workload};

pub(super) use admission::{admit_collation, admit_schema, ask, ask_again, may_stay};
use client::Client;
pub(super) use client::{ClientLeg, take_login};
pub(super) use compressed::Compressed;
pub(super) use failure::{Failed, LoginFailure};
pub(super) use record::Said;
pub(super) use server::{LoggedIn, Wanted, dial, exchange, from_server, log_in as log_in_to_server};

/// Payload bytes of one packet during login.
const LOGIN_PACKET_MAX: usize = 128 * 1024;
/// Bytes of a client's connection attributes that go to the server with the gateway's own: within the ceiling of the
/// servers, 64 KiB.
const ATTRIBUTES_FORWARDED_MAX: usize = 60 * 1024;
/// What the names of the gateway's own attributes begin with.
const OWN_ATTRIBUTES: &[u8] = b"portreeve_";

/// What the server said of itself, owned.
struct Server {
    version: Vec<u8>,
    connection_id: u32,
    flavour: Flavour,
}

impl Server {
    /// In place of a server that was not reached.
    const NONE: Self = Self { version: Vec::new(), connection_id: 0, flavour: Flavour::MySql };

    fn of(greeting: &Greeting<'_>) -> Self {
        let Greeting { version, connection_id, flavour, .. } = *greeting;
        Self { version: version.to_vec(), connection_id, flavour }
    }
}

/// Dials the server, shows the client its greeting, takes the client's login, and logs in with the held credential.
///
/// # Errors
/// Why there is no session; the client has been told where that is possible.
pub(super) async fn log_in<'a>(
    arrival: &'a mut Arrival,
    gateway: &'a Gateway,
    verdicts: &Rc<Verdicts>,
    workload: &'a Workload,
    route: Route<'a>,
) -> Result<Session<'a>, Ended> {
    let mut upstream = reach(arrival, gateway, &route).await?;
    let hello = read_hello(arrival, gateway, &mut upstream, &route).await?;
    let greeting = understand(arrival, gateway, &hello, &route).await?;
    let plugin = ClientPlugin::of_greeting(&greeting);
    let host = client::Host { names: &route.server.hosts, destination: route.destination.ip() };
    let id = arrival.id.clone();
    let client = client::greet(&mut arrival.client, gateway, &id, &greeting, plugin, &host).await?;
    let server = Server::of(&greeting);
    let key = scope_key(workload, &route, &server);
    let definitions = Definitions::new(gateway, &route, &key);
    let key = ScopeKey { catalogue: definitions.newest(), ..key };
    let key = admit(arrival, gateway, &client, &server, key).await?;
    let wanted = Wanted {
        capabilities: client.capabilities,
        collation: client.collation,
        schema: client.schema.as_deref(),
        attributes: attributes(&client.attributes, workload, &id),
        client_compressed: client.compressed,
    };
    let logged_in = match log_in_to_server(&mut upstream, &gateway.servers_tls, &route, &greeting, wanted).await {
        Ok(logged_in) => logged_in,
        Err(failure) => return Err(fail_login(arrival, &client, &server, &route, failure).await),
    };
    let key = read_on(arrival, gateway, &mut upstream, &client, &server, &logged_in, key).await?;
    record(arrival, &client, &server, None)?;
    record::transport(&mut arrival.journal, &client, &logged_in)?;
    finish(arrival, &client, &logged_in).await?;
    let commands = Commands::new(id, route.destination, definitions, gateway.policies.current(), verdicts, key);
    let connection = gateway.connections.enter(route.destination, server.connection_id, &workload.spiffe_id);
    Ok(Session::new(arrival, upstream, route, workload, client.leg(), logged_in.leg, connection, commands))
}

fn scope_key(workload: &Workload, route: &Route<'_>, server: &Server) -> ScopeKey {
    let (flavour, version) = dialect(server.flavour, &server.version);
    ScopeKey {
        spiffe_id: workload.spiffe_id.clone(),
        groups: workload.groups.clone(),
        server: route.server.name.clone(),
        schema: None,
        flavour,
        version,
        modes: Modes::default(),
        utf8: false,
        unreadable: None,
        catalogue: Snapshot::none(),
        unasked: true,
    }
}

/// Whose SQL a server reads, and the version that it says it has, 0 for none: `ask` has it prove that.
pub(super) fn dialect(flavour: Flavour, version: &[u8]) -> (PolicyFlavour, u32) {
    let flavour = match flavour {
        Flavour::MariaDb => PolicyFlavour::MariaDb,
        Flavour::MySql => PolicyFlavour::MySql,
    };
    (flavour, version_number(&String::from_utf8_lossy(version), flavour).unwrap_or_default())
}

/// The client's attributes, then who it is by the gateway's knowledge, whose names are not the client's to use.
pub(super) fn attributes<'a>(
    client: &'a [(Vec<u8>, Vec<u8>)],
    workload: &'a Workload,
    session: &'a str,
) -> Vec<(&'a [u8], &'a [u8])> {
    let bytes: usize =
        client.iter().map(|(name, value)| name.len().saturating_add(value.len()).saturating_add(18)).sum();
    let client = if bytes <= ATTRIBUTES_FORWARDED_MAX { client } else { &[] };
    let own: [(&[u8], &[u8]); 3] = [
        (b"portreeve_version", env!("CARGO_PKG_VERSION").as_bytes()),
        (b"portreeve_workload", workload.spiffe_id.as_bytes()),
        (b"portreeve_session", session.as_bytes()),
    ];
    let theirs = client.iter().filter(|(name, _)| !name.starts_with(OWN_ATTRIBUTES));
    theirs.map(|(name, value)| (name.as_slice(), value.as_slice())).chain(own).collect()
}

async fn reach(arrival: &mut Arrival, gateway: &Gateway, route: &Route<'_>) -> Result<Link, Ended> {
    match dial(route).await {
        Ok(link) => Ok(link),
        Err(cause) => {
            let refusal = Refusal::unreachable(&route.server.name, &cause, &arrival.id);
            turn_away(arrival, gateway, &refusal).await;
            Err(Ended::Refused(format!("server `{}` cannot be reached: {cause}", route.server.name)))
        }
    }
}

/// The payload of the server's first packet.
async fn read_hello(
    arrival: &mut Arrival,
    gateway: &Gateway,
    upstream: &mut Link,
    route: &Route<'_>,
) -> Result<Vec<u8>, Ended> {
    match from_server(upstream).await {
        Ok((hello, _)) => Ok(hello),
        Err(ended) => {
            let why = "it closed the connection before its greeting";
            let refusal = Refusal::unreachable(&route.server.name, why, &arrival.id);
            turn_away(arrival, gateway, &refusal).await;
            Err(ended)
        }
    }
}

async fn understand<'h>(
    arrival: &mut Arrival,
    gateway: &Gateway,
    hello: &'h [u8],
    route: &Route<'_>,
) -> Result<Greeting<'h>, Ended> {
    let name = &route.server.name;
    match greeting::parse(hello) {
        Ok(ServerHello::Greeting(greeting)) => Ok(greeting),
        // "Too many connections" and the like: the client reads what it would have read without us.
        Ok(ServerHello::Error(error)) => {
            let mut wire = Vec::new();
            packet::write_packet(&mut wire, &mut 0, hello);
            let why = format!("server `{name}` refused the connection: error {}", error.code);
            Err(refuse(arrival, &wire, why).await)
        }
        Err(error) => {
            let refusal = Refusal::unreachable(name, "what answered does not speak MySQL's protocol", &arrival.id);
            turn_away(arrival, gateway, &refusal).await;
            Err(server_fault(error))
        }
    }
}

/// Asks the server how it reads texts, unless no verdict depends on it.
async fn read_on(
    arrival: &mut Arrival,
    gateway: &Gateway,
    upstream: &mut Link,
    client: &Client,
    server: &Server,
    logged_in: &LoggedIn,
    key: ScopeKey,
) -> Result<ScopeKey, Ended> {
    let key = match ask(gateway, upstream, &logged_in.leg.capabilities, key).await {
        Ok(key) => key,
        Err(ended) => {
            let refusal = Refusal::failed("the server does not say how it reads statements", &arrival.id);
            // The reason is in the recording's last line.
            let _ = deny(arrival, client, server, &refusal).await;
            return Err(ended);
        }
    };
    match may_stay(gateway, &key) {
        Ok(()) => Ok(key),
        Err(why) => {
            let refusal = Refusal::access(&why, &arrival.id);
            Err(deny(arrival, client, server, &refusal).await)
        }
    }
}

/// Ends both logins: the client reads the server's OK, and compression begins behind it.
async fn finish(arrival: &mut Arrival, client: &Client, logged_in: &LoggedIn) -> Result<(), Ended> {
    let ok = outcome::of_login(&logged_in.ok, client.capabilities).map_err(server_fault)?;
    let mut next_sequence_id = client.next_sequence_id;
    let mut wire = Vec::with_capacity(ok.len());
    packet::write_packet(&mut wire, &mut next_sequence_id, &ok);
    arrival.client.send(&wire).await.map_err(Ended::Client)?;
    if let Some(compressed) = client.compressed {
        compressed.begin(&mut arrival.client);
    }
    Ok(())
}

/// Tells a client that cannot be served why not, after a login of its own: most clients print an error in place of a
/// greeting only as part of a longer complaint of theirs.
pub(super) async fn turn_away(arrival: &mut Arrival, gateway: &Gateway, refusal: &Refusal) {
    let destination = arrival.destination.ip();
    let Ok(client) = client::greet_alone(&mut arrival.client, gateway, &arrival.id, destination).await else { return };
    // Whatever went wrong is said in the recording's last line as well.
    let _ = record(arrival, &client, &Server::NONE, Some(refusal));
    let _ = arrival.client.send(&refusal.packet(client.next_sequence_id)).await;
}

/// [`turn_away`] where there is no recording, for want of space or the like.
pub(super) async fn turn_away_unrecorded(
    link: &mut Link,
    gateway: &Gateway,
    id: &str,
    destination: SocketAddr,
    refusal: &Refusal,
) {
    let Ok(client) = client::greet_alone(link, gateway, id, destination.ip()).await else { return };
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
    link.consume_secret(wire_len);
    Ok(Some(received))
}

/// What policy says before anything goes to the server: an initial schema is a `USE`, and a character set that is not read
/// as the server reads it leaves every text `unparsed`.
async fn admit(
    arrival: &mut Arrival,
    gateway: &Gateway,
    client: &Client,
    server: &Server,
    key: ScopeKey,
) -> Result<ScopeKey, Ended> {
    let admitted = admit_collation(gateway, u16::from(client.collation), key, &arrival.id)
        .and_then(|key| admit_schema(gateway, client.schema.as_deref(), key, &arrival.id));
    match admitted {
        Ok(key) => Ok(key),
        Err(refusal) => Err(deny(arrival, client, server, &refusal).await),
    }
}

/// There is no session with the server.
async fn fail_login(
    arrival: &mut Arrival,
    client: &Client,
    server: &Server,
    route: &Route<'_>,
    failure: LoginFailure,
) -> Ended {
    let Failed { wire, refusal, ended } = match failure.explain(route, &arrival.id, client.next_sequence_id) {
        Ok(failed) => failed,
        Err(ended) => return ended,
    };
    if let Err(ended) = record(arrival, client, server, Some(&refusal)) {
        return ended;
    }
    let _ = arrival.client.send(&wire).await;
    ended
}

async fn deny(arrival: &mut Arrival, client: &Client, server: &Server, refusal: &Refusal) -> Ended {
    if let Err(ended) = record(arrival, client, server, Some(refusal)) {
        return ended;
    }
    refuse(arrival, &refusal.packet(client.next_sequence_id), refusal.message().to_owned()).await
}

fn record(arrival: &mut Arrival, client: &Client, server: &Server, error: Option<&Refusal>) -> Result<(), Ended> {
    let (version, connection_id) = (server.version.as_slice(), server.connection_id);
    let Client { user, schema, attributes, .. } = client;
    let said = Said { user, schema: schema.as_deref(), attributes, version, connection_id };
    said.record(&mut arrival.journal, error)
}

pub(super) fn random<const LEN: usize>() -> Result<[u8; LEN], Ended> {
    let mut bytes = [0; LEN];
    getrandom::fill(&mut bytes)
        .map_err(|error| Ended::Refused(format!("the kernel gives no random bytes: {error}")))?;
    Ok(bytes)
}
