//! Recordings as commands read them: sessions, their statements with verdict and answer, and which of them are wanted.

mod about;
mod analyses;
mod ending;
mod exchange;
mod files;
mod filter;
mod moment;
mod prepared;
mod recording;
mod row;
#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;
mod unread;

pub(super) use about::About;
pub(super) use analyses::Analyses;
pub(super) use ending::Ending;
pub(super) use exchange::{Asks, Exchange, asks};
pub(super) use files::{FolderArgs, files, is_session};
#[cfg(test)]
pub(super) use filter::VerdictName;
pub(super) use filter::{Filter, FilterArgs, Question, regex, texts};
pub(super) use moment::since;
pub(super) use prepared::{PreparedText, PreparedTexts};
pub(super) use recording::{Event, Recording};
pub(super) use row::{COLUMNS, Cell, Kind, Row};
pub(super) use unread::Unread;
