//! Disks that fail, a limit of file sizes, a file that somebody cuts: an error for whom it concerns, and for nobody else.

use super::disk::shell;
use portreeve_tests::{
    limits::{CLIENT_RUN_MAX, POLL_EVERY},
    scene::{REPORTING_WORKS, Scene, shop},
    servers::{Flavour, Server},
    wire::Wire,
};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Instant,
};

/// A disk that promises more than it has: a file system of 64 MiB in a file on a tmpfs of 16. What finds no room there fails when it
/// is brought to the disk, as with a disk that is broken or a thin volume that is full. It goes with its value.
struct ThinDisk {
    at: PathBuf,
    below: PathBuf,
}

impl ThinDisk {
    fn mount(at: PathBuf) -> Self {
        let below = at.with_extension("below");
        let disk = Self { at, below };
        shell(&format!(
            "mkdir '{below}' && mount -t tmpfs -o size=16m portreeve-test '{below}' && truncate -s 64m '{below}/disk' && \
             mkfs.ext4 -q -O ^has_journal '{below}/disk' && mount -o loop '{below}/disk' '{at}' && chmod 700 '{at}'",
            below = disk.below.display(),
            at = disk.at.display()
        ));
        disk
    }

    fn break_down(&self) {
        shell(&format!("cat /dev/zero > '{}/filler' 2> /dev/null || true", self.below.display()));
    }

    fn repair(&self) {
        shell(&format!("rm '{}/filler'", self.below.display()));
    }
}

impl Drop for ThinDisk {
    fn drop(&mut self) {
        shell(&format!("umount --lazy '{}'; umount --lazy '{}'", self.at.display(), self.below.display()));
    }
}

fn own_server() -> Arc<Server> {
    let server = shop(Flavour::MariaDb).unwrap();
    server.log_statements().unwrap();
    Arc::new(server)
}

fn login(scene: &Scene) -> Wire {
    let mut wire = Wire::login(&scene.reporting, scene.server.address(), "shop").unwrap();
    assert!(wire.query("SELECT 1").is_ok());
    wire
}

/// Says one statement after the other until one is refused, which is the end of the session. Returns the error.
fn until_refused(wire: &mut Wire, server: &Server) -> String {
    let statement = |number: u32| format!("SELECT 'until-{number}.' /* {} */", "x".repeat(1024));
    let refused = (0..1000).find_map(|number| Some((number, wire.query(&statement(number)).err()?)));
    let (number, error) = refused.expect("an error");
    assert_eq!(wire.rest().unwrap(), [], "that was the session's end");
    let reached = server.general_log();
    assert!(number == 0 || reached.contains(&format!("until-{}.", number - 1)), "the one before was forwarded");
    assert!(!reached.contains(&format!("until-{number}.")), "a statement was forwarded without a record");
    let error = error.to_string();
    assert!(error.contains("nothing was forwarded") && error.contains("cannot be recorded"), "{error}");
    error
}

/// Session files, oldest first.
fn sessions(scene: &Scene) -> Vec<PathBuf> {
    let entries = |path: &Path| fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let days = entries(&scene.gateway.dir().join("state/sessions"));
    let mut files: Vec<_> = days.iter().flat_map(|day| entries(day)).collect();
    files.sort();
    files
}

/// What `verify --all` finds wrong.
fn unsound(scene: &Scene) -> Vec<Value> {
    let verified = scene.gateway.cli(&["verify", "--all", "--json"]).unwrap().stdout;
    let found = serde_json::Deserializer::from_slice(&verified).into_iter().map(Result::unwrap);
    found.filter(|file: &Value| file["state"] != "sound" && file["state"] != "open").collect()
}

#[test]
fn under_fsync_what_the_disk_does_not_take_is_not_forwarded() {
    let durable = |config: &mut portreeve_tests::gateway::GatewayConfig| {
        config.extra = "recording = { durability = \"fsync\" }".to_owned();
    };
    let mut scene = Scene::with(own_server(), REPORTING_WORKS, durable).unwrap();
    scene.gateway.terminate().unwrap();
    let disk = ThinDisk::mount(scene.gateway.dir().join("state"));
    scene.gateway.restart().unwrap();
    let mut open = login(&scene);
    disk.break_down();
    let error = until_refused(&mut open, &scene.server);
    assert!(error.contains("cannot sync") && error.contains("space"), "{error}");
    let turned_away = scene.report("SELECT 'new-session'").unwrap();
    assert!(!turned_away.ok() && turned_away.stderr.contains("cannot be recorded"), "{turned_away:?}");
    assert!(!scene.server.general_log().contains("new-session"));

    disk.repair();
    // A ledger that lost something goes on in another file.
    let start = Instant::now();
    while !scene.report("SELECT 'space-again'").unwrap().ok() {
        assert!(start.elapsed() < CLIENT_RUN_MAX, "{}", scene.gateway.log());
        thread::sleep(POLL_EVERY);
    }
    assert!(scene.gateway.is_running());
    scene.gateway.terminate().unwrap();
    let damaged: Vec<_> = unsound(&scene).into_iter().filter(|file| file["state"] != "unfinished").collect();
    assert_eq!(damaged, [] as [Value; 0], "nothing that was recorded is harmed");
    drop(disk);
}

#[test]
fn over_the_limit_of_file_sizes_a_session_ends_and_the_daemon_does_not() {
    let mut scene = Scene::with(own_server(), REPORTING_WORKS, |_| ()).unwrap();
    let mut open = login(&scene);
    // More than a new file has, less than one that grew.
    shell(&format!("prlimit --pid {} --fsize=100000", scene.gateway.pid().unwrap()));
    let error = until_refused(&mut open, &scene.server);
    assert!(error.contains("raise the daemon's limit of file sizes"), "{error}");
    assert!(scene.report("SELECT 'short'").unwrap().ok(), "what fits goes on");
    assert!(scene.gateway.is_running());
}

#[test]
fn who_cuts_a_recording_ends_its_session_and_no_other() {
    let mut scene = Scene::with(own_server(), REPORTING_WORKS, |_| ()).unwrap();
    let (mut cut, mut other) = (login(&scene), login(&scene));
    let files = sessions(&scene);
    assert_eq!(files.len(), 2);
    fs::OpenOptions::new().write(true).open(&files[0]).unwrap().set_len(0).unwrap();
    let error = until_refused(&mut cut, &scene.server);
    assert!(error.contains("somebody cut the file"), "{error}");
    assert!(other.query("SELECT 'goes-on'").is_ok());
    assert!(scene.report("SELECT 'begins'").unwrap().ok());
    assert!(scene.gateway.is_running());
    drop(other);
    scene.gateway.terminate().unwrap();
    let unsound = unsound(&scene);
    let named: Vec<_> = unsound.iter().map(|file| Path::new(file["path"].as_str().unwrap()).to_owned()).collect();
    assert_eq!(named, [files[0].clone()], "{unsound:#?}");
}
