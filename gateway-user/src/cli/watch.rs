//! `portreeve watch`: the sessions that run, in a terminal.

use std::io::{self, IsTerminal as _, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use clap::Args;
use crossterm::event::{self, Event, KeyEventKind};

use super::Usage;
use super::recorded::{Ending, Filter, FilterArgs};
use super::render::json;

mod live;
mod screen;
#[cfg(test)]
mod tests;
mod view;

use live::Live;
use screen::Screen;

/// Time between two looks at the recordings, and the longest until a key is answered.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Options of `portreeve watch`.
#[derive(Debug, Clone, Default, Args)]
#[command(after_help = "Examples:
  portreeve watch                              all sessions that run
  portreeve watch --workload reporting
  portreeve watch --verdict deny --verdict would-deny
  portreeve watch --json                       those that run now, one JSON object each

Keys: up and down choose a session, enter opens it, escape goes back; in a session up, down, page up and page down move, left
and right show long lines, end follows again; q ends.")]
pub(crate) struct WatchArgs {
    /// Print the sessions that run, one JSON object each, and end
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    filter: FilterArgs,
}

/// Shows the sessions until it is told to end.
///
/// # Errors
/// When standard input or output is no terminal, or the recordings cannot be read.
pub(crate) fn run(args: &WatchArgs, state_dir: &Path, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let mut live = Live::new(state_dir, Filter::new(&args.filter)?);
    if args.json {
        live.look()?;
        for session in live.sessions().iter().filter(|session| session.runs) {
            writeln!(out, "{}", json::line(&session.json()).map_err(io::Error::from)?)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err(
            Usage("`watch` needs a terminal; use `portreeve tail --follow`, or `watch --json`".to_owned()).into()
        );
    }
    // In raw mode Ctrl-C is a key; SIGTERM must not leave the terminal as it is then.
    let ending = Ending::new()?;
    let terminal = ratatui::try_init().context("cannot take over the terminal")?;
    let shown = show(terminal, &mut live, &ending);
    ratatui::restore();
    shown.map(|()| ExitCode::SUCCESS)
}

fn show(mut terminal: ratatui::DefaultTerminal, live: &mut Live, ending: &Ending) -> anyhow::Result<()> {
    let mut screen = Screen::default();
    while !ending.is_asked()? {
        live.look()?;
        screen.see(live.sessions());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let now_unix_ns = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        terminal.draw(|frame| view::draw(frame, &mut screen, live.sessions(), now_unix_ns))?;
        if event::poll(LOOK_EVERY)?
            && let Event::Key(key) = event::read()?
            && key.kind != KeyEventKind::Release
            && !screen.key(key, live.sessions())
        {
            break;
        }
    }
    Ok(())
}
