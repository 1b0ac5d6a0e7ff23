//! The screen, drawn.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Paragraph, Row, Table, TableState};

use super::live::{Session, Tone};
use super::screen::{Opened, Screen};
use crate::cli::render::{duration, escape, short_id, workload_name};

const HEADINGS: [&str; 7] = ["SESSION", "WORKLOAD", "SERVER", "CLIENT", "STATEMENTS", "DENIED", "IDLE"];
const WIDTHS: [Constraint; 7] = [
    Constraint::Length(8),
    Constraint::Fill(2),
    Constraint::Fill(1),
    Constraint::Fill(2),
    Constraint::Length(10),
    Constraint::Length(18),
    Constraint::Length(10),
];

/// Draws the list, or the session that is opened.
pub(super) fn draw(frame: &mut Frame<'_>, screen: &mut Screen, sessions: &[Session], now_unix_ns: u64) {
    let [head, body] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(frame.area());
    // Without the frame around it and, in the list, the heading.
    screen.rows = usize::from(body.height.saturating_sub(2));
    let opened = screen.opened.as_ref();
    let session = opened.and_then(|opened| sessions.iter().find(|session| session.about.id == opened.id));
    match opened.zip(session) {
        Some((opened, session)) => {
            help(frame, head, "esc back  arrows move  end follow  q quit");
            one(frame, body, opened, session, screen.rows);
        }
        None => {
            help(frame, head, "enter open  arrows choose  q quit");
            list(frame, body, screen.index(sessions), sessions, now_unix_ns);
        }
    }
}

fn help(frame: &mut Frame<'_>, area: Rect, keys: &str) {
    let line = Line::from(format!("portreeve watch  {keys}"));
    frame.render_widget(Paragraph::new(line).style(Style::new().add_modifier(Modifier::DIM)), area);
}

fn list(frame: &mut Frame<'_>, area: Rect, chosen: Option<usize>, sessions: &[Session], now_unix_ns: u64) {
    let running = sessions.iter().filter(|session| session.runs).count();
    let plural = if running == 1 { "" } else { "s" };
    let rows = sessions.iter().map(|session| row(session, now_unix_ns));
    let table = Table::new(rows, WIDTHS)
        .header(Row::new(HEADINGS).style(Style::new().add_modifier(Modifier::BOLD)))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED))
        .block(Block::bordered().title(format!(" {running} session{plural} ")));
    let mut state = TableState::default().with_selected(chosen);
    frame.render_stateful_widget(table, area, &mut state);
}

fn row(session: &Session, now_unix_ns: u64) -> Row<'static> {
    let about = &session.about;
    let shown = |name: Option<&str>| name.map_or("-".to_owned(), |name| escape(name.as_bytes()));
    let more = if session.is_counted_from_its_end { "+" } else { "" };
    let denied = match session.would_deny {
        0 => format!("{}{more}", session.denied),
        observed => format!("{}{more} ({observed} observed)", session.denied),
    };
    let idle = match session.runs {
        true => duration(now_unix_ns.saturating_sub(session.last_unix_ns)),
        false => "ended".to_owned(),
    };
    let row = Row::new([
        short_id(about.id),
        shown(about.workload.as_deref().map(workload_name)),
        shown(about.server.as_deref()),
        shown(Some(&about.client_address)),
        format!("{}{more}", session.statements),
        denied,
        idle,
    ]);
    let style = match (session.runs, session.denied, session.would_deny) {
        (false, ..) => Style::new().add_modifier(Modifier::DIM),
        (true, 0, 0) => Style::new(),
        (true, 0, _) => style(Tone::WouldDeny),
        (true, ..) => style(Tone::Denied),
    };
    row.style(style)
}

fn one(frame: &mut Frame<'_>, area: Rect, opened: &Opened, session: &Session, rows: usize) {
    let first = opened.first(session, rows);
    let skipped = usize::try_from(first.saturating_sub(session.lines_gone)).unwrap_or(usize::MAX);
    let lines = session.lines.iter().skip(skipped).take(rows);
    let lines: Vec<Line<'_>> = lines.map(|(tone, line)| Line::styled(line.as_str(), style(*tone))).collect();
    let state = match (session.runs, opened.from) {
        (false, _) => "ended",
        (true, None) => "following",
        (true, Some(_)) => "not following",
    };
    let title = format!(" session {}, {state} ", session.about.id);
    let text = Paragraph::new(lines).scroll((0, opened.column)).block(Block::bordered().title(title));
    frame.render_widget(text, area);
}

fn style(tone: Tone) -> Style {
    match tone {
        Tone::Plain => Style::new(),
        Tone::Denied => Style::new().fg(Color::Red),
        Tone::WouldDeny => Style::new().fg(Color::Yellow),
        Tone::Error => Style::new().fg(Color::Magenta),
    }
}
