//! The CA on disk.

use super::{super::Authority, DAY, Folder};
use rcgen::KeyPair;
use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, time::SystemTime};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_ca_is_made_once_and_found_again() {
    let folder = Folder::new("made");
    let state_dir = folder.0.join("state");
    let now = SystemTime::now();
    let made = Authority::open(&state_dir, now).unwrap().describe().unwrap();
    assert_eq!(Authority::open(&state_dir, now + DAY).unwrap().describe().unwrap(), made);
    assert_eq!(made.path, state_dir.join("ca/ca.pem"));
    assert_eq!(fs::read_to_string(&made.path).unwrap(), made.pem);
    assert!(made.subject.starts_with("CN=portreeve ") && made.subject.ends_with(" CA"), "{}", made.subject);
    assert_eq!(made.sha256.len(), 32 * 3 - 1);
    assert_eq!(
        [mode(&state_dir), mode(&state_dir.join("ca")), mode(&state_dir.join("ca/key.pem"))],
        [0o700, 0o700, 0o600]
    );
    let years = |from: &str, to: &str| to[..4].parse::<i32>().unwrap() - from[..4].parse::<i32>().unwrap();
    assert_eq!(years(&made.not_before, &made.not_after), 10);
    assert!(!state_dir.join("ca.new").exists());
}

#[test]
fn processes_that_start_at_once_get_one_ca() {
    let folder = Folder::new("at-once");
    let open = || Authority::open(&folder.0, SystemTime::now()).unwrap().describe().unwrap().sha256;
    let found = std::thread::scope(|scope| {
        let started: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
        started.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(found.iter().all(|one| *one == found[0]), "{found:?}");
}

#[test]
fn a_renewed_ca_is_another_and_the_old_certificates_are_kept() {
    let folder = Folder::new("renewed");
    let now = SystemTime::now();
    let error = Authority::renew(&folder.0, now).unwrap_err().to_string();
    assert!(error.contains("there is no CA"), "{error}");
    let first = Authority::open(&folder.0, now).unwrap().describe().unwrap();
    let (second, kept) = Authority::renew(&folder.0, now).unwrap();
    assert_eq!(kept, folder.0.join("ca/ca.pem.1"));
    assert_eq!(fs::read_to_string(kept).unwrap(), first.pem);
    let second = second.describe().unwrap();
    assert_ne!(second.sha256, first.sha256);
    assert_eq!(Authority::open(&folder.0, now).unwrap().describe().unwrap(), second);
    let (_, kept) = Authority::renew(&folder.0, now).unwrap();
    assert_eq!(fs::read_to_string(folder.0.join("ca/ca.pem.1")).unwrap(), first.pem);
    assert_eq!(fs::read_to_string(kept).unwrap(), second.pem);
    let mut names: Vec<_> =
        fs::read_dir(folder.0.join("ca")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["ca.pem", "ca.pem.1", "ca.pem.2", "key.pem"]);
    assert!(!folder.0.join("ca.new").exists());
}

#[test]
fn what_an_ended_process_left_is_in_nobodys_way() {
    let folder = Folder::new("left");
    fs::create_dir(folder.0.join("ca.new")).unwrap();
    folder.write("ca.new/ca.pem", "half");
    Authority::open(&folder.0, SystemTime::now()).unwrap();
}

#[test]
fn a_damaged_ca_is_an_error_and_never_replaced_unasked() {
    let folder = Folder::new("damaged");
    let now = SystemTime::now();
    Authority::open(&folder.0, now).unwrap();
    let (ca, key) = (folder.0.join("ca/ca.pem"), folder.0.join("ca/key.pem"));
    let (good_ca, good_key) = (fs::read_to_string(&ca).unwrap(), fs::read_to_string(&key).unwrap());
    let other = KeyPair::generate().unwrap().serialize_pem();
    let check = |ca_text: &str, key_text: &str, expected: &str| {
        fs::write(&ca, ca_text).unwrap();
        fs::write(&key, key_text).unwrap();
        let error = format!("{:#}", Authority::open(&folder.0, now).unwrap_err());
        assert!(error.contains(expected) && error.contains("is damaged: repair it"), "{expected}\nbut {error}");
        assert!(!error.contains(key_text.lines().nth(1).unwrap_or("no key")), "{error}");
    };
    check("", &good_key, "`ca.pem` holds no certificate");
    check(&good_ca, "", "`key.pem` holds no ECDSA P-256 key");
    check(&good_ca, &good_ca, "`key.pem` holds no ECDSA P-256 key");
    check(&good_ca, &other, "`key.pem` is not the key of `ca.pem`");
    fs::remove_file(&key).unwrap();
    let error = format!("{:#}", Authority::open(&folder.0, now).unwrap_err());
    assert!(error.contains("cannot read"), "{error}");
}
