//! What is asked of each lane, and what comes out.

use super::target::{Bench, Lane, SCHEMA};
use anyhow::{Context as _, Result, bail};
use portreeve_tests::{client, host, process};
use std::{
    fmt, fs,
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

const CONNECT: &str = include_str!("connect.lua");
const LARGE_RESULT_BYTES: u32 = 100_000 * 1000;
const LARGE_RESULT_MAX: Duration = Duration::from_secs(120);

/// A kind of load.
#[derive(Clone, Copy, Debug)]
pub(super) enum Load {
    /// sysbench's `oltp_point_select` on 10,000 rows, prepared statements as is its default.
    PointSelect { threads: u32 },
    /// Connect, `SELECT 1`, leave.
    Connect { threads: u32 },
    /// 100 MB through `mariadb --quick` to nowhere.
    LargeResult,
}

/// One measurement.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub(super) struct Sample {
    /// In the load's unit.
    pub(super) value: f64,
    /// The average, where the load has one.
    pub(super) latency_ms: Option<f64>,
}

impl Load {
    pub(super) fn unit(self) -> &'static str {
        match self {
            Self::PointSelect { .. } => "statements/s",
            Self::Connect { .. } => "connections/s",
            Self::LargeResult => "MB/s",
        }
    }

    pub(super) fn run(self, bench: &Bench, lane: Lane, seconds: u32) -> Result<Sample> {
        match self {
            Self::PointSelect { threads } => {
                prepare(bench)?;
                sysbench(bench, lane, "oltp_point_select", threads, seconds)
            }
            Self::Connect { threads } => {
                let script = Script::write()?;
                sysbench(bench, lane, &script.0.to_string_lossy(), threads, seconds)
            }
            Self::LargeResult => large_result(bench, lane),
        }
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PointSelect { threads } => write!(f, "point select, {threads} threads"),
            Self::Connect { threads } => write!(f, "connect, {threads} threads"),
            Self::LargeResult => f.write_str("100 MB result"),
        }
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0}", self.value)?;
        self.latency_ms.map_or(Ok(()), |ms| write!(f, " ({ms:.2} ms)"))
    }
}

fn sysbench_command(bench: &Bench, lane: Lane, script: &str) -> Command {
    let login = bench.login(lane);
    let mut command = Command::new("sysbench");
    command.args([
        script,
        "--db-driver=mysql",
        "--tables=1",
        "--table-size=10000",
        &format!("--mysql-host={}", login.host),
        &format!("--mysql-user={}", login.user),
        &format!("--mysql-password={}", login.password),
        &format!("--mysql-db={SCHEMA}"),
    ]);
    command
}

/// Once; directly, as the table's maker is no agent.
fn prepare(bench: &Bench) -> Result<()> {
    if bench.has_table("sbtest1")? {
        return Ok(());
    }
    let mut command = sysbench_command(bench, Lane::Direct, "oltp_point_select");
    command.arg("prepare");
    let answer = client::run_for(None, command, Duration::from_secs(120))?;
    if !answer.ok() {
        bail!("sysbench cannot prepare its table: {}{}", answer.stdout, answer.stderr);
    }
    Ok(())
}

fn sysbench(bench: &Bench, lane: Lane, script: &str, threads: u32, seconds: u32) -> Result<Sample> {
    let mut command = sysbench_command(bench, lane, script);
    command.args([format!("--threads={threads}"), format!("--time={seconds}"), "run".into()]);
    let patience = Duration::from_secs(u64::from(seconds) + 60);
    let answer = client::run_for(Some(bench.cgroup(lane)), command, patience)?;
    if !answer.ok() {
        bail!("sysbench failed ({}): {}{}", answer.status, answer.stdout, answer.stderr);
    }
    parse(&answer.stdout).with_context(|| format!("sysbench printed no numbers: {}", answer.stdout))
}

/// sysbench 1.0: `transactions: 30000 (9999.90 per sec.)`, or for a script without statistics of its own
/// `total number of events: 30000` and `total time: 3.0001s`; below `Latency (ms):`, `avg: 0.10`.
fn parse(text: &str) -> Option<Sample> {
    let number = |key: &str| -> Option<f64> {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(key))?;
        line.trim().trim_end_matches('s').parse().ok()
    };
    Some(Sample { value: number("total number of events:")? / number("total time:")?, latency_ms: number("avg:") })
}

fn large_result(bench: &Bench, lane: Lane) -> Result<Sample> {
    let login = bench.login(lane);
    let mut command = bench.cgroup(lane).command("mariadb")?;
    command.args(["--no-defaults", "--quick", "--batch", "--skip-column-names"]);
    command.args([format!("-h{}", login.host), format!("-u{}", login.user), format!("-p{}", login.password)]);
    command.args([SCHEMA, "-e", "SELECT text FROM large"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit());
    let start = Instant::now();
    let mut child = process::spawn(command)?;
    match process::wait(&mut child, LARGE_RESULT_MAX)? {
        Some(status) if status.success() => {}
        Some(status) => bail!("the client failed ({status})"),
        None => {
            process::terminate(&mut child)?;
            bail!("the client did not end within {LARGE_RESULT_MAX:?}");
        }
    }
    Ok(Sample { value: f64::from(LARGE_RESULT_BYTES) / 1e6 / start.elapsed().as_secs_f64(), latency_ms: None })
}

/// sysbench reads scripts from files.
struct Script(PathBuf);

impl Script {
    fn write() -> Result<Self> {
        let dir = host::run_dir("script")?;
        let path = dir.join("connect.lua");
        fs::write(&path, CONNECT).with_context(|| format!("cannot write `{}`", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.0.parent().map(host::remove_run_dir) {
            eprintln!("a script stays behind: {error:#}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sysbench_is_read() {
        let text = "General statistics:\n    total time:                          2.0000s\n    total number of events:              30000\n\n\
                    Latency (ms):\n         min:                                    0.05\n         avg:                                    0.10\n";
        let sample = parse(text).unwrap();
        assert!((sample.value - 15000.0).abs() < 0.01 && sample.latency_ms == Some(0.10), "{sample:?}");
        assert!(parse("FATAL: unable to connect").is_none());
    }
}
