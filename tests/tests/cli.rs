//! The commands, as a person or a program meets them on a host with a daemon.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that panics has failed"
)]

use portreeve_tests::{
    cgroup::Cgroup,
    gateway::{Gateway, GatewayConfig},
    host,
    limits::CLIENT_RUN_MAX,
    process,
    scene::{Scene, server},
    servers::Flavour,
};
use serde_json::Value;
use std::{
    env,
    ffi::OsString,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output},
};

/// The server is called as in the documents, so that their commands work as they are.
const POLICY: &str = r#"
@id("reporting-reads-orders")
permit (principal in Group::"reporting", action in Action::"read", resource == Table::"orders/shop.orders");
@id("reporting-sessions")
permit (principal in Group::"reporting", action in Action::"session", resource in Server::"orders");
@id("reporting-is-read-only")
forbid (principal in Group::"reporting", action in [Action::"write", Action::"ddl"], resource);
"#;

fn scene() -> Scene {
    Scene::with(server(Flavour::MariaDb).unwrap(), POLICY, |config| config.servers[0].name = "orders".into()).unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The exit code, and the answer as JSON: one value, or one per line.
fn check_json(gateway: &Gateway, args: &[&str], code: i32) -> Value {
    let output = gateway.cli(args).unwrap();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{args:?}: {error}: {}", out(&output)))
}

fn portreeve(args: &[&str]) -> Output {
    let mut command = Command::new(host::portreeve_binary().unwrap());
    command.args(args);
    process::output(command, CLIENT_RUN_MAX).unwrap()
}

/// The commands that a help text lists.
fn listed(help: &str) -> Vec<String> {
    let Some((_, commands)) = help.split_once("Commands:\n") else { return vec![] };
    let lines = commands.lines().take_while(|line| !line.is_empty());
    // A description that goes on in the next line is indented further.
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").map(str::to_owned).collect()
}

/// Every command with a help of its own, and that help.
fn helps(before: &[&str]) -> Vec<(String, String)> {
    let help = portreeve(&[before, &["--help"]].concat());
    assert_eq!(help.status.code(), Some(0), "{before:?}");
    let help = out(&help);
    let below = listed(&help);
    let mut all = vec![(before.join(" "), help)];
    for name in &below {
        all.extend(helps(&[before, &[name.as_str()]].concat()));
    }
    all
}

#[test]
fn every_command_has_help_with_examples() {
    let helps = helps(&[]);
    let names: Vec<_> = helps.iter().map(|(name, _)| name.as_str()).collect();
    for name in
        ["run", "check", "doctor", "tag", "untag", "workloads", "sessions", "tail", "verify", "status", "detach"]
    {
        assert!(names.contains(&name), "{names:?}");
    }
    assert!(names.contains(&"policy check") && names.contains(&"policy explain"), "{names:?}");
    for (name, help) in &helps {
        assert!(help.contains("Examples:\n  portreeve "), "`portreeve {name} --help`: {help}");
    }
}

#[test]
fn every_answer_for_a_program_is_json() {
    let scene = scene();
    let gateway = &scene.gateway;
    let visitor = Cgroup::create("visitor").unwrap();
    let visitor = visitor.relative().to_str().unwrap();
    assert!(scene.report("SELECT id FROM orders").unwrap().ok());
    assert!(!scene.report("DELETE FROM orders").unwrap().ok());

    let status = check_json(gateway, &["status", "--json"], 0);
    assert_eq!(status["pid"].as_u64(), scene.gateway.pid().map(u64::from));
    assert_eq!(
        (&status["workloads"], &status["sessions_total"], &status["denied_total"]),
        (&2.into(), &2.into(), &1.into())
    );
    let workloads = check_json(gateway, &["workloads", "--json"], 0);
    let names: Vec<_> = workloads.as_array().unwrap().iter().map(|workload| &workload["workload"]).collect();
    assert_eq!(names, ["ingest", "reporting"]);
    let tag = ["tag", "--cgroup", visitor, "--workload", "visitor", "--json"];
    assert_eq!(check_json(gateway, &tag, 0)["spiffe_id"], "spiffe://example.org/visitor");
    assert_eq!(check_json(gateway, &["untag", "--cgroup", visitor, "--json"], 0)["source"], "tag");
    assert_eq!(check_json(gateway, &["check", "--json"], 0)["ok"], true);
    let policies = check_json(gateway, &["policy", "check", "--json"], 0);
    assert_eq!(policies["policies"].as_array().unwrap().len(), 3);

    let explain = ["policy", "explain", "--workload", "reporting", "--server", "orders", "--schema", "shop", "--json"];
    let allowed = check_json(gateway, &[&explain[..], &["SELECT id FROM orders"]].concat(), 0);
    assert_eq!(allowed["verdict"]["decision"], "allow");
    let denied = check_json(gateway, &[&explain[..], &["DELETE FROM orders"]].concat(), 1);
    assert_eq!(denied["verdict"]["decision"], "deny");
    assert!(denied["verdict"]["policies"].as_array().unwrap().contains(&"reporting-is-read-only".into()), "{denied}");

    let findings = check_json(gateway, &["doctor", "--json"], 0);
    for finding in findings.as_array().unwrap() {
        let state = finding["state"].as_str().unwrap();
        assert!(["ok", "warning"].contains(&state), "{finding}");
        assert_eq!(state == "ok", finding["lost"].is_null() && finding["todo"].is_null(), "{finding}");
    }

    let sessions = gateway.cli(&["sessions", "--json"]).unwrap();
    let sessions: Vec<Value> = out(&sessions).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(sessions.len(), 2, "{sessions:?}");
    let of_reporting = gateway.records(&["--workload", "reporting"]).unwrap();
    assert_eq!(of_reporting.iter().filter(|record| record["record"] == "opened").count(), 2, "{of_reporting:?}");
    assert!(gateway.records(&["--workload", "ingest"]).unwrap().is_empty());
}

#[test]
fn the_daemon_decides_as_explain_says() {
    let scene = scene();
    let explain = ["policy", "explain", "--workload", "reporting", "--server", "orders", "--schema", "shop"];
    for (sql, code, word) in [
        ("SELECT item FROM orders WHERE id = 1", 0, "allow"),
        ("SELECT name FROM customers", 1, "no policy permits"),
        ("UPDATE orders SET amount = 0", 1, "reporting-is-read-only"),
        ("SELECT o.item FROM orders o JOIN customers c ON o.customer = c.id", 1, "no policy permits"),
    ] {
        let explained = scene.gateway.cli(&[&explain[..], &["--flavour", "mariadb", sql]].concat()).unwrap();
        assert_eq!(explained.status.code(), Some(code), "{sql}: {explained:?}");
        assert!(out(&explained).contains(word), "{sql}: {}", out(&explained));
        let answer = scene.report(sql).unwrap();
        assert_eq!(answer.ok(), code == 0, "{sql}: {answer:?}");
        assert!(code == 0 || answer.stderr.contains(word), "{sql}: {answer:?}");
    }
}

#[test]
fn the_exit_code_says_how_a_command_ended() {
    let scene = scene();
    let check = |args: &[&str], code: i32, says: &str| {
        let output = scene.gateway.cli(args).unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {output:?}");
        let said = out(&output) + &err(&output);
        assert!(said.contains(says), "{args:?}: no `{says}` in: {said}");
        assert_eq!(code == 0, output.stderr.is_empty(), "{args:?}: {output:?}");
    };
    check(&["status"], 0, "2 tagged cgroups");
    check(&["workloads"], 0, "spiffe://example.org/reporting");
    check(&["check"], 0, "the configuration is right");
    check(&["policy", "check"], 0, "3 policies are valid");
    check(&["sessions"], 0, "");
    check(&["tail"], 0, "");
    check(&["verify", "--all"], 0, "recordings are sound");
    check(&["verify"], 2, "FILE");
    check(&["untag", "--cgroup", "agents/nobody"], 1, "`portreeve workloads` lists those that are");
    check(&["tag", "--cgroup", "agents/nobody", "--workload", "etl"], 1, "is not there");
    check(&["tail", "no-such-session"], 1, "no-such-session");
    check(&["detach"], 1, "another portreeve");
    check(&["tag", "--cgroup", "agents/x"], 2, "--workload");
    check(&["tag", "--cgroup", "../x", "--workload", "x"], 2, "leaves its place");
    check(&["stats"], 2, "status");
    let explain = ["policy", "explain", "--workload", "reporting", "--server", "shop", "SELECT 1"];
    check(&explain, 2, "there is no server `shop`");
}

#[test]
fn without_a_daemon_only_the_commands_that_need_it_fail() {
    let mut scene = scene();
    assert!(scene.report("SELECT id FROM orders").unwrap().ok());
    scene.gateway.terminate().unwrap();
    let needing: [&[&str]; 4] = [
        &["status"],
        &["workloads"],
        &["tag", "--cgroup", "agents/x", "--workload", "x"],
        &["untag", "--cgroup", "agents/x"],
    ];
    for args in needing {
        let output = scene.gateway.cli(args).unwrap();
        assert_eq!(output.status.code(), Some(3), "{args:?}: {output:?}");
        assert!(err(&output).contains("start it with `portreeve run`"), "{output:?}");
    }
    let independent: [&[&str]; 7] =
        [&["check"], &["doctor"], &["sessions"], &["tail"], &["verify", "--all"], &["policy", "check"], &["detach"]];
    for args in independent {
        let output = scene.gateway.cli(args).unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}: {output:?}");
        assert!(!out(&output).is_empty(), "{args:?}");
    }
}

