//! One TCP connection, in clear text or under TLS, compressed or not, with the bytes read from it and not yet used.

mod codec;
mod stream;
#[cfg(test)]
mod tests;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use portreeve_mysql::compression::Algorithm;
use portreeve_mysql::packet::{self, Framed};
use portreeve_mysql::{ProtocolError, limits::HEADER_LEN};
use rustls::ServerConfig;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use zeroize::Zeroize as _;

use crate::tls::{self, Facts, HANDSHAKE_MAX, HandshakeError, ServerTls};
use codec::Codec;
use stream::{Rewound, Stream};

/// Bytes of buffer while little flows.
const BUFFER_IDLE: usize = 4 * 1024;
/// Bytes of buffer once a read has filled the smaller one: large results and loads go in fewer calls.
const BUFFER_BUSY: usize = 64 * 1024;
/// How long a peer may keep us from saying the end of TLS, when it takes nothing any more.
const FAREWELL_MAX: Duration = Duration::from_secs(1);

/// Why nothing more can be read from or written to a peer.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    /// The peer ended the connection between two packets.
    #[error("closed the connection")]
    Closed,
    /// The peer ended the connection within a packet.
    #[error("closed the connection within a packet")]
    ClosedWithin,
    #[error("connection failed: {0}")]
    Io(io::Error),
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// There is no connection any more.
    #[error("TLS failed: {0}")]
    Tls(#[from] HandshakeError),
}

/// What is wrong in a compressed packet comes out of reading, as an error of that.
impl From<io::Error> for LinkError {
    fn from(error: io::Error) -> Self {
        error.downcast::<ProtocolError>().map_or_else(Self::Io, Self::Protocol)
    }
}

/// A peer's connection.
#[derive(Debug)]
pub(super) struct Link {
    stream: Stream,
    /// Behind a pointer, so that other sessions are no larger for it.
    codec: Option<Box<Codec>>,
    /// Plain bytes, whatever the leg is carried by.
    inbox: Vec<u8>,
    /// Bytes at the front of `inbox` that were used.
    used: usize,
    /// Whether the last read left no room: more waits, and a larger buffer takes it in fewer calls.
    crowded: bool,
    /// Whether the peer sends no more.
    ended: bool,
    /// Bytes written to the peer.
    pub(super) sent: u64,
}

