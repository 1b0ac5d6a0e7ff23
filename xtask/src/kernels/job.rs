//! What is run inside a virtual machine, and how that is said.

use super::archive::Kernel;
use portreeve_tests::process;
use std::{fmt::Write as _, path::Path, process::Command};

/// Lines that begin so are about steps, all others are what the steps print.
pub(super) const MARK: &str = "== ";
/// The line that says that all steps were taken.
pub(super) const DONE: &str = "== done";

pub(super) const PROGRAMS: &str = "programs";
pub(super) const DOCTOR: &str = "doctor";
pub(super) const TESTS: &str = "tests";

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
    name: &'static str,
    command: String,
}

/// The steps of a kernel under test.
pub(super) fn checks(portreeve: &Path, tests: &Path, arguments: &[String]) -> Vec<Step> {
    let portreeve = portreeve.display();
    let mut test = Command::new(tests);
    // A serial line looks like a terminal to it.
    test.arg("--color=never").args(arguments);
    vec![
        // Loads, attaches and pins all of them; the packets' one to the workload's cgroup.
        Step {
            name: PROGRAMS,
            command: format!("{CONFIG}{portreeve} guard >&2 && {portreeve} detach --dry-run --json"),
        },
        // With programs in force, as on a host that is guarded.
        Step {
            name: DOCTOR,
            command: format!("{portreeve} doctor; ended=$?; {portreeve} detach >/run/detached || exit; exit $ended"),
        },
        Step { name: TESTS, command: process::shown(&test) },
    ]
}

/// The whole script of a job.
pub(super) fn script(kernel: &Kernel, steps: &[Step]) -> String {
    let mut script = format!("modules='{}'\n{PRELUDE}\n", kernel.modules().display());
    for step in steps {
        let _ = writeln!(script, "step {} {}", step.name, quoted(&step.command));
    }
    let _ = writeln!(script, "echo '{DONE}'\npoweroff -f");
    script
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// What a step printed and how it ended; none when it was not reached.
pub(super) fn said<'a>(log: &'a str, step: &str) -> Option<(Vec<&'a str>, Option<i32>)> {
    let begin = format!("{MARK}{step} …");
    let end = format!("{MARK}{step} ended with ");
    let mut lines = log.lines().skip_while(|line| *line != begin);
    lines.next()?;
    let mut said = Vec::new();
    for line in lines {
        if let Some(status) = line.strip_prefix(&end) {
            return Some((said, status.split(' ').next().and_then(|status| status.parse().ok())));
        }
        said.push(line);
    }
    Some((said, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_told_apart() {
        let log = "== booted in 7 s\n== doctor …\nok       kernel: 6.1\n== doctor ended with 0 after 1 s\n== tests …\nrunning 2 tests\n";
        assert_eq!(said(log, "doctor"), Some((vec!["ok       kernel: 6.1"], Some(0))));
        assert_eq!(said(log, "tests"), Some((vec!["running 2 tests"], None)));
        assert_eq!(said(log, "programs"), None);
    }

    #[test]
    fn a_command_survives_the_shell() {
        assert_eq!(quoted("echo 'a b'"), r"'echo '\''a b'\'''");
    }
}
