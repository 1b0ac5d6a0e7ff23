//! Views and routines, on both servers: judged by what they touch, whoever made them and whenever.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        reason = "a test that panics has failed"
    )
)]

mod changes;
mod privileges;
mod routines;
mod triggers;
mod views;

use portreeve_tests::{
    scene::{Scene, server},
    servers::Flavour,
    wire::Wire,
};

const FLAVOURS: [Flavour; 2] = [Flavour::MariaDb, Flavour::MySql];

/// `reporting` may do anything in `shop` but see customers; `ingest` may do anything.
const POLICY: &str = r#"
@id("reporting-sessions")
permit (principal in Group::"reporting", action in Action::"session", resource in Server::"shop-db");
@id("reporting-works-in-shop")
permit (
  principal in Group::"reporting",
  action in [Action::"read", Action::"write", Action::"ddl", Action::"call", Action::"execute", Action::"create_routine"],
  resource in Schema::"shop-db/shop"
);
@id("no-customers")
forbid (
  principal in Group::"reporting",
  action in [Action::"read", Action::"write"],
  resource == Table::"shop-db/shop.customers"
);
@id("ingest-does-anything")
permit (principal in Group::"ingest", action, resource);
"#;

const KEYS: &str = "no policy permits `select` on `shop-db/vault.keys`";
const CUSTOMERS: &str = "no-customers: `select` on `shop-db/shop.customers` is forbidden";

/// A daemon before the shared server of that flavour.
fn scene(flavour: Flavour) -> Scene {
    Scene::with(server(flavour).unwrap(), POLICY, |_| ()).unwrap()
}

/// A session of `reporting`.
fn reporting(scene: &Scene) -> Wire {
    Wire::login(&scene.reporting, scene.server.address(), "shop").unwrap()
}

/// A session of `ingest`.
fn ingest(scene: &Scene) -> Wire {
    Wire::login(&scene.ingest, scene.server.address(), "shop").unwrap()
}

/// The text gives these values, one column.
fn check_gives(wire: &mut Wire, sql: &str, expected: &[&str]) {
    let rows = wire.query(sql).unwrap_or_else(|error| panic!("{sql}: {error:#}"));
    let values: Vec<_> = rows.iter().map(|row| String::from_utf8(row[0].clone().unwrap()).unwrap()).collect();
    assert_eq!(values, expected, "{sql}");
}

/// The text is denied, and the client reads why.
fn check_denied(wire: &mut Wire, sql: &str, why: &str) {
    match wire.query(sql) {
        Ok(rows) => panic!("{sql}: {rows:?}"),
        Err(error) => {
            let error = format!("{error:#}");
            assert!(error.contains("denied by policy") && error.contains(why), "{sql}: {error}\n  not {why}");
        }
    }
}

/// The recording says of some statement that it was denied, and why.
fn check_recorded(scene: &Scene, why: &str) {
    let records = scene.gateway.records(&[]).unwrap();
    let verdicts: Vec<_> = records.iter().filter(|record| record["record"] == "verdict").collect();
    let says = verdicts.iter().any(|record| record["reason"].as_str().is_some_and(|reason| reason.contains(why)));
    assert!(says, "{why}: {verdicts:?}");
}
