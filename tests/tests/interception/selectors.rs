//! Cgroups that selectors choose: tagged when they appear, never by the names that an agent gives.

use super::{check_intercepted, check_untouched};
use portreeve_tests::{
    cgroup::Cgroup,
    client,
    dial::{Dialled, dial_once, opened_by},
    limits::{CLIENT_RUN_MAX, POLL_EVERY},
    process,
    scene::{REPORTING_WORKS, Scene, server},
    servers::{Flavour, PORT},
};
use serde_json::Value;
use std::{os::unix::fs::chown, thread, time::Instant};

/// A daemon with one more workload, `chosen`, with these selectors. `interception` is more TOML of that section.
fn scene_with(interception: &str, selects: &str) -> Scene {
    Scene::with(server(Flavour::MariaDb).unwrap(), REPORTING_WORKS, |config| {
        config.interception = interception.into();
        config.extra = format!("[[workload]]\nname = \"chosen\"\ngroups = [\"reporting\"]\n{selects}\n");
    })
    .unwrap()
}

fn select(keys: &str) -> String {
    format!("[[workload.select]]\n{keys}\n")
}

fn dial(scene: &Scene, cgroup: &Cgroup) -> Dialled {
    dial_once(Some(cgroup), "unprivileged", &scene.server.address().to_string(), PORT, &["plain"]).unwrap()
}

/// What the daemon says of a cgroup.
fn tagged(scene: &Scene, cgroup: &Cgroup) -> Option<Value> {
    let text = scene.portreeve(&["workloads", "--json"]).unwrap();
    let all: Vec<Value> = serde_json::from_str(&text).unwrap();
    all.into_iter().find(|workload| workload["cgroup"].as_str() == cgroup.relative().to_str())
}

fn wait_until_tagged(scene: &Scene, cgroup: &Cgroup) {
    let start = Instant::now();
    while tagged(scene, cgroup).is_none() {
        assert!(start.elapsed() < CLIENT_RUN_MAX, "{}", scene.gateway.log());
        thread::sleep(POLL_EVERY);
    }
}

fn records_of(scene: &Scene, dialled: &Dialled, kind: &str) -> Vec<Value> {
    let session = opened_by(&scene.gateway, dialled.pid).unwrap()[0]["session"].clone();
    let all = scene.gateway.records(&[]).unwrap();
    all.into_iter().filter(|record| record["session"] == session && record["record"] == kind).collect()
}

fn check_chosen(scene: &Scene, cgroup: &Cgroup) -> Value {
    let (host, dialled) = (scene.server.address(), dial(scene, cgroup));
    check_intercepted(&scene.gateway, &dialled, &format!("{host} {PORT}"), &format!("{host}:{PORT}"));
    let opened = opened_by(&scene.gateway, dialled.pid).unwrap();
    assert_eq!(opened[0]["workload"], "spiffe://example.org/chosen");
    records_of(scene, &dialled, "chosen").remove(0)
}

/// Met by the gateway, not let on to a server, and told why.
fn check_refused(scene: &Scene, cgroup: &Cgroup, why: &str) {
    let dialled = dial(scene, cgroup);
    let version = dialled.greeting().map(|(version, _)| version).unwrap_or_default();
    assert!(version.contains("portreeve") && !version.contains("MariaDB"), "{dialled:?}");
    let answer = client::mariadb(Some(cgroup), &scene.login(), "SELECT 1").unwrap();
    assert!(!answer.ok() && answer.stderr.contains(why), "{answer:?}");
}

#[test]
fn a_cgroup_that_appears_later_is_tagged_and_one_made_below_it_is_not_another() {
    let parent = Cgroup::create("selected").unwrap();
    let pattern = format!("{}/**/agent-*.service", parent.relative().display());
    let scene = scene_with("", &select(&format!("cgroup = {pattern:?}")));
    let agent = parent.child("agent-1.service").unwrap();
    wait_until_tagged(&scene, &agent);
    let chosen = check_chosen(&scene, &agent);
    assert_eq!(chosen["selector"], format!("cgroup = {pattern:?}"));
    let inner = agent.child("agent-2.service").unwrap();
    check_chosen(&scene, &inner);
    thread::sleep(POLL_EVERY * 20);
    assert_eq!(tagged(&scene, &inner), None);
}

