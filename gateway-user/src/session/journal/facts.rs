//! What policy was asked about a statement, as the names that a recording has for it.

use std::{borrow::Cow, cell::RefCell};

use portreeve_policy::Verdict;
use portreeve_recording::Facts;

use crate::limits::FACTS_RECORDED_MAX;

thread_local! {
    static NAMES: RefCell<(Names, Names)> = const { RefCell::new((Names::new(), Names::new())) };
}

/// Texts that keep their room from one statement to the next, so that most statements allocate nothing.
struct Names {
    texts: Vec<String>,
    used: usize,
}

impl Names {
    const fn new() -> Self {
        Self { texts: Vec::new(), used: 0 }
    }

    /// Adds what `write` writes, if it is not there and there is room.
    fn add(&mut self, write: impl FnOnce(&mut String)) {
        if self.used == FACTS_RECORDED_MAX {
            return;
        }
        if self.used == self.texts.len() {
            self.texts.push(String::new());
        }
        let (before, rest) = self.texts.split_at_mut(self.used);
        let Some(text) = rest.first_mut() else { return };
        text.clear();
        write(text);
        self.used += usize::from(!before.contains(text));
    }

    fn used(&self) -> &[String] {
        self.texts.get(..self.used).unwrap_or_default()
    }
}

/// Hands the facts of a verdict to `record`; none where nothing was asked.
pub(super) fn with<T>(
    number: u64,
    server: &str,
    verdict: &Verdict,
    record: impl FnOnce(Facts<'_>) -> Result<(), T>,
) -> Result<(), T> {
    if verdict.answers.is_empty() {
        return Ok(());
    }
    NAMES.with_borrow_mut(|(actions, resources)| {
        (actions.used, resources.used) = (0, 0);
        for answer in &verdict.answers {
            actions.add(|text| text.push_str(answer.request.action.as_str()));
            resources.add(|text| answer.request.resource.push_id(server, text));
        }
        let (actions, resources) = (Cow::Borrowed(actions.used()), Cow::Borrowed(resources.used()));
        record(Facts { number, actions, resources })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_there_once_and_no_more_than_fit() {
        let mut names = Names::new();
        for text in ["a", "b", "a", "c", "b"] {
            names.add(|to| to.push_str(text));
        }
        assert_eq!(names.used(), ["a", "b", "c"]);
        names.used = 0;
        names.add(|to| to.push('d'));
        assert_eq!(names.used(), ["d"]);
        for number in 0..=FACTS_RECORDED_MAX {
            names.add(|to| to.push_str(&number.to_string()));
        }
        assert_eq!(names.used().len(), FACTS_RECORDED_MAX);
    }
}
