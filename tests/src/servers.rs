//! Private database servers, each on a loopback address of its own at port 3306.

mod mariadb;
mod mysql;

use crate::{
    host,
    limits::{ADMIN_SQL_MAX, POLL_EVERY, SERVER_START_MAX, UNIX_PATH_BYTES_MAX},
    process,
};
use anyhow::{Context as _, Result, bail};
use nix::fcntl::{Flock, FlockArg};
use std::{
    fs::{self, File},
    net::Ipv4Addr,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Instant,
};

pub use mysql::program as mysql_program;

/// The port of every server: the one that Portreeve guards unless told otherwise.
pub const PORT: u16 = 3306;

/// Which server software.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// MariaDB of the distribution.
    MariaDb,
    /// MySQL 9.7 from `target/mysql`.
    MySql,
}

/// A running server with its data under `target/run`. Dropping it ends the process and removes the data.
#[derive(Debug)]
pub struct Server {
    flavour: Flavour,
    address: Ipv4Addr,
    dir: PathBuf,
    child: Child,
}

impl Server {
    /// A fresh server at `address`:3306, answering when this returns. Its account `root@localhost` has no password and is
    /// reached through [`Server::sql`]; no other account exists.
    pub fn start(flavour: Flavour, address: Ipv4Addr) -> Result<Self> {
        Self::start_with(flavour, address, &[])
    }

    /// [`Server::start`] with more arguments, which count in place of the harness's own.
    pub fn start_with(flavour: Flavour, address: Ipv4Addr, arguments: &[String]) -> Result<Self> {
        let dir = host::run_dir(flavour.name())?;
        let started = Self::start_in(flavour, address, &dir, arguments);
        if started.is_err() {
            host::remove_run_dir(&dir)?;
        }
        started.with_context(|| format!("cannot start {} on {address}:{PORT}", flavour.name()))
    }

    /// [`Server::start`] with MariaDB on a free address.
    pub fn mariadb() -> Result<Self> {
        Self::start(Flavour::MariaDb, host::free_address()?)
    }

    /// [`Server::start`] with MySQL 9.7 on a free address.
    pub fn mysql() -> Result<Self> {
        Self::start(Flavour::MySql, host::free_address()?)
    }

    fn start_in(flavour: Flavour, address: Ipv4Addr, dir: &Path, arguments: &[String]) -> Result<Self> {
        let socket = dir.join("s");
        if socket.as_os_str().as_bytes().len() > UNIX_PATH_BYTES_MAX {
            bail!("`{}` is too long for a Unix socket: move the tree to a shorter path", socket.display());
        }
        copy_fresh_data(flavour, &dir.join("data"))?;
        // A server that starts removes the temporary tables of all that share its folder.
        let temporary = dir.join("tmp");
        fs::create_dir(&temporary).with_context(|| format!("cannot make `{}`", temporary.display()))?;
        let mut command = flavour.server(&dir.join("data"))?;
        command
            .arg(format!("--bind-address={address}"))
            .arg(format!("--port={PORT}"))
            .arg(format!("--socket={}", socket.display()))
            .arg(format!("--pid-file={}", dir.join("pid").display()))
            .arg(format!("--tmpdir={}", temporary.display()))
            .arg(format!("--general-log-file={}", dir.join("general.log").display()))
            .args(["--skip-name-resolve", "--skip-log-bin", "--max-connections=3000", "--max-allowed-packet=256M"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(File::create(dir.join("log")).context("cannot create the log")?)
            .stderr(File::options().append(true).open(dir.join("log")).context("cannot open the log")?);
        let child = process::spawn(command)?;
        let mut server = Self { flavour, address, dir: dir.to_path_buf(), child };
        server.wait_ready()?;
        Ok(server)
    }

    fn wait_ready(&mut self) -> Result<()> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().context("cannot wait for the server")? {
                bail!("it ended at once ({status}): {}", host::log_tail(&self.dir.join("log")));
            }
            // A file that is not there yet needs no client to find out.
            let error = if self.socket().exists() {
                self.sql("SELECT 1").err()
            } else {
                Some(anyhow::anyhow!("no socket yet"))
            };
            let Some(error) = error else { return Ok(()) };
            process::check_interrupt()?;
            if start.elapsed() > SERVER_START_MAX {
                bail!(
                    "no answer in {SERVER_START_MAX:?}: {error:#}; its log: {}",
                    host::log_tail(&self.dir.join("log"))
                );
            }
            thread::sleep(POLL_EVERY);
        }
    }

    /// Which software it is.
    pub fn flavour(&self) -> Flavour {
        self.flavour
    }

    /// Where it listens, at port 3306.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Its Unix socket.
    pub fn socket(&self) -> PathBuf {
        self.dir.join("s")
    }

