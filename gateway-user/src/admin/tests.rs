//! Real sockets, a made-up daemon.

use super::{
    Authority, Lock, PolicyView, Reloaded, Source, Status, TagRequest, Upgraded, WorkloadView,
    client::{DaemonAbsent, ask},
    listen,
    message::{ConnectView, Request, Response, legal_cgroup},
    serve,
};
use crate::{config::Config, limits::CONTROL_REQUEST_BYTES_MAX};
use std::{
    collections::BTreeMap,
    fs,
    io::{Read as _, Write as _},
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, mpsc},
    thread::JoinHandle,
};

/// Keeps tags in memory; `boom` panics as a daemon with a bug would.
#[derive(Debug, Default)]
struct Fake(Mutex<Vec<WorkloadView>>);

impl Authority for Fake {
    fn tag(&self, request: &TagRequest) -> anyhow::Result<WorkloadView> {
        assert_ne!(request.workload, "boom");
        anyhow::ensure!(request.workload != "refused", "the kernel refuses `{}`", request.cgroup.display());
        let view = WorkloadView {
            workload: request.workload.clone(),
            spiffe_id: request.spiffe_id.clone().unwrap_or_else(|| format!("spiffe://t/{}", request.workload)),
            groups: request.groups.clone(),
            cgroup: request.cgroup.clone(),
            cgroup_id: Some(u64::MAX),
            source: Source::Tag,
            selectors: Vec::new(),
            sessions_open: 0,
        };
        self.0.lock().unwrap().push(view.clone());
        Ok(view)
    }

    fn untag(&self, cgroup: &Path) -> anyhow::Result<WorkloadView> {
        let mut tagged = self.0.lock().unwrap();
        let index = tagged.iter().position(|view| view.cgroup == cgroup);
        index.map(|index| tagged.remove(index)).ok_or_else(|| anyhow::anyhow!("`{}` is not tagged", cgroup.display()))
    }

    fn workloads(&self) -> Vec<WorkloadView> {
        self.0.lock().unwrap().clone()
    }

    fn reload_policies(&self) -> Reloaded {
        Reloaded { problems: Vec::new(), policy: policy_view() }
    }

    fn upgrade(&self, _binary: Option<&Path>) -> anyhow::Result<Upgraded> {
        anyhow::bail!("this daemon cannot be upgraded")
    }

    fn end_sessions(&self, _cgroup: &Path) -> u64 {
        0
    }

    fn connects(&self, _after: u64) -> (Vec<ConnectView>, u64) {
        (Vec::new(), 0)
    }

    fn status(&self) -> Status {
        Status {
            version: "0".to_owned(),
            pid: std::process::id(),
            uptime_seconds: 1,
            started_at: "2026-01-02T03:04:05Z".to_owned(),
            build: "0123456789abcdef".to_owned(),
            draining: false,
            predecessors: Vec::new(),
            listen: vec!["[::1]:4000".parse().unwrap()],
            namespaces: Vec::new(),
            namespaces_ended_total: 0,
            workloads: u64::try_from(self.0.lock().unwrap().len()).unwrap(),
            sessions_open: 0,
            sessions_total: 0,
            statements_total: 0,
            denied_total: 0,
            redirected_total: 0,
            held_total: 0,
            connect_events_lost: 0,
            refused_connections: BTreeMap::from([("no-record".to_owned(), 2)]),
            would_deny_total: 0,
            observe: false,
            policies: 0,
            policy: policy_view(),
            pins_dir: PathBuf::from("/p"),
        }
    }
}

fn policy_view() -> PolicyView {
    PolicyView { policies: 0, generation: 1, loaded_at: String::new(), failed_loads: 0, last_problem: None }
}

/// A served control socket in a folder that is gone at the end of the test.
struct Daemon {
    run_dir: PathBuf,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Daemon {
    fn start(name: &str) -> Self {
        let run_dir = run_dir(name);
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (ready, is_ready) = mpsc::channel();
        let socket = run_dir.join("control.sock");
        let lock = Lock::take(&run_dir).unwrap();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = listen(&socket, &lock).unwrap().appear().unwrap();
                ready.send(()).unwrap();
                tokio::select! {
                    () = serve(listener, Arc::new(Fake::default())) => {}
                    _ = stopped => {}
                }
            });
        });
        is_ready.recv().unwrap();
        Self { run_dir, stop: Some(stop), thread: Some(thread) }
    }

    fn socket(&self) -> PathBuf {
        self.run_dir.join("control.sock")
    }

    /// Sends bytes and returns the answer line, or nothing when the daemon closes.
    fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        stream.write_all(bytes).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.stop.take().map(|stop| stop.send(()));
        let _ = self.thread.take().map(JoinHandle::join);
        let _ = fs::remove_dir_all(&self.run_dir);
    }
}

