//! One connection that says the same in both lanes, and hears every packet of an answer.

use anyhow::Result;
use portreeve_tests::{
    cgroup::Cgroup,
    wire::{self, Packet, Wire, framed},
};
use std::net::Ipv4Addr;

pub(crate) const LONG_PASSWORD: u32 = 1;
pub(crate) const FOUND_ROWS: u32 = 1 << 1;
pub(crate) const MULTI_STATEMENTS: u32 = 1 << 16;
pub(crate) const MULTI_RESULTS: u32 = 1 << 17;
pub(crate) const PS_MULTI_RESULTS: u32 = 1 << 18;
pub(crate) const CONNECT_ATTRS: u32 = 1 << 20;
pub(crate) const LENENC_AUTH: u32 = 1 << 21;
pub(crate) const EXPIRED_PASSWORDS: u32 = 1 << 22;
pub(crate) const SESSION_TRACK: u32 = 1 << 23;
pub(crate) const DEPRECATE_EOF: u32 = 1 << 24;
pub(crate) const OPTIONAL_METADATA: u32 = 1 << 25;
pub(crate) const QUERY_ATTRIBUTES: u32 = 1 << 27;

pub(crate) const MARIADB_PROGRESS: u32 = 1;
pub(crate) const MARIADB_BULK: u32 = 1 << 2;
pub(crate) const MARIADB_EXTENDED_METADATA: u32 = 1 << 3;
pub(crate) const MARIADB_CACHE_METADATA: u32 = 1 << 4;
/// The last is BULK_UNIT_RESULTS.
pub(crate) const MARIADB_ALL: u32 =
    MARIADB_PROGRESS | MARIADB_BULK | MARIADB_EXTENDED_METADATA | MARIADB_CACHE_METADATA | 1 << 5;

/// The account of both lanes, which has no password.
pub(crate) const USER: &str = "wire";
/// The schema of both lanes.
pub(crate) const SCHEMA: &str = "wire";

/// COM_STATISTICS behind every command: nothing but its answer begins with this, and it changes nothing.
const STATISTICS: u8 = 0x09;
const MARK: &[u8] = b"Uptime: ";

/// What a client and a server have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Capabilities {
    pub(crate) standard: u32,
    pub(crate) mariadb: u32,
}

impl Capabilities {
    pub(crate) fn has(self, flag: u32) -> bool {
        self.standard & flag != 0
    }
}

/// All that changes how commands and answers are laid out. Whether a leg is encrypted or compressed is its own affair.
pub(crate) const ALL: u32 = wire::CAPABILITIES
    | FOUND_ROWS
    | CONNECT_ATTRS
    | LENENC_AUTH
    | EXPIRED_PASSWORDS
    | SESSION_TRACK
    | DEPRECATE_EOF
    | OPTIONAL_METADATA
    | QUERY_ATTRIBUTES;

/// A greeting, but for what each connection has of its own.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Greeting {
    pub(crate) version: String,
    pub(crate) collation: u8,
    pub(crate) status: u16,
    pub(crate) plugin: String,
    pub(crate) offered: Capabilities,
}

impl Greeting {
    fn read(payload: &[u8]) -> Self {
        let end = payload[1..].iter().position(|&byte| byte == 0).unwrap() + 1;
        let version = String::from_utf8(payload[1..end].to_vec()).unwrap();
        // Connection id, half the nonce, a filler.
        let rest = &payload[end + 1 + 4 + 8 + 1..];
        let half = |at: usize| u32::from(u16::from_le_bytes([rest[at], rest[at + 1]]));
        let standard = half(0) | half(5) << 16;
        let extended = u32::from_le_bytes(rest[14..18].try_into().unwrap());
        let mariadb = if standard & LONG_PASSWORD == 0 { extended & MARIADB_ALL } else { 0 };
        let nonce_end = 18 + 13;
        let plugin = rest[nonce_end..].split(|&byte| byte == 0).next().unwrap();
        Self {
            version,
            collation: rest[2],
            status: u16::from_le_bytes([rest[3], rest[4]]),
            plugin: String::from_utf8(plugin.to_vec()).unwrap(),
            offered: Capabilities { standard: standard & ALL, mariadb },
        }
    }
}

/// A session that is logged in.
pub(crate) struct Conversation {
    wire: Wire,
    pub(crate) greeting: Greeting,
    /// What is in force.
    pub(crate) capabilities: Capabilities,
    /// The payload of the OK packet that ended the login.
    pub(crate) welcome: Vec<u8>,
    /// The statement that was prepared last.
    pub(crate) statement: u32,
    /// Sends byte by byte.
    pub(crate) slowly: bool,
}

