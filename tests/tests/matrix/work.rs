//! One client's work, directly and through Portreeve.

use crate::{
    clients::Client,
    compare::{self, Run},
    steps,
};
use portreeve_tests::{
    client::{self, Answer, Login},
    host,
    scene::{REPORTING_PASSWORD, Scene, server},
    servers::{Flavour, Server},
};
use std::{fs, time::Duration};

/// Whatever a client does is permitted: what differs is the protocol's doing.
pub(crate) const ANYTHING: &str = r#"@id("anything") permit (principal, action, resource);"#;
/// For one run; generous, as two run at a time on two cores and each moves 20 MB some times.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The client's program runs on a direct connection as the held account, then in a tagged cgroup with a login that no
/// server knows, each time with a schema made anew.
pub(crate) fn check(client: &Client, flavour: Flavour) {
    let scene = scene(flavour);
    let schema = format!("matrix_{}", client.name);
    let direct = client.direct_to(flavour).then(|| {
        make_schema(client, &scene.server, &schema);
        // A server of the harness's MariaDB has no certificate: nothing to compare with there.
        let run = run(client, None, &direct_login(&scene, &schema), flavour, flavour == Flavour::MySql);
        check_effects(client, &scene.server, &schema);
        run
    });
    make_schema(client, &scene.server, &schema);
    let through = run(client, Some(&scene), &scene.login().schema(&schema), flavour, true);
    check_effects(client, &scene.server, &schema);
    assert_eq!(through.steps, client.steps(), "{}: these steps were taken", client.name);
    for step in &through.steps {
        steps::check(step, through.line(step), flavour, client.known);
    }
    if let Some(direct) = direct {
        let expected: Vec<_> =
            client.steps().into_iter().filter(|step| *step != "tls" || flavour == Flavour::MySql).collect();
        assert_eq!(direct.steps, expected, "{}: these steps were taken directly", client.name);
        let differences: Vec<_> = direct
            .steps
            .iter()
            .filter_map(|step| compare::difference(step, direct.line(step), through.line(step)))
            .collect();
        assert!(differences.is_empty(), "{}:\n{}", client.name, differences.join("\n"));
    }
    check_recorded(client, &scene);
    scene.server.sql(&format!("DROP DATABASE {schema}")).unwrap();
}

pub(crate) fn scene(flavour: Flavour) -> Scene {
    let scene = Scene::with(server(flavour).unwrap(), ANYTHING, |_| ()).unwrap();
    scene.server.sql("SET GLOBAL local_infile = ON").unwrap();
    // The first login over TLS fills the server's cache: not every client can fill it without.
    let login = Login { user: "shop_reporting".into(), password: REPORTING_PASSWORD.into(), ..scene.login() };
    let filled = client::mysql(None, &login, "SELECT 1").unwrap();
    assert!(filled.ok(), "{filled:?}");
    scene
}

pub(crate) fn direct_login(scene: &Scene, schema: &str) -> Login {
    Login { user: "shop_reporting".into(), password: REPORTING_PASSWORD.into(), ..scene.login().schema(schema) }
}

fn make_schema(client: &Client, server: &Server, schema: &str) {
    let tables = fs::read_to_string(host::repo_root().join("tests/clients/schema.sql")).unwrap();
    let make =
        format!("DROP DATABASE IF EXISTS {schema}; CREATE DATABASE {schema} CHARACTER SET utf8mb4; USE {schema};");
    // Types that only one of the servers has, for whoever selects every column.
    let own = match server.flavour() {
        Flavour::MariaDb => {
            "ALTER TABLE kinds ADD an_inet INET6, ADD a_uuid UUID;
             UPDATE kinds SET an_inet = '2001:db8::1', a_uuid = '01890a5d-ac96-774b-bcce-b302099a8057' WHERE id = 1"
        }
        Flavour::MySql if client.no_vector.is_some() => "",
        Flavour::MySql => {
            "ALTER TABLE kinds ADD a_vector VECTOR(3);
             UPDATE kinds SET a_vector = STRING_TO_VECTOR('[1, -2.5, 3e7]') WHERE id = 1"
        }
    };
    server.sql(&format!("{make}\n{tables}\n{own}")).unwrap();
}

fn run(client: &Client, through: Option<&Scene>, login: &Login, flavour: Flavour, tls: bool) -> Run {
    let mut program = (client.program)().unwrap();
    program.env("MATRIX_TLS", if tls { "on" } else { "off" });
    let rows = host::repo_root().join("tests/clients/rows.tsv");
    let arguments = [vec![rows.display().to_string()], (client.arguments)(flavour).unwrap()].concat();
    let answer =
        client::run_script(through.map(|scene| &scene.reporting), program, login, &arguments, PATIENCE).unwrap();
    let way = if through.is_some() { "through Portreeve" } else { "directly" };
    assert!(answer.ok(), "{} {way}: {}", client.name, shown(&answer));
    Run::parse(&answer.stdout)
}

/// How far it came and what it said in the end.
pub(crate) fn shown(answer: &Answer) -> String {
    let short = |text: &str| text.chars().take(400).collect::<String>();
    let lines: Vec<_> = answer.stdout.lines().map(|line| line.chars().take(60).collect::<String>()).collect();
    let said: Vec<_> = answer.stderr.lines().rev().take(12).collect();
    let said: Vec<_> = said.into_iter().rev().map(short).collect();
    format!("{}\n{}\n{}", answer.status, lines.join("\n"), said.join("\n"))
}

/// What the work left at the server, asked of it without the client.
fn check_effects(client: &Client, server: &Server, schema: &str) {
    let ask = |sql: &str| server.sql(&format!("USE {schema}; {sql}")).unwrap().trim().to_owned();
    let (steps, word) = (client.steps(), ask("SELECT GROUP_CONCAT(word) FROM notes"));
    if steps.contains(&"transaction") {
        assert_eq!(word, if steps.contains(&"multi") { "changed" } else { "kept" });
    }
    if steps.contains(&"long-data") {
        assert_eq!(ask("SELECT LENGTH(body) FROM bodies WHERE id = 1"), "300000");
    }
    if steps.contains(&"big-row") {
        assert_eq!(ask("SELECT LENGTH(body) FROM bodies WHERE id = 2"), "20480000");
    }
    if steps.contains(&"local-infile") {
        assert_eq!(ask("SELECT COUNT(*), COUNT(word) FROM loaded"), "3\t2");
    }
}

/// It did go through Portreeve: a client can have ways of its own to a server on this machine.
fn check_recorded(client: &Client, scene: &Scene) {
    let records = scene.gateway.records(&[]).unwrap();
    let texts = records.iter().filter_map(|record| record["sql"]["text"].as_str());
    let seen = texts.filter(|text| text.contains(client.recorded)).count();
    assert!(seen > 0, "{}: `{}` is in no record", client.name, client.recorded);
    // What a client believes of its connection is its own matter; the gateway knows how it was carried.
    for (step, leg) in [("tls", "client_tls"), ("compression", "client_compression")] {
        let carried = records.iter().any(|record| record["record"] == "transport" && record[leg].is_string());
        assert!(carried || !client.steps().contains(&step), "{}: no session had {leg}", client.name);
    }
}
