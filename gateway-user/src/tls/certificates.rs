//! What clients are shown: certificates for the destination that they meant, made when the first asks.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use anyhow::{Context as _, Result};
use rcgen::SanType;
use rustls::{
    ServerConfig,
    crypto::ring,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::{Authority, VERSIONS, authority::CERTIFICATE_LIFE, provider};
use crate::limits::CERTIFICATES_MAX;

/// Certificates of the gateway's CA for clients, kept until half of their life is over.
#[derive(Debug)]
pub(crate) struct Certificates {
    template: ServerConfig,
    issued: Arc<Issued>,
}

/// Whom a certificate is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Shown {
    /// The destination, as the client dialled it.
    destination: IpAddr,
    /// The server's, in the order of the configuration.
    hosts: Vec<String>,
    /// What the client called the server (SNI), in lower case.
    name: Option<String>,
}

#[derive(Debug)]
struct Issued {
    authority: Authority,
    /// Each with the time from which it is made anew.
    cache: Mutex<HashMap<Shown, (Arc<CertifiedKey>, SystemTime)>>,
}

impl Certificates {
    /// # Errors
    /// The kernel gives no random bytes.
    pub(crate) fn new(authority: Authority) -> Result<Self> {
        let issued = Arc::new(Issued { authority, cache: Mutex::default() });
        let nobody = Arc::new(Resolver { shown: None, issued: Arc::clone(&issued) });
        let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(VERSIONS);
        let mut template = builder.context("no TLS is possible")?.with_no_client_auth().with_cert_resolver(nobody);
        // Tickets in place of the default's table: what a session leaves behind is with the client.
        template.ticketer = ring::Ticketer::new().context("no key for TLS tickets can be made")?;
        Ok(Self { template, issued })
    }

    /// What a client is shown that dialled `destination`, which has the names `hosts` (of its `[[server]]`, if there is
    /// one). The certificate itself is made when the client has said what it calls the server.
    pub(crate) fn config_for(&self, hosts: &[String], destination: IpAddr) -> Arc<ServerConfig> {
        let shown = Shown { destination, hosts: hosts.to_vec(), name: None };
        let mut config = self.template.clone();
        config.cert_resolver = Arc::new(Resolver { shown: Some(shown), issued: Arc::clone(&self.issued) });
        Arc::new(config)
    }
}

#[cfg(test)]
impl Certificates {
    pub(super) fn issue_for(&self, name: &str, now: SystemTime) -> Arc<CertifiedKey> {
        let shown = Shown { destination: [10, 0, 0, 5].into(), hosts: Vec::new(), name: Some(name.to_owned()) };
        self.issued.find_or_issue(shown, now).unwrap()
    }

    pub(super) fn kept(&self) -> usize {
        self.issued.cache.lock().unwrap().len()
    }
}

#[derive(Debug)]
struct Resolver {
    shown: Option<Shown>,
    issued: Arc<Issued>,
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(str::to_ascii_lowercase);
        let shown = Shown { name, ..self.shown.clone()? };
        let found = self.issued.find_or_issue(shown, SystemTime::now());
        found.inspect_err(|error| tracing::error!("no certificate could be issued for a client: {error:#}")).ok()
    }
}

impl Issued {
    fn find_or_issue(&self, shown: Shown, now: SystemTime) -> Result<Arc<CertifiedKey>> {
        // A panic while it was held left a whole map: it is only ever replaced in single steps.
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((found, until)) = cache.get(&shown)
            && now < *until
        {
            return Ok(Arc::clone(found));
        }
        let issued = Arc::new(self.authority.issue(shown.names()?, now)?);
        if cache.len() >= CERTIFICATES_MAX {
            // Names are the clients' choice. Whoever asks for ever more of them costs the others a signature each.
            cache.clear();
        }
        cache.insert(shown, (Arc::clone(&issued), now + CERTIFICATE_LIFE / 2));
        Ok(issued)
    }
}

impl Shown {
    /// Every name by which a client may call the destination, each once.
    fn names(&self) -> Result<Vec<SanType>> {
        let plain = self.destination.to_canonical();
        let mut names = vec![SanType::IpAddress(plain)];
        if plain != self.destination {
            names.push(SanType::IpAddress(self.destination));
        }
        let local = plain.is_loopback().then_some("localhost");
        for name in self.hosts.iter().map(String::as_str).chain(self.name.as_deref()).chain(local) {
            let name = match name.parse() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(name.try_into().context("a name is not ASCII")?),
            };
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Ok(names)
    }
}