impl Conversation {
    /// Logs in with those of the wanted capabilities that are offered.
    pub(crate) fn begin(cgroup: &Cgroup, host: Ipv4Addr, wanted: Capabilities) -> Self {
        let begun = Self::attempt(cgroup, host, wanted, SCHEMA);
        begun.unwrap_or_else(|refusal| panic!("the login was refused: {}", refusal.escape_ascii()))
    }

    /// The same with any schema; a refusal is what the server said last.
    pub(crate) fn attempt(
        cgroup: &Cgroup,
        host: Ipv4Addr,
        wanted: Capabilities,
        schema: &str,
    ) -> Result<Self, Vec<u8>> {
        let mut wire = Wire::connect(cgroup, host).unwrap();
        let greeting = Greeting::read(&wire.packet().unwrap().payload);
        let capabilities = Capabilities {
            standard: wanted.standard & greeting.offered.standard,
            mariadb: wanted.mariadb & greeting.offered.mariadb,
        };
        wire.send_packet(1, &login(capabilities, &greeting.plugin, schema)).unwrap();
        let welcome = loop {
            let answer = wire.packet().unwrap();
            match answer.payload.first() {
                Some(0) => break answer.payload,
                // A switch of the plugin: an empty password has an empty proof in all of them.
                Some(0xFE) => wire.send_packet(answer.id + 1, b"").unwrap(),
                // `caching_sha2_password` is content.
                Some(1) if answer.payload == [1, 3] => {}
                _ => return Err(answer.payload),
            }
        };
        Ok(Self { wire, greeting, capabilities, welcome, statement: 0, slowly: false })
    }

    /// Sends the commands and, together with the last, the marker; returns all packets before the marker's answer. `file` is
    /// what a request for a local file gets, in as many packets. The end of the connection is an error.
    pub(crate) fn exchange(&mut self, commands: &[Vec<u8>], file: Option<&[Vec<u8>]>) -> Result<Vec<Packet>> {
        let mut bytes: Vec<u8> = commands.iter().flat_map(|payload| framed(0, payload)).collect();
        let mut answers = Vec::new();
        if let Some(file) = file {
            self.send(&bytes)?;
            bytes.clear();
            let answer = self.wire.packet()?;
            if answer.payload.first() == Some(&0xFB) {
                let mut id = answer.id;
                for content in file.iter().map(Vec::as_slice).chain([&b""[..]]) {
                    id = id.wrapping_add(1);
                    bytes.extend(framed(id, content));
                }
            }
            answers.push(answer);
        }
        bytes.extend(framed(0, &[STATISTICS]));
        self.send(&bytes)?;
        loop {
            let packet = self.wire.packet()?;
            if packet.payload.starts_with(MARK) {
                return Ok(answers);
            }
            answers.push(packet);
        }
    }

    /// COM_CHANGE_USER, which may be answered by a switch of the plugin: only its end is returned.
    pub(crate) fn change_user(&mut self, schema: &str) -> Result<Vec<u8>> {
        let mut payload = vec![0x11];
        payload.extend(USER.as_bytes());
        payload.extend([0, 0]);
        payload.extend(schema.as_bytes());
        payload.extend([0, 45, 0]);
        payload.extend(self.greeting.plugin.as_bytes());
        payload.push(0);
        if self.capabilities.has(CONNECT_ATTRS) {
            payload.push(0);
        }
        self.send(&framed(0, &payload))?;
        loop {
            let answer = self.wire.packet()?;
            match answer.payload.first() {
                Some(0xFE) => self.wire.send_packet(answer.id + 1, b"")?,
                Some(1) if answer.payload == [1, 3] => {}
                _ => return Ok(answer.payload),
            }
        }
    }

    /// COM_QUIT, and what comes until the end.
    pub(crate) fn quit(mut self) -> Result<Vec<Packet>> {
        self.send(&framed(0, &[1]))?;
        self.wire.rest()
    }

    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        const SLOW_BYTES_MAX: usize = 400;
        if !self.slowly || bytes.len() > SLOW_BYTES_MAX {
            return self.wire.send(bytes);
        }
        bytes.iter().try_for_each(|byte| self.wire.send(&[*byte]))
    }
}

fn login(capabilities: Capabilities, plugin: &str, schema: &str) -> Vec<u8> {
    let mut payload = capabilities.standard.to_le_bytes().to_vec();
    payload.extend((1_u32 << 30).to_le_bytes());
    payload.push(wire::COLLATION);
    payload.extend([0; 19]);
    payload.extend(capabilities.mariadb.to_le_bytes());
    payload.extend(USER.as_bytes());
    // An empty proof has the length zero in every encoding.
    payload.extend([0, 0]);
    payload.extend(schema.as_bytes());
    payload.push(0);
    payload.extend(plugin.as_bytes());
    payload.push(0);
    if capabilities.has(CONNECT_ATTRS) {
        payload.extend(b"\x0a\x04_pid\x0442 1");
    }
    payload
}
