//! A connection by the test's own process, past every gateway: for what is done so often that a process each is too much.

use super::{Hello, Packet, framed};
use crate::limits::CLIENT_RUN_MAX;
use anyhow::{Context as _, Result, bail};
use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    time::Duration,
};

/// A session of an account without a password.
#[derive(Debug)]
pub struct Plain {
    stream: TcpStream,
}

impl Plain {
    /// Logs in at port 3306 of `host`, with a proof of no password whatever `hello` has. A refused login is an error.
    pub fn login(host: Ipv4Addr, hello: &Hello<'_>) -> Result<Self> {
        let stream = TcpStream::connect((host, 3306)).with_context(|| format!("cannot connect to {host}"))?;
        stream.set_nodelay(true).context("cannot set TCP_NODELAY")?;
        stream.set_read_timeout(Some(CLIENT_RUN_MAX)).context("cannot set a timeout")?;
        let mut plain = Self { stream };
        plain.packet()?;
        plain.send_packet(1, &Hello { auth: &[], ..*hello }.response())?;
        loop {
            let answer = plain.packet()?;
            match answer.payload.first() {
                Some(0) => return Ok(plain),
                // Another plugin: no password proves itself by nothing.
                Some(0xFE) => plain.send_packet(answer.id.wrapping_add(1), b"")?,
                // caching_sha2_password's word, before the OK packet.
                Some(1) => {}
                _ => bail!("`{}` was refused: {}", hello.user, answer.text()),
            }
        }
    }

    /// How long an answer may take.
    pub fn set_patience(&mut self, patience: Duration) -> Result<()> {
        self.stream.set_read_timeout(Some(patience)).context("cannot set a timeout")
    }

    /// Sends one payload in as many packets as it takes, the first with the sequence id `id`.
    pub fn send_packet(&mut self, id: u8, payload: &[u8]) -> Result<()> {
        self.stream.write_all(&framed(id, payload)).context("the server takes nothing")
    }

    /// The next packet.
    pub fn packet(&mut self) -> Result<Packet> {
        let mut head = [0; 4];
        self.stream.read_exact(&mut head).context("the server says nothing")?;
        let [low, middle, high, id] = head;
        let mut payload = vec![0; u32::from_le_bytes([low, middle, high, 0]) as usize];
        self.stream.read_exact(&mut payload).context("the server stops within a packet")?;
        Ok(Packet { id, payload })
    }
}
