//! The binary as a person or a script meets it: exit codes and what is said, as far as no kernel program is needed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that panics has failed"
)]

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const CONFIG: &str = r#"trust_domain = "example.org"
state_dir = "DIR/state"
run_dir = "DIR/run"

[[workload]]
name = "reporting"
cgroup = "portreeve-test-cli/reporting"
groups = ["reporting"]

[[server]]
name = "orders"
match = ["127.0.0.1:3306"]
tls = "disabled"

[[server.credential]]
for = ["group:reporting"]
user = "orders_ro"
password_file = "secret"

[policy]
paths = ["policies"]
"#;

const POLICY: &str = r#"@id("reporting-reads")
permit (principal in Group::"reporting", action in Action::"read", resource in Schema::"orders/shop");
"#;

/// A configuration in a folder of its own, gone at the end of the test.
struct Host(PathBuf);

impl Host {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("portreeve-cli-{}-{name}", std::process::id()));
        fs::create_dir_all(dir.join("policies")).unwrap();
        let host = Self(dir);
        host.write("portreeve.toml", &CONFIG.replace("DIR", &host.0.display().to_string()));
        host.write("secret", "hunter2\n");
        host.write("policies/reporting.cedar", POLICY);
        host
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    }

    fn edit(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.0.join("portreeve.toml")).unwrap();
        assert!(text.contains(from), "`{from}` is not in the configuration");
        self.write("portreeve.toml", &text.replace(from, to));
    }

    /// Runs the command with this configuration.
    fn run(&self, args: &[&str]) -> Said {
        let config = self.0.join("portreeve.toml");
        run(&[args, &["--config", config.to_str().unwrap()]].concat())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[derive(Debug)]
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Said {
    /// Exactly this exit code, and on standard error one message with all of these texts.
    fn fails(&self, code: i32, expected: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:#?}");
        assert_eq!(self.err.matches("portreeve: ").count(), 1, "told once: {self:#?}");
        for text in expected {
            assert!(self.err.contains(text), "no `{text}` in {self:#?}");
        }
        assert!(!self.err.contains("hunter2") && !self.out.contains("hunter2"));
    }

    fn succeeds(&self, expected: &[&str]) {
        assert_eq!((self.code, self.err.as_str()), (Some(0), ""), "{self:#?}");
        for text in expected {
            assert!(self.out.contains(text), "no `{text}` in {self:#?}");
        }
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

fn run(args: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portreeve"));
    command.args(args).env_remove("PORTREEVE_CONFIG").env_remove("PORTREEVE_LOG").stdin(Stdio::null());
    let output = command.output().unwrap();
    Said {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn a_good_configuration_is_summed_up() {
    let host = Host::new("check");
    host.run(&["check"])
        .succeeds(&["the configuration is right", "1 workloads, 1 servers with 1 credentials, 1 policies"]);
    let json = host.run(&["check", "--json"]).json();
    assert_eq!((&json["ok"], &json["summary"]["policies"]), (&true.into(), &1.into()));
}

#[test]
fn every_problem_of_a_configuration_is_told_and_the_exit_code_is_2() {
    let host = Host::new("problems");
    host.edit("tls = \"disabled\"", "tls = \"sometimes\"\ntsl = 1");
    fs::remove_file(host.0.join("secret")).unwrap();
    let expected = [
        "portreeve: the configuration has 3 problems:",
        "portreeve.toml:13:7: server[1].tls: `sometimes`",
        "portreeve.toml:14:1: server[1].tsl: unknown key `tsl`: did you mean `tls`?",
        "portreeve.toml:19:17: server[1].credential[1].password_file: cannot read the password file",
    ];
    host.run(&["check"]).fails(2, &expected);
    host.run(&["run"]).fails(2, &expected);
    assert!(!host.0.join("run").exists(), "nothing half-started");
    let said = host.run(&["check", "--json"]);
    assert_eq!((said.code, said.json()["problems"][1]["column"].clone()), (Some(2), 1.into()));
}

#[test]
fn a_missing_configuration_is_told_with_its_path() {
    let check = |args: &[&str]| {
        let args = [args, &["--config", "/nonexistent/p.toml"]].concat();
        run(&args).fails(2, &["/nonexistent/p.toml: cannot read the configuration", "`--config`"]);
    };
    check(&["check"]);
    check(&["run"]);
    check(&["status"]);
    check(&["tail"]);
    check(&["sessions"]);
    check(&["policy", "check"]);
}

#[test]
fn the_configuration_may_be_named_by_the_environment() {
    let host = Host::new("environment");
    let mut command = Command::new(env!("CARGO_BIN_EXE_portreeve"));
    let output = command.arg("check").env("PORTREEVE_CONFIG", host.0.join("portreeve.toml")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn bad_policies_are_told_with_their_line() {
    let host = Host::new("policies");
    host.write(
        "policies/broken.cedar",
        "@id(\"a\")\npermit (principal, action, resource) when { 1 };\n\npermit (principal",
    );
    host.run(&["policy", "check"]).fails(2, &["policies/broken.cedar:4"]);
    host.run(&["check"]).fails(2, &["policies/broken.cedar:4"]);
    let good = host.0.join("policies/reporting.cedar");
    host.run(&["policy", "check", good.to_str().unwrap()]).succeeds(&["1 policies are valid: reporting-reads"]);
    host.run(&["policy", "check", "/nonexistent.cedar"]).fails(2, &["/nonexistent.cedar"]);
    let said = host.run(&["policy", "check", "--json"]);
    assert_eq!((said.code, said.json()["problems"][0]["line"].clone()), (Some(2), 4.into()));
}

#[test]
fn explaining_a_statement_answers_by_the_exit_code() {
    let host = Host::new("explain");
    let explain = |workload: &str, rest: &[&str]| {
        host.run(&[&["policy", "explain", "--workload", workload, "--server", "orders"], rest].concat())
    };
    let select = "SELECT id FROM orders WHERE id = 7";
    explain("reporting", &["--schema", "shop", select]).succeeds(&[
        "select",
        "orders/shop.orders",
        "allow",
        "reporting-reads",
    ]);
    explain("spiffe://example.org/reporting", &["--schema", "shop", select]).succeeds(&["allow"]);
    explain("spiffe://example.org/x", &["--group", "reporting", "--schema", "shop", select]).succeeds(&["allow"]);

    let denied = explain("reporting", &["DELETE FROM shop.orders"]);
    assert_eq!((denied.code, denied.err.as_str()), (Some(1), ""), "{denied:#?}");
    assert!(denied.out.contains("verdict    deny: no policy permits `delete`"), "{denied:#?}");
    assert_eq!(explain("spiffe://example.org/x", &["--schema", "shop", select]).code, Some(1));
    assert_eq!(explain("reporting", &["SELECT FROM WHERE"]).code, Some(1));
    let json = explain("reporting", &["--json", "--flavour", "mariadb", "SELECT id FROM shop.orders"]).json();
    assert_eq!(
        (&json["verdict"]["decision"], &json["verdict"]["policies"][0]),
        (&"allow".into(), &"reporting-reads".into())
    );

    explain("etl", &["SELECT 1"]).fails(2, &["there is no workload `etl`", "give one of reporting"]);
    explain("spiffe://", &["SELECT 1"]).fails(2, &["`spiffe://` is not a SPIFFE ID"]);
    let stranger = ["policy", "explain", "--workload", "reporting", "--server", "billing", "SELECT 1"];
    host.run(&stranger).fails(2, &["there is no server `billing`", "give one of orders"]);
}

#[test]
fn what_a_terminal_would_act_on_is_not_printed() {
    let host = Host::new("terminal");
    let sql = "SELECT * FROM `a\u{1b}[2J`.b";
    let said = host.run(&["policy", "explain", "--workload", "reporting", "--server", "orders", sql]);
    assert_eq!(said.code, Some(1));
    assert!(!said.out.contains('\u{1b}'), "{said:#?}");
}

#[test]
fn without_a_daemon_the_exit_code_is_3() {
    let host = Host::new("absent");
    let expected = ["no portreeve answers at", "run/control.sock", "start it with `portreeve run`"];
    host.run(&["status"]).fails(3, &expected);
    host.run(&["status", "--json"]).fails(3, &expected);
    host.run(&["workloads"]).fails(3, &expected);
    host.run(&["tag", "--cgroup", "agents/x", "--workload", "x"]).fails(3, &expected);
    host.run(&["untag", "--cgroup", "agents/x"]).fails(3, &expected);
    // Who may not read the secrets may still ask for the status.
    fs::remove_file(host.0.join("secret")).unwrap();
    host.run(&["status"]).fails(3, &expected);
}

#[test]
fn a_command_used_wrongly_ends_with_2() {
    let host = Host::new("usage");
    let check = |args: &[&str], expected: &str| {
        let said = host.run(args);
        assert_eq!(said.code, Some(2), "{said:#?}");
        assert!(said.err.contains(expected), "{said:#?}");
    };
    check(&["statsu"], "unrecognized subcommand 'statsu'");
    check(&["tag", "--cgroup", "agents/x"], "--workload");
    check(&["tag", "--cgroup", "agents/x", "--workload", "X"], "`X` is not a workload name");
    check(&["tag", "--cgroup", "agents/x", "--workload", "x", "--spiffe-id", "x"], "`x` is not a SPIFFE ID");
    check(&["tag", "--cgroup", "/etc", "--workload", "x"], "`/etc` is not below the cgroup v2 mount");
    check(&["tag", "--cgroup", "../x", "--workload", "x"], "--cgroup `../x` leaves its place");
    check(&["tag", "--cgroup", "x", "--workload", "reporting", "--group", "admins"], "the configuration says");
    check(&["untag", "--cgroup", "."], "--cgroup `.` leaves its place");
    check(&["run", "--log-format", "xml"], "[possible values: text, json]");
    check(&["policy", "explain", "SELECT 1"], "--workload");
}

#[test]
fn the_ca_is_made_shown_and_renewed_without_a_daemon() {
    let host = Host::new("ca");
    host.run(&["ca", "renew"]).fails(1, &["there is no CA at `", "run `portreeve ca`"]);
    let said = host.run(&["ca"]);
    assert_eq!(said.code, Some(0), "{said:#?}");
    let file = fs::read_to_string(host.0.join("state/ca/ca.pem")).unwrap();
    assert!(said.out.contains("fingerprint  SHA-256 ") && said.out.ends_with(&file), "{said:#?}");
    let ca = host.run(&["ca", "--json"]).json();
    assert_eq!(ca["pem"], file.as_str());
    for key in ["path", "subject", "sha256", "not_before", "not_after"] {
        assert!(said.out.contains(ca[key].as_str().unwrap()), "no {key} in {said:#?}");
    }
    let said = host.run(&["ca", "renew"]);
    assert_eq!(said.code, Some(0), "{said:#?}");
    assert!(said.out.contains("ca.pem.1") && said.out.contains("restart the daemon"), "{said:#?}");
    let renewed = host.run(&["ca", "renew", "--json"]).json();
    assert_eq!(renewed["kept"], host.0.join("state/ca/ca.pem.2").display().to_string());
    assert_ne!(renewed["sha256"], ca["sha256"]);
    assert_eq!(host.run(&["ca", "--json"]).json()["sha256"], renewed["sha256"]);
    fs::write(host.0.join("state/ca/key.pem"), "").unwrap();
    host.run(&["ca"]).fails(1, &["is damaged: repair it", "holds no ECDSA P-256 key"]);
}

#[test]
fn a_bad_log_filter_is_a_mistake_of_usage() {
    let host = Host::new("filter");
    let mut command = Command::new(env!("CARGO_BIN_EXE_portreeve"));
    command.args(["run", "--config"]).arg(host.0.join("portreeve.toml")).env("PORTREEVE_LOG", "portreeve=loud");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8(output.stderr).unwrap().contains("PORTREEVE_LOG is `portreeve=loud`"));
}

#[test]
fn the_doctor_says_for_each_fact_what_is_lost_and_what_to_do() {
    let host = Host::new("doctor");
    let said = host.run(&["doctor", "--json"]);
    let findings = said.json();
    let findings = findings.as_array().unwrap();
    let of =
        |what: &str| findings.iter().find(|finding| finding["what"] == what).unwrap_or_else(|| panic!("no {what}"));
    for what in
        ["kernel", "cgroup v2", "BTF", "BPF file system", "privileges", "state_dir", "run_dir", "pins", "workload"]
    {
        assert_eq!(of(what)["state"] == "ok", of(what)["todo"].is_null(), "{what}");
    }
    assert_eq!((&of("kernel")["state"], &of("workload")["state"]), (&"ok".into(), &"warning".into()));
    assert!(of("workload")["found"].as_str().unwrap().contains("portreeve-test-cli/reporting"));
    let lacking = findings.iter().any(|finding| finding["state"] == "missing");
    assert_eq!(said.code, Some(i32::from(lacking)));

    // A file where the folder's parent should be: root may write anywhere else.
    host.edit("/run\"", "/secret/run\"");
    let said = host.run(&["doctor"]);
    assert_eq!(said.code, Some(1), "{said:#?}");
    assert!(said.out.contains("/secret is not a folder that this user may write in"), "{said:#?}");
    assert!(run(&["doctor", "--config", "/nonexistent"]).out.contains("missing  configuration: "));
}

#[test]
fn a_reader_that_leaves_is_not_an_error() {
    let host = Host::new("pipe");
    let mut command = Command::new(env!("CARGO_BIN_EXE_portreeve"));
    let mut child = command
        .args(["doctor", "--config"])
        .arg(host.0.join("portreeve.toml"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn sessions_without_recordings_are_none() {
    let host = Host::new("none");
    assert_eq!(host.run(&["sessions", "--json"]).code, Some(0));
    assert_eq!(host.run(&["tail", "--json"]).code, Some(0));
}

#[test]
fn the_version_is_the_packages() {
    let said = run(&["--version"]);
    assert_eq!((said.code, said.out.trim()), (Some(0), concat!("portreeve ", env!("CARGO_PKG_VERSION"))));
    assert!(Path::new(env!("CARGO_BIN_EXE_portreeve")).exists());
}

#[test]
fn filters_that_say_nothing_about_the_host_are_refused() {
    let host = Host::new("host-filters");
    for filter in ["--verdict=deny", "--server=orders", "--grep=x", "--table=orders", "--class=select", "--action=read"]
    {
        let said = host.run(&["tail", "--host", filter]);
        assert_eq!(said.code, Some(2), "{said:#?}");
        assert!(said.err.contains("--host"), "{said:#?}");
    }
    host.run(&["tail", "--host", "--since", "1h", "--workload", "reporting"]).succeeds(&[]);
}

#[test]
fn a_file_that_somebody_named_does_nothing_to_a_terminal() {
    let host = Host::new("names");
    let name = "a\x1b[2J\x1b]0;owned\x07b.prs";
    host.write(name, "no recording");
    let folder = host.0.to_str().unwrap();
    let file = format!("{folder}/{name}");
    for args in [
        &["search", ".", "--sessions", folder][..],
        &["export", "--sessions", folder],
        &["policy", "suggest", "--sessions", folder],
        &["policy", "replay", "--policies", &format!("{folder}/policies"), "--sessions", folder],
        &["verify", &file],
        &["policy", "check", &format!("{folder}/\x1b[2J")],
        &["policy", "import", "hoop", &file],
    ] {
        let said = host.run(args);
        let all = format!("{}{}", said.out, said.err);
        assert!(all.contains(r"\u{1b}[2J") && !all.contains(['\x1b', '\x07']), "{args:?}: {said:#?}");
    }
    assert_eq!(host.run(&["export", "--sessions", folder]).code, Some(4));
    assert_eq!(host.run(&["search", ".", "--sessions", folder]).code, Some(4));
}
