//! `replay --against` against agents who plant something in what they say, and against recordings that were made up.

use portreeve_tests::{
    gateway::Upstream,
    process,
    scene::{REPORTING_PASSWORD, SERVER, Scene, shop_with},
    servers::{Flavour, Server},
    wire::Wire,
};
use serde_json::Value;
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Nothing is written anew for who may do everything: servers get the bytes that the client sent.
const PERMIT_ALL: &str = "@id(\"everything\") permit (principal in Group::\"reporting\", action, resource);";
/// The other server's name in the configuration.
const OTHER: &str = "other-db";

/// A server that writes files wherever it is told to.
fn server(flavour: Flavour) -> Arc<Server> {
    let address = portreeve_tests::host::free_address().unwrap();
    Arc::new(shop_with(flavour, address, &["--secure-file-priv=".to_owned()]).unwrap())
}

/// A folder that servers may write to, whose path is also an expression.
fn folder(name: &str) -> PathBuf {
    let path = PathBuf::from(format!("/tmp/portreeve_{name}_{}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
    path
}

fn files(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// The one session.
fn session(scene: &Scene) -> String {
    scene.records_when_closed(1).unwrap();
    let listed: Value = serde_json::from_str(&scene.portreeve(&["sessions", "--json"]).unwrap()).unwrap();
    listed["session"].as_str().unwrap().to_owned()
}

/// What became of each statement, with the reason.
fn replay(scene: &Scene, args: &[&str]) -> Vec<(String, String)> {
    let output = scene.gateway.cli(&[&["replay", "--json"], args].concat()).unwrap();
    let (text, said) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert!(matches!(output.status.code(), Some(0 | 1)) && said.is_empty(), "{said}");
    let outcome = |line: &str| {
        let of: Value = serde_json::from_str(line).unwrap();
        (of["outcome"].as_str().unwrap().to_owned(), of["reason"].as_str().unwrap_or_default().to_owned())
    };
    text.lines().map(outcome).collect()
}

/// What the server is to run was a comment to the one that the session was recorded at.
fn check_comment(recorded: Flavour, target: Flavour, comment: &str) {
    let (first, other) = (server(recorded), server(target));
    let folder = folder(&format!("comment_{}", target.name()));
    let file = folder.join("planted");
    let upstream =
        Upstream { name: OTHER.into(), matches: vec![format!("{}:3306", other.address())], ..Upstream::default() };
    let scene = Scene::with(first, PERMIT_ALL, |config| {
        let credentials = config.servers[0].credentials.clone();
        config.servers.push(Upstream { credentials, ..upstream });
    })
    .unwrap();
    let mut wire = Wire::login(&scene.reporting, scene.server.address(), "shop").unwrap();
    let planted = comment.replace('@', file.to_str().unwrap());
    wire.query(&format!("SELECT item FROM orders WHERE id = 1 {planted}")).unwrap();
    wire.query("SELECT item FROM orders WHERE id = 2").unwrap();
    drop(wire);
    let session = session(&scene);
    let address = format!("{}:3306", other.address());
    let found = replay(&scene, &[&session, "--against", OTHER, "--address", &address]);
    assert_eq!(files(&folder), Vec::<PathBuf>::new(), "{found:?}");
    let expected = [("skipped", "it may do more than read: `outfile`"), ("same", "")];
    assert_eq!(found, expected.map(|(outcome, reason)| (outcome.to_owned(), reason.to_owned())));
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_comment_that_only_mariadb_runs_writes_no_file_there() {
    check_comment(Flavour::MySql, Flavour::MariaDb, "/*M!100000 INTO OUTFILE '@' */");
}

#[test]
fn a_comment_that_only_mysql_runs_writes_no_file_there() {
    check_comment(Flavour::MariaDb, Flavour::MySql, "/*!90100 INTO OUTFILE '@' */");
}

/// What the server is to run was a string in the mode that the session was recorded in.
fn check_mode(flavour: Flavour) {
    let scene = Scene::with(server(flavour), PERMIT_ALL, |_| ()).unwrap();
    let folder = folder(&format!("mode_{}", flavour.name()));
    let file = folder.join("planted");
    let mut wire = Wire::login(&scene.reporting, scene.server.address(), "shop").unwrap();
    let planted = format!("SELECT id, 'x\\' INTO OUTFILE '{}' FROM orders -- '", file.display());
    let _ = wire.query(&planted);
    let quoted = r"SELECT 'it\'s', id FROM orders";
    wire.query(quoted).unwrap();
    drop(wire);
    let session = session(&scene);
    assert_eq!(files(&folder), Vec::<PathBuf>::new());
    scene.server.sql("SET GLOBAL sql_mode = 'NO_BACKSLASH_ESCAPES,ANSI_QUOTES'").unwrap();
    let found = replay(&scene, &[&session, "--against", SERVER]);
    assert_eq!(files(&folder), Vec::<PathBuf>::new(), "{found:?}");
    assert_eq!(found[1].0, "same", "{found:?}");
    // As it was sent, it does write there: the test could fail.
    let mut direct = scene.server.flavour().client().unwrap();
    direct.args([&format!("-h{}", scene.server.address()), "-ushop_reporting", &format!("-p{REPORTING_PASSWORD}")]);
    direct.args(["--protocol=tcp", "shop", "-e", &planted]);
    process::output(direct, portreeve_tests::limits::CLIENT_RUN_MAX).unwrap();
    assert_eq!(files(&folder), [file]);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_string_that_another_mode_ends_earlier_writes_no_file_at_mariadb() {
    check_mode(Flavour::MariaDb);
}

#[test]
fn a_string_that_another_mode_ends_earlier_writes_no_file_at_mysql() {
    check_mode(Flavour::MySql);
}

#[test]
fn what_is_behind_a_view_at_the_server_counts() {
    let scene = Scene::with(server(Flavour::MariaDb), PERMIT_ALL, |_| ()).unwrap();
    let folder = folder("view");
    scene.server.sql("CREATE VIEW shop.seen AS SELECT id FROM shop.orders").unwrap();
    let mut wire = Wire::login(&scene.reporting, scene.server.address(), "shop").unwrap();
    wire.query("SELECT id FROM seen").unwrap();
    drop(wire);
    let session = session(&scene);
    assert_eq!(replay(&scene, &[&session, "--against", SERVER])[0].0, "same");
    let write = format!(
        "DELIMITER //\nCREATE FUNCTION shop.notes(i INT) RETURNS INT BEGIN\n\
         SELECT i INTO OUTFILE '{}/out'; RETURN i; END//\nDELIMITER ;\n\
         CREATE OR REPLACE VIEW shop.seen AS SELECT shop.notes(id) AS id FROM shop.orders LIMIT 1",
        folder.display()
    );
    scene.server.sql(&write).unwrap();
    let found = replay(&scene, &[&session, "--against", SERVER]);
    assert_eq!(files(&folder), Vec::<PathBuf>::new(), "{found:?}");
    assert_eq!(found[0].0, "skipped", "{found:?}");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_recording_that_was_altered_or_that_another_signed_is_not_run() {
    let scene = Scene::mariadb(PERMIT_ALL).unwrap();
    scene.server.log_statements().unwrap();
    let mut wire = Wire::login(&scene.reporting, scene.server.address(), "shop").unwrap();
    wire.query("SELECT 'mark-once'").unwrap();
    drop(wire);
    let session = session(&scene);
    let mut found = Vec::new();
    super::find_files(&scene.gateway.dir().join("state/sessions"), &mut found);
    let path = found.into_iter().find(|path| path.to_str().unwrap().contains(&session)).unwrap();
    let copies = scene.gateway.dir().join("copies");
    fs::create_dir(&copies).unwrap();
    let copy = copies.join(path.file_name().unwrap());
    let times = || scene.server.general_log().matches("mark-once").count();
    let refused = |bytes: &[u8], args: &[&str]| {
        fs::write(&copy, bytes).unwrap();
        let args = [&["replay", &session, "--against", SERVER, "--sessions", copies.to_str().unwrap()], args].concat();
        let output = scene.gateway.cli(&args).unwrap();
        assert_eq!((output.status.code(), times()), (Some(1), 1));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("nothing of it is run"), "{said}");
    };
    let sound = fs::read(&path).unwrap();
    let mut altered = sound.clone();
    let at = altered.windows(9).position(|part| part == b"mark-once").unwrap();
    altered[at] ^= 1;
    refused(&altered, &[]);
    refused(&sound[..sound.len() - 1], &[]);
    refused(&sound, &["--public-key", &"5".repeat(64)]);
    fs::write(&copy, &sound).unwrap();
    let found = replay(&scene, &[&session, "--against", SERVER, "--sessions", copies.to_str().unwrap()]);
    assert_eq!((found[0].0.as_str(), times()), ("same", 2));
}