fn run_dir(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("portreeve-admin-{}-{name}", std::process::id()))
}

fn request(cgroup: &str, workload: &str) -> TagRequest {
    TagRequest { cgroup: cgroup.into(), workload: workload.to_owned(), groups: vec!["g".to_owned()], spiffe_id: None }
}

#[test]
fn a_cgroup_is_tagged_listed_counted_and_untagged() {
    let daemon = Daemon::start("round-trip");
    let say = |request: Request| ask(&daemon.socket(), &request).unwrap();
    let Response::Tagged { workload } = say(Request::Tag(request("agents/a", "a"))) else { panic!("not tagged") };
    assert_eq!((workload.cgroup_id, workload.groups.as_slice()), (Some(u64::MAX), ["g".to_owned()].as_slice()));
    assert_eq!(say(Request::Workloads {}), Response::Workloads { workloads: vec![workload.clone()] });
    let Response::Status { status } = say(Request::Status {}) else { panic!("no status") };
    assert_eq!((status.workloads, status.refused_connections["no-record"]), (1, 2));
    assert_eq!(say(Request::Untag { cgroup: "agents/a/".into() }), Response::Untagged { workload });
    assert_eq!(say(Request::Workloads {}), Response::Workloads { workloads: Vec::new() });
}

#[test]
fn what_the_daemon_refuses_is_told_with_its_reason() {
    let daemon = Daemon::start("refusals");
    let refusal = |request: Request| format!("{:#}", ask(&daemon.socket(), &request).unwrap_err());
    assert_eq!(refusal(Request::Tag(request("x", "refused"))), "the kernel refuses `x`");
    assert_eq!(refusal(Request::Untag { cgroup: "x".into() }), "`x` is not tagged");
    assert!(refusal(Request::Untag { cgroup: "../x".into() }).contains("leaves its place"));
}

#[test]
fn a_request_that_breaks_the_daemon_breaks_that_request_only() {
    let daemon = Daemon::start("panic");
    let error = ask(&daemon.socket(), &Request::Tag(request("x", "boom"))).unwrap_err();
    assert!(error.to_string().contains("the daemon failed at this request"), "{error:#}");
    assert!(matches!(ask(&daemon.socket(), &Request::Status {}).unwrap(), Response::Status { .. }));
}

#[test]
fn bad_requests_are_answered_and_end_nothing_else() {
    let daemon = Daemon::start("bad");
    let check = |bytes: &[u8], expected: &str| {
        let answer = daemon.raw(bytes);
        assert!(answer.contains(expected), "{answer}");
    };
    check(b"hello\n", "the request is not one this version knows");
    check(b"{\"request\":\"stop\"}\n", "unknown variant `stop`");
    check(b"{\"request\":\"tag\",\"cgroup\":\"x\",\"workload\":\"x\",\"root\":true}\n", "unknown field `root`");
    check(b"\xff\xfe\n", "refused");
    check(b"{\"request\":\"status\"}", "ends without a newline");
    assert_eq!(daemon.raw(b""), "");
    assert_eq!(daemon.raw(b"{\"request\":\"workloads\"}\n{\"request\":\"workloads\"}\n").lines().count(), 2);
}

#[test]
fn requests_end_at_their_limit() {
    let daemon = Daemon::start("limit");
    let padded = |length: usize| {
        let mut line = b"{\"request\":\"workloads\"}".to_vec();
        line.resize(length - 1, b' ');
        line.push(b'\n');
        line
    };
    assert!(daemon.raw(&padded(CONTROL_REQUEST_BYTES_MAX)).contains("\"response\":\"workloads\""));
    // One byte more is not read: closing with it unread may break the pipe before the answer is seen.
    let mut stream = UnixStream::connect(daemon.socket()).unwrap();
    stream.write_all(&padded(CONTROL_REQUEST_BYTES_MAX + 1)).unwrap();
    let mut answer = [0; 128];
    let count = stream.read(&mut answer).unwrap();
    assert!(String::from_utf8_lossy(&answer[..count]).contains("is longer than 65536 bytes"));
}

