//! Results, files and parameters of any length pass in constant memory: the daemon's peak is printed and bounded.
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
    host, process,
    scene::{Scene, shop_with},
    servers::{Flavour, Server},
    wire::{PACKET_MAX, Wire},
};
use std::{
    ffi::OsString,
    fs,
    process::Command,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

const FLAVOURS: [Flavour; 2] = [Flavour::MariaDb, Flavour::MySql];
const EVERYTHING: &str = r#"@id("everything") permit (principal, action, resource);"#;
/// The daemon's bound, in KiB.
const PEAK_KIB_MAX: u64 = 64 * 1024;
/// One transfer takes no longer, also on a machine that has other things to do.
const TRANSFER_MAX: Duration = Duration::from_secs(120);
const MIB: usize = 1024 * 1024;

/// One transfer at a time: they are measured, and the machine has other things to do.
static ONE: Mutex<()> = Mutex::new(());

/// A server that takes and gives 1 GiB packets, and a daemon before it.
fn scene(flavour: Flavour, change: impl FnOnce(&mut portreeve_tests::gateway::GatewayConfig)) -> Scene {
    let mut arguments = vec!["--max-allowed-packet=1G".to_owned(), "--net-read-timeout=120".into()];
    if flavour == Flavour::MySql {
        arguments.push("--local-infile=ON".into());
    }
    let server = shop_with(flavour, host::free_address().unwrap(), &arguments).unwrap();
    Scene::with(Arc::new(server), EVERYTHING, change).unwrap()
}

/// Does something that moves so many bytes, and bounds what the daemon took for it.
fn bounded<T>(scene: &Scene, what: &str, bytes: usize, transfer: impl FnOnce() -> T) -> T {
    let proc = format!("/proc/{}", scene.gateway.pid().unwrap());
    // proc_pid_clear_refs(5): sets the peak to what is resident now.
    fs::write(format!("{proc}/clear_refs"), "5").unwrap();
    let before = resident_kib(&proc, "VmRSS:");
    let start = Instant::now();
    let outcome = transfer();
    let (took, peak) = (start.elapsed(), resident_kib(&proc, "VmHWM:"));
    println!(
        "{what}: {} MiB in {:.1} s; resident {} MiB before, {} MiB at most",
        bytes / MIB,
        took.as_secs_f64(),
        before / 1024,
        peak / 1024
    );
    assert!(peak < PEAK_KIB_MAX, "{what}: the daemon took {peak} KiB");
    outcome
}

fn resident_kib(proc: &str, key: &str) -> u64 {
    let status = fs::read_to_string(format!("{proc}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}

/// `command | cksum`, run as a workload or as nobody: the CRC and the number of bytes.
fn cksum(scene: &Scene, tagged: bool, command: &Command) -> String {
    let shown = process::shown(command);
    let mut shell = Command::new("bash");
    shell.args(["-o", "pipefail", "-c", &format!("{shown} | cksum")]);
    let answer = client::run_for(tagged.then_some(&scene.reporting), shell, TRANSFER_MAX).unwrap();
    assert!(answer.ok(), "{answer:?}");
    answer.stdout.trim().to_owned()
}

/// The flavour's own client, which holds no more than a row of a result.
fn cli(flavour: Flavour, place: &[OsString], options: &[&str], sql: &str) -> Command {
    let mut command = flavour.client().unwrap();
    command.args(place).args(options);
    command.args(["--quick", "--skip-column-names", "--raw", "--max-allowed-packet=1G", "--local-infile=1", "-e", sql]);
    command
}

fn agent(scene: &Scene) -> [OsString; 4] {
    [format!("-h{}", scene.server.address()), "-uagent".into(), "-panything".into(), "shop".into()].map(Into::into)
}

fn root(server: &Server) -> [OsString; 3] {
    [format!("--socket={}", server.socket().display()).into(), "-uroot".into(), "shop".into()]
}

/// That many rows of a MB each, every one different.
fn rows(count: usize) -> String {
    format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) \
         SELECT CONCAT(REPEAT(CONCAT(i, '-'), 100), REPEAT('0123456789', 100000)) FROM n"
    )
}

/// A result by the flavour's own client with these options: the same bytes as from the server itself.
fn check_result(scene: &Scene, what: &str, options: &[&str], sql: &str, at_least: usize) {
    let flavour = scene.server.flavour();
    let directly = cksum(scene, false, &cli(flavour, &root(&scene.server), &[], sql));
    let bytes: usize = directly.split(' ').nth(1).unwrap().parse().unwrap();
    assert!(bytes >= at_least, "{bytes}");
    let what = format!("{flavour:?}, {what}");
    let through = bounded(scene, &what, bytes, || cksum(scene, true, &cli(flavour, &agent(scene), options, sql)));
    assert_eq!(through, directly, "{what}");
}

fn clear(flavour: Flavour) -> &'static [&'static str] {
    match flavour {
        Flavour::MariaDb => &["--skip-ssl"],
        Flavour::MySql => &["--ssl-mode=DISABLED"],
    }
}

fn check_2_gb(flavour: Flavour, limit: &str) {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let sql = format!("SET SESSION {limit} = 5000; {}", rows(2000));
    check_result(&scene(flavour, |_| ()), "2000 rows of 1 MB", clear(flavour), &sql, 2_000_000_000);
}

#[test]
fn a_result_of_2_gb_from_mariadb() {
    check_2_gb(Flavour::MariaDb, "max_recursive_iterations");
}

#[test]
fn a_result_of_2_gb_from_mysql() {
    check_2_gb(Flavour::MySql, "cte_max_recursion_depth");
}

#[test]
fn a_result_under_tls_and_compression() {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let ways: [(Flavour, &str, &[&str]); 7] = [
        (Flavour::MariaDb, "disabled", &["--ssl"]),
        (Flavour::MariaDb, "disabled", &["--skip-ssl", "--compress"]),
        (Flavour::MySql, "required", &["--ssl-mode=REQUIRED"]),
        (Flavour::MySql, "required", &["--ssl-mode=DISABLED", "--compression-algorithms=zlib"]),
        (Flavour::MySql, "required", &["--ssl-mode=DISABLED", "--compression-algorithms=zstd"]),
        (Flavour::MySql, "required", &["--ssl-mode=REQUIRED", "--compression-algorithms=zlib"]),
        (Flavour::MySql, "required", &["--ssl-mode=REQUIRED", "--compression-algorithms=zstd"]),
    ];
    for flavour in FLAVOURS {
        let tls = ways.iter().find(|(of, ..)| *of == flavour).unwrap().1;
        let scene = scene(flavour, |config| config.servers[0].tls = tls.into());
        for (_, _, options) in ways.iter().filter(|(of, ..)| *of == flavour) {
            check_result(&scene, &format!("256 rows of 1 MB, {options:?}"), options, &rows(256), 256_000_000);
        }
    }
}

#[test]
fn a_value_of_512_mib() {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let sql = "SELECT REPEAT('0123456789abcdef', 33554432)";
    for flavour in FLAVOURS {
        let scene = scene(flavour, |_| ());
        check_result(&scene, "one value", clear(flavour), sql, 512 * MIB);
    }
}

/// What compresses well, and what does not: the repeated part is longer than zlib looks back.
#[test]
fn a_value_of_64_mib_compressed_on_both_legs() {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let noise = format!("CREATE TABLE shop.noise SELECT CONCAT({}) AS v", ["RANDOM_BYTES(1024)"; 128].join(", "));
    let ways: [(Flavour, &[&str]); 3] = [
        (Flavour::MariaDb, &["--compress"]),
        (Flavour::MySql, &["--compression-algorithms=zlib"]),
        (Flavour::MySql, &["--compression-algorithms=zstd"]),
    ];
    for flavour in FLAVOURS {
        let scene = scene(flavour, |_| ());
        scene.server.sql(&noise).unwrap();
        for (_, options) in ways.iter().filter(|(of, ..)| *of == flavour) {
            for sql in ["SELECT REPEAT('0123456789abcdef', 4194304)", "SELECT REPEAT(v, 512) FROM noise"] {
                check_result(&scene, &format!("{sql}, {options:?}"), options, sql, 64 * MIB);
            }
        }
    }
}

/// Lines of a file that needs no disk: a named pipe that a shell fills.
const LINE_BYTES: usize = 65_535;

/// Loads so many bytes by the flavour's own client, and compares what arrived.
fn check_load(scene: &Scene, what: &str, options: &[&str], lines: usize) {
    let (server, flavour) = (&scene.server, scene.server.flavour());
    server.sql("DROP TABLE IF EXISTS shop.loaded; CREATE TABLE shop.loaded (length INT, sum BIGINT)").unwrap();
    let dir = host::run_dir("load").unwrap();
    let pipe = dir.join("pipe");
    let sql = format!(
        "LOAD DATA LOCAL INFILE '{}' INTO TABLE loaded CHARACTER SET binary FIELDS TERMINATED BY '\\t' ESCAPED BY '' \
         (@line) SET length = LENGTH(@line), sum = CRC32(@line)",
        pipe.display()
    );
    let client = process::shown(&cli(flavour, &agent(scene), options, &sql));
    let line = "0123456789abcde".repeat(LINE_BYTES / 15);
    let script = format!(
        "mkfifo '{pipe}' && {{ yes \"$(printf '0123456789abcde%.0s' $(seq {repeats}))\" | head -n {lines} > '{pipe}' & }} && {client}",
        pipe = pipe.display(),
        repeats = LINE_BYTES / 15,
    );
    let mut shell = Command::new("bash");
    shell.args(["-c", &script]);
    let what = format!("{flavour:?}, LOAD DATA LOCAL {what}");
    let load = || client::run_for(Some(&scene.reporting), shell, TRANSFER_MAX).unwrap();
    let answer: Answer = bounded(scene, &what, lines * (LINE_BYTES + 1), load);
    host::remove_run_dir(&dir).unwrap();
    assert!(answer.ok(), "{answer:?}");
    let expected = server.sql(&format!("SELECT {lines}, {LINE_BYTES}, CRC32('{line}')")).unwrap();
    let arrived = server.sql("SELECT COUNT(*), length, sum FROM shop.loaded GROUP BY length, sum").unwrap();
    assert_eq!(arrived, expected, "{what}");
}

#[test]
fn a_loaded_file_of_1_gb() {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    for flavour in FLAVOURS {
        check_load(&scene(flavour, |_| ()), "in clear text", clear(flavour), 16_384);
    }
}

#[test]
fn a_loaded_file_under_tls_and_compression() {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let maria = scene(Flavour::MariaDb, |_| ());
    check_load(&maria, "under TLS and compression", &["--ssl", "--compress"], 2048);
    let mysql = scene(Flavour::MySql, |config| config.servers[0].tls = "required".into());
    for algorithm in ["zlib", "zstd"] {
        let options = ["--ssl-mode=REQUIRED", &format!("--compression-algorithms={algorithm}")];
        check_load(&mysql, &format!("under TLS and {algorithm}"), &options, 2048);
    }
}

#[test]
fn a_parameter_of_512_mib() {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    const LENGTH: usize = 512 * MIB;
    for flavour in FLAVOURS {
        let scene = scene(flavour, |_| ());
        let mut wire = Wire::login(&scene.reporting, scene.server.address(), "shop").unwrap();
        wire.command(0x16, b"SET @received = ?").unwrap();
        let prepared = wire.packet().unwrap();
        assert!(prepared.is_ok(), "{}", prepared.text());
        wire.until_eof().unwrap();
        let id = &prepared.payload[1..5];
        bounded(&scene, &format!("{flavour:?}, long data in one packet"), LENGTH, || {
            send_long_data(&mut wire, id, LENGTH);
            // One parameter, no NULLs, its type bound: MYSQL_TYPE_LONG_BLOB.
            wire.command(0x17, &[id, &[0, 1, 0, 0, 0, 0, 1, 0xFB, 0]].concat()).unwrap();
            let done = wire.packet().unwrap();
            assert!(done.is_ok(), "{}", done.text());
        });
        let sum = scene.server.sql("SELECT 536870912, CRC32(REPEAT('0123456789abcdef', 33554432))").unwrap();
        let received = wire.query("SELECT CONCAT(LENGTH(@received), '\t', CRC32(@received), '\n')").unwrap();
        assert_eq!(received, [[Some(sum.into_bytes())]], "{flavour:?}");
    }
}

/// `COM_STMT_SEND_LONG_DATA` for parameter 0, as one packet of as many pieces as it takes.
fn send_long_data(wire: &mut Wire, id: &[u8], length: usize) {
    let text = "0123456789abcdef".repeat(2 * MIB);
    let head = [&[0x18], id, &[0, 0]].concat();
    let (mut left, mut at, mut sequence_id) = (length, 0, 0_u8);
    loop {
        let head: &[u8] = if sequence_id == 0 && left == length { &head } else { &[] };
        let data = left.min(PACKET_MAX - head.len());
        let [low, middle, high, _] = u32::try_from(head.len() + data).unwrap().to_le_bytes();
        let from = at % 16;
        wire.send(&[&[low, middle, high, sequence_id], head, &text.as_bytes()[from..from + data]].concat()).unwrap();
        sequence_id = sequence_id.wrapping_add(1);
        at += data;
        left -= data;
        if head.len() + data < PACKET_MAX {
            return;
        }
    }
}
