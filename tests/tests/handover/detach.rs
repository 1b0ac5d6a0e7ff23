//! `portreeve detach`: nothing is left.

use super::*;
use portreeve_tests::{
    host,
    scene::{REPORTING_WORKS, server},
    servers::Flavour,
    service::Service,
    wire::Wire,
};

fn scene() -> Scene {
    Scene::with(server(Flavour::MariaDb).unwrap(), REPORTING_WORKS, |_| ()).unwrap()
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|value| value.as_str().unwrap()).collect()
}

#[test]
fn everything_is_named_removed_and_gone_from_the_kernel() {
    let mut scene = scene();
    scene.gateway.kill9().unwrap();
    // Of two layouts, as after an upgrade that no daemon followed.
    let layout = host::other_layout(scene.gateway.dir()).unwrap();
    let mut guard = std::process::Command::new(layout);
    guard.arg("guard").arg("--config").arg(scene.gateway.config_path());
    assert!(process::output(guard, CLIENT_RUN_MAX).unwrap().status.success());

    let would = json(&scene.gateway, &["detach", "--dry-run", "--json"]);
    check_refused(&scene, &scene.reporting);
    assert_eq!(would["removed"].as_array().unwrap().len(), 2, "{would}");

    let detached = json(&scene.gateway, &["detach", "--json"]);
    assert_eq!(detached["removed"], would["removed"]);
    let programs = strings(&detached["programs"]);
    for program in ["connect4", "connect6", "made", "packet", "publish_record"] {
        assert!(programs.contains(&program), "{detached}");
    }
    assert!(strings(&detached["maps"]).contains(&"WORKLOADS"), "{detached}");
    // 11 at the root and one at each of two tagged cgroups, for each layout.
    assert!(detached["links"].as_u64().unwrap() >= 26, "{detached}");
    assert!(strings(&detached["files"]).iter().any(|file| file.ends_with("run/portreeve.lock")), "{detached}");
    assert_eq!(detached["still_loaded"], Value::Array(Vec::new()), "every program is gone from the kernel");
    assert!(scene.gateway.pins().unwrap().is_empty());
    assert_eq!(std::fs::read_dir(scene.gateway.dir().join("run")).unwrap().count(), 0);
    assert!(!is_intercepted(&scene, &scene.reporting));

    let again = json(&scene.gateway, &["detach", "--json"]);
    assert_eq!(again["removed"], Value::Array(Vec::new()));
    scene.gateway.restart().unwrap();
    check_works(&scene);
}

/// The look afterwards sees what stays, and says so.
#[test]
fn a_program_that_somebody_else_holds_is_told() {
    let mut scene = scene();
    scene.gateway.kill9().unwrap();
    let pin = scene.gateway.pins().unwrap()[0].join("link_connect4");
    let mut holder = client::program("python/hold_pin.py").unwrap();
    holder.arg(pin).stdout(Stdio::piped());
    let mut holder = process::spawn(holder).unwrap();
    holder.stdout.take().unwrap().read_exact(&mut [0; 5]).unwrap();

    let detached = scene.gateway.cli(&["detach", "--json"]).unwrap();
    assert_eq!(detached.status.code(), Some(1));
    let detached: Value = serde_json::from_slice(&detached.stdout).unwrap();
    assert_eq!(strings(&detached["still_loaded"]), ["connect4"]);
    process::terminate(&mut holder).unwrap();
    until("it is gone with its holder", || is_direct(&scene));
}

fn is_direct(scene: &Scene) -> bool {
    scene.dial(&scene.reporting).unwrap().greeting().is_some()
}

/// Its successor is gone and with it the lock, but it has a session still.
#[test]
fn it_refuses_while_a_daemon_drains() {
    let mut scene = scene();
    scene.gateway.terminate().unwrap();
    let mut service = Service::start(&scene.gateway, &host::portreeve_binary().unwrap()).unwrap();
    let mut wire = Wire::login(&scene.reporting, scene.server.address(), "shop").unwrap();
    json(&scene.gateway, &["upgrade", "--json"]);
    service.wait_upgraded().unwrap();
    service.stop().unwrap();
    let refused = scene.gateway.cli(&["detach"]).unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.status.code() == Some(1) && said.contains("keeps sessions to their end"), "{said}");
    assert!(wire.query("SELECT 1").is_ok());
    drop(wire);
    until("it drains", || scene.gateway.cli(&["detach"]).unwrap().status.success());
    assert!(scene.gateway.pins().unwrap().is_empty());
}

#[test]
fn of_all_instances_those_that_run_are_kept() {
    let mut dead = scene();
    let alive = scene();
    dead.gateway.kill9().unwrap();
    let all = dead.gateway.cli(&["detach", "--all", "--dry-run", "--json"]).unwrap();
    assert_eq!(all.status.code(), Some(1), "one was kept");
    let all: Value = serde_json::from_slice(&all.stdout).unwrap();
    let has = |list: &str, gateway: &Gateway| {
        let run_dir = gateway.dir().join("run");
        all[list].as_array().unwrap().iter().any(|one| one["run_dir"].as_str() == run_dir.to_str())
    };
    assert!(has("instances", &dead.gateway) && has("kept", &alive.gateway), "{all}");
    check_works(&alive);
}
