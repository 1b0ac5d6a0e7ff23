use super::Expect;
use crate::conceal::Plan;
use crate::{ProtocolError, Unsupported};

/// What is concealed, and where.
#[derive(Debug, Default)]
pub(super) struct Concealing {
    /// Of an earlier answer to the same statement.
    known: Option<Plan>,
    /// Of the result set at hand.
    plan: Plan,
    /// Whether `plan` says that rows must be looked at.
    hides: bool,
    /// Of the first result set.
    learned: Option<Plan>,
    /// Rows come that no plan is known for.
    blind: bool,
}

impl Concealing {
    pub(super) fn new(expect: Expect, known: Option<Plan>) -> Self {
        let fetches = expect == Expect::Fetch;
        let blind = fetches && known.is_none();
        let plan = known.clone().filter(|_| fetches).unwrap_or_default();
        Self { hides: blind || plan.hides(), plan, known, learned: None, blind }
    }

    /// Whether rows must be looked at.
    pub(super) const fn hides(&self) -> bool {
        self.hides
    }

    /// Of the first result set.
    pub(super) const fn learned(&self) -> Option<&Plan> {
        self.learned.as_ref()
    }

    /// Starts to learn what must be concealed in the rows behind `columns` definitions.
    pub(super) fn begin_columns(&mut self, columns: u64, described: bool) -> Result<(), ProtocolError> {
        self.plan = Plan::default();
        self.hides = false;
        if described {
            return Ok(());
        }
        // What was known is of one result set: the first.
        let known = self.known.take().filter(|known| known.len() as u64 == columns);
        self.plan = known.ok_or(Unsupported::ConcealingWithoutMetadata)?;
        self.end_columns();
        Ok(())
    }

    /// A column's definition as the client is to read it; `None` when it stays as it is.
    pub(super) fn column(&mut self, payload: &[u8], extended: bool) -> Result<Option<Vec<u8>>, ProtocolError> {
        self.plan.add(payload, extended)
    }

    pub(super) fn end_columns(&mut self) {
        self.hides = self.plan.hides();
        self.known = None;
        if self.learned.is_none() {
            self.learned = Some(self.plan.clone());
        }
    }

    /// A row as the client is to read it; `None` when it stays as it is.
    pub(super) fn row(&self, payload: &[u8], binary: bool) -> Result<Option<Vec<u8>>, ProtocolError> {
        if self.blind {
            return Err(Unsupported::ConcealingWithoutMetadata.into());
        }
        self.plan.conceal(payload, binary)
    }
}
