//! The client's login: greeted as the server would, taken whatever it says.

use std::time::Duration;

use portreeve_mysql::{
    capabilities::{Capabilities, GATEWAY, offered},
    greeting::{self, Flavour, Greeting},
    limits::NONCE_LEN,
    login::{ClientLogin, ClientPlugin, ClientStep, HandshakeResponse},
    packet,
};
use portreeve_recording::clip;

use super::{random, receive};
use crate::session::{Ended, client_fault, link::Link, refusal::Refusal};

/// How long a client may take over its login: a server's own `connect_timeout` is 10 s as well.
const CLIENT_LOGIN_MAX: Duration = Duration::from_secs(10);

/// What the client said of itself.
pub(super) struct Client {
    pub(super) user: String,
    pub(super) schema: Option<Vec<u8>>,
    pub(super) attributes: Vec<(String, String)>,
    pub(super) capabilities: Capabilities,
    pub(super) collation: u8,
    /// The sequence id its next packet from us carries.
    pub(super) next_sequence_id: u8,
}

/// Greets a client in the gateway's own name, and takes its login.
pub(super) async fn greet_alone(link: &mut Link, id: &str) -> Result<Client, Ended> {
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
    greet(link, id, &GREETING, ClientPlugin::Native).await
}

/// Shows a client `greeting` with a nonce of the gateway's own, and takes its login.
pub(super) async fn greet(
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

async fn from_client(link: &mut Link) -> Result<(Vec<u8>, u8), Ended> {
    receive(link, CLIENT_LOGIN_MAX).await.map_err(Ended::Client)?.ok_or(Ended::LoginTimeout)
}
