//! A plain connection to a server by an account without a password: a process of its own for each, as the wire harness has
//! it, would take longer than everything else.

use anyhow::{Context as _, Result, bail};
use portreeve_tests::{
    limits::CLIENT_RUN_MAX,
    wire::{Hello, framed},
};
use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
};

const QUERY: u8 = 0x03;
const MORE_RESULTS: u16 = 8;

#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
}

/// Code and text of an error that the server answered with.
pub(crate) type Refusal = (u16, String);

impl Connection {
    /// Logs in with a schema. A refused login is an error.
    pub(crate) fn open(host: Ipv4Addr, user: &str, schema: &str) -> Result<Self> {
        let stream = TcpStream::connect((host, 3306)).context("cannot connect")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(CLIENT_RUN_MAX))?;
        let mut connection = Self { stream };
        connection.packet()?;
        let hello = Hello { user, schema, auth: &[], ..Hello::default() };
        connection.send(1, &hello.response())?;
        loop {
            let (id, packet) = connection.packet()?;
            match packet.first() {
                Some(0) => return Ok(connection),
                // Another plugin, or caching_sha2_password's word: no password proves itself by nothing.
                Some(0xFE) => connection.send(id.wrapping_add(1), b"")?,
                Some(1) => {}
                _ => bail!("`{user}` was refused: {}", String::from_utf8_lossy(&packet)),
            }
        }
    }

    /// Sends a text and reads all results; the error that they end with, if they do.
    pub(crate) fn run(&mut self, text: &str) -> Result<Result<(), Refusal>> {
        self.send(0, &[&[QUERY], text.as_bytes()].concat())?;
        loop {
            let (_, first) = self.packet()?;
            let status = match first.as_slice() {
                &[0xFF, low, high, ref said @ ..] => {
                    return Ok(Err((u16::from_le_bytes([low, high]), String::from_utf8_lossy(said).into_owned())));
                }
                [0, rest @ ..] => status_of_ok(rest),
                [0xFB, ..] => bail!("`{text}` asks for a file"),
                _ => {
                    let mut status = 0;
                    for _ in 0..2 {
                        match self.until_eof()? {
                            Ok(flags) => status = flags,
                            Err(refusal) => return Ok(Err(refusal)),
                        }
                    }
                    status
                }
            };
            if status & MORE_RESULTS == 0 {
                return Ok(Ok(()));
            }
        }
    }

    /// [`Connection::run`] of what must not fail.
    pub(crate) fn must(&mut self, text: &str) -> Result<()> {
        match self.run(text)? {
            Ok(()) => Ok(()),
            Err((code, said)) => bail!("`{text}`: {code} {said}"),
        }
    }

    fn until_eof(&mut self) -> Result<Result<u16, Refusal>> {
        loop {
            let (_, packet) = self.packet()?;
            match packet.as_slice() {
                [0xFE, _, _, low, high] => return Ok(Ok(u16::from_le_bytes([*low, *high]))),
                [0xFF, low, high, said @ ..] => {
                    return Ok(Err((u16::from_le_bytes([*low, *high]), String::from_utf8_lossy(said).into_owned())));
                }
                _ => {}
            }
        }
    }

    fn send(&mut self, id: u8, payload: &[u8]) -> Result<()> {
        self.stream.write_all(&framed(id, payload)).context("the server takes nothing")
    }

    fn packet(&mut self) -> Result<(u8, Vec<u8>)> {
        let mut head = [0; 4];
        self.stream.read_exact(&mut head).context("the server says nothing")?;
        let [low, middle, high, id] = head;
        let mut payload = vec![0; u32::from_le_bytes([low, middle, high, 0]) as usize];
        self.stream.read_exact(&mut payload).context("the server stops in a packet")?;
        Ok((id, payload))
    }
}

/// Behind two numbers in as many bytes as they take.
fn status_of_ok(rest: &[u8]) -> u16 {
    let mut at = 0;
    for _ in 0..2 {
        at += match rest.get(at) {
            Some(0xFC) => 3,
            Some(0xFD) => 4,
            Some(0xFE) => 9,
            _ => 1,
        };
    }
    rest.get(at..at + 2).map_or(0, |flags| u16::from_le_bytes([flags[0], flags[1]]))
}
