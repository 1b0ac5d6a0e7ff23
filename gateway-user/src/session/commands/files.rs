//! `LOAD DATA LOCAL`: which file of the client a server may ask for in its answer.

use portreeve_mysql::response::Expect;
use portreeve_policy::{Action as PolicyAction, Facts, Resource};

use super::{Commands, Forwarded};
use crate::gateway::Gateway;

/// Bytes of the longest text that is held for the name in it.
const TEXT_HELD_MAX: usize = 1024 * 1024;

/// What is done with a server's request for a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::session) enum FileRequest {
    Pass,
    /// The statement may run, but not read that file: the server gets none, and the client an error.
    Stop,
    /// Nothing asked for it: the server means harm.
    Hostile,
}

/// The text of a statement that policy let pass unread: the name of a file it may ask for must be in it.
pub(super) fn text_to_hold(facts: &Facts, sql: &[u8]) -> Option<Box<[u8]>> {
    let may_ask = facts.has_unparsed() && sql.len() <= TEXT_HELD_MAX && has_word(sql, b"LOCAL");
    may_ask.then(|| sql.into())
}

fn has_word(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word))
}

impl Forwarded {
    /// Whether the server may ask the client for a file at all.
    pub(in crate::session) fn may_ask_for_a_file(&self) -> bool {
        // MariaDB prepares such a statement, too.
        if !matches!(self.expect, Expect::Query | Expect::Execute { .. }) {
            return false;
        }
        self.text.is_some() || self.judgement.as_ref().is_some_and(|judgement| !judgement.facts.local_files.is_empty())
    }
}

impl Commands {
    /// What to do when the server asks for that file in its answer to that command.
    ///
    /// A statement that was read names its file, and was judged for it. One that was not is judged here: its text must
    /// hold the name as it stands, and policy must permit `local_infile`.
    pub(in crate::session) fn file_request(
        &self,
        gateway: &Gateway,
        forwarded: &Forwarded,
        file: &[u8],
    ) -> FileRequest {
        let judged = forwarded
            .judgement
            .as_ref()
            .is_some_and(|judgement| judgement.facts.local_files.iter().any(|name| name.as_bytes() == file));
        if judged {
            return FileRequest::Pass;
        }
        let in_text = |text: &[u8]| !file.is_empty() && text.windows(file.len()).any(|part| part == file);
        if !forwarded.text.as_deref().is_some_and(in_text) {
            return FileRequest::Hostile;
        }
        let context = self.scope.key.context(false);
        let verdict =
            self.policies().judge_command(self.scope.subject(), PolicyAction::LocalInfile, Resource::Server, &context);
        if verdict.is_allowed() || gateway.config.observe { FileRequest::Pass } else { FileRequest::Stop }
    }
}
