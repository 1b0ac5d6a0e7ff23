//! From what a workload did to the least policy that would have permitted it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::action::Action;
use crate::facts::{Columns, Facts, Request, Resource, StatementFacts};
use crate::limits::{LEFT_OUT_MAX, LEFT_OUT_SHOWN_MAX};
use crate::permit::{self, Permit, comment};

/// What was seen of one workload, gathered.
#[derive(Debug)]
pub struct Suggestion {
    spiffe_id: String,
    /// Whether columns are permitted, where it is known which were touched, instead of their tables.
    by_column: bool,
    /// Texts that the policy covers, and those among them that were denied when they were seen.
    seen: Count,
    wanted: BTreeMap<Wanted, Count>,
    left_out: BTreeMap<(String, String), Count>,
    /// Texts left out beyond those that are kept.
    left_out_more: u64,
}

/// One permission.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Wanted {
    server: String,
    kind: Kind,
    schema: String,
    /// Of a table or routine.
    name: String,
    /// Of a column; else empty.
    column: String,
    action: Action,
}

/// In the order in which the permits are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Server,
    Schema,
    Table,
    Routine,
    Column,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Count {
    times: u64,
    denied: u64,
    /// Of a statement that was not an UPDATE or DELETE with a WHERE that says something.
    unfiltered: u64,
}

impl Count {
    fn add(&mut self, other: Self) {
        self.times += other.times;
        self.denied += other.denied;
        self.unfiltered += other.unfiltered;
    }
}

/// A suggestion, written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Suggested {
    pub workload: String,
    /// Texts that the policies cover.
    pub covered: u64,
    /// The Cedar text; it loads.
    pub cedar: String,
    pub policies: Vec<SuggestedPolicy>,
    pub not_covered: Vec<NotCovered>,
}

/// One permit of a suggestion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SuggestedPolicy {
    pub id: String,
    pub server: String,
    pub actions: Vec<Action>,
    pub resources: Vec<String>,
    /// How often what it permits was asked.
    pub times: u64,
    /// How often of those the text was denied then.
    pub denied: u64,
}

/// A text that no suggested policy covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotCovered {
    pub text: String,
    pub reason: String,
    pub times: u64,
}

impl Suggestion {
    pub fn new(spiffe_id: &str) -> Self {
        Self {
            spiffe_id: spiffe_id.to_owned(),
            by_column: false,
            seen: Count::default(),
            wanted: BTreeMap::new(),
            left_out: BTreeMap::new(),
            left_out_more: 0,
        }
    }

    /// By columns, where it is known which of a table were read and written. Facts must come from a context whose catalogue
    /// [knows columns](crate::Catalogue::knows_columns).
    #[must_use]
    pub fn by_column(self, by_column: bool) -> Self {
        Self { by_column, ..self }
    }

    /// Takes in a text that was seen so many times, `denied` of them without being forwarded. One that was not read with
    /// certainty is left out whole: permitting part of it would give nothing.
    pub fn text(&mut self, server: &str, sql: &str, facts: &Facts, times: u64, denied: u64) {
        if let Some(reason) = facts.statements.iter().find_map(|statement| statement.unparsed.as_deref()) {
            return self.leave_out(sql, reason, times);
        }
        if facts.kills.is_some() {
            return self.leave_out(
                sql,
                "`kill_own` permits it for sessions of the same workload, `kill` for any",
                times,
            );
        }
        for statement in &facts.statements {
            for request in &statement.requests {
                let unfiltered = if is_filtered(statement, request) { 0 } else { times };
                let count = Count { times, denied, unfiltered };
                match self.columns(statement, request) {
                    Some(columns) => columns.iter().for_each(|column| self.want(server, column, count)),
                    None => self.want(server, request, count),
                }
            }
            self.reads_besides(server, statement, Count { times, denied, unfiltered: times });
        }
        self.seen.add(Count { times, denied, unfiltered: 0 });
    }

    /// Takes in a command that is one request and has no text.
    pub fn command(&mut self, server: &str, action: Action, resource: Resource, times: u64, denied: u64) {
        let count = Count { times, denied, unfiltered: times };
        self.want(server, &Request { action, resource }, count);
        self.seen.add(count);
    }

