//! `COM_STMT_SEND_LONG_DATA`: no answer, and no length that the gateway would have to hold.

use super::{check_usable, prepare, records, scene, session};
use portreeve_tests::scene::{REPORTING_WORKS, Scene};
use std::fs;

#[test]
fn long_data_arrives_whole_and_is_recorded_as_cut() {
    let scene = scene();
    scene.server.sql("CREATE TABLE shop.long_data (body LONGTEXT, number INT)").unwrap();
    let mut wire = session(&scene);
    let id = prepare(&mut wire, "INSERT INTO long_data VALUES (?, ?)").unwrap();
    let pieces = ["a".repeat(100_000), "b".repeat(7), "c".repeat(300_000)];
    for piece in &pieces {
        wire.command(0x18, &[&id[..], &[0, 0], piece.as_bytes()].concat()).unwrap();
    }
    // One parameter sent ahead (long blob), one here (long): no NULL, types bound, the value 42.
    let bound: &[u8] = &[0, 1, 0, 0, 0, 0, 1, 0xFB, 0, 3, 0, 42, 0, 0, 0];
    wire.command(0x17, &[&id, bound].concat()).unwrap();
    let answer = wire.packet().unwrap();
    assert!(answer.is_ok(), "{}", answer.text());
    let body = format!(
        "SELECT body = CONCAT(REPEAT('a', 100000), '{}', REPEAT('c', 300000)), number FROM shop.long_data",
        pieces[1]
    );
    assert_eq!(scene.server.sql(&body).unwrap(), "1\t42\n");

    let statements = records(&scene, "statement");
    let sent: Vec<_> = statements.iter().filter(|statement| statement["command"] == "send_long_data").collect();
    let texts: Vec<_> = sent.iter().map(|sent| (&sent["sql"]["truncated"], &sent["sql"]["length"])).collect();
    assert_eq!(texts, [(&true.into(), &100_000.into()), (&false.into(), &7.into()), (&true.into(), &300_000.into())]);
    let executed = statements.iter().find(|statement| statement["command"] == "execute").unwrap();
    assert_eq!(executed["parameters"][1]["text"], "42");
    assert_eq!(executed["prepared"], 1);
    check_usable(&mut wire);
}

/// The most memory that the daemon ever had, in MiB.
fn peak_mib(scene: &Scene) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", scene.gateway.pid().unwrap())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() / 1024
}

fn check_streamed(scene: &Scene) {
    const LENGTH: usize = 40_000_000;
    scene.server.sql("CREATE TABLE shop.streamed (body LONGBLOB)").unwrap();
    let mut wire = session(scene);
    check_usable(&mut wire);
    let before = peak_mib(scene);
    let id = prepare(&mut wire, "INSERT INTO streamed VALUES (?)").unwrap();
    wire.command(0x18, &[&id[..], &[0, 0], &vec![b'x'; LENGTH]].concat()).unwrap();
    wire.command(0x17, &[&id[..], &[0, 1, 0, 0, 0, 0, 1, 0xFB, 0]].concat()).unwrap();
    let answer = wire.packet().unwrap();
    assert!(answer.is_ok(), "{}", answer.text());
    assert!(peak_mib(scene) < before + 20, "{} MiB, once {before} MiB", peak_mib(scene));
    let sum =
        scene.server.sql("SELECT LENGTH(body), SHA2(body, 256) = SHA2(REPEAT('x', 40000000), 256) FROM shop.streamed");
    assert_eq!(sum.unwrap(), format!("{LENGTH}\t1\n"));
    let statements = records(scene, "statement");
    let sent = statements.iter().find(|statement| statement["command"] == "send_long_data").unwrap();
    assert_eq!((&sent["sql"]["truncated"], &sent["prepared"]), (&true.into(), &2.into()));
    assert!(sent["sql"]["text"].as_str().unwrap().starts_with("xxxx"), "{sent}");
    // For a statement that is none of the session's, it goes nowhere, and the next command is where it was.
    wire.command(0x18, &[&[0x4D, 0, 0, 0, 0, 0][..], &vec![b'x'; LENGTH]].concat()).unwrap();
    check_usable(&mut wire);
}

#[test]
fn long_data_of_40_mb_in_one_packet_pass_without_being_held() {
    check_streamed(&scene());
    check_streamed(&Scene::mysql(REPORTING_WORKS).unwrap());
}