/// Attaching takes the kernel tens of milliseconds for each: none waits for the others to be redirected.
#[test]
fn many_cgroups_that_appear_at_once_are_all_tagged() {
    let parent = Cgroup::create("many").unwrap();
    let pattern = format!("{}/agent-*", parent.relative().display());
    let scene = scene_with("", &select(&format!("cgroup = {pattern:?}")));
    let mut agents: Vec<_> = (0..60).map(|number| parent.child(&format!("agent-{number}")).unwrap()).collect();
    let last = agents.pop().unwrap();
    wait_until_tagged(&scene, &last);
    // The others are attached to still.
    check_chosen(&scene, &last);
    agents.iter().for_each(|agent| wait_until_tagged(&scene, agent));
    check_chosen(&scene, &agents[30]);
}

#[test]
fn a_cgroup_below_one_that_is_not_roots_is_not_chosen_by_its_name() {
    let parent = Cgroup::create("delegated").unwrap();
    let pattern = format!("{}/**/agent.service", parent.relative().display());
    let scene = scene_with("", &select(&format!("cgroup = {pattern:?}")));
    let delegated = parent.child("user").unwrap();
    chown(delegated.path(), Some(65534), None).unwrap();
    let (pretender, real) = (delegated.child("agent.service").unwrap(), parent.child("agent.service").unwrap());
    wait_until_tagged(&scene, &real);
    let host = scene.server.address();
    check_untouched(&scene.gateway, &dial(&scene, &pretender), &format!("{host} {PORT}"));
}

#[test]
fn who_matches_no_workload_below_a_guarded_parent_is_refused() {
    let parent = Cgroup::create("guarded").unwrap();
    let path = parent.relative().display().to_string();
    let early = parent.child("early").unwrap();
    let guard = format!("refuse_unmatched = [{path:?}]");
    let scene = scene_with(&guard, &select(&format!("cgroup = \"{path}/agent\"")));
    check_refused(&scene, &early, "is no workload's");
    let agent = parent.child("agent").unwrap();
    wait_until_tagged(&scene, &agent);
    check_chosen(&scene, &agent);
}

#[test]
fn a_cgroup_that_two_workloads_choose_is_refused() {
    let parent = Cgroup::create("both").unwrap();
    let path = parent.relative().display().to_string();
    let both = parent.child("x").unwrap();
    let other = format!("[[workload]]\nname = \"other\"\n{}", select(&format!("cgroup = \"{path}/*\"")));
    let scene = scene_with("", &format!("{}{other}", select(&format!("cgroup = \"{path}/x\""))));
    check_refused(&scene, &both, "is no workload's");
    assert!(scene.gateway.log().contains("selectors of 2 workloads"), "{}", scene.gateway.log());
}

#[test]
fn uid_and_executable_narrow_and_are_recorded() {
    let parent = Cgroup::create("narrow").unwrap();
    let [fits, uid, hash] = ["fits", "uid", "hash"].map(|name| parent.child(name).unwrap());
    let keys = |name: &str, more: &str| select(&format!("cgroup = \"{}/{name}\"\n{more}", parent.relative().display()));
    let selects = [
        keys("fits", "uid = 65534\nexe = \"/**/python*\""),
        keys("uid", "uid = 65533"),
        keys("hash", &format!("sha256 = \"{}\"", "ab".repeat(32))),
    ];
    let scene = scene_with("", &selects.concat());
    let chosen = check_chosen(&scene, &fits);
    assert!(chosen["exe"].as_str().unwrap().contains("python"), "{chosen}");
    assert_eq!(chosen["sha256"].as_str().unwrap().len(), 64);
    check_refused(&scene, &uid, "uid 0 is not the selector's");
    check_refused(&scene, &hash, "not the selector's");
    let untag = scene.gateway.cli(&["untag", "--cgroup", &fits.relative().display().to_string()]).unwrap();
    assert!(String::from_utf8_lossy(&untag.stderr).contains("a selector of workload `chosen`"), "{untag:?}");
}

const ID: &str = "7a0f3c5e9d1b4a68";
const POD: &str = "1f2e3d4c-5b6a-4978-8897-a6b5c4d3e2f1";