    /// Its data folder. MySQL makes certificates of its own there, `ca.pem` and `server-cert.pem`.
    pub fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Runs statements as root over the Unix socket, with the server's own client. Returns what it prints: tab-separated
    /// rows without headings. A failing statement is an error with the server's text.
    pub fn sql(&self, statements: &str) -> Result<String> {
        let mut command = self.flavour.client()?;
        command.arg(format!("--socket={}", self.socket().display())).args([
            "--protocol=socket",
            "--user=root",
            "--batch",
            "--skip-column-names",
            "--execute",
            statements,
        ]);
        let output = process::output(command, ADMIN_SQL_MAX)?;
        if !output.status.success() {
            bail!("`{statements}` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        String::from_utf8(output.stdout).context("the answer is not UTF-8")
    }

    /// Turns the general log on: what truly reached the server is then in [`Server::general_log`].
    pub fn log_statements(&self) -> Result<()> {
        self.sql("SET GLOBAL log_output = 'FILE'; SET GLOBAL general_log = ON").map(drop)
    }

    /// The general log so far; empty when it was never on.
    pub fn general_log(&self) -> String {
        let bytes = fs::read(self.dir.join("general.log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Ends the server as a machine failure would: no shutdown, open connections just break.
    pub fn kill9(&mut self) -> Result<()> {
        self.child.kill().context("cannot kill the server")?;
        self.child.wait().context("cannot wait for the server").map(drop)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let ended = process::terminate(&mut self.child).map(drop);
        if let Err(error) = ended.and_then(|()| host::remove_run_dir(&self.dir)) {
            eprintln!("{} in `{}` did not go away: {error:#}", self.flavour.name(), self.dir.display());
        }
    }
}

impl Flavour {
    /// The name of the software in one word.
    pub fn name(self) -> &'static str {
        match self {
            Self::MariaDb => "mariadb",
            Self::MySql => "mysql",
        }
    }

    fn server(self, data: &Path) -> Result<Command> {
        match self {
            Self::MariaDb => mariadb::server(data),
            Self::MySql => mysql::server(data),
        }
    }

    fn initialise(self, data: &Path) -> Result<Command> {
        match self {
            Self::MariaDb => mariadb::initialise(data),
            Self::MySql => mysql::initialise(data),
        }
    }

    /// The command line client of that software, told to read no option file.
    pub fn client(self) -> Result<Command> {
        match self {
            Self::MariaDb => mariadb::client(),
            Self::MySql => mysql::client(),
        }
    }
}

/// An initialised data folder is made once per flavour and copied from then on.
fn copy_fresh_data(flavour: Flavour, to: &Path) -> Result<()> {
    let cache = host::provisioned().join("servers");
    fs::create_dir_all(&cache).with_context(|| format!("cannot create `{}`", cache.display()))?;
    let ready = cache.join(flavour.name());
    // Several test processes may come here at once.
    let lock = File::create(cache.join("lock")).context("cannot create the lock of the data cache")?;
    let lock =
        Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, error)| error).context("cannot lock the data cache")?;
    if !ready.is_dir() {
        let fresh = cache.join(format!("{}.new", flavour.name()));
        if fresh.exists() {
            fs::remove_dir_all(&fresh).with_context(|| format!("cannot remove `{}`", fresh.display()))?;
        }
        run(flavour.initialise(&fresh)?)?;
        fs::rename(&fresh, &ready).with_context(|| format!("cannot rename `{}`", fresh.display()))?;
    }
    drop(lock);
    let mut copy = Command::new("cp");
    copy.args(["--archive", "--reflink=auto", "--sparse=always"]).arg(&ready).arg(to);
    run(copy)
}

fn run(command: Command) -> Result<()> {
    let shown = process::shown(&command);
    let output = process::output(command, SERVER_START_MAX)?;
    if !output.status.success() {
        bail!("`{shown}` failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(flavour: Flavour, version: &str) {
        let server = Server::start(flavour, host::free_address().unwrap()).unwrap();
        assert!(server.sql("SELECT VERSION()").unwrap().starts_with(version));
        server.log_statements().unwrap();
        server.sql("CREATE DATABASE seen_in_the_log").unwrap();
        assert!(server.general_log().contains("seen_in_the_log"));
        let error = format!("{:#}", server.sql("SELECT nonsense").unwrap_err());
        assert!(error.contains("1054") && error.contains("nonsense"), "{error}");
        let (pid, dir) = (server.pid(), server.dir.clone());
        drop(server);
        assert!(!Path::new(&format!("/proc/{pid}")).exists() && !dir.exists());
    }

    #[test]
    fn mariadb_runs_and_goes_away() {
        check(Flavour::MariaDb, "10.");
    }

    #[test]
    fn mysql_runs_and_goes_away() {
        check(Flavour::MySql, "9.");
    }
}
