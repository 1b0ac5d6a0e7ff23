//! Killed a hundred times under load: whatever the server saw is in a recording.

use super::reached::{permitted, reached};
use portreeve_tests::{
    scene::{REPORTING_WORKS, Scene, shop},
    servers::Flavour,
    wire::{Wire, framed},
};
use std::collections::BTreeSet;

/// What counts.
const KILLS: usize = 100;
/// Sessions at once, and what each has in its queue at the daemon.
const SESSIONS: usize = 3;
const QUEUED: usize = 400;

#[test]
fn a_hundred_kills_under_load_leave_no_statement_unrecorded() {
    let mut scene = Scene::with(shop(Flavour::MariaDb).unwrap().into(), REPORTING_WORKS, |_| ()).unwrap();
    scene.server.log_statements().unwrap();
    for round in 0..KILLS {
        let mut wires: Vec<_> =
            (0..SESSIONS).map(|_| Wire::login(&scene.reporting, scene.server.address(), "shop").unwrap()).collect();
        for (session, wire) in wires.iter_mut().enumerate() {
            let queue = (0..QUEUED).flat_map(|number| {
                let sql = format!("\x03SELECT 'round {round} session {session} statement {number}.', item FROM orders");
                framed(0, sql.as_bytes())
            });
            wire.send(&queue.collect::<Vec<_>>()).unwrap();
        }
        // Somewhere else in the queue each time.
        for _ in 0..=round % 20 {
            wires[round % SESSIONS].result().unwrap();
        }
        scene.gateway.kill9().unwrap();
        // A cut packet may be the last thing of a killed daemon.
        for wire in &mut wires {
            let _ = wire.rest();
        }
        scene.gateway.restart().unwrap();
    }
    let mut reached: Vec<_> = reached(&scene.server).into_iter().filter(|(command, _)| command == "Query").collect();
    reached.retain(|(_, text)| text.starts_with("SELECT 'round "));
    let rounds: BTreeSet<_> = reached.iter().filter_map(|(_, text)| text.split(' ').nth(2)).collect();
    assert_eq!(rounds.len(), KILLS, "a daemon was killed before any of its statements");
    assert!(reached.len() < KILLS * SESSIONS * QUEUED, "no daemon was killed in the middle");
    let records = scene.gateway.records(&[]).unwrap();
    let permitted: BTreeSet<_> = permitted(&records).into_iter().collect();
    let unrecorded: Vec<_> = reached.iter().filter(|statement| !permitted.contains(statement)).take(5).collect();
    assert!(unrecorded.is_empty(), "{unrecorded:?}");
    println!("{} statements reached the server, {} were recorded", reached.len(), permitted.len());

    // Every file is sound as far as it goes, and the ledger knows each.
    scene.gateway.terminate().unwrap();
    let verified = scene.gateway.cli(&["verify", "--all", "--json"]).unwrap().stdout;
    let found = serde_json::Deserializer::from_slice(&verified).into_iter::<serde_json::Value>().map(Result::unwrap);
    let mut states = [0, 0];
    for file in found {
        match file["state"].as_str().unwrap() {
            "sound" => states[0] += 1,
            "unfinished" => states[1] += 1,
            other => panic!("{other}: {file}"),
        }
    }
    assert!(states[1] >= KILLS * (SESSIONS + 1), "{states:?}");
}
