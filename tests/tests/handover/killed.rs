//! `kill -9` at any moment of the daemon's life: agents are refused, or intercepted, and never let through.

use super::*;
use nix::sys::signal::Signal;
use portreeve_tests::{
    host,
    scene::{REPORTING_WORKS, shop},
    servers::Flavour,
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

const KILLS: u64 = 100;
/// Between two looks for a successor, and how often none must be there.
const LOOK_EVERY: Duration = Duration::from_millis(30);
const EMPTY_LOOKS: usize = 5;

/// What the daemon is at when it is killed.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// Loading, adopting, exchanging programs, tagging, announcing: the whole start.
    Start,
    /// A cgroup is being tagged and untagged.
    Tagging,
    /// Its policies change.
    Reload,
    /// It was told to stop.
    Stop,
    /// A successor starts; both are killed.
    Upgrade,
}

const MOMENTS: [Moment; 5] = [Moment::Start, Moment::Tagging, Moment::Reload, Moment::Stop, Moment::Upgrade];

/// Spread over a span, another at each call, the same in each run.
fn spread(number: u64, span: Duration) -> Duration {
    // Weyl's sequence by the golden ratio fills the span evenly.
    let part = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54;
    span.mul_f64(f64::from(u32::try_from(part).unwrap()) / 1024.0)
}

struct Stage {
    scene: Scene,
    builds: [PathBuf; 2],
    visitor: Cgroup,
}

impl Stage {
    fn kill(&mut self, number: u64) {
        let moment = MOMENTS[usize::try_from(number).unwrap() % MOMENTS.len()];
        // Every start finds the programs of the other build, or of its own.
        let build = self.builds[usize::try_from(number / 3).unwrap() % 2].clone();
        self.scene.gateway.begin(&build).unwrap();
        match moment {
            Moment::Start => thread::sleep(spread(number, Duration::from_millis(900))),
            Moment::Tagging => {
                self.wait_ready();
                let cgroup = self.visitor.relative().to_str().unwrap().to_owned();
                let tag = ["tag", "--cgroup", &cgroup, "--workload", "visitor"];
                let mut child = self.start_cli(&tag);
                thread::sleep(spread(number, Duration::from_millis(40)));
                self.end(&mut child);
                return;
            }
            Moment::Reload => {
                self.wait_ready();
                let path = self.scene.gateway.dir().join("policies/scene.cedar");
                fs::write(path, format!("{REPORTING_WORKS}\n// {number}")).unwrap();
                thread::sleep(spread(number, Duration::from_millis(500)));
            }
            Moment::Stop => {
                self.wait_ready();
                let pid = self.scene.gateway.pid().unwrap();
                signal(pid, Signal::SIGTERM);
                thread::sleep(spread(number, Duration::from_millis(40)));
            }
            Moment::Upgrade => {
                self.wait_ready();
                let other = self.builds[usize::try_from(number / 3 + 1).unwrap() % 2].to_str().unwrap().to_owned();
                let mut child = self.start_cli(&["upgrade", "--binary", &other]);
                thread::sleep(spread(number, Duration::from_millis(900)));
                self.end(&mut child);
                return;
            }
        }
        // It may have ended by itself.
        let _ = self.scene.gateway.kill9();
    }

    fn end(&mut self, command: &mut Child) {
        self.scene.gateway.kill9().unwrap();
        self.kill_successors();
        let _ = command.wait();
    }

    fn wait_ready(&self) {
        until("the daemon serves", || self.scene.gateway.cli(&["status"]).unwrap().status.success());
    }

    fn start_cli(&self, args: &[&str]) -> Child {
        let mut command = Command::new(host::portreeve_binary().unwrap());
        command.args(args).arg("--config").arg(self.scene.gateway.config_path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        process::spawn(command).unwrap()
    }

    /// Whatever still runs with this configuration: a successor is no child of the harness.
    fn kill_successors(&self) {
        let config = self.scene.gateway.config_path();
        // A successor that is just being started is in the list only the next time.
        let mut empty = 0;
        until("they are gone", || {
            let found = daemons(&config);
            found.iter().for_each(|pid| signal(*pid, Signal::SIGKILL));
            empty = if found.is_empty() { empty + 1 } else { 0 };
            thread::sleep(LOOK_EVERY);
            empty == EMPTY_LOOKS
        });
    }
}

fn signal(pid: u32, signal: Signal) {
    // It may be gone by itself.
    let _ = process::signal_pid(pid, signal);
}

/// Processes that run a daemon with this configuration; zombies do not.
fn daemons(config: &Path) -> Vec<u32> {
    let config = config.to_str().unwrap();
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let runs = |pid: &u32| {
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<_> = line.split('\0').collect();
        words.get(1) == Some(&"run") && words.contains(&config)
    };
    pids.filter(runs).collect()
}

#[test]
fn a_hundred_kills_let_nobody_through() {
    let server = Arc::new(shop(Flavour::MariaDb).unwrap());
    server.log_statements().unwrap();
    let scene = Scene::with(server, REPORTING_WORKS, |_| ()).unwrap();
    let builds = [host::portreeve_binary().unwrap(), host::other_build(scene.gateway.dir()).unwrap()];
    let visitor = Cgroup::create("visitor").unwrap();
    let mut stage = Stage { scene, builds, visitor };
    let load = Steady::start(&stage.scene, 4);
    for number in 0..KILLS {
        stage.kill(number);
        // While nobody is there at all.
        if number % 10 == 0 {
            check_refused(&stage.scene, &stage.scene.reporting);
        }
    }
    stage.scene.gateway.restart().unwrap();
    check_works(&stage.scene);
    let done = load.end();
    println!("{done}");
    // A server that was asked directly would have said 1045 for the account that clients show.
    let errors = done["errors"].as_object().unwrap();
    let refused: u64 = errors.values().map(|times| times.as_u64().unwrap()).sum();
    let connects = done["connects"].as_u64().unwrap();
    // On a slow machine most kills come before the daemon serves.
    assert!(connects >= KILLS / 10 && connects + refused >= KILLS, "{done}");
    assert!(!errors.keys().any(|error| error.contains("Access denied for user 'agent'")), "{done}");
    check_nothing_direct(&stage.scene);
    check_all_recorded(&stage.scene);
}
