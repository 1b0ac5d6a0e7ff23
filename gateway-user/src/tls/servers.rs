//! How each `[[server]]` is spoken to, made ready when the daemon starts.

use std::{collections::HashMap, io, net::IpAddr, sync::Arc};

use anyhow::{Context as _, Result};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName},
    sign::SingleCertAndKey,
};

use super::{
    VERSIONS,
    handshake::{self, HandshakeError},
    provider,
    verifier::{Check, Verifier},
};
use crate::config::{self, Config, Tls, pem};

/// TLS to every server that is not spoken to in clear text, by the server's name.
#[derive(Debug, Default)]
pub(crate) struct ServersTls(HashMap<String, ServerTls>);

/// TLS to one server.
#[derive(Debug)]
pub(crate) struct ServerTls {
    server: String,
    mode: Tls,
    /// Instead of the destination's address.
    host: Option<ServerName<'static>>,
    config: Arc<ClientConfig>,
}

/// A server answered that offers no TLS, and its configuration demands it: somebody between may have taken the offer out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "server `{server}` does not offer TLS, which `tls = \"{}\"` demands: turn TLS on there, or write `tls = \"disabled\"` if the network to it is trusted",
    mode.word()
)]
pub(crate) struct NotOffered {
    pub(crate) server: String,
    pub(crate) mode: Tls,
}

impl ServersTls {
    /// Reads the files that the configuration names.
    ///
    /// # Errors
    /// The first that cannot be used; `portreeve check` names them all.
    pub(crate) fn load(config: &Config) -> Result<Self> {
        let mut servers = Self::default();
        for server in &config.servers {
            servers.add(server).with_context(|| format!("TLS to server `{}`", server.name))?;
        }
        Ok(servers)
    }

    pub(super) fn add(&mut self, server: &config::Server) -> Result<()> {
        self.0.extend(ServerTls::load(server)?.map(|tls| (server.name.clone(), tls)));
        Ok(())
    }

    /// None where the configuration says `disabled`: the server is then spoken to in clear text, whatever it offers.
    ///
    /// # Errors
    /// TLS is demanded and the server's greeting did not offer it.
    pub(crate) fn demanded(&self, server: &config::Server, offered: bool) -> Result<Option<&ServerTls>, NotOffered> {
        match server.tls {
            Tls::Disabled => Ok(None),
            mode @ (Tls::Required | Tls::VerifyCa | Tls::VerifyIdentity) => {
                let tls = self.0.get(&server.name).filter(|_| offered);
                tls.map(Some).ok_or_else(|| NotOffered { server: server.name.clone(), mode })
            }
        }
    }
}

impl ServerTls {
    /// None where the configuration says `disabled`.
    ///
    /// # Errors
    /// A file that it names cannot be used.
    pub(crate) fn load(server: &config::Server) -> Result<Option<Self>> {
        let check = match server.tls {
            Tls::Disabled => return Ok(None),
            Tls::Required => Check::Nothing,
            Tls::VerifyCa => Check::Chain,
            Tls::VerifyIdentity => Check::ChainAndName,
        };
        let (roots, pinned) = anchors(server, check)?;
        let ca = server.ca_file.as_ref().map(|path| path.display().to_string());
        let provider = provider();
        let verifier = Verifier::new(check, roots, pinned, ca, provider.signature_verification_algorithms);
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(VERSIONS)?;
        let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
        let config = match &server.client_certificate {
            Some(pair) => {
                let certified = pem::certified_key(&pair.certificate_file, &pair.key_file)?;
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
            }
            None => builder.with_no_client_auth(),
        };
        let host = server.hosts.first().map(|host| ServerName::try_from(host.clone()));
        let host = host.transpose().context("the first of `hosts` is not a name")?;
        Ok(Some(Self { server: server.name.clone(), mode: server.tls, host, config: Arc::new(config) }))
    }

    /// As the configuration writes it.
    pub(crate) fn mode(&self) -> Tls {
        self.mode
    }

    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }

    /// The name that is sent to the server and verified.
    pub(crate) fn name_at(&self, destination: IpAddr) -> ServerName<'static> {
        self.host.clone().unwrap_or_else(|| ServerName::from(destination.to_canonical()))
    }

    /// Why the handshake failed, in words.
    pub(crate) fn failure(&self, error: &io::Error) -> HandshakeError {
        match handshake::server_failure(error) {
            HandshakeError::Failed(why) => HandshakeError::Failed(format!("server `{}`: {why}", self.server)),
            other @ (HandshakeError::ClearText(_) | HandshakeError::Late) => other,
        }
    }
}

/// CAs, and the certificates that are trusted by themselves: those of a `ca_file`, as OpenSSL does it.
fn anchors(server: &config::Server, check: Check) -> Result<(RootCertStore, Vec<CertificateDer<'static>>)> {
    let mut roots = RootCertStore::empty();
    let (certificates, pinned) = match (check, &server.ca_file) {
        (Check::Nothing, _) => return Ok((roots, Vec::new())),
        (Check::Chain | Check::ChainAndName, Some(path)) => {
            let certificates = pem::certificates(path)?;
            (certificates.clone(), certificates)
        }
        (Check::Chain | Check::ChainAndName, None) => (rustls_native_certs::load_native_certs().certs, Vec::new()),
    };
    let (usable, unusable) = roots.add_parsable_certificates(certificates);
    if usable == 0 && pinned.is_empty() {
        anyhow::bail!("there is no CA certificate to verify it with: write `ca_file`");
    }
    if unusable > 0 && server.ca_file.is_some() {
        tracing::warn!(server = %server.name, "{unusable} certificates of its ca_file cannot be a CA's");
    }
    Ok((roots, pinned))
}