#[test]
fn check_tells_every_problem() {
    let gateway = Gateway::prepare(&GatewayConfig::default()).unwrap();
    assert_eq!(check_json(&gateway, &["check", "--json"], 0)["problems"], Value::Array(vec![]));
    fs::write(
        gateway.config_path(),
        "trust_domain = 7\nrun_dri = \"/run/x\"\n[policy]\npaths = [\"/nonexistent\"]\n[[workload]]\nname = \"a b\"\n",
    )
    .unwrap();
    let found = check_json(&gateway, &["check", "--json"], 2);
    assert_eq!(found["ok"], false);
    let lines: Vec<_> = found["problems"].as_array().unwrap().iter().map(|problem| &problem["line"]).collect();
    for line in [1, 2, 4, 5, 6] {
        assert!(lines.contains(&&line.into()), "nothing about line {line} in {found}");
    }
    let told = gateway.cli(&["check"]).unwrap();
    assert_eq!((told.status.code(), out(&told).as_str()), (Some(2), ""));
    for line in [1, 2, 4, 5, 6] {
        assert!(err(&told).contains(&format!("portreeve.toml:{line}:")), "{}", err(&told));
    }
}

#[test]
fn the_doctor_says_what_is_missing() {
    let gateway = Gateway::prepare(&GatewayConfig::default()).unwrap();
    let well = gateway.cli(&["doctor"]).unwrap();
    assert_eq!(well.status.code(), Some(0), "{well:?}");
    for fact in ["kernel", "cgroup v2", "BPF file system", "privileges", "configuration", "state_dir", "run_dir"] {
        assert!(out(&well).contains(&format!("ok       {fact}: ")), "{fact}: {}", out(&well));
    }
    for (number, line) in out(&well).lines().enumerate() {
        let known = ["ok       ", "warning  ", "missing  ", "         lost: ", "         do:   "];
        assert!(known.iter().any(|start| line.starts_with(start)), "line {number}: {line}");
    }
    let mut command = Command::new("unshare");
    let script =
        format!("umount --lazy '{}' && exec \"$0\" doctor --config \"$1\"", host::cgroup2_mount().unwrap().display());
    command.args(["--mount", "--", "sh", "-c", &script]).arg(host::portreeve_binary().unwrap());
    command.arg(gateway.config_path());
    let without = process::output(command, CLIENT_RUN_MAX).unwrap();
    assert_eq!(without.status.code(), Some(1), "{without:?}");
    let (_, missing) =
        out(&without).split_once("missing  cgroup v2: ").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    assert!(missing.contains("\n         lost: no workload can be told from another"), "{missing}");
}

