//! What lifts a forbid: its annotations.
//!
//! A forbid with an annotation forbids unless its condition is met; with two, either lifts it (`@rows_changed_max("100")
//! @approval("dba")`: above a hundred rows somebody must agree).

use cedar_policy::{Effect, Policy};

use crate::facts::StatementFacts;
use crate::limits::GROUP_BYTES_MAX;

/// Every annotation that means something. An unknown one would be a condition that is silently not held.
const KNOWN: [&str; 3] = ["id", "approval", "rows_changed_max"];

/// How much alike a word must be to be taken for a slip of the fingers (0 to 1, Jaro-Winkler).
const ALIKE_MIN: f64 = 0.75;

/// What lifts one forbid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    /// The group one of whose members must agree. No statement can be held yet, so it is never met.
    pub(crate) approval: Option<String>,
    /// At most so many rows change.
    pub(crate) rows_changed_max: Option<u64>,
}

/// An annotation that cannot be.
#[derive(Debug)]
pub(crate) struct Unfit {
    pub(crate) annotation: String,
    pub(crate) message: String,
    pub(crate) help: String,
}

impl Condition {
    /// The condition that a policy's annotations make; `None` when they make none.
    ///
    /// # Errors
    /// Every annotation that is unknown, has a bad value, or stands on a permit.
    pub(crate) fn of(policy: &Policy) -> Result<Option<Self>, Vec<Unfit>> {
        let mut condition = Self { approval: None, rows_changed_max: None };
        let mut unfit = Vec::new();
        for (name, value) in policy.annotations() {
            if let Err((message, help)) = condition.take(name, value, policy.effect()) {
                unfit.push(Unfit { annotation: name.to_owned(), message, help });
            }
        }
        unfit.sort_by(|one, other| one.annotation.cmp(&other.annotation));
        let any = condition.approval.is_some() || condition.rows_changed_max.is_some();
        if unfit.is_empty() { Ok(any.then_some(condition)) } else { Err(unfit) }
    }

    fn take(&mut self, name: &str, value: &str, effect: Effect) -> Result<(), (String, String)> {
        match name {
            "id" => return Ok(()),
            "approval" => self.approval = Some(group(value)?),
            "rows_changed_max" => self.rows_changed_max = Some(rows(value)?),
            _ => return Err(unknown(name)),
        }
        match effect {
            Effect::Forbid => Ok(()),
            Effect::Permit => Err((
                format!("`@{name}` stands on a permit, where it lifts nothing"),
                "write it on a forbid of the same requests: a permit and a forbid together hold until it is met"
                    .to_owned(),
            )),
        }
    }

    /// Whether the statement meets it.
    pub(crate) fn is_met(&self, statement: &StatementFacts) -> bool {
        self.rows_changed_max.is_some_and(|max| statement.rows_at_most().is_some_and(|rows| rows <= max))
    }
}

fn group(value: &str) -> Result<String, (String, String)> {
    // As groups are written in the configuration.
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./@:".contains(&byte);
    if (1..=GROUP_BYTES_MAX).contains(&value.len()) && value.bytes().all(legal) {
        return Ok(value.to_owned());
    }
    Err((
        format!("`@approval(\"{value}\")` names no group"),
        format!(
            "write the group that approves, such as `@approval(\"dba\")`: 1 to {GROUP_BYTES_MAX} letters, digits, `-`, `_`, `.`, `/`, `@`, `:`"
        ),
    ))
}

fn rows(value: &str) -> Result<u64, (String, String)> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    value.parse().ok().filter(|_| digits).ok_or_else(|| {
        (
            format!("`@rows_changed_max(\"{value}\")` is no number of rows"),
            "write digits in quotes, such as `@rows_changed_max(\"100\")`".to_owned(),
        )
    })
}

fn unknown(name: &str) -> (String, String) {
    let likeness = |known: &&str| strsim::jaro_winkler(known, name);
    let nearest = KNOWN.iter().copied().max_by(|one, other| likeness(one).total_cmp(&likeness(other)));
    let help = match nearest.filter(|known| likeness(known) >= ALIKE_MIN) {
        Some(known) => format!("did you mean `@{known}`?"),
        None => "known are `@id`, `@approval` and `@rows_changed_max`; remarks are written as `// …`".to_owned(),
    };
    (format!("the annotation `@{name}` is not known"), help)
}