    /// Notes a text that cannot be judged.
    pub fn leave_out(&mut self, text: &str, reason: &str, times: u64) {
        let key = (text.to_owned(), reason.to_owned());
        if self.left_out.len() >= LEFT_OUT_MAX && !self.left_out.contains_key(&key) {
            self.left_out_more += times;
            return;
        }
        self.left_out.entry(key).or_default().times += times;
    }

    /// The request by its columns, where there are any and it is known which.
    fn columns(&self, statement: &StatementFacts, request: &Request) -> Option<Vec<Request>> {
        let Resource::Table { schema, table } = &request.resource else { return None };
        let columns = statement.columns_of(request.action, schema, table).filter(|_| self.by_column)?;
        let names = match columns {
            Columns::Named(names) if !names.is_empty() => names,
            Columns::Named(_) | Columns::Every(_) => return None,
        };
        let column =
            |name: &String| Resource::Column { schema: schema.clone(), table: table.clone(), column: name.clone() };
        Some(names.iter().map(|name| Request { action: request.action, resource: column(name) }).collect())
    }

    /// What changes read: who permits some columns of a table limits these, too.
    fn reads_besides(&mut self, server: &str, statement: &StatementFacts, count: Count) {
        for of in statement.columns.iter().filter(|of| of.action == Action::Select) {
            let resource = Resource::Table { schema: of.schema.clone(), table: of.table.clone() };
            let request = Request { action: of.action, resource };
            if !statement.requests.contains(&request)
                && let Some(columns) = self.columns(statement, &request)
            {
                columns.iter().for_each(|column| self.want(server, column, count));
            }
        }
    }

    fn want(&mut self, server: &str, request: &Request, count: Count) {
        let (kind, schema, name, column) = match &request.resource {
            Resource::Server => (Kind::Server, "", "", ""),
            Resource::Schema(schema) => (Kind::Schema, schema.as_str(), "", ""),
            Resource::Table { schema, table } => (Kind::Table, schema.as_str(), table.as_str(), ""),
            Resource::Routine { schema, name } => (Kind::Routine, schema.as_str(), name.as_str(), ""),
            Resource::Column { schema, table, column } => {
                (Kind::Column, schema.as_str(), table.as_str(), column.as_str())
            }
        };
        let (server, schema, name) = (server.to_owned(), schema.to_owned(), name.to_owned());
        let wanted = Wanted { server, kind, schema, name, column: column.to_owned(), action: request.action };
        self.wanted.entry(wanted).or_default().add(count);
    }

    /// The least policy: actions on the server by their groups, schemas and tables by what was done with them.
    pub fn finish(&self) -> Suggested {
        let mut taken = BTreeSet::new();
        let permits: Vec<(Permit, Count)> =
            self.gathered().into_iter().map(|(group, found)| self.permit(group, found, &mut taken)).collect();
        let policies = permits.iter().map(|(permit, count)| SuggestedPolicy {
            id: permit.id.clone(),
            server: permit.server.clone(),
            actions: permit.actions.iter().copied().collect(),
            resources: permit.resources.iter().map(|resource| resource.id(&permit.server)).collect(),
            times: count.times,
            denied: count.denied,
        });
        let not_covered = self.left_out.iter().map(|((text, reason), count)| NotCovered {
            text: text.clone(),
            reason: reason.clone(),
            times: count.times,
        });
        Suggested {
            workload: self.spiffe_id.clone(),
            covered: self.seen.times,
            cedar: self.cedar(&permits),
            policies: policies.collect(),
            not_covered: not_covered.collect(),
        }
    }

    /// Resources with the same actions of one group go into one permit.
    fn gathered(&self) -> BTreeMap<Group, Found> {
        let mut by_resource: BTreeMap<Place, Groups> = BTreeMap::new();
        for (wanted, count) in &self.wanted {
            let Wanted { server, kind, schema, name, column, action } = wanted.clone();
            let group = if action.group().is_empty() { action.as_str() } else { action.group() };
            let of_resource = by_resource.entry((server, kind, schema, name, column)).or_default();
            let found = of_resource.entry((group.to_owned(), count.unfiltered == 0)).or_default();
            found.0.insert(action);
            found.1.add(*count);
        }
        let mut gathered: BTreeMap<Group, Found> = BTreeMap::new();
        for ((server, kind, schema, name, column), groups) in by_resource {
            for ((group, filtered), (actions, count)) in groups {
                let (resource, above) = match kind {
                    Kind::Server => (Resource::Server, String::new()),
                    Kind::Schema => (Resource::Schema(schema.clone()), String::new()),
                    Kind::Table => (Resource::Table { schema: schema.clone(), table: name.clone() }, schema.clone()),
                    Kind::Routine => (Resource::Routine { schema: schema.clone(), name: name.clone() }, schema.clone()),
                    Kind::Column => {
                        let (schema, table) = (schema.clone(), name.clone());
                        let above = format!("{schema}\0{table}");
                        (Resource::Column { schema, table, column: column.clone() }, above)
                    }
                };
                let server = server.clone();
                let found =
                    gathered.entry(Group { server, kind, schema: above, group, actions, filtered }).or_default();
                found.resources.push(resource);
                found.count.add(count);
            }
        }
        gathered
    }

