//! A MySQL client that says whatever a test wants it to say: packets in, packets out, nothing checked.

mod connection;
mod hello;
mod plain;

use crate::{cgroup::Cgroup, client, host, limits::CLIENT_RUN_MAX, process};
use anyhow::{Context as _, Result, bail, ensure};
use std::{
    io::{Read as _, Write as _},
    net::Ipv4Addr,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
};

pub use connection::{Connection, Refusal};
pub use hello::{Hello, PLUGIN_AUTH};
pub use plain::Plain;

/// Payload bytes of the longest packet; a longer payload goes on in the next packet.
pub const PACKET_MAX: usize = 0xFF_FFFF;

/// LONG_PASSWORD, LONG_FLAG, CONNECT_WITH_DB, LOCAL_FILES, PROTOCOL_41, TRANSACTIONS, SECURE_CONNECTION, MULTI_STATEMENTS,
/// MULTI_RESULTS, PS_MULTI_RESULTS, PLUGIN_AUTH: no DEPRECATE_EOF, so that every result ends alike.
pub const CAPABILITIES: u32 = 0x000F_A28D;
/// `utf8mb4_general_ci`
pub const COLLATION: u8 = 45;

/// What tells the bridge to reset the connection.
const RESET: [u8; 4] = [0xFF; 4];
/// Bytes of a `mysql_native_password` answer; any will do.
const NATIVE_RESPONSE_LEN: usize = 20;

/// Set in a frame's length for the bridge: from here on, what is sent and what arrives is compressed.
const FRAME_COMPRESS: u32 = 1 << 31;

/// COMPRESS: the protocol goes on compressed with zlib behind the login.
pub const COMPRESS: u32 = 1 << 5;

/// One packet as it stands on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The sequence id.
    pub id: u8,
    /// The payload of this packet alone.
    pub payload: Vec<u8>,
}

impl Packet {
    /// The code of an ERR packet, or none.
    pub fn error_code(&self) -> Option<u16> {
        match *self.payload.as_slice() {
            [0xFF, low, high, ..] => Some(u16::from_le_bytes([low, high])),
            _ => None,
        }
    }

    /// Whether it is an OK packet.
    pub fn is_ok(&self) -> bool {
        self.payload.first() == Some(&0)
    }

    /// The payload as text, for messages and needles.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }

    /// Whether it is an EOF packet.
    pub fn is_eof(&self) -> bool {
        self.payload.first() == Some(&0xFE) && self.payload.len() < 9
    }
}

/// A connection made by a process in a cgroup, driven by the test. Dropping it ends the process.
#[derive(Debug)]
pub struct Wire {
    child: Child,
    input: Option<ChildStdin>,
    arriving: Receiver<Vec<u8>>,
    inbox: Vec<u8>,
}

