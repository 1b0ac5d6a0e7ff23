//! What is run inside a virtual machine, and how that is said.

use super::{TestBinary, archive::Kernel};
use portreeve_tests::process;
use std::{fmt::Write as _, path::Path, process::Command};

/// Lines that begin so are about steps, all others are what the steps print.
pub(super) const MARK: &str = "== ";
/// The line that says that all steps were taken.
pub(super) const DONE: &str = "== done";

pub(super) const PROGRAMS: &str = "programs";
pub(super) const DOCTOR: &str = "doctor";

/// The shell function `step`, which says at a glance from outside what is at work.
pub(super) const STEP: &str = include_str!("step.sh");
const PRELUDE: &str = include_str!("guest.sh");
/// Where doctor and guard look for it.
const CONFIG: &str = r#"mkdir -p /etc/portreeve/policies /sys/fs/cgroup/agent
chmod 0700 /etc/portreeve
cat >/etc/portreeve/portreeve.toml <<'END'
trust_domain = "example.org"
state_dir = "/run/state"
[interception]
ports = [3306]
[[workload]]
name = "agent"
cgroup = "agent"
groups = []
[policy]
paths = ["/etc/portreeve/policies"]
END
"#;

/// A named part of a job.
pub(super) struct Step {
    pub(super) name: String,
    pub(super) command: String,
}

/// How a step ended that was reached.
pub(super) struct Said<'a> {
    pub(super) lines: Vec<&'a str>,
    /// Exit status and seconds; none when it did not end.
    pub(super) ended: Option<(i32, u64)>,
}

/// The steps of a kernel under test: each test binary is one of its name.
pub(super) fn checks(portreeve: &Path, tests: &[TestBinary], arguments: &[String]) -> Vec<Step> {
    let portreeve = portreeve.display();
    let mut steps = vec![
        // Loads, attaches and pins all of them; the packets' one to the workload's cgroup.
        Step {
            name: PROGRAMS.into(),
            command: format!("{CONFIG}{portreeve} guard >&2 && {portreeve} detach --dry-run --json"),
        },
        // With programs in force, as on a host that is guarded.
        Step {
            name: DOCTOR.into(),
            command: format!("{portreeve} doctor; ended=$?; {portreeve} detach >/run/detached || exit; exit $ended"),
        },
    ];
    steps.extend(tests.iter().map(|binary| {
        let mut test = Command::new(&binary.path);
        // A serial line looks like a terminal to it.
        test.arg("--color=never").args(arguments);
        Step { name: binary.name.clone(), command: process::shown(&test) }
    }));
    steps
}

/// The whole script of a job that consists of steps.
pub(super) fn script(kernel: &Kernel, steps: &[Step]) -> String {
    let mut script = begin(kernel);
    for step in steps {
        let _ = writeln!(script, "step {} {}", step.name, quoted(&step.command));
    }
    script + END
}

/// How the script of any job begins.
pub(super) fn begin(kernel: &Kernel) -> String {
    format!("modules={}\n{STEP}{PRELUDE}\n", quoted(&kernel.modules().display().to_string()))
}

/// How it ends, wherever that is.
pub(super) const END: &str = "echo '== done'\npoweroff -f\n";

pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// What a step printed and how it ended; none when it was not reached.
pub(super) fn said<'a>(log: &'a str, step: &str) -> Option<Said<'a>> {
    let begin = format!("{MARK}{step} …");
    let end = format!("{MARK}{step} ended with ");
    let mut rest = log.lines().skip_while(|line| *line != begin);
    rest.next()?;
    let mut lines = Vec::new();
    for line in rest {
        if let Some(end) = line.strip_prefix(&end) {
            return Some(Said { lines, ended: ended(end) });
        }
        lines.push(line);
    }
    Some(Said { lines, ended: None })
}

/// `<status> after <seconds> s`.
fn ended(text: &str) -> Option<(i32, u64)> {
    let (status, seconds) = text.split_once(" after ")?;
    Some((status.parse().ok()?, seconds.strip_suffix(" s")?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_told_apart() {
        let log = "== booted in 7 s\n== doctor …\nok       kernel: 6.1\n== doctor ended with 0 after 1 s\n== tests …\nrunning 2 tests\n";
        let of = |step| said(log, step).map(|said| (said.lines, said.ended));
        assert_eq!(of("doctor"), Some((vec!["ok       kernel: 6.1"], Some((0, 1)))));
        assert_eq!(of("tests"), Some((vec!["running 2 tests"], None)));
        assert_eq!(of("programs"), None);
    }

    #[test]
    fn a_command_survives_the_shell() {
        assert_eq!(quoted("echo 'a b'"), r"'echo '\''a b'\'''");
    }
}
