//! Real clients, run in a cgroup (or outside any) with nothing configured but host, user and password.

use crate::{cgroup::Cgroup, host, limits::CLIENT_RUN_MAX, process, servers::Flavour};
use anyhow::{Result, bail};
use std::{
    ffi::OsString,
    net::Ipv4Addr,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

/// What an agent is configured with. User and password prove nothing to Portreeve: any will do.
#[derive(Clone, Debug)]
pub struct Login {
    /// Where the client believes that it connects to; the port is always 3306.
    pub host: Ipv4Addr,
    /// The user name that the client sends.
    pub user: String,
    /// The password that the client proves.
    pub password: String,
    /// The schema asked for at login.
    pub schema: Option<String>,
}

impl Login {
    /// `agent` with the password `anything`, no schema.
    pub fn agent(host: Ipv4Addr) -> Self {
        Self { host, user: "agent".into(), password: "anything".into(), schema: None }
    }

    /// The same with a schema.
    #[must_use]
    pub fn schema(mut self, schema: &str) -> Self {
        self.schema = Some(schema.into());
        self
    }
}

/// How a client ended.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The command line, as a person would type it.
    pub command: String,
    /// Its exit status.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
    /// From start to end.
    pub elapsed: Duration,
}

impl Answer {
    /// Whether it exited with 0.
    pub fn ok(&self) -> bool {
        self.status.success()
    }
}

/// The `mariadb` command line client.
pub fn mariadb(cgroup: Option<&Cgroup>, login: &Login, sql: &str) -> Result<Answer> {
    let mut command = Command::new("mariadb");
    command.arg("--no-defaults").args(cli_args(login)).args(["-e", sql]);
    run(cgroup, command)
}

/// The `mysql` command line client of MySQL 9.7.
pub fn mysql(cgroup: Option<&Cgroup>, login: &Login, sql: &str) -> Result<Answer> {
    let mut command = Flavour::MySql.client()?;
    command.args(cli_args(login)).args(["-e", sql]);
    run(cgroup, command)
}

/// A program of `tests/clients`, by its path there, with the interpreter and the libraries that it is written for; the
/// Rust ones are `rust/<name>`. Host, user, password and schema are to follow: [`run_script`] adds them.
pub fn program(path: &str) -> Result<Command> {
    let (language, name) = path.split_once('/').unwrap_or(("", path));
    let source = host::repo_root().join("tests/clients").join(path);
    let mut command = match language {
        "python" => {
            let mut python = Command::new(python_program()?);
            // No `__pycache__` in the source tree.
            python.arg("-B");
            python
        }
        "node" => {
            let mut node = Command::new("node");
            // NODE_PATH works for `require` only: the programs there are CommonJS.
            node.env("NODE_PATH", installed("clients/node/node_modules")?);
            node
        }
        // Debian's own, wherever PATH leads: they have Debian's packages of clients.
        "perl" | "ruby" => Command::new(format!("/usr/bin/{language}")),
        "php" => {
            let mut php = Command::new("/usr/bin/php");
            php.args(["-d", "mysqli.allow_local_infile=1"]);
            php
        }
        "java" => {
            let mut java = Command::new("/usr/bin/java");
            java.args(["-cp", "/usr/share/java/mariadb-java-client.jar"]);
            java
        }
        "rust" => return Ok(Command::new(installed("clients/rust/debug")?.join(name))),
        _ => bail!("`{path}`: no client is in that language"),
    };
    command.arg(source);
    Ok(command)
}

/// Runs such a program with the login and then `arguments` behind what it has already.
pub fn run_script(
    cgroup: Option<&Cgroup>,
    mut program: Command,
    login: &Login,
    arguments: &[String],
    patience: Duration,
) -> Result<Answer> {
    program.args(script_args(login)).args(arguments);
    run_for(cgroup, program, patience)
}

