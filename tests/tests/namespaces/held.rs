//! Connects that come before the daemon listens in their namespace.

use super::{check_intercepted, dialled, dialled_from_here, is_listening, scene, status, stay, until, wait_for};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use portreeve_tests::{gateway::Gateway, netns::Netns};
use std::{thread, time::Duration};

/// A named bound and some room: `HELD_SYNS_MAX` pauses that begin with 50 ms, and those that Linux 6.5 adds.
const HELD_MS_MAX: u64 = 8_000;

fn signal(gateway: &Gateway, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(gateway.pid().unwrap()).unwrap()), signal).unwrap();
}

#[test]
fn the_first_connect_of_a_namespace_waits_for_the_listener_and_goes_on() {
    let scene = scene();
    let netns = Netns::create().unwrap();
    let first = dialled_from_here(&scene, "entering", &[&netns.path().display().to_string()]);
    check_intercepted(&scene, &first);
    assert!(first.elapsed_ms().unwrap() < 1_000, "{first:?}");
    assert_eq!(status(&scene.gateway)["held_total"], 1);
    let second = dialled(&scene, &netns, "plain", &[]);
    check_intercepted(&scene, &second);
    assert_eq!(status(&scene.gateway)["held_total"], 1, "the listener is there");
}

#[test]
fn a_listener_that_comes_late_is_waited_for() {
    let scene = scene();
    let netns = Netns::create().unwrap();
    let (there, mark) = (netns.path(), scene.gateway.dir().join("it-connects"));
    let arguments = [there.to_str().unwrap(), mark.to_str().unwrap()];
    signal(&scene.gateway, Signal::SIGSTOP);
    let agent = thread::scope(|scope| {
        let agent = scope.spawn(|| dialled_from_here(&scene, "entering", &arguments));
        until(|| mark.exists(), || "it does not connect".into());
        thread::sleep(Duration::from_millis(700));
        signal(&scene.gateway, Signal::SIGCONT);
        agent.join().unwrap()
    });
    check_intercepted(&scene, &agent);
    assert!((300..HELD_MS_MAX).contains(&agent.elapsed_ms().unwrap()), "{agent:?}");
}

#[test]
fn a_listener_that_does_not_come_is_not_waited_for_for_ever() {
    let mut scene = scene();
    let netns = Netns::create().unwrap();
    // It would be reached, and must not be.
    netns.attach().unwrap();
    scene.gateway.kill9().unwrap();
    let agent = dialled(&scene, &netns, "plain", &[]);
    assert_eq!(agent.errno(), Some("ETIMEDOUT"), "{agent:?}");
    assert!(agent.elapsed_ms().unwrap() < HELD_MS_MAX, "{agent:?}");
    scene.gateway.restart().unwrap();
    check_intercepted(&scene, &dialled(&scene, &netns, "plain", &[]));
}

#[test]
fn a_namespace_whose_listener_died_is_refused_at_once_and_served_by_the_next_daemon() {
    let mut scene = scene();
    let netns = Netns::create().unwrap();
    let _stays = stay(&scene, &netns);
    wait_for(&scene.gateway, "found by a look at the cgroup", is_listening);
    assert_eq!(status(&scene.gateway)["held_total"], 0);
    check_intercepted(&scene, &dialled(&scene, &netns, "plain", &[]));
    scene.gateway.kill9().unwrap();
    let refused = dialled(&scene, &netns, "plain", &[]);
    assert_eq!(refused.errno(), Some("EPERM"), "{refused:?}");
    scene.gateway.restart().unwrap();
    check_intercepted(&scene, &dialled(&scene, &netns, "plain", &[]));
}
