use super::*;

const ID: &str = "3f4e1a0b5c6d7e8f90123456789abcdef0123456789abcdef0123456789abcde";
const POD: &str = "0b6a7a2e-7f39-4a36-9d1c-0c7f3a4b5c6d";

fn place(path: &str) -> Place {
    let path = path.replace("ID", ID).replace("POD_", &POD.replace('-', "_")).replace("POD", POD);
    Place::of(Path::new(&path))
}

fn check(path: &str, pod: bool, container: bool) {
    let found = place(path);
    assert_eq!(found.pod, pod.then(|| POD.to_owned()), "{path}");
    assert_eq!(found.container, container.then(|| ID.to_owned()), "{path}");
}

#[test]
fn containers_and_pods_are_known_where_runtimes_make_them() {
    check("system.slice/docker-ID.scope", false, true);
    check("docker/ID", false, true);
    check("agents.slice/docker-ID.scope", false, true);
    check("machine.slice/libpod-ID.scope", false, true);
    check("kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podPOD_.slice", true, false);
    check(
        "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podPOD_.slice/cri-containerd-ID.scope",
        true,
        true,
    );
    check("kubepods.slice/kubepods-podPOD_.slice/crio-ID.scope", true, true);
    check("kubepods/besteffort/podPOD/ID", true, true);
    check("kubepods/podPOD/crio-ID", true, true);
    check("kubepods/burstable/podPOD", true, false);
}

#[test]
fn the_same_names_elsewhere_are_nobody() {
    for path in [
        "agents/a/docker/ID",
        "agents/a/system.slice/docker-ID.scope",
        "system.slice/agent.service/docker-ID.scope",
        "docker/ID/docker/ID",
        "kubepods.slice/kubepods-burstable-podPOD_.slice",
        "kubepods.slice/kubepods-podPOD_.slice/crio-ID.scope/kubepods.slice/kubepods-podPOD_.slice",
        "user.slice/user-1000.slice/user@1000.service/docker-ID.scope",
        "user.slice/user-1000.slice/user@1000.service/kubepods.slice/kubepods-podPOD_.slice",
        "kubepods/podPOD/x/ID",
        "system.slice/docker-3f4e.scope",
    ] {
        check(path, false, false);
    }
}

#[test]
fn units_are_known_by_an_unbroken_chain_of_slices() {
    let unit = |path: &str| place(path).unit;
    assert_eq!(unit("system.slice/agent@a.service").as_deref(), Some("agent@a.service"));
    assert_eq!(unit("system.slice/system-agent.slice/agent@a.service").as_deref(), Some("agent@a.service"));
    assert_eq!(unit("batch.slice/batch-night.slice").as_deref(), Some("batch-night.slice"));
    for path in [
        "agent@a.service",
        "system.slice/other.service/agent@a.service",
        "agents/system.slice/agent@a.service",
        "system.slice/batch-night.slice/agent@a.service",
        "user.slice/user-1000.slice/user@1000.service/app.slice/agent@a.service",
    ] {
        assert_eq!(unit(path), None, "{path}");
    }
}

#[test]
fn a_users_unit_belongs_to_the_user_whose_manager_it_is() {
    let user = |path: &str| place(path).user_unit;
    let agent = Some((1000, "agent.service".to_owned()));
    assert_eq!(user("user.slice/user-1000.slice/user@1000.service/app.slice/agent.service"), agent);
    assert_eq!(user("user.slice/user-1000.slice/user@1000.service/agent.service"), agent);
    assert_eq!(user("user.slice/user-1000.slice/user@1001.service/app.slice/agent.service"), None);
    assert_eq!(user("user.slice/user-1000.slice/user@1000.service/x/agent.service"), None);
    let select = Select { user_unit: Some(Pattern::new("agent.service")), uid: Some(1001), ..Select::default() };
    let path = "user.slice/user-1000.slice/user@1000.service/agent.service";
    assert!(!select.chooses(Path::new(path), &place(path), true));
    assert!(Select { uid: Some(1000), ..select }.chooses(Path::new(path), &place(path), true));
}

#[test]
fn patterns_keep_within_a_name_but_for_two_stars() {
    let path = |pattern: &str, path: &str| Pattern::new(pattern).matches_path(path);
    assert!(path("system.slice/agent-*.service", "system.slice/agent-7.service"));
    assert!(!path("system.slice/agent-*.service", "system.slice/agent-7/x.service"));
    assert!(path("agents/**", "agents") && path("agents/**", "agents/a/b") && !path("agents/**", "agents2/a"));
    assert!(path("agents/**/leaf", "agents/leaf") && path("agents/**/leaf", "agents/a/b/leaf"));
    let name = |pattern: &str, name: &str| Pattern::new(pattern).matches(name);
    assert!(name("a*b*c", "aXbYbZc") && !name("a*b*c", "aXc") && name("a?c", "abc") && !name("a?c", "ac"));
    assert!(name("*", "") && !name("", "a"));
}

#[test]
fn every_key_of_a_selector_must_hold() {
    let path = format!("system.slice/docker-{ID}.scope");
    let (path, place) = (Path::new(&path), place("system.slice/docker-ID.scope"));
    let select = Select { container: Some(ID[..12].to_owned()), ..Select::default() };
    assert!(select.chooses(path, &place, false));
    assert!(!select.chooses(path, &place, true), "its owner may have named it so");
    assert!(!Select { pod: Some(POD.to_owned()), ..select.clone() }.chooses(path, &place, false));
    assert!(!Select { cgroup: Some(Pattern::new("docker/*")), ..select }.chooses(path, &place, false));
    assert!(!Select { uid: Some(0), ..Select::default() }.chooses(path, &place, false), "a uid alone chooses nobody");
}

#[test]
fn uid_and_executable_only_narrow() {
    let python = Executable { path: "/usr/bin/python3.11".into(), sha256: "ab".repeat(32) };
    let select = Select { uid: Some(7), exe: Some(Pattern::new("usr/bin/python3*")), ..Select::default() };
    assert_eq!(select.admits(7, Some(&python)), Ok(()));
    assert!(select.admits(8, Some(&python)).unwrap_err().contains("uid 8"));
    assert!(select.admits(7, None).unwrap_err().contains("not known"));
    let hashed = Select { sha256: Some("cd".repeat(32)), ..Select::default() };
    assert!(hashed.admits(7, Some(&python)).unwrap_err().contains("SHA-256"));
}