impl Wire {
    /// Connects to port 3306 of `host`, and says nothing yet.
    pub fn connect(cgroup: &Cgroup, host: Ipv4Addr) -> Result<Self> {
        let mut command: Command = cgroup.command(client::python_program()?)?;
        command.arg(host::repo_root().join("tests/clients/python/bridge.py")).arg(host.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = process::spawn(command)?;
        let input = child.stdin.take();
        let mut output = child.stdout.take().context("the bridge has no output")?;
        let (sender, arriving) = channel();
        thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            while let Ok(count @ 1..) = output.read(&mut buffer) {
                if sender.send(buffer.get(..count).unwrap_or_default().to_vec()).is_err() {
                    break;
                }
            }
        });
        Ok(Self { child, input, arriving, inbox: Vec::new() })
    }

    /// Connects and logs in as `agent`, with the schema if it is not empty.
    pub fn login(cgroup: &Cgroup, host: Ipv4Addr, schema: &str) -> Result<Self> {
        Self::login_with(cgroup, host, &Hello { schema, ..Hello::default() })
    }

    /// Logs in to a server itself, as an account `agent` that has no password: from a cgroup that is no workload's.
    pub fn login_directly(cgroup: &Cgroup, host: Ipv4Addr, schema: &str, more: u32) -> Result<Self> {
        Self::login_with(cgroup, host, &Hello { auth: &[], ..Hello::with(schema, more) })
    }

    /// Connects and logs in as the client says of itself; compressed from there on if it asks for that.
    pub fn login_with(cgroup: &Cgroup, host: Ipv4Addr, hello: &Hello<'_>) -> Result<Self> {
        let mut wire = Self::connect(cgroup, host)?;
        wire.packet()?;
        let answer = wire.answer_greeting_with(&hello.response(), hello.auth)?;
        ensure!(answer.is_ok(), "the login was refused: {}", answer.text());
        if hello.capabilities & COMPRESS != 0 {
            wire.frame(FRAME_COMPRESS, &[])?;
        }
        Ok(wire)
    }

    /// Connects, logs in as `agent`, and returns what the connection was refused with. Being let in is an error.
    pub fn refusal(cgroup: &Cgroup, host: Ipv4Addr) -> Result<Packet> {
        let mut wire = Self::connect(cgroup, host)?;
        let mut answer = wire.packet()?;
        if answer.error_code().is_none() {
            answer = wire.answer_greeting(&handshake_response(CAPABILITIES, COLLATION, ""))?;
        }
        ensure!(answer.error_code().is_some(), "it was let in");
        ensure!(wire.rest()?.is_empty(), "more follows the refusal");
        Ok(answer)
    }

    /// Sends a login, follows a switch to the plugin that it names, and returns the packet that ends the login.
    pub fn answer_greeting(&mut self, response: &[u8]) -> Result<Packet> {
        self.answer_greeting_with(response, &[7; NATIVE_RESPONSE_LEN])
    }

    /// [`Wire::answer_greeting`] of a client whose proof, when it is asked again, is that of no password if `auth` is.
    fn answer_greeting_with(&mut self, response: &[u8], auth: &[u8]) -> Result<Packet> {
        self.send_packet(1, response)?;
        self.end_of_login(auth.is_empty())
    }

    /// Sends a COM_CHANGE_USER and returns the packet that ends it.
    pub fn change_user(&mut self, argument: &[u8]) -> Result<Packet> {
        self.command(0x11, argument)?;
        self.end_of_login(false)
    }

    fn end_of_login(&mut self, without_password: bool) -> Result<Packet> {
        let mut answer = self.packet()?;
        if answer.payload.first() == Some(&0xFE) {
            // Any answer proves as little as the first; these are as long as native and caching_sha2 have them.
            let length = match answer.text().contains("caching_sha2") {
                _ if without_password => 0,
                true => 32,
                false => NATIVE_RESPONSE_LEN,
            };
            self.send_packet(answer.id.wrapping_add(1), &vec![7; length])?;
            answer = self.packet()?;
        }
        // caching_sha2_password says that its cache was enough, and the OK packet follows.
        if answer.payload == [1, 3] { self.packet() } else { Ok(answer) }
    }

    /// Sends bytes in one segment, as far as they fit into one. Compressed, they are one compressed packet as far as
    /// possible, and must begin where a packet does.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let length = u32::try_from(bytes.len()).context("more than 4 GiB at once")?;
        ensure!(length < FRAME_COMPRESS, "more than 2 GiB at once");
        self.frame(length, bytes)
    }

    fn frame(&mut self, length: u32, bytes: &[u8]) -> Result<()> {
        let input = self.input.as_mut().context("the sending side was ended")?;
        input.write_all(&length.to_be_bytes()).context("the bridge takes nothing")?;
        input.write_all(bytes).context("the bridge takes nothing")?;
        input.flush().context("the bridge takes nothing")
    }

    /// Sends one payload in as many packets as it takes, the first with the sequence id `id`.
    pub fn send_packet(&mut self, id: u8, payload: &[u8]) -> Result<()> {
        self.send(&framed(id, payload))
    }

    /// Sends a command: its byte, then its argument.
    pub fn command(&mut self, byte: u8, argument: &[u8]) -> Result<()> {
        self.send_packet(0, &[&[byte], argument].concat())
    }

    /// Sends a text query and reads its one result set: cells as bytes, none for NULL. An error of the server is an error.
    pub fn query(&mut self, sql: &str) -> Result<Vec<Vec<Option<Vec<u8>>>>> {
        self.command(0x03, sql.as_bytes())?;
        self.result()
    }

    /// Reads the result of a text query; no rows when it is an OK packet.
    pub fn result(&mut self) -> Result<Vec<Vec<Option<Vec<u8>>>>> {
        let first = self.packet()?;
        if first.is_ok() {
            return Ok(vec![]);
        }
        ensure!(first.error_code().is_none(), "{}", first.text());
        self.until_eof()?;
        self.until_eof()?.iter().map(|row| cells(row)).collect()
    }

    /// Reads payloads up to the EOF packet, which is used up.
    pub fn until_eof(&mut self) -> Result<Vec<Vec<u8>>> {
        Ok(self.until_status()?.0)
    }

    /// [`Wire::until_eof`] with the status flags of the EOF packet.
    pub fn until_status(&mut self) -> Result<(Vec<Vec<u8>>, u16)> {
        let mut payloads = Vec::new();
        loop {
            let packet = self.packet()?;
            if let (true, [_, _, _, low, high]) = (packet.is_eof(), packet.payload.as_slice()) {
                return Ok((payloads, u16::from_le_bytes([*low, *high])));
            }
            ensure!(packet.error_code().is_none(), "{}", packet.text());
            let mut payload = packet.payload;
            let mut last = payload.len();
            while last == PACKET_MAX {
                let more = self.packet()?.payload;
                last = more.len();
                payload.extend(more);
            }
            payloads.push(payload);
        }
    }

    /// The next packet; an error when the connection ends or is silent.
    pub fn packet(&mut self) -> Result<Packet> {
        match self.packet_or_end()? {
            Some(packet) => Ok(packet),
            None => bail!("the connection ended"),
        }
    }

    /// The next packet, or none when the connection has ended between two packets.
    pub fn packet_or_end(&mut self) -> Result<Option<Packet>> {
        loop {
            if let Some((&[low, middle, high, id], rest)) = self.inbox.split_first_chunk() {
                let length = u32::from_le_bytes([low, middle, high, 0]) as usize;
                if let Some(payload) = rest.get(..length) {
                    let payload = payload.to_vec();
                    self.inbox.drain(..length + 4);
                    return Ok(Some(Packet { id, payload }));
                }
            }
            match self.arriving.recv_timeout(CLIENT_RUN_MAX) {
                Ok(bytes) => self.inbox.extend(bytes),
                Err(RecvTimeoutError::Disconnected) if self.inbox.is_empty() => return Ok(None),
                Err(RecvTimeoutError::Disconnected) => bail!("the connection ended within a packet: {:?}", self.inbox),
                Err(RecvTimeoutError::Timeout) => bail!("nothing came within {CLIENT_RUN_MAX:?}"),
            }
        }
    }

    /// Reads up to the end of the connection and returns the packets before it.
    pub fn rest(&mut self) -> Result<Vec<Packet>> {
        std::iter::from_fn(|| self.packet_or_end().transpose()).collect()
    }

    /// Ends the sending side: the peer reads the end of the stream.
    pub fn finish(&mut self) {
        self.input = None;
    }

    /// Kills the process outright: the kernel closes its connection.
    pub fn kill9(mut self) -> Result<()> {
        self.child.kill().context("cannot kill the bridge")?;
        self.child.wait().context("cannot wait for the bridge").map(drop)
    }

    /// Resets the connection: the peer reads an error, not the end of the stream.
    pub fn reset(mut self) -> Result<()> {
        let input = self.input.as_mut().context("the sending side was ended")?;
        input.write_all(&RESET).and_then(|()| input.flush()).context("the bridge takes nothing")?;
        self.child.wait().context("cannot wait for the bridge").map(drop)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if let Err(error) = process::terminate(&mut self.child) {
            eprintln!("the bridge {} stays: {error:#}", self.child.id());
        }
    }
}

