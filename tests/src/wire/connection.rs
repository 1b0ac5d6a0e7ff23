//! Statements of an account without a password, and what the server answers.

use super::{Hello, Plain, cells};
use crate::limits::CLIENT_RUN_MAX;
use anyhow::{Result, bail};
use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

const QUERY: u8 = 0x03;
const STMT_PREPARE: u8 = 0x16;
const STMT_CLOSE: u8 = 0x19;
const MORE_RESULTS: u16 = 8;

/// A session of an account without a password, driven by texts.
#[derive(Debug)]
pub struct Connection {
    plain: Plain,
    /// How long a result may take.
    patience: Duration,
}

/// Code and text of an error that the server answered with.
pub type Refusal = (u16, String);

impl Connection {
    /// Logs in with a schema. A refused login is an error.
    pub fn open(host: Ipv4Addr, user: &str, schema: &str) -> Result<Self> {
        let plain = Plain::login(host, &Hello { user, schema, ..Hello::default() })?;
        Ok(Self { plain, patience: CLIENT_RUN_MAX })
    }

    /// How long an answer may take, in place of [`CLIENT_RUN_MAX`]: without a word, and in all.
    pub fn set_patience(&mut self, patience: Duration) -> Result<()> {
        self.patience = patience;
        self.plain.set_patience(patience)
    }

    /// Sends a text and reads all results; the error that they end with, if they do.
    pub fn run(&mut self, text: impl AsRef<[u8]>) -> Result<Result<(), Refusal>> {
        let text = text.as_ref();
        self.plain.send_packet(0, &[&[QUERY], text].concat())?;
        loop {
            let first = self.plain.packet()?;
            let status = match first.payload.as_slice() {
                &[0xFF, low, high, ref said @ ..] => {
                    return Ok(Err((u16::from_le_bytes([low, high]), String::from_utf8_lossy(said).into_owned())));
                }
                [0, rest @ ..] => status_of_ok(rest),
                [0xFB, ..] => bail!("`{}` asks for a file", String::from_utf8_lossy(text)),
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
    pub fn must(&mut self, text: &str) -> Result<()> {
        match self.run(text)? {
            Ok(()) => Ok(()),
            Err((code, said)) => bail!("`{text}`: {code} {said}"),
        }
    }

    /// Has a text prepared by the protocol, and forgets the statement again.
    pub fn prepare(&mut self, text: &[u8]) -> Result<Result<(), Refusal>> {
        self.plain.send_packet(0, &[&[STMT_PREPARE], text].concat())?;
        let first = self.plain.packet()?;
        let (id, columns, parameters) = match *first.payload.as_slice() {
            [0xFF, low, high, ref said @ ..] => {
                return Ok(Err((u16::from_le_bytes([low, high]), String::from_utf8_lossy(said).into_owned())));
            }
            [0, a, b, c, d, columns_low, columns_high, parameters_low, parameters_high, ..] => (
                [a, b, c, d],
                u16::from_le_bytes([columns_low, columns_high]),
                u16::from_le_bytes([parameters_low, parameters_high]),
            ),
            _ => bail!("no answer to a prepare: {}", first.text()),
        };
        for number in [parameters, columns] {
            if number > 0
                && let Err(refusal) = self.until_eof()?
            {
                return Ok(Err(refusal));
            }
        }
        self.plain.send_packet(0, &[&[STMT_CLOSE], id.as_slice()].concat())?;
        Ok(Ok(()))
    }

    /// The rows of a query that must not fail, cells as bytes, none for NULL.
    pub fn rows(&mut self, text: &str) -> Result<Vec<Vec<Option<Vec<u8>>>>> {
        self.plain.send_packet(0, &[&[QUERY], text.as_bytes()].concat())?;
        let first = self.plain.packet()?;
        if first.error_code().is_some() {
            bail!("`{text}`: {}", first.text());
        }
        let mut rows = Vec::new();
        let mut ends = 0;
        while ends < 2 {
            let packet = self.plain.packet()?;
            match (packet.is_eof(), ends, packet.error_code()) {
                (true, ..) => ends += 1,
                (false, _, Some(_)) => bail!("`{text}`: {}", packet.text()),
                (false, 1, None) => rows.push(cells(&packet.payload)?),
                (false, _, None) => {}
            }
        }
        Ok(rows)
    }

    fn until_eof(&mut self) -> Result<Result<u16, Refusal>> {
        let start = Instant::now();
        loop {
            if start.elapsed() > self.patience {
                bail!("the result does not end within {:?}", self.patience);
            }
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
    match rest.get(at..) {
        Some(&[low, high, ..]) => u16::from_le_bytes([low, high]),
        _ => 0,
    }
}
