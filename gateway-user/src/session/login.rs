//! Both logins: the client's, which proves nothing, and the gateway's own at the server.

use std::{borrow::Cow, rc::Rc, time::Duration};

use portreeve_mysql::{
    capabilities::{Capabilities, GATEWAY, offered},
    collation,
    greeting::{self, Flavour, Greeting, ServerHello},
    limits::NONCE_LEN,
    login::{ClientLogin, ClientPlugin, ClientStep, HandshakeResponse, LoginRequest, ServerLogin, ServerStep},
    outcome::ErrorPacket,
    packet::{self, Framed},
};
use portreeve_policy::{Decision, Flavour as PolicyFlavour};
use portreeve_recording::{ErrorText, Login as LoginRecord, clip};
use tokio::{
    net::TcpStream,
    time::{error::Elapsed, timeout},
};

use super::{
    Ended, Verdicts,
    arrival::{Arrival, Route},
    client_fault,
    link::{Link, LinkError},
    reading,
    refusal::Refusal,
    relay::Session,
    server_fault,
    verdicts::ScopeKey,
};
use crate::{gateway::Gateway, workloads::Workload};

/// How long a server may take to accept the connection, and each of its answers during login.
const SERVER_ANSWER_MAX: Duration = Duration::from_secs(10);
/// How long a client may take over its login: a server's own `connect_timeout` is 10 s as well.
const CLIENT_LOGIN_MAX: Duration = Duration::from_secs(10);
/// Payload bytes of one packet during login.
const LOGIN_PACKET_MAX: usize = 128 * 1024;
/// What the gateway tells the server it can take: the protocol's own ceiling.
const MAX_PACKET_SIZE: u32 = 1 << 30;
/// Bytes of a `caching_sha2_password` OAEP seed.
const SEED_LEN: usize = 20;

/// What the client said of itself.
struct Client {
    user: String,
    schema: Option<Vec<u8>>,
    attributes: Vec<(String, String)>,
    capabilities: Capabilities,
    collation: u8,
    /// The sequence id its next packet from us carries.
    next_sequence_id: u8,
}

/// What the server said of itself, owned.
struct Server {
    version: Vec<u8>,
    connection_id: u32,
    flavour: Flavour,
}

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
    let mut upstream = dial(arrival, route).await?;
    let (server, login, mut client) = greet(arrival, &mut upstream, route).await?;
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
    let ok = authenticate(arrival, &mut upstream, login, &server, &client, workload, route).await?;
    let reading = reading::ask(&mut upstream, client.capabilities).await?;
    if let Some(why) = &reading.unreadable {
        let refusal = Refusal::access(why, &arrival.id);
        return Err(deny_login(arrival, &client, &server, &refusal).await);
    }
    let key = ScopeKey { no_backslash_escapes: reading.no_backslash_escapes, ansi_quotes: reading.ansi_quotes, ..key };
    record(arrival, &client, &server, None)?;
    let mut wire = Vec::with_capacity(ok.len());
    packet::write_packet(&mut wire, &mut client.next_sequence_id, &ok);
    arrival.client.send(&wire).await.map_err(Ended::Client)?;
    Ok(Session::new(arrival, upstream, client.capabilities, verdicts, verdicts.scope(key)))
}

/// Tells a client that cannot be served why not, after a login of its own: most clients print an error in place of a
/// greeting only as part of a longer complaint of theirs.
pub(super) async fn turn_away(arrival: &mut Arrival, refusal: &Refusal) {
    let Ok(client) = receive_alone(&mut arrival.client, &arrival.id).await else { return };
    let server = Server { version: Vec::new(), connection_id: 0, flavour: Flavour::MySql };
    // Whatever went wrong is said in the recording's last line as well.
    let _ = record(arrival, &client, &server, Some(refusal));
    let _ = arrival.client.send(&refusal.packet(client.next_sequence_id)).await;
}

/// [`turn_away`] where there is no recording, for want of space or the like.
pub(super) async fn turn_away_unrecorded(link: &mut Link, id: &str, refusal: &Refusal) {
    let Ok(client) = receive_alone(link, id).await else { return };
    let _ = link.send(&refusal.packet(client.next_sequence_id)).await;
}

/// Greets a client in the gateway's own name, and takes its login.
async fn receive_alone(link: &mut Link, id: &str) -> Result<Client, Ended> {
    /// What no server is there to be mirrored for. Drivers read a version's numbers, so that it has some.
    const GREETING: Greeting<'_> = Greeting {
        version: concat!("8.0.0-portreeve-", env!("CARGO_PKG_VERSION")).as_bytes(),
        connection_id: 0,
        nonce: [0; NONCE_LEN],
        capabilities: GATEWAY,
        collation: 45,
        status: 2,
        auth_plugin: b"mysql_native_password",
        flavour: Flavour::MySql,
    };
    greet_client(link, id, &GREETING, ClientPlugin::Native).await
}

