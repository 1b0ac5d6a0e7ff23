//! The screen over recordings that the recorder itself writes.

use std::fs;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use portreeve_recording::Decision;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::*;
use crate::cli::recorded::testing::*;
use crate::recorder::SessionFile;

/// A person in front of the screen.
struct Watcher {
    live: Live,
    screen: Screen,
    terminal: Terminal<TestBackend>,
}

impl Watcher {
    fn new(state_dir: &Path, args: &FilterArgs) -> Self {
        let live = Live::new(state_dir, Filter::new(args).unwrap());
        Self { live, screen: Screen::default(), terminal: Terminal::new(TestBackend::new(120, 10)).unwrap() }
    }

    /// What the screen shows now.
    fn look(&mut self) -> String {
        self.live.look().unwrap();
        let Self { live, screen, terminal } = self;
        screen.see(live.sessions());
        terminal.draw(|frame| view::draw(frame, screen, live.sessions(), START_NS + 3_000_000_000)).unwrap();
        terminal.backend().to_string()
    }

    /// Whether it goes on.
    fn press(&mut self, key: KeyCode) -> bool {
        self.screen.key(KeyEvent::new(key, KeyModifiers::NONE), self.live.sessions())
    }
}

fn two_running(state_dir: &Path) -> [SessionFile; 2] {
    busy_session(state_dir, 1);
    let mut first = session(state_dir, 2, "reporting");
    append(&mut first, 2001, statement(1, b"SELECT 'a\x1b[2J'"));
    append(&mut first, 2001, verdict(1, Decision::Allow));
    let mut second = session(state_dir, 3, "ingest");
    append(&mut second, 3001, statement(1, b"DROP TABLE orders"));
    append(&mut second, 3001, verdict_on(1, Decision::Deny, "drop"));
    [first, second]
}

#[test]
fn sessions_that_run_are_listed_and_one_is_opened_and_followed() {
    let state_dir = state_dir("watch");
    let mut running = two_running(&state_dir);
    let mut watcher = Watcher::new(&state_dir, &FilterArgs::default());
    let list = watcher.look();
    assert!(list.contains("2 sessions") && !list.contains("01010101"), "{list}");
    assert!(list.contains("02020202 reporting") && list.contains("03030303 ingest"), "{list}");

    assert!(watcher.press(KeyCode::Down) && watcher.press(KeyCode::Enter));
    let opened = watcher.look();
    assert!(opened.contains(&format!("session {}, following", id(3))) && opened.contains("DROP TABLE"), "{opened}");
    append(&mut running[1], 3005, statement(2, b"SELECT 'just now'"));
    append(&mut running[1], 3005, verdict(2, Decision::Allow));
    assert!(watcher.look().contains("SELECT 'just now'"));

    assert!(watcher.press(KeyCode::Esc) && watcher.press(KeyCode::Up) && watcher.press(KeyCode::Enter));
    let other = watcher.look();
    assert!(other.contains(r"SELECT 'a\u{1b}[2J'") && !other.contains("just now"), "{other}");
    assert!(!watcher.press(KeyCode::Char('q')));
    fs::remove_dir_all(state_dir).unwrap();
}

#[test]
fn lines_are_moved_through_and_followed_again() {
    let state_dir = state_dir("scroll");
    let [mut first, _second] = two_running(&state_dir);
    for number in 2..50 {
        append(&mut first, 2100 + number, statement(number, format!("SELECT {number} AS n").as_bytes()));
        append(&mut first, 2100 + number, verdict(number, Decision::Allow));
    }
    let mut watcher = Watcher::new(&state_dir, &FilterArgs::default());
    watcher.look();
    watcher.press(KeyCode::Enter);
    assert!(watcher.look().contains("SELECT 49 AS n"));
    watcher.press(KeyCode::PageUp);
    let earlier = watcher.look();
    assert!(!earlier.contains("SELECT 49 AS n") && earlier.contains("SELECT 42 AS n"), "{earlier}");
    assert!(earlier.contains("not following"), "{earlier}");
    watcher.press(KeyCode::Home);
    assert!(watcher.look().contains("opened orders"));
    watcher.press(KeyCode::End);
    assert!(watcher.look().contains("SELECT 49 AS n"));
    watcher.press(KeyCode::Right);
    assert!(!watcher.look().contains("2026-11-21T"));
    fs::remove_dir_all(state_dir).unwrap();
}

#[test]
fn new_sessions_come_and_ended_ones_are_said_to_have() {
    let state_dir = state_dir("come-and-go");
    let [mut first, _second] = two_running(&state_dir);
    let mut watcher = Watcher::new(&state_dir, &FilterArgs::default());
    watcher.look();
    let _third = session(&state_dir, 4, "reporting");
    assert!(watcher.look().contains("3 sessions"));
    append(&mut first, 5000, closed());
    first.close().unwrap();
    let list = watcher.look();
    assert!(list.contains("2 sessions") && list.contains("ended"), "{list}");
    fs::remove_dir_all(state_dir).unwrap();
}

#[test]
fn filters_and_json_are_those_of_other_commands() {
    let state_dir = state_dir("watch-json");
    let _running = two_running(&state_dir);
    let filter = FilterArgs { workload: Some("ingest".to_owned()), ..FilterArgs::default() };
    let mut out = Vec::new();
    run(&WatchArgs { filter, json: true }, &state_dir, &mut out).unwrap();
    let session: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!((&session["session"], &session["denied"]), (&id(3).to_string().into(), &1.into()));
    fs::remove_dir_all(state_dir).unwrap();
}