/// A program of `tests/clients/python`, run with PyMySQL at hand. It gets host, user, password and schema (may be empty)
/// as its arguments, then `arguments`.
pub fn python(cgroup: Option<&Cgroup>, login: &Login, program: &str, arguments: &[&str]) -> Result<Answer> {
    let mut command = self::program(&format!("python/{program}"))?;
    command.args(script_args(login)).args(arguments);
    run(cgroup, command)
}

/// The Python that has PyMySQL.
pub(crate) fn python_program() -> Result<PathBuf> {
    installed("clients/python/bin/python")
}

/// Starts such a program, which goes on until it is killed; what it prints goes nowhere.
pub fn start_python(cgroup: &Cgroup, login: &Login, program: &str, arguments: &[&str]) -> Result<Child> {
    let mut command = cgroup.command(python_program()?)?;
    command.arg(host::repo_root().join("tests/clients/python").join(program)).args(script_args(login)).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    process::spawn(command)
}

/// A program of `tests/clients/node`, run with `mysql2` at hand; arguments as for [`python`].
pub fn node(cgroup: Option<&Cgroup>, login: &Login, program: &str, arguments: &[&str]) -> Result<Answer> {
    let mut command = self::program(&format!("node/{program}"))?;
    command.args(script_args(login)).args(arguments);
    run(cgroup, command)
}

/// Runs any program, in the cgroup if there is one, to its end or [`CLIENT_RUN_MAX`].
pub fn run(cgroup: Option<&Cgroup>, command: Command) -> Result<Answer> {
    run_for(cgroup, command, CLIENT_RUN_MAX)
}

/// [`run`] with another patience.
pub fn run_for(cgroup: Option<&Cgroup>, mut command: Command, patience: Duration) -> Result<Answer> {
    let shown = process::shown(&command);
    if let Some(cgroup) = cgroup {
        process::enter_cgroup(&mut command, &cgroup.path().join("cgroup.procs"), None)?;
    }
    let start = Instant::now();
    let output = process::output(command, patience)?;
    Ok(Answer {
        command: shown,
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        elapsed: start.elapsed(),
    })
}

fn cli_args(login: &Login) -> Vec<OsString> {
    let mut args = vec![
        "-h".into(),
        login.host.to_string().into(),
        format!("-u{}", login.user).into(),
        format!("-p{}", login.password).into(),
    ];
    args.extend(login.schema.as_ref().map(OsString::from));
    args
}

fn script_args(login: &Login) -> [String; 4] {
    [login.host.to_string(), login.user.clone(), login.password.clone(), login.schema.clone().unwrap_or_default()]
}

/// A file below `target` that `cargo xtask setup` puts there.
pub fn installed(path: &str) -> Result<PathBuf> {
    let path = host::provisioned().join(path);
    if !path.exists() {
        bail!("`{}` is not there: run `cargo xtask setup`", path.display());
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::Server;

    /// Every client reaches a server that it logs in to by itself, with no gateway: the harness is not the obstacle.
    #[test]
    fn every_client_runs() {
        let server = Server::mariadb().unwrap();
        server.sql("CREATE USER direct@'%' IDENTIFIED BY 'secret'").unwrap();
        let login = Login { user: "direct".into(), password: "secret".into(), ..Login::agent(server.address()) };
        let cgroup = Cgroup::create("client-test").unwrap();
        let sql = "SELECT CURRENT_USER() AS who";
        for answer in [
            mariadb(Some(&cgroup), &login, sql),
            mysql(Some(&cgroup), &login, sql),
            python(Some(&cgroup), &login, "query.py", &[sql]),
            node(Some(&cgroup), &login, "query.js", &[sql]),
            mariadb(None, &login, sql),
        ] {
            let answer = answer.unwrap();
            assert!(answer.ok() && answer.stdout.contains("direct@%"), "{answer:?}");
        }
        let refused = mariadb(None, &Login::agent(server.address()), sql).unwrap();
        assert!(!refused.ok() && refused.stderr.contains("1045"), "{refused:?}");
    }
}
