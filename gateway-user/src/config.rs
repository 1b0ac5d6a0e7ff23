//! The configuration file: read whole, checked whole, every problem reported at once.
//!
//! [`Config::load`] is for the commands that enforce (`run`, `check`): it looks at the files that the configuration names as well.
//! [`Config::read`] is for the commands that only need to know where things are (`status`, `tail`).

mod destination;
mod document;
mod file;
mod interception;
pub(crate) mod names;
pub(crate) mod pem;
mod problem;
mod reach;
pub(crate) mod secret;
mod select;
mod servers;
mod settings;
#[cfg(test)]
mod tests;
mod tls;

pub(crate) use destination::Match;
pub(crate) use names::TrustDomain;
pub(crate) use problem::{ConfigProblems, Problem};

use crate::recorder::{Durability, Retention};
use crate::selector::Select;
use serde::{Deserialize, Serialize};
use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

/// A configuration that passed every check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Config {
    /// The file it was read from, absolute.
    pub(crate) path: PathBuf,
    /// SHA-256 of its text, in hexadecimal.
    pub(crate) sha256: String,
    pub(crate) trust_domain: TrustDomain,
    pub(crate) state_dir: PathBuf,
    pub(crate) run_dir: PathBuf,
    pub(crate) interception: Interception,
    pub(crate) workloads: Vec<Workload>,
    /// In the order of the file: the first match wins.
    pub(crate) servers: Vec<Server>,
    /// Files, or folders whose `*.cedar` files are read. Absolute.
    pub(crate) policy_paths: Vec<PathBuf>,
    /// Nothing is denied: verdicts are only recorded.
    pub(crate) observe: bool,
    pub(crate) recording: Recording,
    /// How long sessions may go on while the daemon stops, in seconds.
    pub(crate) stop_drain_seconds: u32,
    /// How long they may go on once a successor has taken over, in seconds.
    pub(crate) upgrade_drain_seconds: u32,
    /// What is allowed but probably not meant.
    pub(crate) warnings: Vec<Problem>,
}

/// `[recording]`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Recording {
    pub(crate) durability: Durability,
    pub(crate) retention: Retention,
    /// Whose result rows are recorded.
    pub(crate) rows_of: Vec<For>,
}

impl Recording {
    /// Whether the result rows of this workload are recorded.
    pub(crate) fn keeps_rows(&self, workload: &str, groups: &[String]) -> bool {
        self.rows_of.iter().any(|one| one.fits(workload, groups))
    }
}

/// `[interception]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interception {
    /// Destination ports whose connections are intercepted: 1 to 16, none twice, none 0.
    pub(crate) ports: Vec<u16>,
    /// The gateway's own port on the loopback addresses; 0 means any free port.
    pub(crate) listen_port: u16,
    /// Destination ports that tagged workloads may not connect to at all: at most 16, none of `ports`.
    pub(crate) refused_ports: Vec<u16>,
    /// Connections that one tagged cgroup may have open, those on their way included: at least 1.
    pub(crate) connections_per_workload: u32,
    /// Cgroups below which whoever is no workload is refused at guarded ports. As `cgroup` of a workload.
    pub(crate) refuse_unmatched: Vec<PathBuf>,
}

/// `[[workload]]`: what a cgroup is tagged as when the daemon starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Workload {
    pub(crate) name: String,
    /// Below the cgroup v2 mount, without a leading slash and without `..`. It or `selects` is there, or both.
    pub(crate) cgroup: Option<PathBuf>,
    /// Any of these chooses a cgroup.
    pub(crate) selects: Vec<Select>,
    pub(crate) groups: Vec<String>,
    pub(crate) spiffe_id: String,
    pub(crate) egress: Egress,
    /// Uids that only this workload has: a connect by one outside of every tagged cgroup is refused.
    pub(crate) uids: Vec<u32>,
}

/// Where a workload may connect to, apart from the ports under `[interception]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Egress {
    #[default]
    Open,
    /// TCP and UDP to these, and nothing else.
    Listed(Vec<Match>),
}

/// `[[server]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) matches: Vec<Match>,
    pub(crate) tls: Tls,
    /// PEM file with the CAs of the server's certificate; the system's roots where there is none. Absolute.
    pub(crate) ca_file: Option<PathBuf>,
    /// DNS names and addresses that the server has for clients. The first is verified at the server; where there is none,
    /// the destination's address is.
    pub(crate) hosts: Vec<String>,
    pub(crate) client_certificate: Option<ClientCertificate>,
    pub(crate) compression: Compression,
    pub(crate) on_client_gone: OnClientGone,
    pub(crate) namespace: Meaning,
    pub(crate) hidden_triggers: HiddenTriggers,
    /// The account that the server's views, routines and triggers are read with; a session's own where there is none.
    pub(crate) catalogue: Option<Account>,
    /// In the order of the file: the first that fits is used.
    pub(crate) credentials: Vec<Credential>,
}

