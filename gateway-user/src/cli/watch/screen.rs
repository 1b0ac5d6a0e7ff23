//! What the screen shows, and what keys change in it.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use uuid::Uuid;

use super::live::Session;

/// Columns that left and right move by.
const COLUMNS_PER_KEY: u16 = 20;

/// The list of sessions, or one of them.
#[derive(Debug, Default)]
pub(super) struct Screen {
    /// The session that is chosen in the list.
    pub(super) chosen: Option<Uuid>,
    /// The one that is shown by itself.
    pub(super) opened: Option<Opened>,
    /// Rows that the screen has for lines, as it was drawn last.
    pub(super) rows: usize,
}

/// A session that is shown by itself.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) id: Uuid,
    /// The first line shown, counted from the session's first; none while the newest are followed.
    pub(super) from: Option<u64>,
    /// Columns that are left out.
    pub(super) column: u16,
}

impl Screen {
    /// Keeps what is chosen among the sessions that there are.
    pub(super) fn see(&mut self, sessions: &[Session]) {
        let is_there = |id: Uuid| sessions.iter().any(|session| session.about.id == id);
        if !self.chosen.is_some_and(is_there) {
            self.chosen = sessions.first().map(|session| session.about.id);
        }
        if self.opened.as_ref().is_some_and(|opened| !is_there(opened.id)) {
            self.opened = None;
        }
    }

    /// Where the chosen session stands in the list.
    pub(super) fn index(&self, sessions: &[Session]) -> Option<usize> {
        sessions.iter().position(|session| Some(session.about.id) == self.chosen)
    }

    /// Does what a key means; false when that is to end.
    pub(super) fn key(&mut self, key: KeyEvent, sessions: &[Session]) -> bool {
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        if key.code == KeyCode::Char('q') || (is_control && key.code == KeyCode::Char('c')) {
            return false;
        }
        let rows = self.rows;
        match self.opened.as_mut() {
            None => self.key_in_list(key.code, sessions),
            Some(_) if matches!(key.code, KeyCode::Esc | KeyCode::Backspace) => self.opened = None,
            Some(opened) => {
                if let Some(session) = sessions.iter().find(|session| session.about.id == opened.id) {
                    opened.key(key.code, session, rows);
                }
            }
        }
        true
    }

    fn key_in_list(&mut self, key: KeyCode, sessions: &[Session]) {
        let last = sessions.len().saturating_sub(1);
        let at = self.index(sessions).unwrap_or_default();
        let to = match key {
            KeyCode::Up | KeyCode::Char('k') => at.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => (at + 1).min(last),
            KeyCode::PageUp => at.saturating_sub(self.rows),
            KeyCode::PageDown => at.saturating_add(self.rows).min(last),
            KeyCode::Home => 0,
            KeyCode::End => last,
            KeyCode::Enter => {
                self.opened = self.chosen.map(|id| Opened { id, from: None, column: 0 });
                return;
            }
            _ => return,
        };
        self.chosen = sessions.get(to).map(|session| session.about.id);
    }
}

impl Opened {
    /// The first line to show of so many rows.
    pub(super) fn first(&self, session: &Session, rows: usize) -> u64 {
        let newest = session.lines_gone + (session.lines.len().saturating_sub(rows)) as u64;
        self.from.map_or(newest, |from| from.clamp(session.lines_gone, newest))
    }

    fn key(&mut self, key: KeyCode, session: &Session, rows: usize) {
        let at = self.first(session, rows);
        let newest = session.lines_gone + (session.lines.len().saturating_sub(rows)) as u64;
        let to = match key {
            KeyCode::Up | KeyCode::Char('k') => at.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => at.saturating_add(1),
            KeyCode::PageUp => at.saturating_sub(rows as u64),
            KeyCode::PageDown => at.saturating_add(rows as u64),
            KeyCode::Home => 0,
            KeyCode::End => newest,
            KeyCode::Left => {
                self.column = self.column.saturating_sub(COLUMNS_PER_KEY);
                return;
            }
            KeyCode::Right => {
                self.column = self.column.saturating_add(COLUMNS_PER_KEY);
                return;
            }
            _ => return,
        };
        // At the newest line it follows.
        self.from = (to < newest).then_some(to);
    }
}
