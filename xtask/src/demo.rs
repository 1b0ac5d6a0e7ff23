//! `cargo xtask demo`: the story of one client that never learns that it is watched.

mod stage;
mod step;

use crate::{chore, setup};
use anyhow::{Context as _, Result, bail};
use portreeve_tests::{cgroup, host, limits::POLL_EVERY, process};
use stage::Stage;
use std::{
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};
use step::{Expected, Step};

/// A loopback address where no server is.
const NOBODY: std::net::Ipv4Addr = std::net::Ipv4Addr::new(127, 0, 0, 9);
/// "At once": a refused connection does not wait for a time-out. Generous for a busy machine.
const AT_ONCE: Duration = Duration::from_secs(2);

/// Start a private MariaDB and Portreeve, run the unmodified `mariadb` client in two tagged cgroups and outside, and show
/// what was asked, what came back and what was recorded. Every step is checked. Needs root; leaves nothing behind.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask demo           the whole story, about half a minute after the first build\n  cargo xtask demo --keep    stay until Ctrl-C, to look around"
)]
pub(crate) struct Args {
    /// When the story is told, leave everything running until Ctrl-C.
    #[arg(long)]
    keep: bool,
}

/// Errors at the first step that does not do what it says.
pub(crate) fn run(args: &Args) -> Result<()> {
    host::require_root()?;
    setup::ensure()?;
    chore::build_release()?;
    // Both before any thread starts.
    host::private_mounts()?;
    process::catch_interrupts()?;
    cgroup::sweep()?;
    host::sweep_run_dirs()?;

    let mut stage = Stage::set()?;
    let told = tell(&mut stage).and_then(|()| if args.keep { keep(&stage) } else { Ok(()) });
    let traces = stage.traces();
    drop(stage);
    // Both are worth knowing; the failed step comes first.
    let clean = nothing_left(&traces);
    told.and(clean)?;
    println!("\nEvery step did what it says. Nothing is left behind: no process, cgroup, pin or file.");
    Ok(())
}

fn tell(stage: &mut Stage) -> Result<()> {
    for step in before_the_kill(stage) {
        step.run(stage)?;
    }
    println!("\n── 9. The daemon is killed with SIGKILL: agents are refused, at once, and nothing goes through");
    println!("$ kill -9 {}", stage.gateway.pid().context("the daemon runs")?);
    stage.gateway.kill9()?;
    let start = Instant::now();
    Step {
        title: "",
        cgroup: Some(&stage.reporting),
        host: stage.server.address(),
        sql: "SELECT COUNT(*) FROM shop.orders",
        expected: Expected::Refused(&["ERROR 2002", "Can't connect to server"]),
        recorded: &[],
    }
    .ask()?;
    if start.elapsed() > AT_ONCE {
        bail!("the refusal took {:?}, it should come at once", start.elapsed());
    }

    println!("\n── 10. The daemon is started again: the same client works");
    stage.gateway.restart()?;
    Step {
        title: "",
        cgroup: Some(&stage.reporting),
        host: stage.server.address(),
        sql: "SELECT COUNT(*) AS orders FROM shop.orders",
        expected: Expected::Answer(&["orders\n4"]),
        recorded: &["\"decision\":\"allow\""],
    }
    .run(stage)?;

    println!("\n── 11. What an auditor sees");
    for command in ["tail", "sessions"] {
        println!("$ portreeve {command}");
        print!("{}", stage.portreeve(&[command])?);
    }
    Ok(())
}

