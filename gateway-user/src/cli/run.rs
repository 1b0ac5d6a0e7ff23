//! `portreeve run`

use crate::{
    app::{self, Beginning},
    config::Config,
    handover::{self, Predecessor},
    interception::Inherited,
};
use clap::{Args, ValueEnum};
use std::{
    io::{self, IsTerminal as _},
    path::Path,
    process::ExitCode,
};
use tracing_subscriber::EnvFilter;

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// How the log on standard error is written; PORTREEVE_LOG says how much (error, warn, info, debug)
    #[arg(long, value_enum, default_value = "text")]
    log_format: LogFormat,
    /// Deny nothing: forward everything that can be forwarded safely, and record what policy would have denied
    #[arg(long)]
    observe: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

pub(super) fn run(args: &RunArgs, path: &Path) -> anyhow::Result<ExitCode> {
    if handover::launch()? {
        return Ok(ExitCode::SUCCESS);
    }
    // Before anything is opened: what this process was started with is told by number.
    let mut inherited = Inherited::from_environment()?;
    let (predecessor, lock) = Predecessor::take(&mut inherited).unzip();
    let mut beginning = Beginning { inherited, lock, predecessor };
    let ended = serve(args, path, &mut beginning);
    if let (Err(error), Some(predecessor)) = (&ended, beginning.predecessor.take()) {
        predecessor.failed(error);
    }
    ended
}

fn serve(args: &RunArgs, path: &Path, beginning: &mut Beginning) -> anyhow::Result<ExitCode> {
    let filter = filter()?;
    let mut config = Config::load(path)?;
    config.observe |= args.observe;
    let log =
        tracing_subscriber::fmt().with_writer(io::stderr).with_ansi(io::stderr().is_terminal()).with_env_filter(filter);
    match args.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    app::run(config, beginning)
}

fn filter() -> anyhow::Result<EnvFilter> {
    match std::env::var("PORTREEVE_LOG") {
        Err(std::env::VarError::NotPresent) => Ok(EnvFilter::new("info")),
        Ok(text) => EnvFilter::try_new(&text).map_err(|error| {
            super::Usage(format!(
                "PORTREEVE_LOG is `{text}`: {error}; write a level such as `info` or `portreeve=debug`"
            ))
            .into()
        }),
        Err(std::env::VarError::NotUnicode(_)) => {
            Err(super::Usage("PORTREEVE_LOG is not UTF-8: write a level such as `info`".to_owned()).into())
        }
    }
}