#[test]
fn nobody_there_is_told_from_a_refusal() {
    let folder = run_dir("absent");
    let socket = folder.join("control.sock");
    let absent = || ask(&socket, &Request::Status {}).unwrap_err().downcast::<DaemonAbsent>().unwrap();
    assert!(absent().to_string().contains("start it with `portreeve run`"));
    fs::create_dir_all(&folder).unwrap();
    // The socket of a daemon that was killed.
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    assert_eq!(absent().socket, socket.display().to_string());
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_dead_daemons_socket_is_replaced_and_a_live_one_is_not() {
    let daemon = Daemon::start("stale");
    let socket = daemon.socket();
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(&daemon.run_dir).unwrap().permissions().mode() & 0o777, 0o700);
    let error = Lock::take(&daemon.run_dir).unwrap_err().to_string();
    let expected =
        format!("another portreeve (process {}) runs with run_dir `{}`", std::process::id(), daemon.run_dir.display());
    assert!(error.starts_with(&expected), "{error}");
    assert!(ask(&socket, &Request::Status {}).is_ok());

    let folder = run_dir("dead");
    fs::create_dir_all(&folder).unwrap();
    let dead = folder.join("control.sock");
    drop(std::os::unix::net::UnixListener::bind(&dead).unwrap());
    let lock = Lock::take(&folder).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let listener = runtime.block_on(async { listen(&dead, &lock).unwrap().appear().unwrap() });
    assert!(UnixStream::connect(&dead).is_ok());
    drop((listener, lock));
    Lock::take(&folder).unwrap();
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_run_dir_that_others_may_write_in_is_refused() {
    let folder = run_dir("shared");
    fs::create_dir_all(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(Lock::take(&folder).unwrap_err().to_string().contains("only user"));
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o777, "the mode is the operator's");
    let link = run_dir("link");
    std::os::unix::fs::symlink(&folder, &link).unwrap();
    assert!(Lock::take(&link).is_err());
    fs::remove_file(link).unwrap();
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_tag_means_the_configured_workload_or_a_new_one_never_a_mixture() {
    let folder = run_dir("resolve");
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("portreeve.toml");
    let text = "trust_domain = \"t\"\n[[workload]]\nname = \"known\"\ncgroup = \"c\"\ngroups = [\"g\", \"h\"]\n[policy]\npaths = []\n";
    fs::write(&path, text).unwrap();
    let config = Config::read(&path).unwrap();
    fs::remove_dir_all(folder).unwrap();

    let known = request("other", "known").resolve(&config).unwrap();
    assert_eq!((known.cgroup, known.groups.len()), (Some("other".into()), 2));
    let new = request("other", "new").resolve(&config).unwrap();
    assert_eq!((new.spiffe_id.as_str(), new.groups.as_slice()), ("spiffe://t/new", ["g".to_owned()].as_slice()));

    let check = |request: TagRequest, expected: &str| {
        let error = request.resolve(&config).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(
        TagRequest { groups: vec!["admins".to_owned()], ..request("x", "known") },
        "the configuration says what workload `known` is",
    );
    check(
        TagRequest { spiffe_id: Some("spiffe://t/other".to_owned()), ..request("x", "known") },
        "the configuration says",
    );
    check(
        TagRequest { spiffe_id: Some("spiffe://t/known".to_owned()), ..request("x", "new") },
        "is workload `known` of the configuration",
    );
    check(request("x", "No"), "is not a workload name");
    check(TagRequest { groups: vec!["*".to_owned()], ..request("x", "new") }, "is not a group name");
    check(
        TagRequest { groups: (0..65).map(|n| n.to_string()).collect(), ..request("x", "new") },
        "65 groups are too many",
    );
    check(request("/x", "new"), "is absolute");
}

#[test]
fn cgroups_of_requests_stay_below_the_mount() {
    assert_eq!(legal_cgroup(Path::new("a//b/./c/")).unwrap(), PathBuf::from("a/b/c"));
    for bad in ["", ".", "..", "a/../b", "/a", "./a"] {
        assert!(legal_cgroup(Path::new(bad)).is_err(), "{bad}");
    }
}
