//! What `portreeve verify` proves of the recordings of a real daemon, and what it finds.

use portreeve_tests::{
    scene::{REPORTING_WORKS, Scene},
    wire::Wire,
};
use serde_json::Value;
use std::{fs, path::PathBuf};

/// What `verify --all` finds, and whether all of it is sound.
fn verify_all(scene: &Scene, args: &[&str]) -> (bool, Vec<Value>) {
    let output = scene.gateway.cli(&[&["verify", "--all", "--json"], args].concat()).unwrap();
    let found = serde_json::Deserializer::from_slice(&output.stdout).into_iter().map(Result::unwrap).collect();
    (output.status.success(), found)
}

fn states(found: &[Value], folder: &str) -> Vec<String> {
    let of = found.iter().filter(|file| file["path"].as_str().unwrap().contains(folder));
    let mut states: Vec<_> = of.map(|file| file["state"].as_str().unwrap().to_owned()).collect();
    states.sort();
    states
}

fn only_session(found: &[Value]) -> PathBuf {
    let path = |file: &Value| PathBuf::from(file["path"].as_str().unwrap());
    found.iter().map(path).find(|path| path.to_str().unwrap().contains("/sessions/")).unwrap()
}

#[test]
fn what_the_daemon_ends_in_order_is_sealed_with_its_key() {
    let mut scene = Scene::mariadb(REPORTING_WORKS).unwrap();
    assert!(scene.report("SELECT item FROM orders WHERE id = 1").unwrap().ok());
    scene.records_when_closed(1).unwrap();
    let mut running = Wire::login(&scene.reporting, scene.server.address(), "shop").unwrap();
    assert!(running.query("SELECT 1").is_ok());
    let (sound, found) = verify_all(&scene, &[]);
    assert!(sound, "{found:#?}");
    assert_eq!(states(&found, "/sessions/"), ["open", "sound"]);
    assert_eq!(states(&found, "/host/"), ["open"]);

    // A session that runs is told to end, and sealed all the same.
    scene.gateway.terminate().unwrap();
    let (sound, found) = verify_all(&scene, &[]);
    assert!(sound, "{found:#?}");
    assert_eq!(states(&found, "/"), ["sound"; 3]);

    let key: Value = serde_json::from_str(&scene.portreeve(&["key", "--json"]).unwrap()).unwrap();
    let key = key["public_key"].as_str().unwrap();
    assert!(found.iter().all(|file| file["key"] == key && file["key_is_trusted"] == true), "{found:#?}");
    assert!(verify_all(&scene, &["--public-key", key]).0);
    let other = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    let (sound, found) = verify_all(&scene, &["--public-key", other]);
    assert!(!sound && states(&found, "/").iter().all(|state| state == "wrong_key"), "{found:#?}");
}

#[test]
fn the_recordings_of_a_killed_daemon_are_entered_by_the_next() {
    let mut scene = Scene::mariadb(REPORTING_WORKS).unwrap();
    let mut wire = Wire::login(&scene.reporting, scene.server.address(), "shop").unwrap();
    assert!(wire.query("SELECT 1").is_ok());
    scene.gateway.kill9().unwrap();
    scene.gateway.restart().unwrap();
    scene.gateway.terminate().unwrap();
    let (sound, found) = verify_all(&scene, &[]);
    assert!(!sound, "{found:#?}");
    assert_eq!(
        (states(&found, "/sessions/"), states(&found, "/host/")),
        (vec!["unfinished".to_owned()], vec!["sound".to_owned(), "unfinished".to_owned()])
    );

    // Nobody signed what is cut here, but the next daemon saw how long it was.
    let session = only_session(&found);
    let whole = fs::read(&session).unwrap();
    let first_frame = u32::from_le_bytes(whole[64..68].try_into().unwrap()) as usize + 48;
    fs::write(&session, &whole[..64 + first_frame.next_multiple_of(16)]).unwrap();
    let (_, found) = verify_all(&scene, &[]);
    assert_eq!(states(&found, "/sessions/"), ["damaged"], "{found:#?}");
    fs::remove_file(&session).unwrap();
    let (_, found) = verify_all(&scene, &[]);
    assert_eq!(states(&found, "/sessions/"), ["missing"], "{found:#?}");
}

#[test]
fn a_file_that_was_altered_taken_or_exchanged_is_named() {
    let mut scene = Scene::mariadb(REPORTING_WORKS).unwrap();
    for id in 1..5 {
        assert!(scene.report(&format!("SELECT item FROM orders WHERE id = {id}")).unwrap().ok());
    }
    scene.records_when_closed(4).unwrap();
    scene.gateway.terminate().unwrap();
    let (_, found) = verify_all(&scene, &[]);
    let mut paths: Vec<_> = found.iter().map(|file| PathBuf::from(file["path"].as_str().unwrap())).collect();
    paths.retain(|path| path.to_str().unwrap().contains("/sessions/"));
    paths.sort();
    let bytes: Vec<_> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
    let at = bytes[0].windows(4).position(|part| part == b"item").unwrap();
    let mut altered = bytes[0].clone();
    altered[at] = b'I';
    fs::write(&paths[0], altered).unwrap();
    fs::remove_file(&paths[1]).unwrap();
    fs::write(&paths[2], &bytes[3]).unwrap();

    let (sound, found) = verify_all(&scene, &[]);
    assert!(!sound);
    let problem = |path: &PathBuf| {
        let file = found.iter().find(|file| file["path"] == path.to_str().unwrap()).unwrap();
        format!("{}: {}", file["state"].as_str().unwrap(), file["problem"].as_str().unwrap_or_default())
    };
    assert!(problem(&paths[0]).starts_with("damaged: frame "), "{}", problem(&paths[0]));
    assert!(problem(&paths[1]).starts_with("missing: it is gone"), "{}", problem(&paths[1]));
    assert!(problem(&paths[2]).contains("under another's name"), "{}", problem(&paths[2]));
    assert_eq!(problem(&paths[3]), "sound: ");
    let text = scene.gateway.cli(&["verify", "--all"]).unwrap();
    assert!(String::from_utf8(text.stdout).unwrap().ends_with("2 of 5 recordings are sound\n"));
}
