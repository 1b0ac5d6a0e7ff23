//! The gateway's own login at the server, with the credential it holds.

use std::time::Duration;

use portreeve_mysql::{
    capabilities::{Capabilities, Negotiated},
    greeting::Greeting,
    limits::LOGIN_SEED_LEN,
    login::{ConnectAttr, LoginRequest, ServerLeg, ServerLogin, ServerStep},
    outcome::ErrorPacket,
    packet,
};
use portreeve_recording::clip;
use tokio::{
    net::{TcpSocket, TcpStream},
    time::{error::Elapsed, timeout},
};

use super::{Compressed, LoginFailure, random, receive};
use crate::{
    config::{Compression, Server, Tls},
    session::{
        Ended,
        arrival::Route,
        link::{Link, LinkError},
        server_fault,
    },
    tls::{Facts, ServersTls},
};

/// How long a server may take to accept the connection, and each of its answers during login.
const SERVER_ANSWER_MAX: Duration = Duration::from_secs(10);
/// What the gateway tells the server it can take: the protocol's own ceiling.
const MAX_PACKET_SIZE: u32 = 1 << 30;

/// Errors that do not tell of account or address: too many connections, and a schema that is not there.
const SAID_TO_CLIENTS: [u16; 2] = [1040, 1049];

/// A leg that is logged in.
pub(in crate::session) struct LoggedIn {
    /// Payload of the server's OK packet.
    pub(in crate::session) ok: Vec<u8>,
    pub(in crate::session) leg: ServerLeg,
    pub(super) tls: Option<Facts>,
    pub(super) compressed: Option<Compressed>,
}

/// What the gateway asks for at a server.
pub(in crate::session) struct Wanted<'w> {
    /// In force towards the client.
    pub(in crate::session) capabilities: Negotiated,
    pub(in crate::session) collation: u8,
    pub(in crate::session) schema: Option<&'w [u8]>,
    pub(in crate::session) attributes: Vec<ConnectAttr<'w>>,
    /// What the client compresses with.
    pub(in crate::session) client_compressed: Option<Compressed>,
}

/// Connects to the server, from the network namespace that the route says.
///
/// # Errors
/// Why not, with its address.
pub(in crate::session) async fn dial(route: &Route<'_>) -> Result<Link, String> {
    let destination = route.destination;
    let connected = match timeout(SERVER_ANSWER_MAX, connect(route)).await {
        Ok(connected) => connected.and_then(|stream| Ok(Link::new(stream)?)).map_err(|error| format!("{error:#}")),
        Err(Elapsed { .. }) => Err(format!("no answer within {} s", SERVER_ANSWER_MAX.as_secs())),
    };
    connected.map_err(|cause| format!("{destination}: {cause}"))
}

async fn connect(route: &Route<'_>) -> anyhow::Result<TcpStream> {
    let Some(namespace) = &route.from else { return Ok(TcpStream::connect(route.destination).await?) };
    let socket = TcpSocket::from_std_stream(namespace.socket_towards(route.destination).await?);
    Ok(socket.connect(route.destination).await?)
}

