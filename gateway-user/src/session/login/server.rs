//! The gateway's own login at the server, with the credential it holds.

use std::time::Duration;

use portreeve_mysql::{
    greeting::{self, Flavour, ServerHello},
    login::{ClientPlugin, LoginRequest, ServerLogin, ServerStep},
    outcome::ErrorPacket,
    packet,
};
use portreeve_recording::clip;
use tokio::{
    net::TcpStream,
    time::{error::Elapsed, timeout},
};

use super::{
    client::{self, Client},
    deny, random, receive, refuse, turn_away,
};
use crate::{
    session::{
        Ended,
        arrival::{Arrival, Route},
        link::Link,
        refusal::Refusal,
        server_fault,
    },
    workloads::Workload,
};

/// How long a server may take to accept the connection, and each of its answers during login.
const SERVER_ANSWER_MAX: Duration = Duration::from_secs(10);
/// What the gateway tells the server it can take: the protocol's own ceiling.
const MAX_PACKET_SIZE: u32 = 1 << 30;
/// Bytes of a `caching_sha2_password` OAEP seed.
const SEED_LEN: usize = 20;

/// What the server said of itself, owned.
pub(super) struct Server {
    pub(super) version: Vec<u8>,
    pub(super) connection_id: u32,
    pub(super) flavour: Flavour,
}

pub(super) async fn dial(arrival: &mut Arrival, route: &Route<'_>) -> Result<Link, Ended> {
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

/// Reads the server's greeting, mirrors it, and takes the client's login.
pub(super) async fn greet(
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
    let client = client::greet(&mut arrival.client, &arrival.id, &greeting, plugin).await?;
    let server =
        Server { version: greeting.version.to_vec(), connection_id: greeting.connection_id, flavour: greeting.flavour };
    let login = ServerLogin::new(&greeting, route.password, random::<SEED_LEN>()?);
    Ok((server, login, client))
}

/// Logs in to the server. Returns the payload of its OK packet.
pub(super) async fn authenticate(
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
    let ended = deny(arrival, client, server, &refusal).await;
    match ended {
        Ended::Refused(_) => Ended::Refused(format!("login at server `{name}` failed: {why}")),
        other => other,
    }
}

pub(in crate::session) async fn from_server(upstream: &mut Link) -> Result<(Vec<u8>, u8), Ended> {
    let late = || std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer during login");
    receive(upstream, SERVER_ANSWER_MAX).await.map_err(Ended::Server)?.ok_or_else(|| Ended::Server(late().into()))
}
