//! The unit as it is shipped, under a real systemd.

use super::{
    load::{DRAIN_SECONDS, check_undisturbed},
    *,
};
use portreeve_tests::{
    scene::{REPORTING_WORKS, shop},
    servers::Flavour,
    systemd::{Systemd, UNIT},
};
use std::sync::Arc;

#[test]
fn restarts_upgrades_and_reloads_by_systemctl_lose_nothing() {
    let server = Arc::new(shop(Flavour::MariaDb).unwrap());
    server.log_statements().unwrap();
    let mut scene = Scene::with(server, REPORTING_WORKS, |config| config.stop_drain_seconds = DRAIN_SECONDS).unwrap();
    scene.gateway.terminate().unwrap();
    let systemd = Systemd::start(&scene.gateway).unwrap();
    let load = Steady::start(&scene, 4);
    let mut mains = vec![systemd.main().unwrap()];
    for _ in 0..3 {
        systemd.ctl(&["restart", UNIT]).unwrap();
        mains.push(systemd.main().unwrap());
        systemd.ctl(&["reload", UNIT]).unwrap();
        thread::sleep(Duration::from_millis(200));
        let upgraded = json(&scene.gateway, &["upgrade", "--json"]);
        until("systemd knows the successor", || systemd.main().unwrap() == upgraded["pid"].as_u64().unwrap());
        mains.push(systemd.main().unwrap());
        thread::sleep(Duration::from_millis(200));
    }
    let number = mains.len();
    mains.sort_unstable();
    mains.dedup();
    assert_eq!(mains.len(), number, "each is another process");
    check_undisturbed(&scene, load, 10);

    // The successor is systemd's to watch: it is started again when it is killed.
    let killed = systemd.main().unwrap();
    systemd.ctl(&["kill", "--kill-who=main", "--signal=KILL", UNIT]).unwrap();
    until("it is started again", || systemd.main().is_ok_and(|main| main != 0 && main != killed));
    until("it serves", || scene.gateway.cli(&["status"]).unwrap().status.success());
    check_works(&scene);

    systemd.ctl(&["stop", UNIT]).unwrap();
    until("what was kept is closed", || scene.dial(&scene.reporting).unwrap().errno() == Some("EPERM"));
    check_nothing_direct(&scene);
}