impl Link {
    /// Takes over a connected stream. Commands and answers are small and wait for each other: Nagle is off.
    pub(super) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: Stream::Plain(stream),
            codec: None,
            inbox: Vec::new(),
            used: 0,
            crowded: false,
            ended: false,
            sent: 0,
        })
    }

    /// Answers a client's TLS handshake, after its request for TLS (`SSLRequest`) was consumed.
    ///
    /// Whatever was read behind the request is the beginning of the handshake, whoever sent it: nothing of it is ever a
    /// packet (a command in clear text behind the request would otherwise count as sent under TLS).
    ///
    /// # Errors
    /// The handshake failed; the link is then closed.
    pub(super) async fn accept_tls(&mut self, config: Arc<ServerConfig>) -> Result<Facts, LinkError> {
        let early = self.unread().to_vec();
        let socket = self.give_up_plain()?;
        // Boxed: it would be most of every session's size, for as long as the session lasts.
        let handshake = Box::pin(TlsAcceptor::from(config).accept(Rewound::new(early, socket)));
        let accepted = timeout(HANDSHAKE_MAX, handshake).await.map_err(|_| HandshakeError::Late)?;
        let stream = accepted.map_err(|error| tls::client_failure(&error))?;
        let facts = tls::facts_of_client(stream.get_ref().1);
        self.stream = Stream::Tls(Box::new(stream.into()));
        Ok(facts)
    }

    /// Begins TLS with a server that was sent the request for it. `destination` is verified where the configuration has
    /// no name.
    ///
    /// # Errors
    /// The handshake failed, the server is not who it should be, or something came in clear text behind its greeting; the
    /// link is then closed.
    pub(super) async fn connect_tls(&mut self, tls: &ServerTls, destination: IpAddr) -> Result<Facts, LinkError> {
        let early = self.unread().len();
        let socket = self.give_up_plain()?;
        if early > 0 {
            return Err(HandshakeError::ClearText(early).into());
        }
        let name = tls.name_at(destination);
        let shown = name.to_str().into_owned();
        let handshake = Box::pin(TlsConnector::from(tls.config()).connect(name, Rewound::new(Vec::new(), socket)));
        let connected = timeout(HANDSHAKE_MAX, handshake).await.map_err(|_| HandshakeError::Late)?;
        let stream = connected.map_err(|error| tls.failure(&error))?;
        let facts = tls::facts_of_server(stream.get_ref().1, shown, tls.mode());
        self.stream = Stream::Tls(Box::new(stream.into()));
        Ok(facts)
    }

    /// The socket in clear text. Until a handshake puts another stream in its place, the link is closed.
    fn give_up_plain(&mut self) -> Result<TcpStream, LinkError> {
        self.inbox = Vec::new();
        self.used = 0;
        match std::mem::replace(&mut self.stream, Stream::Closed) {
            Stream::Plain(socket) => Ok(socket),
            Stream::Tls(_) | Stream::Closed => Err(LinkError::Closed),
        }
    }

    /// The bytes read and not yet used.
    pub(super) fn unread(&self) -> &[u8] {
        self.inbox.get(self.used..).unwrap_or_default()
    }

    /// Marks bytes at the front of `unread` as used.
    pub(super) fn consume(&mut self, count: usize) {
        if let Some(codec) = &mut self.codec {
            codec.consume(count.min(self.inbox.len().saturating_sub(self.used)));
        }
        self.used = self.used.saturating_add(count).min(self.inbox.len());
        if self.used == self.inbox.len() {
            self.inbox.clear();
            self.used = 0;
        }
    }

    /// As [`Link::consume`], of what may hold a password.
    pub(super) fn consume_secret(&mut self, count: usize) {
        let end = self.used.saturating_add(count).min(self.inbox.len());
        if let Some(secret) = self.inbox.get_mut(self.used..end) {
            secret.zeroize();
        }
        self.consume(count);
    }

    /// Reads what is there, waiting for at least one byte. 0 means that the peer sends no more. Cancel safe.
    pub(super) async fn fill(&mut self) -> io::Result<usize> {
        self.make_room(if self.crowded { BUFFER_BUSY } else { 1 });
        let read = match &mut self.codec {
            None => self.stream.read_buf(&mut self.inbox).await?,
            Some(codec) => codec.read(&mut self.stream, &mut self.inbox).await?,
        };
        self.ended = read == 0;
        self.crowded = self.inbox.len() == self.inbox.capacity();
        Ok(read)
    }

    /// Whether the peer has said that it sends no more.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// The peer's address, and ours.
    ///
    /// # Errors
    /// There is no connection any more.
    pub(super) fn addresses(&self) -> io::Result<(SocketAddr, SocketAddr)> {
        let socket = self.stream.socket().ok_or(io::ErrorKind::NotConnected)?;
        Ok((socket.peer_addr()?, socket.local_addr()?))
    }

    /// Overwrites bytes of `unread`, which must hold them.
    pub(super) fn overwrite(&mut self, at: usize, bytes: &[u8]) {
        let unread = self.inbox.get_mut(self.used..).unwrap_or_default();
        for (to, from) in unread.iter_mut().skip(at).zip(bytes) {
            *to = *from;
        }
    }

    /// Room for at least `wanted` more bytes; more of it when the last read left none.
    fn make_room(&mut self, wanted: usize) {
        if self.used > 0 {
            self.inbox.drain(..self.used);
            self.used = 0;
        }
        let room = self.inbox.capacity() - self.inbox.len();
        if room < wanted {
            let grow = if self.inbox.capacity() == 0 { BUFFER_IDLE } else { BUFFER_BUSY };
            self.inbox.reserve(grow.max(wanted));
        }
    }

    /// Gives back the memory that a burst took, once nothing is left in it.
    pub(super) fn rest(&mut self) {
        if let Some(codec) = &mut self.codec {
            codec.rest();
        }
        if self.inbox.is_empty() && self.inbox.capacity() > BUFFER_IDLE {
            self.inbox = Vec::with_capacity(BUFFER_IDLE);
            self.crowded = false;
        }
    }

    /// Reads until a whole logical packet is at the front of `unread`; it is taken with `packet::frame` again.
    ///
    /// Returns the number of bytes it takes on the wire.
    pub(super) async fn packet(&mut self, logical_max: usize) -> Result<usize, LinkError> {
        loop {
            match packet::frame(self.unread(), logical_max)? {
                Framed::Packet(packet) => return Ok(packet.wire_len),
                Framed::Incomplete { wanted } => {
                    let missing = wanted.saturating_sub(self.unread().len());
                    self.make_room(missing.min(BUFFER_BUSY));
                    if self.fill().await? == 0 {
                        return Err(if self.unread().is_empty() { LinkError::Closed } else { LinkError::ClosedWithin });
                    }
                }
            }
        }
    }

    /// Payload bytes that the header at the front announces; 0 where there is no whole header.
    pub(super) fn announced(&self) -> usize {
        self.unread().first_chunk().map_or(0, |[low, middle, high, _]: &[u8; HEADER_LEN]| {
            u32::from_le_bytes([*low, *middle, *high, 0]) as usize
        })
    }

    /// True when a whole packet of one chunk is at the front already: no need to wait or to frame twice.
    pub(super) fn has_short_packet(&self) -> bool {
        let have = self.unread().len();
        have >= HEADER_LEN && have >= self.announced().saturating_add(HEADER_LEN)
    }

    /// Compresses both directions from here on, as the end of a login agrees on.
    pub(super) fn compress(&mut self, algorithm: Algorithm, zstd_level: Option<u8>) {
        let unread = self.unread().to_vec();
        self.inbox = Vec::new();
        self.used = 0;
        self.codec = Some(Box::new(Codec::new(algorithm, zstd_level, unread)));
    }

    /// Says that what the peer sends next are commands. On a compressed leg the sequence ids within are not the peer's to
    /// say: servers do not look at them, and write what they like (`net_flush` in their net_serv.cc).
    pub(super) fn expect_commands(&mut self) {
        if let Some(codec) = &mut self.codec {
            codec.expect_commands();
        }
    }

    /// Says that what the peer sends next has sequence ids from that one on, see [`Link::expect_commands`].
    pub(super) fn expect_exchange(&mut self, first_sequence_id: u8) {
        if let Some(codec) = &mut self.codec {
            codec.expect_exchange(first_sequence_id);
        }
    }

    /// Begins an exchange with a server, whose answer has sequence ids from `answer_id` on.
    pub(super) fn begin_exchange(&mut self, answer_id: u8) {
        if let Some(codec) = &mut self.codec {
            codec.begin();
            codec.expect_exchange(answer_id);
        }
    }

    /// Sends bytes, all of them.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        let wrote = match &mut self.codec {
            None => self.stream.write_all(bytes).await.map(|()| bytes.len())?,
            Some(codec) => codec.write_all(&mut self.stream, bytes).await?,
        };
        self.sent = self.sent.saturating_add(wrote as u64);
        Ok(())
    }

    /// Sends the first `count` unread bytes of `self` to `peer`, and uses them up.
    pub(super) async fn forward(&mut self, count: usize, peer: &mut Self) -> Result<(), LinkError> {
        let bytes = self.unread().get(..count).unwrap_or_default();
        peer.send(bytes).await?;
        self.consume(count);
        Ok(())
    }

    /// Ends our side, so that what was sent is still delivered.
    pub(super) async fn finish(&mut self) {
        // The peer may be gone already; there is nothing left to tell it.
        let _ = timeout(FAREWELL_MAX, self.stream.shutdown()).await;
    }
}
