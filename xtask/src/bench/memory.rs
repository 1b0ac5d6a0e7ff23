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

/// Growth of the proxy's proportional set size by `count` idle sessions, in KiB for each. PSS counts mapped session files
/// too, which plain heap figures would hide.
pub(super) fn per_idle_session(bench: &Bench, lane: Lane, pid: u32, count: u32) -> Result<f64> {
    let before = pss_kib(pid)?;
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
    let after = pss_kib(pid);
    // The end of its input lets the client go.
    drop(child.stdin.take());
    let ended = child.wait().context("cannot wait for the idle client")?;
    read.context("cannot read from the idle client")?;
    if line != "ready\n" || !ended.success() {
        bail!("the idle client failed ({ended}), see above");
    }
    Ok((after? as f64 - before as f64) / f64::from(count))
}

/// `-db` and the others run as one process, so this is all of a proxy.
fn pss_kib(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read `{path}`"))?;
    parse(&text).with_context(|| format!("no Pss in `{path}`"))
}

/// proc_pid_smaps(5): `Pss:   123 kB`.
fn parse(rollup: &str) -> Option<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proportional_set_size_is_read() {
        assert_eq!(parse("Rss:   900 kB\nPss:                 123 kB\nPss_Dirty: 1 kB\n"), Some(123));
        assert_eq!(parse("Rss: 900 kB\n"), None);
        assert!(pss_kib(std::process::id()).unwrap() > 0);
    }
}
