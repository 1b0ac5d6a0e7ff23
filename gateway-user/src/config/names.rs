//! What may be a name: of a trust domain, a workload, a group, a server, an account.
//!
//! Each check returns what is wrong and what to write, to be shown behind the key's place.

use crate::limits::{NAME_BYTES_MAX, SPIFFE_ID_BYTES_MAX, TRUST_DOMAIN_BYTES_MAX};
use rustls::pki_types::ServerName;
use std::{
    fmt,
    path::{Component, Path, PathBuf},
};

/// A SPIFFE trust domain name, such as `example.org`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TrustDomain(String);

impl TrustDomain {
    /// Lower-case letters, digits, `.`, `-`, `_` (SPIFFE-ID standard, section 2.1).
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        if text.contains("://") {
            return Err(format!("`{text}` is a URI: write the trust domain alone, such as `example.org`"));
        }
        if !is_trust_domain(text) {
            return Err(format!(
                "`{text}` is not a SPIFFE trust domain: write 1 to {TRUST_DOMAIN_BYTES_MAX} of a-z, 0-9, `.`, `-`, `_`"
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// `spiffe://<trust domain>/<workload name>`: what a workload is called unless its `spiffe_id` says otherwise.
    pub(crate) fn spiffe_id(&self, workload: &str) -> String {
        format!("spiffe://{}/{workload}", self.0)
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

fn is_trust_domain(text: &str) -> bool {
    let legal = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_');
    (1..=TRUST_DOMAIN_BYTES_MAX).contains(&text.len()) && text.bytes().all(legal)
}

/// A workload's name is the path of its SPIFFE ID, so it keeps to that path's rules, in lower case.
pub(crate) fn check_workload(name: &str) -> Result<(), String> {
    let legal = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'/');
    let whole = (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(legal);
    if whole && name.split('/').all(is_segment) {
        return Ok(());
    }
    Err(format!(
        "`{name}` is not a workload name: write 1 to {NAME_BYTES_MAX} of a-z, 0-9, `-`, `_`, `.`, with `/` only between parts"
    ))
}

/// Groups may come from an identity provider one day, so more characters are legal than in workload names; never `*` or spaces.
pub(crate) fn check_group(name: &str) -> Result<(), String> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./@:".contains(&byte);
    if (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(legal) {
        return Ok(());
    }
    Err(format!(
        "`{name}` is not a group name: write 1 to {NAME_BYTES_MAX} letters, digits, `-`, `_`, `.`, `/`, `@`, `:`"
    ))
}

/// A server's name is the first part of its tables' names in policy (`orders/shop.users`), so it holds neither `/` nor `.`.
pub(crate) fn check_server(name: &str) -> Result<(), String> {
    let legal = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
    if (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(legal) {
        return Ok(());
    }
    Err(format!("`{name}` is not a server name: write 1 to {NAME_BYTES_MAX} of a-z, 0-9, `-`, `_`"))
}

/// A database account: any text that the login packet can carry (it ends at a NUL).
pub(crate) fn check_account(name: &str) -> Result<(), String> {
    if (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.chars().any(char::is_control) {
        return Ok(());
    }
    Err(format!("is not an account name: write 1 to {NAME_BYTES_MAX} bytes without control characters"))
}

/// What a server is called by clients and in its certificate: a DNS name, without wildcards, or an address.
pub(crate) fn check_host(host: &str) -> Result<(), String> {
    if ServerName::try_from(host).is_ok() && !host.ends_with('.') {
        return Ok(());
    }
    Err(format!("`{host}` is neither a DNS name nor an address: write one such as `db.example.org`, without a port"))
}

/// `spiffe://<trust domain>/<path>` with a path (SPIFFE-ID standard, sections 2.1 to 2.3).
pub(crate) fn check_spiffe_id(id: &str) -> Result<(), String> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let parts = id.strip_prefix("spiffe://").and_then(|rest| rest.split_once('/'));
    let well_formed = parts.is_some_and(|(domain, path)| {
        is_trust_domain(domain) && path.split('/').all(|part| is_segment(part) && part.bytes().all(legal))
    });
    if well_formed && id.len() <= SPIFFE_ID_BYTES_MAX {
        return Ok(());
    }
    Err(format!("`{id}` is not a SPIFFE ID of a workload: write `spiffe://<trust domain>/<path>`"))
}

/// A cgroup as the configuration and the control socket name it: below the cgroup v2 mount, without `..`.
pub(crate) fn check_cgroup(text: &str) -> Result<PathBuf, String> {
    let path = Path::new(text);
    if path.is_absolute() {
        return Err(format!(
            "`{text}` is absolute: write the path below the cgroup v2 mount, such as `agents/reporting`"
        ));
    }
    if path.components().any(|part| !matches!(part, Component::Normal(_))) || text.contains('\0') {
        return Err(format!("`{text}` leaves its place: write a path below the cgroup v2 mount without `.` and `..`"));
    }
    let clean: PathBuf = path.components().collect();
    // The root holds every process of the host, the database servers and the gateway included.
    if clean.as_os_str().is_empty() {
        return Err("is the root of the cgroup mount: write the path of one cgroup below it".to_owned());
    }
    Ok(clean)
}

fn is_segment(part: &str) -> bool {
    !part.is_empty() && part != "." && part != ".."
}