// ---- Policies --------------------------------------------------------------------------------------------------------

#[test]
fn policies_are_checked_against_the_cases_beside_them() {
    let gateway = Gateway::prepare(&GatewayConfig::default()).unwrap();
    let root = host::repo_root();
    let examples = root.join("policies/examples");
    let checked = check_json(&gateway, &["policy", "check", "--json", examples.to_str().unwrap()], 0);
    assert!(checked["cases"].as_u64().unwrap() > 50 && checked["failed"] == serde_json::json!([]), "{checked}");

    let folder = gateway.dir().join("mine");
    fs::create_dir_all(folder.join("cases")).unwrap();
    fs::copy(examples.join("reporting.cedar"), folder.join("reporting.cedar")).unwrap();
    let cases = "workload = \"spiffe://example.org/r\"\ngroups = [\"reporting\"]\nserver = \"orders\"\nschema = \"shop\"\n\
                 [[case]]\nsql = \"SELECT 1\"\nexpect = \"allow\"\n[[case]]\nsql = \"DROP TABLE a\"\nexpect = \"allow\"\n";
    fs::write(folder.join("cases/reporting.toml"), cases).unwrap();
    let told = gateway.cli(&["policy", "check", folder.to_str().unwrap()]).unwrap();
    assert_eq!(told.status.code(), Some(1), "{told:?}");
    let found = "cases/reporting.toml:9: DROP TABLE a\n  expected  allow\n  found     deny by none: no policy permits `drop` on `orders/shop.a`\n";
    assert!(out(&told).ends_with(found), "{}", out(&told));
    assert!(err(&told).starts_with("portreeve: 1 of 2 cases do not hold"), "{}", err(&told));
    fs::write(folder.join("cases/reporting.toml"), cases.replace("expect", "expects")).unwrap();
    let broken = gateway.cli(&["policy", "check", folder.to_str().unwrap()]).unwrap();
    assert_eq!(broken.status.code(), Some(2), "{broken:?}");
    assert!(err(&broken).contains("reporting.toml:7"), "{}", err(&broken));
}

