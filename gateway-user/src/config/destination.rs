//! A server's `match`: which original destinations mean this server. A workload's `egress_allow` is written the same way.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::{fmt, net::IpAddr};

/// An address or network with a port: `127.0.0.1:3306`, `10.0.0.0/8:3306`, `[::1]:3306`, `[fd00::/8]:3306`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Match {
    pub(crate) net: IpNet,
    pub(crate) port: u16,
}

impl Match {
    /// # Errors
    /// What is wrong with `text` and what to write instead.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (host, port) = split(text)?;
        Ok(Self { net: network(text, host)?, port: number(text, port)? })
    }

    /// An IPv4-mapped IPv6 address is the IPv4 address.
    pub(crate) fn contains(&self, ip: IpAddr, port: u16) -> bool {
        self.port == port && self.net.contains(&ip.to_canonical())
    }

    /// Whether every destination of `other` is one of this match.
    pub(crate) fn covers(&self, other: &Match) -> bool {
        self.port == other.port && self.net.contains(&other.net)
    }
}

impl TryFrom<String> for Match {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl From<Match> for String {
    fn from(written: Match) -> Self {
        written.to_string()
    }
}

impl fmt::Display for Match {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.net.prefix_len() == self.net.max_prefix_len();
        match (self.net, whole) {
            (IpNet::V4(net), true) => write!(formatter, "{}:{}", net.addr(), self.port),
            (IpNet::V4(net), false) => write!(formatter, "{net}:{}", self.port),
            (IpNet::V6(net), true) => write!(formatter, "[{}]:{}", net.addr(), self.port),
            (IpNet::V6(net), false) => write!(formatter, "[{net}]:{}", self.port),
        }
    }
}

fn split(text: &str) -> Result<(&str, &str), String> {
    if let Some(rest) = text.strip_prefix('[') {
        return rest
            .split_once("]:")
            .ok_or_else(|| format!("`{text}` has no port: write `[address]:3306` or `[network/bits]:3306`"));
    }
    let (host, port) = text
        .rsplit_once(':')
        .ok_or_else(|| format!("`{text}` has no port: write `address:3306` or `network/bits:3306`"))?;
    if host.contains(':') {
        return Err(format!("`{text}` is ambiguous: write an IPv6 address in brackets, such as `[::1]:3306`"));
    }
    Ok((host, port))
}

fn number(text: &str, port: &str) -> Result<u16, String> {
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse::<u16>() {
        Ok(number) if number > 0 && digits => Ok(number),
        _ => Err(format!("`{port}` in `{text}` is not a port: write a number from 1 to 65535")),
    }
}

fn network(text: &str, host: &str) -> Result<IpNet, String> {
    let bracketed = text.starts_with('[');
    let net = match host.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_) => host.parse::<IpNet>().map_err(|_| not_an_address(text, host))?,
    };
    if bracketed && net.addr().is_ipv4() {
        return Err(format!("`{text}` has an IPv4 address in brackets: leave the brackets out"));
    }
    if net.addr() != net.addr().to_canonical() {
        return Err(format!(
            "`{text}` is an IPv4-mapped address: write the IPv4 address, which means the mapped one as well"
        ));
    }
    if net.addr() != net.network() {
        let meant = Match { net: net.trunc(), port: 3306 };
        return Err(format!("`{host}` has address bits beyond its prefix: write `{}`", meant.net));
    }
    Ok(net)
}

fn not_an_address(text: &str, host: &str) -> String {
    format!(
        "`{host}` in `{text}` is neither an address nor a network: write IP addresses, for a connection's destination has no host name"
    )
}
