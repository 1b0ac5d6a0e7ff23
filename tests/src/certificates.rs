//! A CA of a test's own, and what it signed, as PEM files: made by `openssl`, which is none of Portreeve's.

use crate::{host, process};
use anyhow::{Context as _, Result, bail};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// Making a key takes no longer.
const OPENSSL_MAX: Duration = Duration::from_secs(20);

/// A CA. Dropping it removes its files and those of what it signed.
#[derive(Debug)]
pub struct Authority {
    dir: PathBuf,
}

/// A certificate and its key.
#[derive(Clone, Debug)]
pub struct Pair {
    /// PEM.
    pub certificate: PathBuf,
    /// PEM, without passphrase.
    pub key: PathBuf,
}

impl Authority {
    /// A new CA; two of them have the same name and different keys.
    pub fn create() -> Result<Self> {
        let authority = Self { dir: host::run_dir("certificates")? };
        // The system's configuration adds extensions of its own.
        let config = authority.dir.join("openssl.cnf");
        fs::write(&config, "[req]\ndistinguished_name = dn\n[dn]\n").context("cannot write openssl's configuration")?;
        authority.make("ca", &["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"], None)?;
        Ok(authority)
    }

    /// The CA's certificate.
    pub fn ca(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// A server's certificate with subject alternative names such as `DNS:db.example.org` and `IP:127.0.0.1`.
    pub fn server(&self, name: &str, alternative_names: &[&str]) -> Result<Pair> {
        let names = format!("subjectAltName={}", alternative_names.join(","));
        self.sign(name, &["basicConstraints=critical,CA:FALSE", "extendedKeyUsage=serverAuth", &names])
    }

    /// A client's certificate; its subject is `/CN=<name>`.
    pub fn client(&self, name: &str) -> Result<Pair> {
        self.sign(name, &["basicConstraints=critical,CA:FALSE", "extendedKeyUsage=clientAuth"])
    }

    fn sign(&self, name: &str, extensions: &[&str]) -> Result<Pair> {
        self.make(name, extensions, Some("ca"))
    }

    fn make(&self, name: &str, extensions: &[&str], signer: Option<&str>) -> Result<Pair> {
        let pair = |name: &str| Pair {
            certificate: self.dir.join(format!("{name}.pem")),
            key: self.dir.join(format!("{name}-key.pem")),
        };
        let made = pair(name);
        let mut command = Command::new("openssl");
        command.arg("req").arg("-config").arg(self.dir.join("openssl.cnf"));
        command.args(["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj"]).arg(format!("/CN={name}"));
        command.arg("-keyout").arg(&made.key).arg("-out").arg(&made.certificate);
        for extension in extensions {
            command.args(["-addext", extension]);
        }
        if let Some(signer) = signer.map(pair) {
            command.arg("-CA").arg(signer.certificate).arg("-CAkey").arg(signer.key);
        }
        run(command)?;
        Ok(made)
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        if let Err(error) = host::remove_run_dir(&self.dir) {
            eprintln!("the certificates in `{}` stay: {error:#}", self.dir.display());
        }
    }
}

impl Pair {
    /// The arguments by which either server shows it, and asks clients for certificates of `ca`.
    pub fn server_arguments(&self, ca: &Path) -> Vec<String> {
        [("ca", ca), ("cert", &self.certificate), ("key", &self.key)]
            .map(|(option, path)| format!("--ssl-{option}={}", path.display()))
            .to_vec()
    }
}

fn run(command: Command) -> Result<()> {
    let shown = process::shown(&command);
    let output = process::output(command, OPENSSL_MAX).context("is openssl installed? run `cargo xtask setup`")?;
    if !output.status.success() {
        bail!("`{shown}` failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
