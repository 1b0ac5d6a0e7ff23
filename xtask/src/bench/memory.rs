//! Memory per idle session of a proxy.

use super::target::{Bench, Lane};
use anyhow::{Context as _, Result, bail};
use portreeve_tests::{host, process};
use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::Stdio,
    thread,
    time::Duration,
};

const WARM_UP_SESSIONS: u32 = 4;

/// Growth of the proxy's dirty proportional set by `count` idle sessions, in KiB for each. It counts mapped session files
/// too, which heap figures would hide; and not the clean pages of libraries, whose share shrinks as the client maps them.
pub(super) fn per_idle_session(bench: &Bench, lane: Lane, pid: u32, count: u32) -> Result<f64> {
    // What the first sessions bring once (threads, pools, pages of code) is no session's.
    hold(bench, lane, WARM_UP_SESSIONS, || Ok(()))?;
    let before = dirty_kib(pid)?;
    let after = hold(bench, lane, count, || dirty_kib(pid))?;
    Ok((after as f64 - before as f64) / f64::from(count))
}

/// Opens that many sessions, looks, and closes them.
fn hold<T>(bench: &Bench, lane: Lane, count: u32, look: impl FnOnce() -> Result<T>) -> Result<T> {
    let login = bench.login(lane);
    let mut command = bench.cgroup(lane).command(host::provisioned().join("clients/python/bin/python"))?;
    command.arg(host::repo_root().join("tests/clients/python/idle.py"));
    command.args([
        login.host.to_string(),
        login.user,
        login.password,
        login.schema.unwrap_or_default(),
        count.to_string(),
    ]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = process::spawn(command)?;
    let mut line = String::new();
    let read = BufReader::new(child.stdout.take().context("stdout is piped")?).read_line(&mut line);
    // Whatever the proxy does after a login (closing files, freeing buffers) is over then.
    thread::sleep(Duration::from_millis(500));
    let seen = look();
    // The end of its input lets the client go.
    drop(child.stdin.take());
    let ended = child.wait().context("cannot wait for the idle client")?;
    read.context("cannot read from the idle client")?;
    if line != "ready\n" || !ended.success() {
        bail!("the idle client failed ({ended}), see above");
    }
    seen
}

/// `-db` and the others run as one process, so this is all of a proxy.
fn dirty_kib(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read `{path}`"))?;
    parse(&text).with_context(|| format!("no Pss_Dirty in `{path}`"))
}

/// proc_pid_smaps(5): `Pss_Dirty:   123 kB`, since Linux 6.0.
fn parse(rollup: &str) -> Option<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss_Dirty:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dirty_set_is_read() {
        assert_eq!(parse("Rss:   900 kB\nPss:     200 kB\nPss_Dirty:           123 kB\n"), Some(123));
        assert_eq!(parse("Rss: 900 kB\n"), None);
        assert!(dirty_kib(std::process::id()).unwrap() > 0);
    }
}