/// Tells the client and ends.
async fn refuse(arrival: &mut Arrival, wire: &[u8], why: String) -> Ended {
    let _ = arrival.client.send(wire).await;
    Ended::Refused(why)
}

async fn dial(arrival: &mut Arrival, route: &Route<'_>) -> Result<Link, Ended> {
    let connected = match timeout(SERVER_ANSWER_MAX, TcpStream::connect(arrival.destination)).await {
        Ok(connected) => connected.and_then(Link::new).map_err(|error| error.to_string()),
        Err(Elapsed { .. }) => Err(format!("no answer within {} s", SERVER_ANSWER_MAX.as_secs())),
    };
    match connected {
        Ok(link) => Ok(link),
        Err(cause) => {
            let cause = format!("{}: {cause}", arrival.destination);
            let refusal = Refusal::unreachable(&route.server.name, &cause, &arrival.id);
            turn_away(arrival, &refusal).await;
            Err(Ended::Refused(format!("server `{}` cannot be reached: {cause}", route.server.name)))
        }
    }
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

async fn from_client(link: &mut Link) -> Result<(Vec<u8>, u8), Ended> {
    receive(link, CLIENT_LOGIN_MAX).await.map_err(Ended::Client)?.ok_or(Ended::LoginTimeout)
}

pub(super) async fn from_server(upstream: &mut Link) -> Result<(Vec<u8>, u8), Ended> {
    let late = || std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer during login");
    receive(upstream, SERVER_ANSWER_MAX).await.map_err(Ended::Server)?.ok_or_else(|| Ended::Server(late().into()))
}

/// Reads the server's greeting, mirrors it, and takes the client's login.
async fn greet(
    arrival: &mut Arrival,
    upstream: &mut Link,
    route: &Route<'_>,
) -> Result<(Server, ServerLogin, Client), Ended> {
    let name = &route.server.name;
    let hello = match from_server(upstream).await {
        Ok((hello, _)) => hello,
        Err(ended) => {
            let refusal = Refusal::unreachable(name, "it closed the connection before its greeting", &arrival.id);
            turn_away(arrival, &refusal).await;
            return Err(ended);
        }
    };
    let greeting = match greeting::parse(&hello) {
        Ok(ServerHello::Greeting(greeting)) => greeting,
        // "Too many connections" and the like: the client reads what it would have read without us.
        Ok(ServerHello::Error(error)) => {
            let mut wire = Vec::new();
            packet::write_packet(&mut wire, &mut 0, &hello);
            let why = format!("server `{name}` refused the connection: error {}", error.code);
            return Err(refuse(arrival, &wire, why).await);
        }
        Err(error) => {
            let refusal = Refusal::unreachable(name, "what answered does not speak MySQL's protocol", &arrival.id);
            turn_away(arrival, &refusal).await;
            return Err(server_fault(error));
        }
    };
    let plugin = ClientPlugin::from_name(greeting.auth_plugin).unwrap_or(match greeting.flavour {
        Flavour::MariaDb => ClientPlugin::Native,
        Flavour::MySql => ClientPlugin::CachingSha2,
    });
    let client = greet_client(&mut arrival.client, &arrival.id, &greeting, plugin).await?;
    let server =
        Server { version: greeting.version.to_vec(), connection_id: greeting.connection_id, flavour: greeting.flavour };
    let login = ServerLogin::new(&greeting, route.password, random::<SEED_LEN>()?);
    Ok((server, login, client))
}

async fn greet_client(
    link: &mut Link,
    id: &str,
    greeting: &Greeting<'_>,
    plugin: ClientPlugin,
) -> Result<Client, Ended> {
    let offer = offered(greeting.capabilities);
    let nonce = greeting::nonce_from_random(random::<NONCE_LEN>()?);
    let mut payload = Vec::new();
    greeting::mirror(greeting, offer, plugin, &nonce, &mut payload);
    let mut wire = Vec::new();
    packet::write_packet(&mut wire, &mut 0, &payload);
    link.send(&wire).await.map_err(Ended::Client)?;

    let (response, sequence_id) = from_client(link).await?;
    let mut next_sequence_id = sequence_id.wrapping_add(1);
    let login = match HandshakeResponse::parse(&response, offer) {
        Ok(login) => login,
        Err(error) => {
            let refusal = Refusal::failed(&error.to_string(), id);
            let _ = link.send(&refusal.packet(next_sequence_id)).await;
            return Err(client_fault(error));
        }
    };
    let mut exchange = ClientLogin::new(plugin, greeting::nonce_from_random(random::<NONCE_LEN>()?));
    let mut step = exchange.start(&login).map_err(client_fault)?;
    loop {
        let (payload, last) = match step {
            ClientStep::Send(payload) => (Some(payload), false),
            ClientStep::Accept { first } => (first, true),
        };
        if let Some(payload) = payload {
            let mut wire = Vec::new();
            packet::write_packet(&mut wire, &mut next_sequence_id, &payload);
            link.send(&wire).await.map_err(Ended::Client)?;
        }
        if last {
            break;
        }
        let (answer, sequence_id) = from_client(link).await?;
        next_sequence_id = sequence_id.wrapping_add(1);
        step = exchange.answer(&answer).map_err(client_fault)?;
    }
    let attribute = |(name, value): &(&[u8], &[u8])| (clip(name).into_owned(), clip(value).into_owned());
    Ok(Client {
        user: clip(login.user).into_owned(),
        schema: login.schema.map(<[u8]>::to_vec),
        attributes: login.connect_attrs.iter().map(attribute).collect(),
        capabilities: login.capabilities,
        collation: login.collation,
        next_sequence_id,
    })
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
        return Err(deny_login(arrival, client, server, &refusal).await);
    }
    let Some(schema) = client.schema.clone() else { return Ok(key) };
    let Ok(schema) = String::from_utf8(schema) else {
        let refusal = Refusal::schema("the name of the initial schema is not UTF-8", &arrival.id);
        return Err(deny_login(arrival, client, server, &refusal).await);
    };
    let verdict = gateway.policies.judge_use_schema(&key.subject(), &schema, &key.context(false));
    if verdict.decision != Decision::Allow {
        let refusal = Refusal::schema(&verdict.reason, &arrival.id);
        return Err(deny_login(arrival, client, server, &refusal).await);
    }
    key.schema = Some(schema);
    Ok(key)
}

