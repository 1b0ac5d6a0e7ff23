//! `portreeve tail --connects`: asks the daemon, and with `--follow` again and again.

use std::{fmt::Write as _, io::Write, path::Path, process::ExitCode, thread, time::Duration};

use anyhow::bail;

use super::TailArgs;
use crate::{
    admin::{
        ConnectView, client,
        message::{Request, Response},
    },
    cli::render::escape,
};

/// As often as the daemon looks.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// # Errors
/// No daemon answers, or `out` cannot be written; a reader of `out` that goes away is none.
pub(crate) fn run(args: &TailArgs, socket: &Path, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    match tail(args, socket, out) {
        Err(error) if super::is_broken_pipe(&error) => Ok(ExitCode::SUCCESS),
        other => other,
    }
}

fn tail(args: &TailArgs, socket: &Path, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let (mut connects, _) = ask(socket, 0)?;
    let mut newest = connects.last().map_or(0, |connect| connect.number);
    connects.retain(|connect| is_wanted(args, connect));
    if let Some(lines) = args.lines_kept() {
        connects.drain(..connects.len().saturating_sub(lines));
    }
    print(args, &connects, out)?;
    if !args.follow {
        return Ok(ExitCode::SUCCESS);
    }
    loop {
        thread::sleep(ASK_EVERY);
        let (mut connects, missed) = ask(socket, newest)?;
        if missed > 0 {
            eprintln!("portreeve: {missed} connects came faster than they were read, and are not shown");
        }
        newest = connects.last().map_or(newest, |connect| connect.number);
        connects.retain(|connect| is_wanted(args, connect));
        print(args, &connects, out)?;
    }
}

fn ask(socket: &Path, after: u64) -> anyhow::Result<(Vec<ConnectView>, u64)> {
    match client::ask(socket, &Request::Connects { after })? {
        Response::Connects { connects, missed } => Ok((connects, missed)),
        _ => bail!("portreeve answered something else than was asked: are command and daemon of one version?"),
    }
}

fn is_wanted(args: &TailArgs, connect: &ConnectView) -> bool {
    args.filter.workload.as_ref().is_none_or(|wanted| connect.workload.as_ref() == Some(wanted))
}

fn print(args: &TailArgs, connects: &[ConnectView], out: &mut impl Write) -> anyhow::Result<()> {
    for connect in connects {
        if args.json {
            writeln!(out, "{}", serde_json::to_string(connect)?)?;
        } else {
            writeln!(out, "{}", line(connect))?;
        }
    }
    out.flush()?;
    Ok(())
}

/// A connect in one line. The command name is the agent's to choose, so it is escaped.
fn line(connect: &ConnectView) -> String {
    let mut line = format!("{}  {}", connect.time, connect.workload.as_deref().unwrap_or("(no workload)"));
    // Writing to a String cannot fail.
    let _ = match &connect.refused {
        Some(reason) => write!(line, "  refused {reason}"),
        None => write!(line, "  redirected"),
    };
    if let Some(destination) = connect.destination {
        let _ = write!(line, "  {destination}");
    }
    if let (Some(pid), Some(comm)) = (connect.pid, &connect.comm) {
        let _ = write!(line, "  pid {pid} ({})", escape(comm.as_bytes()));
    }
    if let Some(uid) = connect.uid {
        let _ = write!(line, "  uid {uid}");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connect_is_one_line_whatever_it_is_called() {
        let mut connect = ConnectView {
            time: "2026-11-24T12:00:00Z".into(),
            refused: Some("refused-port".into()),
            workload: Some("etl".into()),
            destination: Some("10.0.0.5:33060".parse().unwrap()),
            pid: Some(7),
            uid: Some(1000),
            comm: Some("a\nb".into()),
            ..ConnectView::default()
        };
        assert_eq!(
            line(&connect),
            r"2026-11-24T12:00:00Z  etl  refused refused-port  10.0.0.5:33060  pid 7 (a\nb)  uid 1000"
        );
        connect = ConnectView { time: connect.time, ..ConnectView::default() };
        assert_eq!(line(&connect), "2026-11-24T12:00:00Z  (no workload)  redirected");
    }
}
