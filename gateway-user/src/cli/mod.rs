//! The command line: what may be said, and how a command ends.

mod ca;
mod check;
mod detach;
mod doctor;
mod export;
mod guard;
mod key;
mod policy;
mod recorded;
mod reload;
pub(crate) mod render;
mod replay;
mod run;
mod search;
mod sessions;
mod status;
mod tag;
mod tail;
mod upgrade;
mod verify;
mod watch;
mod who;
mod workloads;

use crate::{
    admin::client::DaemonAbsent,
    config::{Config, ConfigProblems},
    policies::PolicyError,
};
use clap::{Parser, Subcommand};
use serde::Serialize;
use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

/// Exit codes besides 0 (design §12): the answer is no, or it could not be done.
const NO: u8 = 1;
/// Usage or configuration.
const USAGE: u8 = 2;
/// The daemon is not there.
const ABSENT: u8 = 3;
/// A recording could not be read to its end: what was said is not all.
const UNREAD: u8 = 4;

/// The warden of port 3306: a transparent gateway between the software agents of this host and its MySQL servers
#[derive(Debug, Parser)]
#[command(
    name = "portreeve",
    version,
    after_help = "Exit codes: 0 done, 1 the answer is no, 2 usage or configuration, 3 the daemon is not there,
4 a recording could not be read to its end.

Examples:
  portreeve doctor                     what this host has, and what it lacks
  portreeve check                      is the configuration right?
  portreeve run                        enforce
  portreeve tail --follow              watch what agents do"
)]
pub(crate) struct Cli {
    /// The configuration file
    #[arg(
        long,
        global = true,
        env = "PORTREEVE_CONFIG",
        value_name = "FILE",
        default_value = "/etc/portreeve/portreeve.toml"
    )]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway in the foreground until it is told to stop
    #[command(after_help = "Examples:
  portreeve run
  portreeve run --config ./portreeve.toml --log-format json
  portreeve run --observe              forward everything, record what policy would have denied
  PORTREEVE_LOG=portreeve=debug portreeve run")]
    Run(run::RunArgs),
    /// Check the configuration, and the password files, PEM files and policies it names
    #[command(after_help = "Examples:
  portreeve check
  portreeve check --config ./portreeve.toml --json")]
    Check(check::CheckArgs),
    /// Say what this host has, what it lacks, what is lost without it and what to do
    #[command(after_help = "Examples:
  portreeve doctor
  portreeve doctor --json | jq '.[] | select(.state != \"ok\")'")]
    Doctor(doctor::DoctorArgs),
    /// Make a cgroup a workload while the daemon runs
    #[command(after_help = "Examples:
  portreeve tag --cgroup agents/reporting-2 --workload reporting
  portreeve tag --cgroup /sys/fs/cgroup/agents/etl --workload etl --group ingest --group nightly
  portreeve tag --cgroup agents/x --workload x --spiffe-id spiffe://example.org/team/x")]
    Tag(tag::TagArgs),
    /// End the tag of a cgroup: its sessions end, and its new connections are no longer intercepted
    #[command(after_help = "Examples:
  portreeve untag --cgroup agents/etl")]
    Untag(tag::UntagArgs),
    /// List the tagged cgroups and their workloads
    #[command(after_help = "Examples:
  portreeve workloads
  portreeve workloads --json | jq -r '.[].spiffe_id'")]
    Workloads(workloads::WorkloadsArgs),
    /// Say which workload a process is, and why
    #[command(after_help = "Exit code 1: it is none.

Examples:
  portreeve who 4242
  portreeve who 4242 --json | jq -r .workload.spiffe_id")]
    Who(who::WhoArgs),
    /// Show the CA that clients must trust to verify the gateway, and make it when it is missing
    #[command(after_help = "Examples:
  portreeve ca                         path, fingerprint, validity, and the certificate
  portreeve ca --json | jq -r .pem > /etc/agents/portreeve-ca.pem
  portreeve ca renew")]
    Ca(ca::CaArgs),
    /// Show the public key of this host's recordings, and make the key when it is missing
    #[command(after_help = "Examples:
  portreeve key                        the key, and where it lies
  portreeve key --json | jq -r .public_key > /mnt/elsewhere/host-7.pub
  portreeve verify --public-key /mnt/elsewhere/host-7.pub --all")]
    Key(key::KeyArgs),
    /// List recorded sessions
    Sessions(sessions::SessionsArgs),
    /// Show what sessions did
    Tail(tail::TailArgs),
    /// Watch the sessions that run, in a terminal
    Watch(watch::WatchArgs),
    /// Find statements in recorded sessions
    Search(search::SearchArgs),
    /// Show a recorded session as its client's own tool would have shown it
    Replay(replay::ReplayArgs),
    /// Write recorded statements for other programs
    Export(export::ExportArgs),
    /// Say whether recordings are as they were written
    Verify(verify::VerifyArgs),
    /// Check policies, explain what they say about a statement, suggest and import them
    #[command(
        subcommand,
        after_help = "Examples:
  portreeve policy check
  portreeve policy explain --workload reporting --server orders 'SELECT 1'
  portreeve policy reload
  portreeve policy suggest --workload reporting
  portreeve policy import hoop guardrails.json"
    )]
    Policy(policy::PolicyCommand),
    /// Start a new daemon beside the running one and hand everything over to it, without losing a connection
    #[command(after_help = "Examples:
  portreeve upgrade                    the binary at the running daemon's path, and the configuration as it is now
  portreeve upgrade --binary /opt/portreeve-2/portreeve
  portreeve upgrade --json | jq .sessions_draining")]
    Upgrade(upgrade::UpgradeArgs),
    /// Put the kernel programs in force, refusing, before there is a daemon: at boot, before agents start
    #[command(after_help = "Examples:
  portreeve guard                      what portreeve-guard.service does")]
    Guard(guard::GuardArgs),
    /// Remove everything that daemons which no longer run left: kernel programs, maps, pins, sockets
    #[command(after_help = "Examples:
  portreeve detach --dry-run           what would be removed
  portreeve detach                     workloads then connect to servers directly
  portreeve detach --all --json        of every instance on this host that does not run")]
    Detach(detach::DetachArgs),
    /// Say how the daemon is
    #[command(after_help = "Examples:
  portreeve status
  portreeve status --json | jq .sessions_open")]
    Status(status::StatusArgs),
}

