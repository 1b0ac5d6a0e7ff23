//! Columns in a verdict, with the meaning that privileges on columns have at the servers: who may read a table may read each
//! column that is not forbidden, and who may read some columns may run what reads these and no others.

use std::collections::BTreeSet;

use super::{Answer, Asking, Said, denied};
use crate::action::Action;
use crate::columns::ColumnPolicies;
use crate::entities::{Gathered, describe};
use crate::facts::{Columns, Request, Resource, is_of_columns};

/// The name of no column: what is said of it is said of those that no policy names.
const ANY_OTHER: &str = "";
const NOT_LOOKED_FOR: &str = "it is not looked at which";

/// What of a table is touched.
struct Touched<'t> {
    /// Columns that are asked about.
    columns: BTreeSet<&'t str>,
    /// Why these stand for every one.
    every: Option<&'t str>,
}

impl Asking<'_> {
    /// The answer to a request on a table, whose answer without columns is `whole`.
    pub(super) fn in_columns(&self, request: &Request, whole: Answer, policies: &ColumnPolicies) -> Answer {
        let Resource::Table { schema, table } = &request.resource else { return whole };
        let is_permitted = whole.allowed || whole.needs_approval();
        // A forbid, or a policy that failed.
        let is_final = !is_permitted && !whole.policies.is_empty();
        if is_final || !is_of_columns(request.action) {
            return whole;
        }
        let columns = self.statement.columns_of(request.action, schema, table);
        let touched = self.touched(request, columns, policies);
        match is_permitted {
            true => self.unless_forbidden(request, whole, &touched, policies),
            false => self.if_permitted(request, whole, &touched, policies),
        }
    }

    /// Denials of what changes read besides, for which nobody asks on tables.
    pub(crate) fn reads_besides(&self) -> Vec<Answer> {
        let Some(policies) = &self.policies.columns else { return Vec::new() };
        let mut answers = Vec::new();
        for of in &self.statement.columns {
            let resource = Resource::Table { schema: of.schema.clone(), table: of.table.clone() };
            let request = Request { action: of.action, resource };
            if of.action != Action::Select || self.statement.requests.contains(&request) {
                continue;
            }
            let touched = self.touched(&request, Some(&of.columns), policies);
            let answer = self.unless_forbidden(&request, permitted(&request, BTreeSet::new()), &touched, policies);
            let whole = self.answer_as_whole(&request);
            let is_limited = answer.allowed && !whole.allowed && self.any_is_permitted(&request, policies);
            let answer = if is_limited { self.if_permitted(&request, whole, &touched, policies) } else { answer };
            if !answer.allowed || answer.depends_on_time {
                answers.push(answer);
            }
        }
        answers
    }

    fn touched<'t>(
        &self,
        request: &Request,
        columns: Option<&'t Columns>,
        policies: &'t ColumnPolicies,
    ) -> Touched<'t> {
        let of_policies = || policies.named(&request.resource.id(self.server)).collect::<Vec<_>>();
        // Servers take letters with accents for those without.
        let has_accents = of_policies().iter().any(|name| !name.is_ascii());
        match columns {
            Some(Columns::Named(names)) if !has_accents => {
                Touched { columns: names.iter().map(String::as_str).collect(), every: None }
            }
            Some(Columns::Named(_)) => self.every("policies name columns with characters outside ASCII", of_policies()),
            Some(Columns::Every(why)) => self.every(why, of_policies()),
            None => self.every(NOT_LOOKED_FOR, of_policies()),
        }
    }

    fn every<'t>(&self, why: &'t str, named: Vec<&'t str>) -> Touched<'t> {
        Touched { columns: named.into_iter().chain([ANY_OTHER]).collect(), every: Some(why) }
    }

    /// Permitted on the table: no column may be forbidden.
    fn unless_forbidden(
        &self,
        request: &Request,
        mut whole: Answer,
        touched: &Touched<'_>,
        policies: &ColumnPolicies,
    ) -> Answer {
        for column in &touched.columns {
            let column = named(request, column);
            let said = match self.said_of(&column, policies) {
                Ok(said) => said,
                Err(reason) => return denied(column, reason),
            };
            whole.depends_on_time |= said.depends_on_time;
            if said.failed.is_empty() && said.standing.is_empty() {
                whole
                    .lifted
                    .extend(said.lifted.into_iter().filter(|id| !whole.lifted.contains(id)).collect::<Vec<_>>());
                continue;
            }
            let answer = self.read(&column, said);
            return Answer { depends_on_time: whole.depends_on_time, ..self.explained(answer, touched) };
        }
        whole
    }

    /// Not permitted on the table: every column must be.
    fn if_permitted(
        &self,
        request: &Request,
        whole: Answer,
        touched: &Touched<'_>,
        policies: &ColumnPolicies,
    ) -> Answer {
        if touched.columns.is_empty() {
            // No column at all (`COUNT(*)`): at the servers, any one that is permitted will do.
            return self.any_permitted(request, whole, policies);
        }
        if !self.any_is_permitted(request, policies) {
            return whole;
        }
        let (mut permits, mut depends_on_time) = (BTreeSet::new(), whole.depends_on_time);
        let mut lifted = BTreeSet::new();
        for column in &touched.columns {
            let column = named(request, column);
            let said = match self.said_of(&column, policies) {
                Ok(said) => said,
                Err(reason) => return denied(column, reason),
            };
            depends_on_time |= said.depends_on_time;
            if said.permits.is_empty() || !said.standing.is_empty() || !said.failed.is_empty() {
                let answer = self.explained(self.read(&column, said), touched);
                return Answer { depends_on_time, ..answer };
            }
            permits.extend(said.permits);
            lifted.extend(said.lifted);
        }
        Answer { depends_on_time, lifted: lifted.into_iter().collect(), ..permitted(request, permits) }
    }

    fn any_permitted(&self, request: &Request, whole: Answer, policies: &ColumnPolicies) -> Answer {
        match self.first_permitted(request, policies) {
            Some(said) => Answer {
                depends_on_time: whole.depends_on_time || said.depends_on_time,
                ..permitted(request, said.permits)
            },
            None => whole,
        }
    }

    fn any_is_permitted(&self, request: &Request, policies: &ColumnPolicies) -> bool {
        self.first_permitted(request, policies).is_some()
    }

    /// What is said of the first column of a table that is permitted, named by a policy or not.
    fn first_permitted(&self, request: &Request, policies: &ColumnPolicies) -> Option<Said> {
        let id = request.resource.id(self.server);
        let columns = policies.named(&id).chain([ANY_OTHER]);
        let said = columns.filter_map(|column| self.said_of(&named(request, column), policies).ok());
        said.into_iter().find(|said| !said.permits.is_empty() && said.standing.is_empty() && said.failed.is_empty())
    }

    /// A column in whatever case its table is written.
    fn said_of(&self, request: &Request, policies: &ColumnPolicies) -> Result<Said, String> {
        let mut gathered = Gathered::new(&self.policies.types, self.subject, self.server);
        gathered.action(request.action, &self.policies.actions);
        gathered.resource(&request.resource);
        let entities = gathered.finish()?;
        let resource = self.policies.types.resource(&request.resource, self.server);
        let mut said = self.ask(request, resource, &entities, policies.sets())?;
        let cases = self.in_other_cases(request, policies.sets(), |gathered, resource, named| {
            gathered.other_cases(resource, named)
        })?;
        cases.into_iter().for_each(|other| said.take(other, self.folds));
        Ok(said)
    }

    /// An answer about a column that was asked for because every one is touched says so.
    fn explained(&self, answer: Answer, touched: &Touched<'_>) -> Answer {
        let Some(why) = touched.every else { return answer };
        let Resource::Column { schema, table, column } = &answer.request.resource else { return answer };
        if column == ANY_OTHER {
            let resource = Resource::Table { schema: schema.clone(), table: table.clone() };
            let request = Request { action: answer.request.action, resource };
            return self.not_every(Answer { request, ..answer }, why);
        }
        let reason = answer.reason.map(|reason| format!("{reason}, and every column counts ({why})"));
        Answer { reason, ..answer }
    }

    fn not_every(&self, answer: Answer, why: &str) -> Answer {
        let about = describe(&answer.request, self.server);
        let reason = match answer.policies.is_empty() {
            true => format!("no policy permits {about} in every column ({why}: name columns that are permitted)"),
            false => format!("{about} in every column is forbidden ({why}: name columns that are permitted)"),
        };
        Answer { reason: Some(reason), allowed: false, ..answer }
    }
}

/// The request on one column of the table.
fn named(request: &Request, column: &str) -> Request {
    let resource = match &request.resource {
        Resource::Table { schema, table } => {
            Resource::Column { schema: schema.clone(), table: table.clone(), column: column.to_owned() }
        }
        other @ (Resource::Server | Resource::Schema(_) | Resource::Routine { .. } | Resource::Column { .. }) => {
            other.clone()
        }
    };
    Request { action: request.action, resource }
}

fn permitted(request: &Request, permits: BTreeSet<String>) -> Answer {
    Answer {
        request: request.clone(),
        allowed: true,
        policies: permits.into_iter().collect(),
        reason: None,
        lifted: Vec::new(),
        approvals: Vec::new(),
        depends_on_time: false,
    }
}