#[test]
fn explain_says_what_comes_nearest_and_what_to_add() {
    let gateway = example("mcp.cedar");
    let explain = ["policy", "explain", "--workload", "spiffe://example.org/m", "--group", "mcp", "--server", "orders"];
    let said = |more: &[&str]| {
        let output = gateway.cli(&[&explain[..], &["--schema", "shop"], more].concat()).unwrap();
        assert_eq!(output.status.code(), Some(1), "{more:?}: {output:?}");
        out(&output)
    };
    let near = said(&["SELECT total FROM orders LIMIT 1"]);
    assert!(near.contains("mcp-read, but for\n             its condition: when { resource in ["), "{near}");
    let far = said(&["CREATE USER me"]);
    assert!(far.contains("action == Action::\"users\""), "{far}");
    assert!(said(&["--sql-mode", "ANSI_QUOTES", "FROBNICATE"]).contains("write the statement so"));
    fs::write(gateway.dir().join("statement.sql"), "DELETE FROM stock\n").unwrap();
    let file = gateway.dir().join("statement.sql");
    let json = check_json(
        &gateway,
        &[&explain[..], &["--schema", "shop", "--json", "--file", file.to_str().unwrap()]].concat(),
        1,
    );
    assert_eq!(json["lacking"][0]["nearest"]["policy"], "mcp-names", "{json}");

    let mut shell = Command::new("sh");
    let script = "echo 'SELECT 1' | \"$0\" \"$@\" -";
    shell
        .args(["-c", script])
        .arg(host::portreeve_binary().unwrap())
        .args(explain)
        .arg("--config")
        .arg(gateway.config_path());
    let piped = process::output(shell, CLIENT_RUN_MAX).unwrap();
    assert!(piped.status.code() == Some(0) && out(&piped).contains("yes  inspect"), "{piped:?}");
}

