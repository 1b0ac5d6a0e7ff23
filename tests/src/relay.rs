//! A server's stand-in at another address: it passes bytes on, or says something that no server would.

use anyhow::{Context as _, Result};
use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

/// What a relay says in place of an answer that it spoils: a packet of 16 MiB begins, with a wrong sequence id.
const GARBAGE: &[u8] = b"\xff\xff\xff\xeeHTTP/1.1 400 Bad Request\r\n\r\n";

/// Listens as long as it lives; connections that it passes end by themselves.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
    accepted: Arc<AtomicUsize>,
}

impl Relay {
    /// Passes what comes to `at` on to `to`. A client's bytes that hold `spoil` are answered with garbage and not passed on;
    /// with an empty `spoil` garbage comes first of all.
    pub fn start(at: SocketAddr, to: SocketAddr, spoil: Option<&'static str>) -> Result<Self> {
        let listener = TcpListener::bind(at).with_context(|| format!("cannot listen at {at}"))?;
        let address = listener.local_addr().context("a listener has an address")?;
        let (ended, accepted) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let relay = Self { address, ended: Arc::clone(&ended), accepted: Arc::clone(&accepted) };
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if ended.load(Ordering::Relaxed) {
                    break;
                }
                accepted.fetch_add(1, Ordering::Relaxed);
                // A connection that breaks is the tests' business, not the relay's.
                thread::spawn(move || pass(client, to, spoil));
            }
        });
        Ok(relay)
    }

    /// Connections so far.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // Wakes the accepting thread; when it is gone already, so is the need.
        let _ = TcpStream::connect(self.address);
    }
}

fn pass(mut client: TcpStream, to: SocketAddr, spoil: Option<&str>) -> Result<()> {
    if spoil == Some("") {
        return client.write_all(GARBAGE).context("the client has gone");
    }
    let mut server = TcpStream::connect(to)?;
    let (mut from_server, mut to_client) = (server.try_clone()?, client.try_clone()?);
    thread::spawn(move || {
        // Either side may hang up first.
        let _ = std::io::copy(&mut from_server, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Both);
    });
    let mut buffer = vec![0; 1 << 16];
    while let count @ 1.. = client.read(&mut buffer)? {
        let bytes = buffer.get(..count).unwrap_or_default();
        let spoilt = spoil.is_some_and(|spoil| bytes.windows(spoil.len()).any(|window| window == spoil.as_bytes()));
        if spoilt { client.write_all(GARBAGE)? } else { server.write_all(bytes)? }
    }
    server.shutdown(Shutdown::Both).context("the server has gone")
}
