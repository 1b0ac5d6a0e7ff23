//! `portreeve replay`: a recorded session as its client's own tool would have shown it.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use portreeve_recording::{Entry, Record};

use super::Usage;
use super::recorded::{About, Analyses, Event, Exchange, FolderArgs, Recording, Row};
use super::render::json;

mod against;
mod client;
mod table;
#[cfg(test)]
mod tests;

/// Options of `portreeve replay`.
#[derive(Debug, Default, Args)]
#[command(after_help = "Examples:
  portreeve replay 9c41d8a2                  as fast as it was
  portreeve replay 9c41d8a2 --speed 4        four times as fast
  portreeve replay 9c41d8a2 --idle-max 2     as fast as it was, but no pause over two seconds
  portreeve replay 9c41d8a2 --speed max | less
  portreeve replay 9c41d8a2 --against orders --address 10.0.0.7:3306

With `--against`, exit code 1: an answer differs.")]
pub(crate) struct ReplayArgs {
    /// The session: its id, or the beginning or end of it as `portreeve sessions` shows it
    #[arg(value_name = "SESSION")]
    session: String,
    /// How many times as fast as it was, or `max` for no pauses
    #[arg(long, value_name = "N|max", default_value = "1", value_parser = speed)]
    speed: Speed,
    /// No pause is longer than so many seconds
    #[arg(long, value_name = "SECONDS")]
    idle_max: Option<f64>,
    /// Run the statements that only read again, at this server of the configuration, and show whose answer differs
    #[arg(long, value_name = "SERVER", conflicts_with_all = ["speed", "idle_max"])]
    against: Option<String>,
    /// Where that server is; by default where the session went to
    #[arg(long, value_name = "ADDRESS:PORT", requires = "against")]
    address: Option<SocketAddr>,
    /// The account of that server to use; by default the one that the session's workload gets
    #[arg(long, value_name = "USER", requires = "against")]
    credential: Option<String>,
    /// The key that must have signed the recording, as `portreeve verify` takes it; by default `state_dir`'s own
    #[arg(long, value_name = "FILE|HEX", requires = "against")]
    public_key: Vec<String>,
    #[command(flatten)]
    folder: FolderArgs,
    /// One JSON object per statement, when it was answered
    #[arg(long)]
    json: bool,
}

/// How fast.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
enum Speed {
    Times(f64),
    #[default]
    Max,
}

fn speed(text: &str) -> Result<Speed, String> {
    match (text, text.parse::<f64>()) {
        ("max", _) => Ok(Speed::Max),
        (_, Ok(times)) if times.is_finite() && times > 0.0 => Ok(Speed::Times(times)),
        _ => Err("write a number above 0, or max".to_owned()),
    }
}

/// Shows the session.
///
/// # Errors
/// When there is no such session, it cannot be read to its end or `out` cannot be written.
pub(crate) fn run(args: &ReplayArgs, config: &Path, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let idle_max = match args.idle_max.map(Duration::try_from_secs_f64) {
        Some(Err(_)) => return Err(Usage("`--idle-max` takes a number of seconds".to_owned()).into()),
        Some(Ok(longest)) => Some(longest),
        None => None,
    };
    if let Some(server) = &args.against {
        return against::run(args, server, config, out);
    }
    let mut replay = Replay { json: args.json, pace: Pace::new(args.speed, idle_max), analyses: Analyses::default() };
    for file in args.folder.files(Some(&args.session), config)? {
        let mut recording = Recording::open(&file)?;
        while let Some(event) = recording.next()? {
            match event {
                Event::Exchange(exchange) => replay.exchange(recording.about(), &exchange, out)?,
                Event::Record(entry) => replay.record(recording.about(), &entry, out)?,
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[derive(Debug)]
struct Replay {
    json: bool,
    pace: Pace,
    analyses: Analyses,
}

impl Replay {
    fn exchange(&mut self, about: &About, exchange: &Exchange, out: &mut impl Write) -> anyhow::Result<()> {
        self.pace.wait_until(exchange.at_unix_ns);
        if !self.json {
            client::asked(about, exchange, out)?;
            out.flush()?;
        }
        self.pace.wait_until(exchange.until_unix_ns);
        if self.json {
            let row = Row::new(about, exchange, &mut self.analyses);
            writeln!(out, "{}", json::line(&row).map_err(io::Error::from)?)?;
        } else {
            client::answered(about, exchange, out)?;
        }
        Ok(out.flush()?)
    }

    fn record(&mut self, about: &About, entry: &Entry<'_>, out: &mut impl Write) -> anyhow::Result<()> {
        self.pace.wait_until(entry.at_unix_ns);
        if self.json {
            return Ok(());
        }
        match &entry.record {
            Record::Login(login) => client::login(about, login, entry.at_unix_ns, out)?,
            Record::Closed(closed) => client::closed(closed, entry.at_unix_ns, out)?,
            Record::Opened(_)
            | Record::Statement(_)
            | Record::Verdict(_)
            | Record::Response(_)
            | Record::Transport(_)
            | Record::Abandoned(_)
            | Record::Forwarded(_)
            | Record::Chosen(_)
            | Record::Checkpoint(_)
            | Record::Sealed(_)
            | Record::Facts(_)
            | Record::Rows(_)
            | Record::Host(_) => {}
        }
        Ok(out.flush()?)
    }
}

/// Time as it went by then.
#[derive(Debug)]
struct Pace {
    speed: Speed,
    idle_max: Option<Duration>,
    /// A moment of the recording, and when it was shown.
    last: Option<(u64, Instant)>,
}

impl Pace {
    fn new(speed: Speed, idle_max: Option<Duration>) -> Self {
        Self { speed, idle_max, last: None }
    }

    fn wait_until(&mut self, at_unix_ns: u64) {
        let now = Instant::now();
        let due = self.due(at_unix_ns, now);
        if let Some(pause) = due.checked_duration_since(now) {
            thread::sleep(pause);
        }
        self.last = Some((at_unix_ns, due));
    }

    /// When a moment of the recording is to be shown.
    fn due(&self, at_unix_ns: u64, now: Instant) -> Instant {
        let (Some((last_ns, shown)), Speed::Times(times)) = (self.last, self.speed) else { return now };
        let gap = Duration::from_nanos(at_unix_ns.saturating_sub(last_ns));
        let gap = Duration::try_from_secs_f64(gap.as_secs_f64() / times).unwrap_or(Duration::MAX);
        let gap = self.idle_max.map_or(gap, |longest| gap.min(longest));
        shown.checked_add(gap).unwrap_or(now)
    }
}