#[test]
fn what_was_recorded_is_permitted_by_what_is_suggested() {
    let scene = scene();
    let gateway = &scene.gateway;
    for sql in
        ["SELECT id FROM orders", "SELECT name FROM customers WHERE id = 1", "DELETE FROM orders", "FROBNICATE 1"]
    {
        scene.report(sql).unwrap();
    }
    let suggest = ["policy", "suggest", "--workload", "reporting"];
    let suggested = gateway.cli(&suggest).unwrap();
    assert_eq!((suggested.status.code(), err(&suggested).as_str()), (Some(0), ""), "{suggested:?}");
    let text = out(&suggested);
    assert!(text.contains("// 1 times: FROBNICATE 1") && text.contains("Denied 1 of them"), "{text}");
    let json = check_json(gateway, &[&suggest[..], &["--json"]].concat(), 0);
    assert_eq!(json[0]["workload"], "spiffe://example.org/reporting");
    let forwarded = out(&gateway.cli(&[&suggest[..], &["--forwarded"]].concat()).unwrap());
    assert!(!forwarded.contains("delete") && !forwarded.contains("customers"), "{forwarded}");
    let later = gateway.cli(&[&suggest[..], &["--since", "0s"]].concat()).unwrap();
    assert!(later.status.code() == Some(1) && err(&later).contains("no statement of `reporting`"), "{later:?}");

    // In place of those that denied some of it.
    fs::write(gateway.dir().join("policies/scene.cedar"), &text).unwrap();
    let explain = [
        "policy",
        "explain",
        "--workload",
        "reporting",
        "--server",
        "orders",
        "--schema",
        "shop",
        "--flavour",
        "mariadb",
    ];
    for (sql, code) in [
        ("SELECT id FROM orders", 0),
        ("SELECT name FROM customers WHERE id = 1", 0),
        ("DELETE FROM orders", 0),
        ("DELETE FROM customers", 1),
        ("FROBNICATE 1", 1),
        ("DROP TABLE orders", 1),
    ] {
        let explained = gateway.cli(&[&explain[..], &[sql]].concat()).unwrap();
        assert_eq!(explained.status.code(), Some(code), "{sql}: {explained:?}\n{text}");
    }
}

#[test]
fn guardrails_of_another_tool_become_policies_that_load() {
    let gateway = Gateway::prepare(&GatewayConfig::default()).unwrap();
    let (rules, imported) = (gateway.dir().join("rules.json"), gateway.dir().join("imported.cedar"));
    fs::write(
        &rules,
        r#"[{"name": "safe", "description": "", "input": {"rules": [
             {"type": "pattern_match", "words": [], "pattern_regex": "(?i)(UPDATE|DELETE)\\s+\\w+\\s+(SET|FROM)(?!.*WHERE)"},
             {"type": "deny_words_list", "words": ["DROP TABLE"], "pattern_regex": ""}]},
             "output": {"rules": [{"type": "pattern_match", "words": [], "pattern_regex": "[A-Z0-9]+"}]}}]"#,
    )
    .unwrap();
    let import = ["policy", "import", "hoop", rules.to_str().unwrap(), "--group", "analysts"];
    let said = gateway.cli(&import).unwrap();
    assert_eq!(said.status.code(), Some(0), "{said:?}");
    assert!(err(&said).starts_with("note: safe, output rule 1: not carried over"), "{}", err(&said));
    fs::write(&imported, out(&said)).unwrap();
    let checked = check_json(&gateway, &["policy", "check", "--json", imported.to_str().unwrap()], 0);
    assert_eq!(checked["policies"].as_array().unwrap().len(), 3, "{checked}");
    assert_eq!(check_json(&gateway, &[&import[..], &["--json"]].concat(), 0)["notes"].as_array().unwrap().len(), 1);
    fs::write(&rules, "{}").unwrap();
    let refused = gateway.cli(&import).unwrap();
    assert!(refused.status.code() == Some(2) && err(&refused).contains("no guardrail is in it"), "{refused:?}");
}

// ---- The documents ---------------------------------------------------------------------------------------------------