/// The bytes of one payload with its headers.
pub fn framed(mut id: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(payload.len() + 8);
    let mut chunks = payload.chunks(PACKET_MAX);
    loop {
        let chunk = chunks.next().unwrap_or_default();
        let [low, middle, high, _] = u32::try_from(chunk.len()).unwrap_or(u32::MAX).to_le_bytes();
        bytes.extend([low, middle, high, id]);
        bytes.extend(chunk);
        id = id.wrapping_add(1);
        // A payload that fills its last packet needs an empty one behind it.
        if chunk.len() < PACKET_MAX {
            return bytes;
        }
    }
}

/// A HandshakeResponse41 of the user `agent` with a `mysql_native_password` answer that proves nothing.
pub fn handshake_response(capabilities: u32, collation: u8, schema: &str) -> Vec<u8> {
    Hello { capabilities, collation: collation.into(), schema, ..Hello::default() }.response()
}

fn cells(mut row: &[u8]) -> Result<Vec<Option<Vec<u8>>>> {
    let mut cells = Vec::new();
    while let Some((&first, rest)) = row.split_first() {
        let (length, rest) = match first {
            0xFB => {
                cells.push(None);
                row = rest;
                continue;
            }
            0xFC => integer::<2>(rest)?,
            0xFD => integer::<3>(rest)?,
            0xFE => integer::<8>(rest)?,
            short => (usize::from(short), rest),
        };
        let (cell, rest) = rest.split_at_checked(length).context("a cell is cut")?;
        cells.push(Some(cell.to_vec()));
        row = rest;
    }
    Ok(cells)
}

fn integer<const LEN: usize>(bytes: &[u8]) -> Result<(usize, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<LEN>().context("a length is cut")?;
    Ok((number.iter().rev().fold(0, |sum, &byte| sum << 8 | usize::from(byte)), rest))
}
