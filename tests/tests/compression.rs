//! Compression on both legs, each on its own.
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

use portreeve_tests::{
    client::{self, Answer},
    scene::{REPORTING_PASSWORD, REPORTING_WORKS, Scene, server},
    servers::Flavour,
};

/// Small, large and badly compressed answers, an error, several results.
const SQL: &str = "SELECT item FROM shop.orders WHERE id = 1; SELECT REPEAT('compressible ', 200000) AS big; \
                   SELECT * FROM shop.not_there; SELECT SHA2(id, 512) FROM shop.orders; \
                   CALL shop.two_results(); SELECT COUNT(*) FROM shop.orders";

fn ask(scene: &Scene, flavour: Flavour, options: &[&str], through: bool) -> Answer {
    let login = scene.login();
    let mut command = flavour.client().unwrap();
    command.args(options).arg(format!("-h{}", login.host));
    match through {
        true => command.args(["-uagent", "-panything"]),
        false => command.args(["-ushop_reporting"]).arg(format!("-p{}", REPORTING_PASSWORD)),
    };
    command.args(["--force", "-e", SQL]);
    client::run(through.then_some(&scene.reporting), command).unwrap()
}

fn check(flavour: Flavour, upstream: &str) {
    let scene = Scene::with(server(flavour).unwrap(), REPORTING_WORKS, |config| {
        config.servers[0].extra = format!("compression = \"{upstream}\"");
    })
    .unwrap();
    let clients: [(Flavour, &[&str]); 6] = [
        (Flavour::MariaDb, &["--skip-ssl"]),
        (Flavour::MariaDb, &["--skip-ssl", "--compress"]),
        (Flavour::MySql, &["--ssl-mode=PREFERRED"]),
        (Flavour::MySql, &["--ssl-mode=PREFERRED", "--compression-algorithms=zlib"]),
        (Flavour::MySql, &["--ssl-mode=PREFERRED", "--compression-algorithms=zstd,uncompressed"]),
        (
            Flavour::MySql,
            &["--ssl-mode=PREFERRED", "--compression-algorithms=zstd,uncompressed", "--zstd-compression-level=22"],
        ),
    ];
    let direct = ask(&scene, Flavour::MySql, &["--ssl-mode=PREFERRED"], false);
    assert!(direct.stdout.contains("teapot") && direct.stderr.contains("1146"), "{direct:?}");
    for (client, options) in clients {
        let answer = ask(&scene, client, options, true);
        assert_eq!(answer.stdout, direct.stdout, "{upstream} {options:?} {:?}", answer.stderr);
        assert!(answer.stderr.contains("ERROR 1146"), "{upstream} {options:?}: {answer:?}");
    }
}

#[test]
fn every_compression_of_clients_meets_every_compression_of_mariadb() {
    for upstream in ["client", "none", "zlib", "zstd"] {
        check(Flavour::MariaDb, upstream);
    }
}

#[test]
fn every_compression_of_clients_meets_every_compression_of_mysql() {
    for upstream in ["client", "none", "zlib", "zstd"] {
        check(Flavour::MySql, upstream);
    }
}