/// The command was used in a way that cannot work; the text says what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

/// Does what the command line says.
///
/// # Errors
/// What [`report`] tells the user.
pub(crate) fn execute(cli: &Cli) -> anyhow::Result<ExitCode> {
    let out = &mut io::stdout().lock();
    let config = cli.config.as_path();
    match &cli.command {
        Command::Run(args) => run::run(args, config),
        Command::Check(args) => check::run(args, config, out),
        Command::Doctor(args) => doctor::run(args, config, out),
        Command::Tag(args) => tag::tag(args, config, out),
        Command::Untag(args) => tag::untag(args, config, out),
        Command::Workloads(args) => workloads::run(args, config, out),
        Command::Who(args) => who::run(args, config, out),
        Command::Ca(args) => ca::run(args, config, out),
        Command::Key(args) => key::run(args, config, out),
        Command::Sessions(args) => sessions::run(args, &Config::read(config)?.state_dir, out),
        Command::Tail(args) if args.connects => tail::connects::run(args, &Config::read(config)?.control_socket(), out),
        Command::Tail(args) if args.host => {
            let config = Config::read(config)?;
            tail::host::run(args, &config.state_dir, &config.workloads, out)
        }
        Command::Tail(args) => tail::run(args, &Config::read(config)?.state_dir, out),
        Command::Watch(args) => watch::run(args, &Config::read(config)?.state_dir, out),
        Command::Search(args) => search::run(args, config, out),
        Command::Replay(args) => replay::run(args, config, out),
        Command::Export(args) => export::run(args, config),
        Command::Verify(args) => verify::run(args, config, out),
        Command::Policy(command) => policy::run(command, config, out),
        Command::Upgrade(args) => upgrade::run(args, config, out),
        Command::Guard(args) => guard::run(args, config, out),
        Command::Detach(args) => detach::run(args, config, out),
        Command::Status(args) => status::run(args, config, out),
    }
}

/// Tells the user, once, why the command failed, and says so to the caller by the exit code.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    let broken = |cause: &io::Error| cause.kind() == io::ErrorKind::BrokenPipe;
    if error.chain().any(|cause| cause.downcast_ref().is_some_and(broken)) {
        // The reader of our output had enough (`portreeve tail | head`): nobody is left to be told.
        return ExitCode::SUCCESS;
    }
    // It may name a file that somebody else named. With standard error closed there is no place to complain either.
    let _ = writeln!(io::stderr(), "portreeve: {}", render::lines(&format!("{error:#}")));
    let has = |is: fn(&(dyn std::error::Error + 'static)) -> bool| error.chain().any(is);
    if has(|cause| cause.is::<ConfigProblems>() || cause.is::<PolicyError>() || cause.is::<Usage>()) {
        ExitCode::from(USAGE)
    } else if has(|cause| cause.is::<DaemonAbsent>()) {
        ExitCode::from(ABSENT)
    } else {
        ExitCode::from(NO)
    }
}

/// Prints a value for a program: JSON, indented, one newline at the end.
fn print_json(out: &mut impl Write, value: &impl Serialize) -> anyhow::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value).map_err(io::Error::from)?;
    writeln!(out)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_commands_help_has_examples() {
        fn check(command: &mut clap::Command) {
            let help = command.render_long_help().to_string();
            assert!(help.contains("Examples:\n  portreeve "), "no examples in the help of {}", command.get_name());
            command.get_subcommands_mut().filter(|command| command.get_name() != "help").for_each(check);
        }
        let mut root = Cli::command();
        root.build();
        check(&mut root);
    }

    #[test]
    fn each_kind_of_failure_has_its_exit_code() {
        let check = |error: anyhow::Error, code: u8| {
            assert_eq!(format!("{:?}", report(&error)), format!("{:?}", ExitCode::from(code)));
        };
        check(anyhow::anyhow!("no"), NO);
        check(Usage("use it so".to_owned()).into(), USAGE);
        check(ConfigProblems(Vec::new()).into(), USAGE);
        check(anyhow::Error::from(DaemonAbsent { socket: "/x".to_owned() }).context("asking"), ABSENT);
        check(io::Error::from(io::ErrorKind::BrokenPipe).into(), 0);
    }
}