/// Logs in on a link whose greeting was read.
pub(in crate::session) async fn log_in(
    link: &mut Link,
    servers_tls: &ServersTls,
    route: &Route<'_>,
    greeting: &Greeting<'_>,
    wanted: Wanted<'_>,
) -> Result<LoggedIn, LoginFailure> {
    let offers_tls = greeting.capabilities.has(Capabilities::CLIENT_SSL);
    let demanded = servers_tls.demanded(route.server, offers_tls);
    let server_tls = demanded.map_err(|not_offered| LoginFailure::Insecure(not_offered.to_string()))?;
    let verified = match route.server.tls {
        Tls::Disabled | Tls::Required => false,
        Tls::VerifyCa | Tls::VerifyIdentity => true,
    };
    let seed = random::<LOGIN_SEED_LEN>().map_err(LoginFailure::Broken)?;
    let mut login = ServerLogin::new(greeting, route.password, server_tls.is_some(), seed).verified(verified);
    let compressed = compression(route.server, wanted.client_compressed);
    let request = LoginRequest {
        capabilities: Compressed::ask(compressed, wanted.capabilities),
        max_packet_size: MAX_PACKET_SIZE,
        collation: wanted.collation,
        user: route.account.user.as_bytes(),
        schema: wanted.schema,
        connect_attrs: wanted.attributes,
        zstd_level: compressed.and_then(Compressed::level),
    };
    let mut sequence_id = 1;
    let mut tls = None;
    if let Some(server_tls) = server_tls {
        let mut payload = Vec::new();
        login.ssl_request(&request, &mut payload).map_err(broken)?;
        send(link, &mut sequence_id, &payload).await?;
        tls = Some(link.connect_tls(server_tls, route.destination.ip()).await.map_err(insecure)?);
    }
    let mut payload = Vec::new();
    let capabilities = login.handshake_response(&request, &mut payload).map_err(broken)?;
    send(link, &mut sequence_id, &payload).await?;
    let ok = exchange(link, &mut login, &mut sequence_id).await?;
    let compressed = Compressed::in_force(capabilities.standard, compressed.and_then(Compressed::level));
    if let Some(compressed) = compressed {
        compressed.begin(link);
    }
    let leg = ServerLeg { capabilities, nonce: greeting.nonce, tls: tls.is_some(), verified };
    Ok(LoggedIn { ok, leg, tls, compressed })
}

/// Follows a login or a change of user to the server's OK packet, whose payload is returned. `sequence_id` is that of the
/// gateway's next packet.
pub(in crate::session) async fn exchange(
    link: &mut Link,
    login: &mut ServerLogin,
    sequence_id: &mut u8,
) -> Result<Vec<u8>, LoginFailure> {
    loop {
        let (packet, last_sequence_id) = from_server(link).await.map_err(LoginFailure::Broken)?;
        *sequence_id = last_sequence_id.wrapping_add(1);
        match login.answer(&packet) {
            Ok(ServerStep::Wait) => {}
            Ok(ServerStep::Send(payload)) => send(link, sequence_id, &payload).await?,
            Ok(ServerStep::Done) => return Ok(packet),
            Ok(ServerStep::Denied(error)) if SAID_TO_CLIENTS.contains(&error.code) => {
                let code = error.code;
                return Err(LoginFailure::Said { code, payload: packet });
            }
            Ok(ServerStep::Denied(error)) => return Err(LoginFailure::Refused(denied_by_server(&error))),
            Err(error) => return Err(LoginFailure::Refused(error.to_string())),
        }
    }
}

/// What the leg to a server is compressed with, if the server can.
fn compression(server: &Server, client: Option<Compressed>) -> Option<Compressed> {
    match server.compression {
        Compression::Client => client,
        Compression::None => None,
        Compression::Zlib => Some(Compressed::Zlib),
        Compression::Zstd => Some(Compressed::Zstd { level: None }),
    }
}

async fn send(link: &mut Link, sequence_id: &mut u8, payload: &[u8]) -> Result<(), LoginFailure> {
    let mut wire = zeroize::Zeroizing::new(Vec::with_capacity(payload.len().saturating_add(16)));
    packet::write_packet(&mut wire, sequence_id, payload);
    // A change of user goes on like this on a compressed leg.
    link.expect_exchange(*sequence_id);
    link.send(&wire).await.map_err(|error| LoginFailure::Broken(Ended::Server(error)))
}

fn broken(error: portreeve_mysql::ProtocolError) -> LoginFailure {
    LoginFailure::Broken(server_fault(error))
}

fn insecure(error: LinkError) -> LoginFailure {
    match error {
        LinkError::Tls(failed) => LoginFailure::Insecure(failed.to_string()),
        other => LoginFailure::Broken(Ended::Server(other)),
    }
}

fn denied_by_server(error: &ErrorPacket<'_>) -> String {
    format!("error {}: {}", error.code, clip(error.message))
}

pub(in crate::session) async fn from_server(link: &mut Link) -> Result<(Vec<u8>, u8), Ended> {
    let late = || std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer during login");
    receive(link, SERVER_ANSWER_MAX).await.map_err(Ended::Server)?.ok_or_else(|| Ended::Server(late().into()))
}
