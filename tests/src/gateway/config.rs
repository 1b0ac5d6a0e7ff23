//! What a test says about a daemon, and the files that it becomes.

use anyhow::{Context as _, Result};
use std::{
    fmt::Write as _,
    fs::{DirBuilder, OpenOptions},
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// One daemon's configuration; [`GatewayConfig::default`] guards port 3306 for nobody.
#[derive(Clone, Debug)]
pub struct GatewayConfig {
    /// The guarded ports.
    pub ports: Vec<u16>,
    /// More TOML of `[interception]`.
    pub interception: String,
    /// Which cgroup is which workload.
    pub workloads: Vec<Workload>,
    /// The database servers.
    pub servers: Vec<Upstream>,
    /// The policy files.
    pub policies: Vec<Policy>,
    /// How long sessions may go on while the daemon stops: not at all by default, as few tests wait for that.
    pub stop_drain_seconds: u32,
    /// Start the daemon with `--observe`.
    pub observe: bool,
    /// More TOML, put before the first section: for keys that only one test needs.
    pub extra: String,
}

/// A `[[workload]]`.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Its name; the SPIFFE ID is `spiffe://example.org/<name>`.
    pub name: String,
    /// Its cgroup, below the cgroup v2 mount: `Cgroup::relative`.
    pub cgroup: PathBuf,
    /// Its groups.
    pub groups: Vec<String>,
}

/// A `[[server]]`; [`Upstream::default`] is one without TLS.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Its name.
    pub name: String,
    /// The destinations that mean it, as `127.77.0.1:3306`.
    pub matches: Vec<String>,
    /// Who logs in as whom; the first that fits.
    pub credentials: Vec<Credential>,
    /// `disabled`, `required`, `verify-ca` or `verify-identity`.
    pub tls: String,
    /// More TOML of this server, put before its credentials: `ca_file` and the like.
    pub extra: String,
}

/// A `[[server.credential]]` and its secret.
#[derive(Clone, Debug)]
pub struct Credential {
    /// `workload:<name>`, `group:<name>` or `*`.
    pub for_: Vec<String>,
    /// The database account.
    pub user: String,
    /// Its password, written to a file that only root reads.
    pub password: String,
}

/// A file below `policies/`.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The file name, with `.cedar`.
    pub file: String,
    /// Cedar text.
    pub text: String,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            ports: vec![3306],
            interception: String::new(),
            workloads: vec![],
            servers: vec![],
            policies: vec![],
            stop_drain_seconds: 0,
            observe: false,
            extra: String::new(),
        }
    }
}

impl Default for Upstream {
    fn default() -> Self {
        Self { name: String::new(), matches: vec![], credentials: vec![], tls: "disabled".into(), extra: String::new() }
    }
}

impl GatewayConfig {
    /// Writes `portreeve.toml`, `policies/` and `secrets/` into `dir`.
    pub(super) fn write(&self, dir: &Path) -> Result<()> {
        for folder in ["policies", "secrets", "run", "state"] {
            let path = dir.join(folder);
            let made = DirBuilder::new().mode(0o700).create(&path);
            made.with_context(|| format!("cannot create `{}`", path.display()))?;
        }
        for policy in &self.policies {
            write(&dir.join("policies").join(&policy.file), &policy.text)?;
        }
        for (server, credential, file) in self.secrets(dir) {
            write(&file, &credential.password).with_context(|| format!("for server `{}`", server.name))?;
        }
        write(&dir.join("portreeve.toml"), &self.toml(dir))
    }

    fn secrets<'a>(&'a self, dir: &'a Path) -> impl Iterator<Item = (&'a Upstream, &'a Credential, PathBuf)> {
        self.servers.iter().flat_map(move |server| {
            let files = server.credentials.iter().enumerate();
            files.map(move |(number, credential)| (server, credential, secret_file(dir, server, number)))
        })
    }

    fn toml(&self, dir: &Path) -> String {
        let mut text = format!(
            "trust_domain = \"example.org\"\nstate_dir = {}\nrun_dir = {}\nstop_drain_seconds = {}\n{}\n\n[interception]\nports = {:?}\n{}\n",
            string(&dir.join("state").to_string_lossy()),
            string(&dir.join("run").to_string_lossy()),
            self.stop_drain_seconds,
            self.extra,
            self.ports,
            self.interception
        );
        for workload in &self.workloads {
            let cgroup = string(&workload.cgroup.to_string_lossy());
            let _ = write!(
                text,
                "\n[[workload]]\nname = {}\ncgroup = {cgroup}\ngroups = {}\n",
                string(&workload.name),
                list(&workload.groups)
            );
        }
        for server in &self.servers {
            push_server(&mut text, dir, server);
        }
        let _ = write!(text, "\n[policy]\npaths = [{}]\n", string(&dir.join("policies").to_string_lossy()));
        text
    }
}

fn push_server(text: &mut String, dir: &Path, server: &Upstream) {
    let (name, matches, tls) = (string(&server.name), list(&server.matches), string(&server.tls));
    let _ = write!(text, "\n[[server]]\nname = {name}\nmatch = {matches}\ntls = {tls}\n{}\n", server.extra);
    for (number, credential) in server.credentials.iter().enumerate() {
        let file = secret_file(dir, server, number);
        let _ = write!(
            text,
            "\n[[server.credential]]\nfor = {}\nuser = {}\npassword_file = {}\n",
            list(&credential.for_),
            string(&credential.user),
            string(&file.to_string_lossy())
        );
    }
}

fn secret_file(dir: &Path, server: &Upstream, number: usize) -> PathBuf {
    dir.join("secrets").join(format!("{}-{number}", server.name))
}

fn write(path: &Path, text: &str) -> Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("cannot write `{}`", path.display()))
}

/// A TOML basic string. JSON's escapes are a subset of TOML's, but for `\/`, which serde_json does not write.
fn string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn list(texts: &[String]) -> String {
    let items: Vec<_> = texts.iter().map(|text| string(text)).collect();
    format!("[{}]", items.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host;
    use std::{fs, os::unix::fs::MetadataExt as _};

    #[test]
    fn the_files_say_what_the_values_say() {
        let dir = host::run_dir("config-test").unwrap();
        let config = GatewayConfig {
            workloads: vec![Workload { name: "reporting".into(), cgroup: "a/b".into(), groups: vec!["r".into()] }],
            servers: vec![Upstream {
                name: "shop".into(),
                matches: vec!["127.0.0.2:3306".into()],
                credentials: vec![Credential { for_: vec!["*".into()], user: "u\"1".into(), password: "p".into() }],
                extra: "hosts = [\"db\"]".into(),
                ..Upstream::default()
            }],
            policies: vec![Policy { file: "a.cedar".into(), text: "// nothing".into() }],
            ..GatewayConfig::default()
        };
        config.write(&dir).unwrap();
        let text = fs::read_to_string(dir.join("portreeve.toml")).unwrap();
        let expected = [
            "ports = [3306]",
            "[[workload]]\nname = \"reporting\"\ncgroup = \"a/b\"\ngroups = [\"r\"]",
            "match = [\"127.0.0.2:3306\"]\ntls = \"disabled\"\nhosts = [\"db\"]\n",
            "for = [\"*\"]\nuser = \"u\\\"1\"",
        ];
        for part in expected {
            assert!(text.contains(part), "no {part} in\n{text}");
        }
        let secret = dir.join("secrets/shop-0");
        assert_eq!(fs::read_to_string(&secret).unwrap(), "p");
        assert_eq!(fs::metadata(&secret).unwrap().mode() & 0o777, 0o600);
        host::remove_run_dir(&dir).unwrap();
    }
}