/// The lines of a document's code blocks that call `portreeve`, as far as they end by themselves.
fn documented(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let blocks = text.split("```").skip(1).step_by(2);
    let lines = blocks.flat_map(|block| block.lines().skip(1));
    let commands = lines.map(|line| line.strip_prefix("target/release/").unwrap_or(line));
    commands.filter(|line| line.starts_with("portreeve ")).filter_map(typed).collect()
}

/// The examples of a help text: what comes after two spaces explains.
fn examples(help: &str) -> Vec<String> {
    let Some((_, examples)) = help.split_once("Examples:\n") else { return vec![] };
    let joined = examples.split("\\\n").map(str::trim_start).collect::<Vec<_>>().join("");
    let lines = joined.lines().map(str::trim_start).filter(|line| line.starts_with("portreeve "));
    lines.filter_map(|line| typed(line.split("  ").next().unwrap_or_default())).collect()
}

/// A command without the programs behind it; none for a synopsis, for what writes files, and for the daemon itself.
fn typed(line: &str) -> Option<String> {
    let command = line.split(" | ").next()?.replace(" --follow", "");
    let synopsis = command.contains('[') || command.contains('<');
    let writes = command.contains(" --output ");
    (!synopsis && !writes && !command.starts_with("portreeve run")).then_some(command)
}

#[test]
fn what_the_documents_say_to_type_is_understood() {
    let scene = scene();
    let root = host::repo_root();
    let guides = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let guides = guides.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let mut commands: Vec<String> = guides.chain([root.join("README.md")]).flat_map(|path| documented(&path)).collect();
    assert!(commands.len() > 8, "{commands:?}");
    commands.extend(helps(&[]).iter().flat_map(|(_, help)| examples(help)));
    commands.sort();
    commands.dedup();
    assert!(commands.len() > 25, "{commands:?}");

    let binary = host::portreeve_binary().unwrap();
    let mut path = OsString::from(binary.parent().unwrap());
    path.push(":");
    path.push(env::var_os("PATH").unwrap());
    for command in &commands {
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).env("PATH", &path).current_dir(&root);
        // Files that an example names are relative to where it is typed: only the configuration is ours.
        shell.env("PORTREEVE_CONFIG", scene.gateway.config_path());
        let output = process::output(shell, CLIENT_RUN_MAX).unwrap();
        let said = err(&output);
        // The cgroups and sessions of examples are not there; that is an answer, not a misunderstanding.
        assert!(matches!(output.status.code(), Some(0..=2)), "`{command}`: {output:?}");
        assert!(!said.contains("try '--help'") && !said.contains("there is no server"), "`{command}`: {said}");
    }
}

/// The documents' configuration with one of the example policies, without a daemon.
fn example(policy: &str) -> Gateway {
    let gateway = Gateway::prepare(&GatewayConfig::default()).unwrap();
    let (root, dir) = (host::repo_root(), gateway.dir());
    let config = fs::read_to_string(root.join("docs/portreeve.toml")).unwrap();
    fs::write(gateway.config_path(), config.replace("/etc/portreeve", &dir.display().to_string())).unwrap();
    let secret = dir.join("secrets/orders_ro");
    fs::write(&secret, "the password of orders_ro\n").unwrap();
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
    fs::copy(root.join("policies/examples").join(policy), dir.join("policies").join(policy)).unwrap();
    gateway
}

#[test]
fn the_example_configuration_and_policies_are_right() {
    let gateway = example("reporting.cedar");
    let checked = gateway.cli(&["check"]).unwrap();
    assert_eq!((checked.status.code(), err(&checked).as_str()), (Some(0), ""), "{checked:?}");
    assert!(!out(&checked).contains("warning"), "{}", out(&checked));
    // As the README has it.
    let explain = ["policy", "explain", "--workload", "reporting", "--server", "orders", "--schema", "shop"];
    let denied = gateway.cli(&[&explain[..], &["DELETE FROM users"]].concat()).unwrap();
    assert!(denied.status.code() == Some(1) && out(&denied).contains("verdict    deny"), "{denied:?}");
}