/// Where the runtimes make a container's cgroup, by either driver, with what the recording is to say of it.
fn layouts() -> Vec<(String, &'static str)> {
    let (id, pod, slice) = (ID.repeat(4), POD, POD.replace('-', "_"));
    vec![
        (format!("system.slice/docker-{id}.scope"), "docker"),
        (format!("docker/{id}"), "docker"),
        (format!("system.slice/nerdctl-{id}.scope"), "nerdctl"),
        (format!("machine.slice/libpod-{id}.scope"), "podman"),
        (
            format!(
                "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{slice}.slice/cri-containerd-{id}.scope"
            ),
            "pod",
        ),
        (format!("kubepods.slice/kubepods-pod{slice}.slice/crio-{id}.scope"), "pod"),
        (format!("kubepods/besteffort/pod{pod}/{id}"), "pod"),
        (format!("kubepods/pod{pod}/crio-{id}"), "pod"),
    ]
}

#[test]
fn containers_are_known_by_where_their_runtimes_put_them() {
    let id = ID.repeat(4);
    let scene = scene_with("", &select(&format!("container = \"{}\"", &id[..12])));
    for (path, runtime) in layouts() {
        let cgroup = Cgroup::at(&path).unwrap();
        wait_until_tagged(&scene, &cgroup);
        let chosen = check_chosen(&scene, &cgroup);
        assert_eq!(chosen["container"], id, "{path}");
        assert_eq!(chosen["pod"].as_str(), (runtime == "pod").then_some(POD), "{path}");
    }
}

#[test]
fn pods_and_units_are_known_by_where_their_managers_put_them() {
    let slice = POD.replace('-', "_");
    let selects = select(&format!("pod = \"{POD}\"")) + &select("unit = \"portreeve-test@*.service\"");
    let scene = scene_with("", &selects);
    let pods = [
        format!("kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{slice}.slice"),
        format!("kubepods/burstable/pod{POD}"),
    ];
    for path in pods {
        let pod = Cgroup::at(&path).unwrap();
        wait_until_tagged(&scene, &pod);
        // A container in it is the pod's.
        let chosen = check_chosen(&scene, &pod.child("inner").unwrap());
        assert_eq!(chosen["pod"], POD, "{path}");
    }
    for path in ["system.slice", "system.slice/system-portreeve.slice"] {
        let unit = Cgroup::at(&format!("{path}/portreeve-test@7.service")).unwrap();
        wait_until_tagged(&scene, &unit);
        assert_eq!(check_chosen(&scene, &unit)["unit"], "portreeve-test@7.service");
    }
    // Names that no manager gives there.
    for path in [format!("evil/kubepods/burstable/pod{POD}"), "evil/system.slice/portreeve-test@7.service".into()] {
        let pretender = Cgroup::at(&path).unwrap();
        thread::sleep(POLL_EVERY * 20);
        assert_eq!(tagged(&scene, &pretender), None, "{path}");
    }
}

#[test]
fn who_a_process_is_and_why_can_be_asked() {
    let parent = Cgroup::create("who").unwrap();
    let path = parent.relative().display().to_string();
    let scene = scene_with(&format!("refuse_unmatched = [\"{path}\"]"), &select(&format!("cgroup = \"{path}/agent\"")));
    let agent = parent.child("agent").unwrap();
    wait_until_tagged(&scene, &agent);
    let ask = |cgroup: &Cgroup| {
        let mut sleep = cgroup.command("sleep").unwrap();
        let mut sleep = process::spawn({
            sleep.arg("60");
            sleep
        })
        .unwrap();
        let pid = sleep.id().to_string();
        let output = scene.gateway.cli(&["who", &pid, "--json"]).unwrap();
        let shown = scene.gateway.cli(&["who", &pid]).unwrap();
        process::terminate(&mut sleep).unwrap();
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code(), answer, String::from_utf8(shown.stdout).unwrap())
    };
    let (code, answer, shown) = ask(&agent.child("inner").unwrap());
    assert_eq!((code, &answer["workload"]["workload"]), (Some(0), &"chosen".into()), "{answer}");
    assert_eq!(answer["workload"]["selectors"][0], format!("cgroup = \"{path}/agent\""));
    assert!(shown.contains("spiffe://example.org/chosen") && shown.contains("(sleep), uid 0"), "{shown}");
    let (code, answer, shown) = ask(&parent);
    assert_eq!((code, &answer["refused_below"]), (Some(1), &path.into()), "{answer}");
    assert!(shown.contains("are refused"), "{shown}");
    let (code, answer, shown) = ask(&Cgroup::create("nobody").unwrap());
    assert_eq!((code, &answer["workload"]), (Some(1), &Value::Null));
    assert!(shown.contains("not intercepted"), "{shown}");
}
