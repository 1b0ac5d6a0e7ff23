//! Links under TLS, both ends of them ours: what is delivered, and what must never be.

mod compression;

use super::*;
use crate::{
    config::{Compression, HiddenTriggers, Meaning, OnClientGone, Server, Tls},
    tls::{Authority, Certificates},
};
use std::{fs, path::PathBuf, time::SystemTime};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

/// Bytes that stand for an `SSLRequest`: the caller has read them as one.
const REQUEST: &[u8] = b"a request for TLS";
/// A `COM_QUERY`.
const QUERY: &[u8] = b"\x0F\0\0\0\x03DROP TABLE users";

struct Ends {
    folder: PathBuf,
    certificates: Certificates,
    to_server: ServerTls,
}

impl Ends {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("portreeve-link-{}-{name}", std::process::id()));
        let authority = Authority::open(&folder, SystemTime::now()).unwrap();
        let server = Server {
            name: "shop".into(),
            matches: Vec::new(),
            tls: Tls::VerifyIdentity,
            ca_file: Some(folder.join("ca/ca.pem")),
            hosts: Vec::new(),
            client_certificate: None,
            compression: Compression::Client,
            on_client_gone: OnClientGone::Kill,
            namespace: Meaning::Host,
            hidden_triggers: HiddenTriggers::Deny,
            catalogue: None,
            credentials: Vec::new(),
        };
        let to_server = ServerTls::load(&server).unwrap().unwrap();
        Self { folder, certificates: Certificates::new(authority).unwrap(), to_server }
    }

    fn shown(&self) -> Arc<ServerConfig> {
        self.certificates.config_for(&[], [127, 0, 0, 1].into())
    }

    /// Both under TLS, the client's first.
    async fn linked(&self) -> (Link, Link) {
        let (mut client, mut server) = pair().await;
        let (connected, accepted) =
            tokio::join!(client.connect_tls(&self.to_server, [127, 0, 0, 1].into()), server.accept_tls(self.shown()));
        assert_eq!(connected.unwrap().peer.unwrap().verification, Tls::VerifyIdentity);
        assert_eq!(accepted.unwrap().version, "TLSv1.3");
        (client, server)
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

async fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dialled = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (dialled, listener.accept().await.unwrap().0)
}

async fn pair() -> (Link, Link) {
    let (dialled, accepted) = sockets().await;
    (Link::new(dialled).unwrap(), Link::new(accepted).unwrap())
}

async fn fill_to(link: &mut Link, count: usize) {
    while link.unread().len() < count {
        assert_ne!(link.fill().await.unwrap(), 0);
    }
}

#[tokio::test]
async fn what_is_sent_under_tls_arrives_whole() {
    let ends = Ends::new("arrives");
    let (mut client, mut server) = ends.linked().await;
    let long: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
    let (sent, ()) = tokio::join!(client.send(&long), fill_to(&mut server, long.len()));
    sent.unwrap();
    assert!(server.unread() == long);
    server.send(b"short").await.unwrap();
    fill_to(&mut client, 5).await;
    assert_eq!(client.unread(), b"short");
    assert_eq!((client.sent, server.sent), (3_000_000, 5));
}

#[tokio::test]
async fn a_handshake_that_came_with_the_request_for_it_is_answered() {
    let ends = Ends::new("one-segment");
    let (dialled, accepted) = sockets().await;
    let mut server = Link::new(accepted).unwrap();
    // The client's first flight, kept back to go out in one segment with the request.
    let (mut inner, outer) = tokio::io::duplex(1 << 16);
    let connecting =
        TlsConnector::from(ends.to_server.config()).connect(ends.to_server.name_at([127, 0, 0, 1].into()), outer);
    let bridge = async {
        let mut hello = vec![0; 1 << 16];
        let count = inner.read(&mut hello).await.unwrap();
        let mut dialled = dialled;
        dialled.write_all(&[REQUEST, &hello[..count]].concat()).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut inner, &mut dialled).await;
    };
    let serve = async {
        fill_to(&mut server, REQUEST.len() + 1).await;
        server.consume(REQUEST.len());
        server.accept_tls(ends.shown()).await.unwrap();
        assert_eq!(server.unread(), b"");
        fill_to(&mut server, QUERY.len()).await;
        assert_eq!(server.unread(), QUERY);
        server.finish().await;
    };
    let client = async {
        let mut stream = connecting.await.unwrap();
        stream.write_all(QUERY).await.unwrap();
        let mut rest = Vec::new();
        // With `close_notify`: without, this would be an error.
        assert_eq!(stream.read_to_end(&mut rest).await.unwrap(), 0);
        stream.shutdown().await.unwrap();
    };
    tokio::join!(bridge, serve, client);
}

#[tokio::test]
async fn a_command_in_clear_text_behind_the_request_never_counts_as_sent_under_tls() {
    let ends = Ends::new("injected");
    let (mut dialled, accepted) = sockets().await;
    let mut server = Link::new(accepted).unwrap();
    dialled.write_all(&[REQUEST, QUERY].concat()).await.unwrap();
    fill_to(&mut server, REQUEST.len() + QUERY.len()).await;
    server.consume(REQUEST.len());
    let error = server.accept_tls(ends.shown()).await.unwrap_err();
    assert!(matches!(error, LinkError::Tls(HandshakeError::Failed(_))), "{error}");
    assert_eq!(server.unread(), b"");
    assert_eq!(server.fill().await.unwrap(), 0);
    assert!(matches!(server.send(b"x").await, Err(LinkError::Io(_))));
    assert!(matches!(server.accept_tls(ends.shown()).await, Err(LinkError::Closed)));
}

#[tokio::test]
async fn what_a_server_said_in_clear_text_before_tls_ends_the_link() {
    let ends = Ends::new("early");
    let (dialled, mut accepted) = sockets().await;
    let mut client = Link::new(dialled).unwrap();
    accepted.write_all(b"\x07\0\0\x02\0\0\0\x02\0\0\0").await.unwrap();
    fill_to(&mut client, 11).await;
    let error = client.connect_tls(&ends.to_server, [127, 0, 0, 1].into()).await.unwrap_err();
    assert_eq!(error.to_string(), "TLS failed: it sent 11 bytes in clear text before TLS began");
    assert_eq!(client.unread(), b"");
    // Not even a hello was sent to it.
    drop(client);
    assert_eq!(accepted.read_to_end(&mut Vec::new()).await.unwrap(), 0);
}

#[tokio::test]
async fn a_server_with_another_name_is_refused() {
    let ends = Ends::new("another");
    let (mut client, mut server) = pair().await;
    let (connected, accepted) =
        tokio::join!(client.connect_tls(&ends.to_server, [10, 0, 0, 5].into()), server.accept_tls(ends.shown()));
    let error = connected.unwrap_err().to_string();
    assert!(error.contains("is for `127.0.0.1`, `localhost`, not for `10.0.0.5`"), "{error}");
    let error = accepted.unwrap_err().to_string();
    assert!(error.starts_with("TLS failed: it "), "{error}");
}

#[tokio::test]
async fn a_connection_that_breaks_off_under_tls_is_the_end_of_it() {
    let ends = Ends::new("breaks");
    let (mut client, mut server) = ends.linked().await;
    // What is unread when a socket closes makes a reset of its end.
    server.send(b"x").await.unwrap();
    fill_to(&mut client, 1).await;
    drop(client);
    assert_eq!(server.fill().await.unwrap(), 0);
}

#[test]
fn a_link_in_clear_text_is_no_larger_for_tls() {
    assert!(size_of::<Stream>() <= size_of::<TcpStream>() + size_of::<usize>());
}