fn before_the_kill<'a>(stage: &'a Stage) -> Vec<Step<'a>> {
    let host = stage.server.address();
    let (reporting, ingest) = (Some(&stage.reporting), Some(&stage.ingest));
    vec![
        Step {
            title: "1. Outside every tagged cgroup: Portreeve does not touch the client, the server itself refuses it",
            cgroup: None,
            host,
            sql: "SELECT 1",
            expected: Expected::Refused(&["ERROR 1045", "Access denied for user 'agent'"]),
            recorded: &[],
        },
        Step {
            title: "2. The same client, user and password in the cgroup of `reporting`: it may read orders",
            cgroup: reporting,
            host,
            sql: "SELECT id, item, amount FROM shop.orders",
            expected: Expected::Answer(&["teapot", "19.90"]),
            recorded: &[
                "\"decision\":\"allow\"",
                "reporting-reads-orders",
                "spiffe://example.org/reporting",
                "\"rows\":3",
            ],
        },
        Step {
            title: "3. Whom does the server see? The account that Portreeve holds; the agent never had its password",
            cgroup: reporting,
            host,
            sql: "SELECT CURRENT_USER()",
            expected: Expected::Answer(&["shop_reporting@"]),
            recorded: &["\"credential\":\"shop_reporting\"", "\"user\":\"agent\""],
        },
        Step {
            title: "4. `reporting` deletes: denied by a policy, by name",
            cgroup: reporting,
            host,
            sql: "DELETE FROM shop.orders WHERE id = 1",
            expected: Expected::Refused(&["ERROR 1142 (42000)", "reporting-is-read-only"]),
            recorded: &["\"decision\":\"deny\"", "reporting-is-read-only"],
        },
        Step {
            title: "5. `reporting` reads the customers' card numbers: nothing permits it, so it is denied",
            cgroup: reporting,
            host,
            sql: "SELECT name, card FROM shop.customers",
            expected: Expected::Refused(&["ERROR 1142 (42000)", "customers"]),
            recorded: &["\"decision\":\"deny\"", "shop.customers"],
        },
        Step {
            title: "6. `ingest` inserts an order: allowed",
            cgroup: ingest,
            host,
            sql: "INSERT INTO shop.orders (customer, item, amount) VALUES (1, 'kettle', 24.50)",
            expected: Expected::Answer(&[]),
            recorded: &["\"decision\":\"allow\"", "ingest-inserts-orders", "\"affected_rows\":1"],
        },
        Step {
            title: "7. `ingest` reads what it wrote: denied",
            cgroup: ingest,
            host,
            sql: "SELECT * FROM shop.orders",
            expected: Expected::Refused(&["ERROR 1142 (42000)", "orders"]),
            recorded: &["\"decision\":\"deny\""],
        },
        Step {
            title: "8. A destination that no configured server matches: refused with a reason, and recorded",
            cgroup: reporting,
            host: NOBODY,
            sql: "SELECT 1",
            // Not "ERROR 1045": a client that wanted TLS shows an error before the greeting in words of its own.
            expected: Expected::Refused(&["1045", "portreeve", "no server is configured for 127.0.0.9:3306"]),
            recorded: &["127.0.0.9:3306"],
        },
    ]
}

fn keep(stage: &Stage) -> Result<()> {
    let pid = std::process::id();
    println!("\n── Kept until Ctrl-C. In another shell, as root:");
    println!("  nsenter --target {pid} --mount    a shell that sees the pins in /sys/fs/bpf");
    println!("  portreeve status --config {}", stage.gateway.config_path().display());
    println!("  echo $$ > {}/cgroup.procs    become `reporting`, then:", stage.reporting.path().display());
    println!("  mariadb --no-defaults -h {} -uagent -panything", stage.server.address());
    while process::check_interrupt().is_ok() {
        thread::sleep(POLL_EVERY);
    }
    Ok(())
}

/// Everything that the stage made must be gone.
fn nothing_left(traces: &[PathBuf]) -> Result<()> {
    let pins = Path::new(host::BPFFS).join("portreeve");
    let left: Vec<_> =
        traces.iter().chain([&pins]).filter(|path| path.exists()).map(|path| path.display().to_string()).collect();
    if left.is_empty() {
        return Ok(());
    }
    bail!("left behind: {}", left.join(", "))
}
