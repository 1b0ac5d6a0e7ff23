//! A client that says what it is told to and keeps every byte of the answers.

use anyhow::{Result, bail, ensure};
use portreeve_tests::wire::{Packet, Plain, Wire};

const QUERY: u8 = 0x03;
const PREPARE: u8 = 0x16;
const EXECUTE: u8 = 0x17;
/// `SERVER_MORE_RESULTS_EXISTS`
const MORE_RESULTS: u16 = 8;
/// What stands in [`Talk::bytes`] before the name of a file that the server asked for.
pub(crate) const FILE_ASKED: &str = "the server asks for the file ";

/// Whose packets go where.
#[derive(Debug)]
enum Leg {
    /// From a process in a cgroup.
    Agent(Wire),
    /// From here, to the server itself.
    Direct(Plain),
}

impl Leg {
    fn send(&mut self, id: u8, payload: &[u8]) -> Result<()> {
        match self {
            Self::Agent(wire) => wire.send_packet(id, payload),
            Self::Direct(plain) => plain.send_packet(id, payload),
        }
    }

    fn packet(&mut self) -> Result<Packet> {
        match self {
            Self::Agent(wire) => wire.packet(),
            Self::Direct(plain) => plain.packet(),
        }
    }
}

/// One session.
#[derive(Debug)]
pub(crate) struct Talk {
    leg: Leg,
    /// Every payload received since the login.
    pub(crate) bytes: Vec<u8>,
    /// The last answer's error, if it was one.
    pub(crate) error: Option<String>,
}

impl Talk {
    pub(crate) fn agent(wire: Wire) -> Self {
        Self { leg: Leg::Agent(wire), bytes: Vec::new(), error: None }
    }

    pub(crate) fn direct(plain: Plain) -> Self {
        Self { leg: Leg::Direct(plain), bytes: Vec::new(), error: None }
    }

    /// Sends a text and reads all that it is answered with.
    pub(crate) fn query(&mut self, text: &[u8]) -> Result<()> {
        self.command(QUERY, text)
    }

    /// Prepares a text without parameters and executes it.
    pub(crate) fn prepared(&mut self, text: &[u8]) -> Result<()> {
        self.send(PREPARE, text)?;
        let answer = self.packet()?;
        let &[0, ref id @ .., columns, _, parameters, _, _, _, _] = answer.payload.as_slice() else {
            self.error = Some(answer.text());
            return Ok(());
        };
        let id = id.to_vec();
        for _ in [columns, parameters].iter().filter(|&&definitions| definitions > 0) {
            self.until_eof()?;
        }
        self.command(EXECUTE, &[id.as_slice(), &[0, 1, 0, 0, 0]].concat())
    }

    /// Sends any command that is answered like a query.
    pub(crate) fn command(&mut self, command: u8, argument: &[u8]) -> Result<()> {
        self.send(command, argument)?;
        self.answer()
    }

    /// Sends a command that is answered with definitions up to an EOF packet, or one packet.
    pub(crate) fn listing(&mut self, command: u8, argument: &[u8]) -> Result<()> {
        self.error = None;
        self.send(command, argument)?;
        self.until_eof().map(drop)
    }

    /// COM_CHANGE_USER of an agent.
    pub(crate) fn change_user(&mut self, argument: &[u8]) -> Result<()> {
        let Leg::Agent(wire) = &mut self.leg else { bail!("nobody else changes its user") };
        let answer = wire.change_user(argument)?;
        self.bytes.extend(&answer.payload);
        self.error = answer.error_code().map(|_| answer.text());
        Ok(())
    }

    /// The rows of a query that must not fail, as text: what an auditor looks at.
    pub(crate) fn look(&mut self, query: &str) -> Result<String> {
        self.bytes.clear();
        self.query(query.as_bytes())?;
        ensure!(self.error.is_none(), "`{}`: {:?}", query.chars().take(60).collect::<String>(), self.error);
        Ok(String::from_utf8_lossy(&std::mem::take(&mut self.bytes)).into_owned())
    }

    fn send(&mut self, command: u8, argument: &[u8]) -> Result<()> {
        self.leg.send(0, &[&[command], argument].concat())
    }

    fn answer(&mut self) -> Result<()> {
        self.error = None;
        loop {
            let first = self.packet()?;
            let status = match first.payload.first() {
                Some(0xFF) => {
                    self.error = Some(first.text());
                    return Ok(());
                }
                Some(0) => status_of_ok(&first.payload),
                Some(0xFB) => {
                    self.bytes.extend(FILE_ASKED.bytes());
                    self.leg.send(first.id.wrapping_add(1), b"")?;
                    continue;
                }
                _ => {
                    // Definitions, then rows: either may end with an error.
                    self.until_eof()?;
                    if self.error.is_some() { 0 } else { self.until_eof()? }
                }
            };
            if status & MORE_RESULTS == 0 || self.error.is_some() {
                return Ok(());
            }
        }
    }

    /// The status flags of the EOF packet; 0 for an error in its place, or an OK packet.
    fn until_eof(&mut self) -> Result<u16> {
        loop {
            let packet = self.packet()?;
            if packet.error_code().is_some() {
                self.error = Some(packet.text());
                return Ok(0);
            }
            if let (true, [_, _, _, low, high]) = (packet.is_eof(), packet.payload.as_slice()) {
                return Ok(u16::from_le_bytes([*low, *high]));
            }
        }
    }

    fn packet(&mut self) -> Result<Packet> {
        let packet = self.leg.packet()?;
        self.bytes.extend(&packet.payload);
        Ok(packet)
    }
}

/// An OK packet is a zero byte, two numbers in as many bytes as they take, and the flags.
fn status_of_ok(payload: &[u8]) -> u16 {
    let mut at = 1;
    for _ in 0..2 {
        at += match payload.get(at) {
            Some(0xFC) => 3,
            Some(0xFD) => 4,
            Some(0xFE) => 9,
            _ => 1,
        };
    }
    payload.get(at..at + 2).map_or(0, |flags| u16::from_le_bytes([flags[0], flags[1]]))
}
