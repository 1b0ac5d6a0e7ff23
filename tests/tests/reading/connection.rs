//! Statements of an account without a password, and what the server answers.

use anyhow::{Result, bail};
use portreeve_tests::wire::{Hello, Plain};
use std::net::Ipv4Addr;

const QUERY: u8 = 0x03;
const MORE_RESULTS: u16 = 8;

#[derive(Debug)]
pub(crate) struct Connection {
    plain: Plain,
}

/// Code and text of an error that the server answered with.
pub(crate) type Refusal = (u16, String);

impl Connection {
    /// Logs in with a schema. A refused login is an error.
    pub(crate) fn open(host: Ipv4Addr, user: &str, schema: &str) -> Result<Self> {
        Ok(Self { plain: Plain::login(host, &Hello { user, schema, ..Hello::default() })? })
    }

    /// Sends a text and reads all results; the error that they end with, if they do.
    pub(crate) fn run(&mut self, text: &str) -> Result<Result<(), Refusal>> {
        self.plain.send_packet(0, &[&[QUERY], text.as_bytes()].concat())?;
        loop {
            let first = self.plain.packet()?;
            let status = match first.payload.as_slice() {
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
            let packet = self.plain.packet()?;
            match packet.payload.as_slice() {
                [0xFE, _, _, low, high] => return Ok(Ok(u16::from_le_bytes([*low, *high]))),
                [0xFF, low, high, said @ ..] => {
                    return Ok(Err((u16::from_le_bytes([*low, *high]), String::from_utf8_lossy(said).into_owned())));
                }
                _ => {}
            }
        }
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