/// How the gateway speaks to a server. All but `Disabled` demand TLS: a server without it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tls {
    /// In clear text, even to a server that offers TLS.
    Disabled,
    /// Encrypted, to whoever answers.
    Required,
    /// The certificate must come from a CA, whatever name it has.
    VerifyCa,
    /// As `VerifyCa`, and it must be for the server's name.
    VerifyIdentity,
}

impl Tls {
    /// As the configuration writes it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Required => "required",
            Self::VerifyCa => "verify-ca",
            Self::VerifyIdentity => "verify-identity",
        }
    }
}

/// What the gateway shows a server that asks for a certificate. Absolute; read with [`pem::certified_key`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClientCertificate {
    pub(crate) certificate_file: PathBuf,
    pub(crate) key_file: PathBuf,
}

/// What is compressed between gateway and server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    /// As the client compresses, if the server can.
    Client,
    None,
    Zlib,
    Zstd,
}

/// What becomes of a statement whose client left while it ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnClientGone {
    /// It is killed at the server.
    Kill,
    /// It runs to its end.
    Finish,
}

/// In which network namespace a server's addresses mean it, and are dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// The daemon's own.
    Host,
    /// The agent's: whoever rules that namespace says where an address leads, so that the server must prove its name.
    Workload,
}

/// What becomes of a change behind which there may be triggers or foreign keys that the account is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HiddenTriggers {
    /// It is `unparsed`.
    Deny,
    /// It is judged by what is shown.
    Ignore,
}

/// A database account, `[server.catalogue]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) user: String,
    /// Absolute; read with [`secret::read`].
    pub(crate) password_file: PathBuf,
}

/// `[[server.credential]]`: an account that the gateway holds for some workloads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Credential {
    pub(crate) fors: Vec<For>,
    pub(crate) account: Account,
}

/// Whom a credential is for: `"*"`, `"group:<name>"`, `"workload:<name>"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum For {
    Any,
    Group(String),
    Workload(String),
}

impl Config {
    /// Reads and checks the file at `path`, and that the secrets and policies it names can be read.
    ///
    /// # Errors
    /// Every problem that was found, each with its place in the file.
    pub(crate) fn load(path: &Path) -> Result<Self, ConfigProblems> {
        settings::read(path, settings::Depth::NamedFiles)
    }

    /// As [`Config::load`], without looking at other files: an operator may ask for the status of a daemon whose secrets he may not read.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub(crate) fn read(path: &Path) -> Result<Self, ConfigProblems> {
        settings::read(path, settings::Depth::TextOnly)
    }

    /// The server that a connection to `ip`, `port` was meant for: the first match in the order of the file.
    /// An IPv4-mapped IPv6 address is the IPv4 address (connections to it arrive so from dual-stack clients).
    pub(crate) fn server_for(&self, ip: IpAddr, port: u16) -> Option<&Server> {
        self.servers.iter().find(|server| server.matches.iter().any(|at| at.contains(ip, port)))
    }

    /// The account that a workload gets at a server: the first credential in the order of the file with a fitting `for`.
    pub(crate) fn account_for<'s>(&self, server: &'s Server, workload: &str, groups: &[String]) -> Option<&'s Account> {
        let fits = |credential: &&Credential| credential.fors.iter().any(|one| one.fits(workload, groups));
        server.credentials.iter().find(fits).map(|credential| &credential.account)
    }

    /// The configured workload of this name.
    pub(crate) fn workload(&self, name: &str) -> Option<&Workload> {
        self.workloads.iter().find(|workload| workload.name == name)
    }

    /// The configured server of this name.
    pub(crate) fn server(&self, name: &str) -> Option<&Server> {
        self.servers.iter().find(|server| server.name == name)
    }

    /// Where the daemon listens for `portreeve tag`, `status` and the like.
    pub(crate) fn control_socket(&self) -> PathBuf {
        self.run_dir.join(settings::CONTROL_SOCKET)
    }
}

impl Server {
    /// Every account that the gateway holds for it.
    pub(crate) fn accounts(&self) -> impl Iterator<Item = &Account> {
        self.credentials.iter().map(|credential| &credential.account).chain(&self.catalogue)
    }
}

impl For {
    fn fits(&self, workload: &str, groups: &[String]) -> bool {
        match self {
            Self::Any => true,
            Self::Group(group) => groups.contains(group),
            Self::Workload(name) => name == workload,
        }
    }
}