    fn permit(&self, group: Group, found: Found, taken: &mut BTreeSet<String>) -> (Permit, Count) {
        let Group { server, kind: _, schema: _, group, actions, filtered } = group;
        let Found { resources, count } = found;
        let name = permit::short_name(&self.spiffe_id);
        let what = match (actions.iter().next(), actions.len()) {
            (Some(only), 1) => only.as_str(),
            _ => group.as_str(),
        };
        let place = match resources.as_slice() {
            [only] => only.id(&server),
            [Resource::Table { schema, .. } | Resource::Routine { schema, .. }, ..] => {
                Resource::Schema(schema.clone()).id(&server)
            }
            [Resource::Column { schema, table, .. }, ..] => {
                Resource::Table { schema: schema.clone(), table: table.clone() }.id(&server)
            }
            _ => server.clone(),
        };
        let id = permit::unused(permit::id(&[name, what, &place]), taken);
        let mut remarks = vec![format!("Asked {} times.", count.times)];
        if count.denied > 0 {
            remarks.push(format!("Denied {} of them when it was seen: is it to be permitted?", count.denied));
        }
        let principal = permit::named("Workload", &self.spiffe_id);
        (Permit { remarks, id, principal, actions, server, resources, filtered }, count)
    }

    fn cedar(&self, permits: &[(Permit, Count)]) -> String {
        let mut text = comment(&format!(
            "The least that permits what {} was seen to do: {} texts.",
            self.spiffe_id, self.seen.times
        ));
        for (permit, _) in permits {
            text.push('\n');
            text.push_str(&permit.text());
        }
        if permits.is_empty() {
            text.push_str(&comment("Nothing that can be permitted was seen."));
        }
        text.push_str(&self.remarks_left_out());
        text
    }

    fn remarks_left_out(&self) -> String {
        if self.left_out.is_empty() {
            return String::new();
        }
        let mut text = "\n".to_owned();
        text.push_str(&comment("Not covered, and denied by the policies above:"));
        for ((sql, reason), count) in self.left_out.iter().take(LEFT_OUT_SHOWN_MAX) {
            let shown: String = sql.chars().take(LEFT_OUT_CHARS).collect();
            let cut = if shown.len() < sql.len() { "…" } else { "" };
            text.push_str(&comment(&format!("{} times: {shown}{cut}", count.times)));
            text.push_str(&comment(&format!("  {reason}")));
        }
        let more: u64 = self.left_out.values().skip(LEFT_OUT_SHOWN_MAX).map(|count| count.times).sum();
        if more + self.left_out_more > 0 {
            text.push_str(&comment(&format!("and {} more.", more + self.left_out_more)));
        }
        text
    }
}

/// Characters of a text in a comment.
const LEFT_OUT_CHARS: usize = 200;

/// Server, kind, schema, name and column of a resource.
type Place = (String, Kind, String, String, String);
/// What was done with a resource: by group of actions, apart what was always filtered.
type Groups = BTreeMap<(String, bool), (BTreeSet<Action>, Count)>;

/// What makes one permit.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    server: String,
    kind: Kind,
    schema: String,
    group: String,
    actions: BTreeSet<Action>,
    filtered: bool,
}

#[derive(Debug, Default)]
struct Found {
    resources: Vec<Resource>,
    count: Count,
}

/// An UPDATE or DELETE by its own name (not the UPDATE of an INSERT … ON DUPLICATE KEY UPDATE) with a WHERE that says
/// something: then a permit need not cover those without.
fn is_filtered(statement: &StatementFacts, request: &Request) -> bool {
    let changes = matches!(request.action, Action::Update | Action::Delete) && request.action == statement.class;
    changes && statement.has_where && !statement.where_is_constant
}
