//! What policy was asked about a statement, as the names that a recording has for it.

use std::{borrow::Cow, cell::RefCell};

use portreeve_policy::{Answer, Verdict};
use portreeve_recording::{Facts, limits::FACTS_NAMES_MAX};

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

    /// Adds what `write` writes, if it is not there.
    fn add(&mut self, write: impl FnOnce(&mut String)) {
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

/// Hands the facts of a verdict to `record`, in as many records as it takes; none where nothing was asked.
pub(super) fn with<T>(
    number: u64,
    server: &str,
    verdict: &Verdict,
    mut record: impl FnMut(Facts<'_>) -> Result<(), T>,
) -> Result<(), T> {
    if verdict.answers.is_empty() {
        return Ok(());
    }
    NAMES.with_borrow_mut(|(actions, resources)| {
        (actions.used, resources.used) = (0, 0);
        for Answer { request, .. } in &verdict.answers {
            actions.add(|text| text.push_str(request.action.as_str()));
            resources.add(|text| request.resource.push_id(server, text));
            if actions.used.max(resources.used) == FACTS_NAMES_MAX {
                record(facts(number, actions, resources))?;
                (actions.used, resources.used) = (0, 0);
            }
        }
        // With nothing in it, where the one before was full: that is how readers know that it is the last.
        record(facts(number, actions, resources))
    })
}

fn facts<'a>(number: u64, actions: &'a Names, resources: &'a Names) -> Facts<'a> {
    Facts { number, actions: Cow::Borrowed(actions.used()), resources: Cow::Borrowed(resources.used()) }
}

#[cfg(test)]
mod tests {
    use portreeve_policy::{Action, Decision, Request, Resource};

    use super::*;

    #[test]
    fn each_name_is_there_once() {
        let mut names = Names::new();
        for text in ["a", "b", "a", "c", "b"] {
            names.add(|to| to.push_str(text));
        }
        assert_eq!(names.used(), ["a", "b", "c"]);
        names.used = 0;
        names.add(|to| to.push('d'));
        assert_eq!(names.used(), ["d"]);
    }

    /// A verdict on a `SELECT` of so many tables.
    fn verdict(tables: usize) -> Verdict {
        let answer = |number: usize| Answer {
            request: Request {
                action: Action::Select,
                resource: Resource::Table { schema: "s".into(), table: format!("t{number}") },
            },
            allowed: true,
            policies: Vec::new(),
            reason: None,
            lifted: Vec::new(),
            approvals: Vec::new(),
            depends_on_time: false,
        };
        Verdict {
            decision: Decision::Allow,
            policies: Vec::new(),
            reason: String::new(),
            answers: (0..tables).map(answer).collect(),
            lifted: Vec::new(),
            approvals: Vec::new(),
            depends_on_time: false,
        }
    }

    #[test]
    fn as_many_records_are_written_as_it_takes_and_the_last_is_not_full() {
        for (tables, lengths) in [
            (1, vec![1]),
            (FACTS_NAMES_MAX - 1, vec![FACTS_NAMES_MAX - 1]),
            (FACTS_NAMES_MAX, vec![FACTS_NAMES_MAX, 0]),
            (FACTS_NAMES_MAX + 1, vec![FACTS_NAMES_MAX, 1]),
            (1000, vec![FACTS_NAMES_MAX; 7].into_iter().chain([104]).collect()),
        ] {
            let (mut written, mut names) = (Vec::new(), Vec::new());
            let record = |facts: Facts<'_>| {
                written.push((facts.resources.len(), facts.is_followed()));
                names.extend(facts.resources.to_vec());
                Ok::<_, ()>(())
            };
            with(7, "db", &verdict(tables), record).unwrap();
            assert!(written.iter().map(|(length, _)| *length).eq(lengths.iter().copied()), "{tables}: {written:?}");
            let followed = written.iter().filter(|(_, is_followed)| *is_followed).count();
            assert!(followed == written.len() - 1 && !written.last().unwrap().1, "{tables}: {written:?}");
            assert!(names.iter().cloned().eq((0..tables).map(|number| format!("db/s.t{number}"))));
        }
    }
}
