//! A disk that takes no more recordings.

use portreeve_tests::{
    limits::CLIENT_RUN_MAX,
    process,
    scene::{REPORTING_WORKS, Scene, shop},
    servers::Flavour,
    wire::Wire,
};
use serde_json::Value;
use std::{path::PathBuf, process::Command, sync::Arc};

/// A small disk at a folder, and what fills it. It goes with its value.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: PathBuf) -> Self {
        shell(&format!("mount -t tmpfs -o size=1m,mode=700 portreeve-test '{}'", at.display()));
        Self(at)
    }

    fn fill(&self) {
        shell(&format!("cat /dev/zero > '{}/filler' 2> /dev/null || true", self.0.display()));
    }

    fn free(&self) {
        shell(&format!("rm '{}/filler'", self.0.display()));
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        shell(&format!("umount --lazy '{}'", self.0.display()));
    }
}

/// In the mount namespace that the daemon is in.
pub(super) fn shell(script: &str) {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    let ended = process::output(command, CLIENT_RUN_MAX).unwrap();
    assert!(ended.status.success(), "{script}: {ended:?}");
}

#[test]
fn on_a_full_disk_nothing_is_forwarded() {
    let server = Arc::new(shop(Flavour::MariaDb).unwrap());
    server.log_statements().unwrap();
    let mut scene = Scene::with(server, REPORTING_WORKS, |_| ()).unwrap();
    scene.gateway.terminate().unwrap();
    let disk = SmallDisk::mount(scene.gateway.dir().join("state"));
    scene.gateway.restart().unwrap();

    let mut open = Wire::login(&scene.reporting, scene.server.address(), "shop").unwrap();
    assert!(open.query("SELECT 1").is_ok());
    disk.fill();
    // The session's file has some room left; a kilobyte at a time uses it up.
    let statement = |number: u32| format!("SELECT 'full-{number}.' /* {} */", "x".repeat(1024));
    let refused = (0..1000).find_map(|number| Some((number, open.query(&statement(number)).err()?)));
    let (number, error) = refused.expect("a full disk");
    let error = error.to_string();
    assert!(error.contains("nothing was forwarded") && error.contains("cannot be recorded"), "{error}");
    assert_eq!(open.rest().unwrap(), [], "that was the session's end");
    let reached = scene.server.general_log();
    assert!(reached.contains(&format!("full-{}.", number - 1)), "the statement before was forwarded");
    assert!(!reached.contains(&format!("full-{number}.")), "a statement was forwarded without a record");

    let turned_away = scene.report("SELECT 'new-session'").unwrap();
    assert!(!turned_away.ok() && turned_away.stderr.contains("cannot be recorded"), "{turned_away:?}");
    assert!(!scene.server.general_log().contains("new-session"));

    disk.free();
    let answer = scene.report("SELECT 'space-again'").unwrap();
    assert!(answer.ok() && answer.stdout.contains("space-again"), "{answer:?}");
    scene.gateway.terminate().unwrap();
    // The session that could not go on has no end; nothing else is harmed.
    let verified = scene.gateway.cli(&["verify", "--all", "--json"]).unwrap().stdout;
    let found: Vec<Value> = serde_json::Deserializer::from_slice(&verified).into_iter().map(Result::unwrap).collect();
    let unsound: Vec<_> = found.iter().filter(|file| file["state"] != "sound").collect();
    assert!(found.len() >= 3 && unsound.len() == 1 && unsound[0]["state"] == "unfinished", "{found:#?}");
    drop(disk);
}

#[test]
fn rows_that_cannot_be_recorded_do_not_reach_the_client() {
    let rows = |config: &mut portreeve_tests::gateway::GatewayConfig| {
        config.extra = "recording = { rows_of = [\"*\"] }".to_owned();
    };
    let mut scene = Scene::with(shop(Flavour::MariaDb).unwrap().into(), REPORTING_WORKS, rows).unwrap();
    scene.gateway.terminate().unwrap();
    let disk = SmallDisk::mount(scene.gateway.dir().join("state"));
    scene.gateway.restart().unwrap();
    // Of the last room in the session's file, either the statement or the row may be too long: rows of several lengths, until one was.
    let refused = (0..6).find_map(|attempt| {
        let mut open = Wire::login(&scene.reporting, scene.server.address(), "shop").unwrap();
        disk.fill();
        let long = format!("SELECT REPEAT('x', {}) FROM orders WHERE id = 1", 3000 + 100 * attempt);
        let refused = (0..100).find_map(|_| open.query(&long).err()).expect("a full disk").to_string();
        assert_eq!(open.rest().unwrap(), [], "that was the session's end");
        disk.free();
        refused.contains("what follows of this answer was not forwarded").then_some(refused)
    });
    let refused = refused.expect("a row that cannot be recorded");
    assert!(refused.contains("free space below `state_dir`") && !refused.contains("xxx"), "{refused}");
    drop(disk);
}
