//! The kernel programs of a daemon, taken away and put back: by bpftool, so that nothing of ours measures itself.

use anyhow::{Context as _, Result, bail};
use portreeve_tests::{gateway::Gateway, host, process};
use serde_json::Value;
use std::{fs, path::PathBuf, process::Command, time::Duration};

const BPFTOOL_MAX: Duration = Duration::from_secs(20);
const COUNTING: &str = "/proc/sys/kernel/bpf_stats_enabled";
/// Programs by their pinned links, with bpftool's name of the hook.
const HOOKS: [(&str, &str); 11] = [
    ("release", "sock_release"),
    ("publish_record", "sock_ops"),
    ("getpeername4", "getpeername4"),
    ("getpeername6", "getpeername6"),
    ("made", "sock_create"),
    ("bound4", "post_bind4"),
    ("bound6", "post_bind6"),
    ("sendmsg4", "sendmsg4"),
    ("sendmsg6", "sendmsg6"),
    ("connect4", "connect4"),
    ("connect6", "connect6"),
];

/// The programs at the cgroup root. When it is dropped, they are detached; the daemon's links are not put back.
pub(super) struct Programs {
    mount: PathBuf,
    pins: PathBuf,
    programs: Vec<Program>,
    attached: bool,
}

struct Program {
    name: &'static str,
    hook: &'static str,
    id: u64,
}

/// How often a program ran so far, and how long that took in all.
pub(super) struct Count {
    pub(super) name: String,
    pub(super) runs: u64,
    pub(super) ns: u64,
}

impl Programs {
    /// From now on the daemon's links do nothing: a link cannot be attached again, so the programs are attached in its place.
    pub(super) fn of(gateway: &Gateway) -> Result<Self> {
        let pins = gateway.pins()?;
        let pins = pins.first().context("the daemon has pinned nothing")?;
        let mut found =
            Self { mount: host::cgroup2_mount()?, pins: pins.clone(), programs: Vec::new(), attached: false };
        for (name, hook) in HOOKS {
            let pin = pins.join(format!("link_{name}")).display().to_string();
            let link = bpftool(&["link", "show", "pinned", &pin])?;
            let id = number(&link, "prog_id")?;
            bpftool(&["link", "detach", "pinned", &pin])?;
            found.programs.push(Program { name, hook, id });
        }
        found.set_attached(true)?;
        Ok(found)
    }

    pub(super) fn set_attached(&mut self, attached: bool) -> Result<()> {
        if self.attached == attached {
            return Ok(());
        }
        let mount = self.mount.display().to_string();
        for program in &self.programs {
            let id = program.id.to_string();
            if attached {
                bpftool(&["cgroup", "attach", &mount, program.hook, "id", &id, "multi"])?;
            } else {
                bpftool(&["cgroup", "detach", &mount, program.hook, "id", &id])?;
            }
            self.attached = true;
        }
        self.attached = attached;
        Ok(())
    }

    /// Redirected sockets that are open still.
    pub(super) fn open_sockets(&self) -> Result<u64> {
        let map = self.pins.join("ORIGINS").display().to_string();
        let entries = bpftool(&["map", "dump", "pinned", &map])?;
        u64::try_from(entries.as_array().map_or(0, Vec::len)).context("too many entries")
    }

    /// In the order of [`HOOKS`].
    pub(super) fn counts(&self) -> Result<Vec<Count>> {
        self.programs.iter().map(|program| count(program.name, program.id)).collect()
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        let mount = self.mount.display().to_string();
        for program in self.programs.iter().filter(|_| self.attached) {
            if let Err(error) = bpftool(&["cgroup", "detach", &mount, program.hook, "id", &program.id.to_string()]) {
                eprintln!("kernel program {} stays attached at {mount}: {error:#}", program.name);
            }
        }
    }
}

fn count(name: &str, id: u64) -> Result<Count> {
    let shown = bpftool(&["prog", "show", "id", &id.to_string()])?;
    // Both are left out while they are 0.
    let of = |key: &str| shown.get(key).and_then(Value::as_u64).unwrap_or(0);
    Ok(Count { name: name.to_owned(), runs: of("run_cnt"), ns: of("run_time_ns") })
}

fn number(value: &Value, key: &str) -> Result<u64> {
    value.get(key).and_then(Value::as_u64).with_context(|| format!("bpftool says no `{key}`: {value}"))
}

/// Sees the pins where the daemon made them. What it prints, null for nothing.
fn bpftool(args: &[&str]) -> Result<Value> {
    let mut command = Command::new("bpftool");
    command.arg("--json").args(args);
    let output = process::output(command, BPFTOOL_MAX)?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!("`bpftool {}` failed: {said}{}", args.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    Ok(serde_json::from_str(&said).unwrap_or(Value::Null))
}

/// While it lives, the kernel counts runs and time of every program.
pub(super) struct Counting {
    before: String,
}

impl Counting {
    pub(super) fn begin() -> Result<Self> {
        let before = fs::read_to_string(COUNTING).with_context(|| format!("cannot read `{COUNTING}`"))?;
        fs::write(COUNTING, "1").with_context(|| format!("cannot write `{COUNTING}`"))?;
        Ok(Self { before })
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        if let Err(error) = fs::write(COUNTING, &self.before) {
            eprintln!("`{COUNTING}` stays 1: {error}");
        }
    }
}