async fn deny_login(arrival: &mut Arrival, client: &Client, server: &Server, refusal: &Refusal) -> Ended {
    if let Err(ended) = record(arrival, client, server, Some(refusal)) {
        return ended;
    }
    refuse(arrival, &refusal.packet(client.next_sequence_id), refusal.message().to_owned()).await
}

/// Logs in to the server. Returns the payload of its OK packet.
async fn authenticate(
    arrival: &mut Arrival,
    upstream: &mut Link,
    mut login: ServerLogin,
    server: &Server,
    client: &Client,
    workload: &Workload,
    route: &Route<'_>,
) -> Result<Vec<u8>, Ended> {
    let session_id = arrival.id.clone();
    let request = LoginRequest {
        capabilities: client.capabilities,
        max_packet_size: MAX_PACKET_SIZE,
        collation: client.collation,
        user: route.credential.user.as_bytes(),
        schema: client.schema.as_deref(),
        connect_attrs: vec![
            (b"_client_name", b"portreeve"),
            (b"_client_version", env!("CARGO_PKG_VERSION").as_bytes()),
            (b"portreeve_workload", workload.spiffe_id.as_bytes()),
            (b"portreeve_session", session_id.as_bytes()),
        ],
    };
    let mut payload = Vec::new();
    login.handshake_response(&request, &mut payload).map_err(server_fault)?;
    let mut sequence_id = 1;
    loop {
        let mut wire = Vec::with_capacity(payload.len());
        packet::write_packet(&mut wire, &mut sequence_id, &payload);
        upstream.send(&wire).await.map_err(Ended::Server)?;
        let (packet, step) = loop {
            let (packet, last_sequence_id) = from_server(upstream).await?;
            sequence_id = last_sequence_id.wrapping_add(1);
            match login.answer(&packet) {
                Ok(ServerStep::Wait) => {}
                Ok(ServerStep::Send(next)) => break (packet, Some(next)),
                Ok(ServerStep::Done) => break (packet, None),
                Ok(ServerStep::Denied(error)) => {
                    let why = denied_by_server(&error);
                    return Err(fail_login(arrival, client, server, route, &why).await);
                }
                Err(error) => {
                    let why = error.to_string();
                    return Err(fail_login(arrival, client, server, route, &why).await);
                }
            }
        };
        match step {
            Some(next) => payload = next,
            None => return Ok(packet),
        }
    }
}

fn denied_by_server(error: &ErrorPacket<'_>) -> String {
    format!("error {}: {}", error.code, clip(error.message))
}

/// The server would not have the held credential. The client reads neither account nor address, the log both.
async fn fail_login(arrival: &mut Arrival, client: &Client, server: &Server, route: &Route<'_>, why: &str) -> Ended {
    let name = &route.server.name;
    tracing::error!(
        session = %arrival.id, server = %name, account = %route.credential.user,
        "the server refused the credential that the gateway holds: {why}"
    );
    let told =
        format!("the gateway could not log in to server `{name}` with the credential it holds; its log says why");
    let refusal = Refusal::access(&told, &arrival.id);
    let ended = deny_login(arrival, client, server, &refusal).await;
    match ended {
        Ended::Refused(_) => Ended::Refused(format!("login at server `{name}` failed: {why}")),
        other => other,
    }
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
