//! The client's login: greeted as the server would, taken whatever it says.

use std::{net::IpAddr, sync::Arc, time::Duration};

use portreeve_mysql::{
    capabilities::{Capabilities, GATEWAY, MariaDbCapabilities, Negotiated, TRANSPORT, offered},
    greeting::{self, Flavour, Greeting},
    limits::NONCE_LEN,
    login::{ClientLogin, ClientPlugin, ClientStep, FirstPacket, HandshakeResponse},
    packet,
};
use portreeve_recording::clip;
use rustls::ServerConfig;
use zeroize::Zeroizing;

use super::{Compressed, random, receive};
use crate::{
    gateway::Gateway,
    session::{Ended, client_fault, link::Link, refusal::Refusal},
    tls::Facts,
};

/// How long a client may take over each packet of its login: a server's own `connect_timeout` is 10 s as well.
const CLIENT_LOGIN_MAX: Duration = Duration::from_secs(10);

/// What the client said of itself.
pub(super) struct Client {
    pub(super) user: String,
    pub(super) schema: Option<Vec<u8>>,
    /// As sent, for the server.
    pub(super) attributes: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) capabilities: Negotiated,
    pub(super) collation: u8,
    /// What it compresses with from the end of its login on.
    pub(super) compressed: Option<Compressed>,
    pub(super) tls: Option<Facts>,
    plugin: ClientPlugin,
    /// The sequence id its next packet from us carries.
    pub(super) next_sequence_id: u8,
}

/// What a session goes on with of its client's login.
#[derive(Debug, Clone, Copy)]
pub(in crate::session) struct ClientLeg {
    pub(in crate::session) capabilities: Negotiated,
    pub(in crate::session) collation: u8,
    /// The plugin of the greeting, which a change of user falls back to.
    pub(in crate::session) plugin: ClientPlugin,
    pub(in crate::session) tls: bool,
}

impl Client {
    pub(super) fn leg(&self) -> ClientLeg {
        let Self { capabilities, collation, plugin, .. } = *self;
        ClientLeg { capabilities, collation, plugin, tls: self.tls.is_some() }
    }
}

/// What a greeting is shown with.
pub(super) struct Host<'h> {
    /// Names of the server the client meant, where one is configured.
    pub(super) names: &'h [String],
    /// The address the client dialled.
    pub(super) destination: IpAddr,
}

/// Greets a client in the gateway's own name, and takes its login.
pub(super) async fn greet_alone(
    link: &mut Link,
    gateway: &Gateway,
    id: &str,
    destination: IpAddr,
) -> Result<Client, Ended> {
    /// What no server is there to be mirrored for. Drivers read a version's numbers, so that it has some.
    const GREETING: Greeting<'_> = Greeting {
        version: concat!("8.0.0-portreeve-", env!("CARGO_PKG_VERSION")).as_bytes(),
        connection_id: 0,
        nonce: [0; NONCE_LEN],
        // Whoever is greeted so reads one error: it needs no compression.
        capabilities: Negotiated { standard: GATEWAY.difference(TRANSPORT), mariadb: MariaDbCapabilities::empty() },
        collation: 45,
        status: 2,
        auth_plugin: b"mysql_native_password",
        flavour: Flavour::MySql,
    };
    let host = Host { names: &[], destination };
    greet(link, gateway, id, &GREETING, ClientPlugin::Native, &host).await
}

/// Shows a client `greeting` with a nonce of the gateway's own, and takes its login.
///
/// TLS is offered whether the server has it or not: the legs have nothing to do with each other. Compression is offered as
/// the server offers it.
pub(super) async fn greet(
    link: &mut Link,
    gateway: &Gateway,
    id: &str,
    greeting: &Greeting<'_>,
    plugin: ClientPlugin,
    host: &Host<'_>,
) -> Result<Client, Ended> {
    let mut offer = offered(greeting.capabilities);
    offer.standard.insert(Capabilities::CLIENT_SSL);
    let nonce = greeting::nonce_from_random(random::<NONCE_LEN>()?);
    let mut payload = Vec::new();
    greeting::mirror(greeting, offer, plugin, &nonce, &mut payload);
    let mut wire = Vec::new();
    packet::write_packet(&mut wire, &mut 0, &payload);
    link.send(&wire).await.map_err(Ended::Client)?;

    let certificate = || gateway.certificates.config_for(host.names, host.destination);
    let Introduced { payload, sequence_id, tls } = introduce(link, id, offer, certificate).await?;
    let mut next_sequence_id = sequence_id.wrapping_add(1);
    let login = match HandshakeResponse::parse(&payload, offer) {
        Ok(login) => login,
        Err(error) => return Err(unreadable(link, id, next_sequence_id, error).await),
    };
    let switch_nonce = greeting::nonce_from_random(random::<NONCE_LEN>()?);
    let mut exchange = ClientLogin::new(plugin, switch_nonce, tls.is_some());
    let step = exchange.start(&login).map_err(client_fault)?;
    take_login(link, &mut exchange, step, &mut next_sequence_id).await?;
    Ok(Client {
        user: clip(login.user).into_owned(),
        schema: login.schema.map(<[u8]>::to_vec),
        attributes: login.connect_attrs.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect(),
        capabilities: login.capabilities,
        collation: login.collation,
        compressed: Compressed::in_force(login.capabilities.standard, login.zstd_level),
        tls,
        plugin,
        next_sequence_id,
    })
}

/// The packet that holds the login, and the TLS it came under.
struct Introduced {
    /// It may hold a password.
    payload: Zeroizing<Vec<u8>>,
    sequence_id: u8,
    tls: Option<Facts>,
}

/// Reads the client's first packet, and turns to TLS when it asks for that.
async fn introduce(
    link: &mut Link,
    id: &str,
    offer: Negotiated,
    certificate: impl FnOnce() -> Arc<ServerConfig>,
) -> Result<Introduced, Ended> {
    let (payload, sequence_id) = from_client(link).await?;
    let request = match FirstPacket::parse(&payload, offer) {
        Ok(FirstPacket::SslRequest(request)) => request,
        Ok(FirstPacket::Response(_)) => return Ok(Introduced { payload, sequence_id, tls: None }),
        Err(error) => return Err(unreadable(link, id, sequence_id.wrapping_add(1), error).await),
    };
    let tls = link.accept_tls(certificate()).await.map_err(Ended::Client)?;
    let (payload, sequence_id) = from_client(link).await?;
    let checked = HandshakeResponse::parse(&payload, offer).and_then(|login| request.check(&login));
    match checked {
        Ok(()) => Ok(Introduced { payload, sequence_id, tls: Some(tls) }),
        Err(error) => Err(unreadable(link, id, sequence_id.wrapping_add(1), error).await),
    }
}

/// Carries an exchange with the client to its end.
pub(in crate::session) async fn take_login(
    link: &mut Link,
    exchange: &mut ClientLogin,
    mut step: ClientStep,
    next_sequence_id: &mut u8,
) -> Result<(), Ended> {
    loop {
        let (payload, last) = match step {
            ClientStep::Send(payload) => (Some(payload), false),
            ClientStep::Accept { first } => (first, true),
        };
        if let Some(payload) = payload {
            let mut wire = Vec::new();
            packet::write_packet(&mut wire, next_sequence_id, &payload);
            // A change of user goes on like this on a compressed leg.
            link.expect_exchange(*next_sequence_id);
            link.send(&wire).await.map_err(Ended::Client)?;
        }
        if last {
            return Ok(());
        }
        let (mut answer, sequence_id) = from_client(link).await?;
        *next_sequence_id = sequence_id.wrapping_add(1);
        step = exchange.answer(&mut answer).map_err(client_fault)?;
    }
}

async fn unreadable(link: &mut Link, id: &str, sequence_id: u8, error: portreeve_mysql::ProtocolError) -> Ended {
    let refusal = Refusal::failed(&error.to_string(), id);
    let _ = link.send(&refusal.packet(sequence_id)).await;
    client_fault(error)
}

async fn from_client(link: &mut Link) -> Result<(Zeroizing<Vec<u8>>, u8), Ended> {
    let received = receive(link, CLIENT_LOGIN_MAX).await.map_err(Ended::Client)?.ok_or(Ended::LoginTimeout)?;
    Ok((Zeroizing::new(received.0), received.1))
}
