//! A set of policies, validated and ready to decide.

use std::collections::BTreeMap;
use std::str::FromStr;

use cedar_policy::{Entities, Policy, PolicyId, PolicySet, Schema, ValidationMode, Validator};

use crate::columns::ColumnPolicies;
use crate::entities::EntityTypes;
use crate::lifting::Condition;
use crate::moment;
use crate::names::NamedResources;
use crate::problem::PolicyProblem;

/// The schema that policies are held against, as shipped.
pub const SCHEMA: &str = include_str!("../../../policies/portreeve.cedarschema");

/// One policy file.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// How problems name it: its path.
    pub name: &'a str,
    pub text: &'a str,
}

/// A set of policies; what it does not permit, it denies. Cheap to share, never changed.
#[derive(Debug, Clone)]
pub struct Policies {
    pub(crate) set: PolicySet,
    /// The forbids that something lifts, by their id.
    pub(crate) conditions: BTreeMap<String, Condition>,
    /// `set` without those.
    pub(crate) unconditioned: PolicySet,
    /// What of `set` depends on time ([`moment::timed`]).
    pub(crate) timed: PolicySet,
    /// The actions of the schema with their groups.
    pub(crate) actions: Entities,
    pub(crate) types: EntityTypes,
    /// What policies name by hand, to find it whatever the case of a statement's names.
    pub(crate) named: NamedResources,
    /// Those that speak of columns, if any do.
    pub(crate) columns: Option<ColumnPolicies>,
    ids: Vec<String>,
}

impl Policies {
    /// Parses the sources and validates them against [`SCHEMA`], strictly. No source, or empty ones, are a set that
    /// denies everything.
    ///
    /// # Errors
    /// Everything that is wrong, not the first: syntax, policies without `@id`, ids that occur twice, templates,
    /// whatever the validator finds. A set with a problem is refused whole.
    pub fn load(sources: &[Source<'_>]) -> Result<Self, Vec<PolicyProblem>> {
        let schema = schema().map_err(|problem| vec![problem])?;
        let actions = schema.action_entities();
        let actions = actions.map_err(|error| vec![PolicyProblem::of("portreeve.cedarschema", SCHEMA, &error)])?;
        let types = EntityTypes::new()
            .map_err(|error| vec![PolicyProblem::at("portreeve.cedarschema", "", None, error, None)])?;
        let mut loading = Loading::default();
        for source in sources {
            loading.source(source);
        }
        let validation = Validator::new(schema).validate(&loading.set, ValidationMode::Strict);
        for error in validation.validation_errors() {
            let id: &str = error.policy_id().as_ref();
            let source = loading.places.get(id).and_then(|place| sources.iter().find(|s| s.name == place.file));
            let (file, text) = source.map_or((id, ""), |source| (source.name, source.text));
            loading.problems.push(PolicyProblem::of(file, text, error));
        }
        if !loading.problems.is_empty() {
            return Err(loading.problems);
        }
        let split = moment::timed(&loading.set).and_then(|timed| Ok((timed, loading.unconditioned()?)));
        let (timed, unconditioned) =
            split.map_err(|error| vec![PolicyProblem::at("the policies", "", None, error, None)])?;
        let named = NamedResources::new(&loading.set);
        let columns = ColumnPolicies::new(&loading.set, &loading.conditions)
            .map_err(|error| vec![PolicyProblem::at("the policies", "", None, error, None)])?;
        let Loading { set, conditions, places, problems: _ } = loading;
        let ids = places.into_keys().collect();
        Ok(Self { set, conditions, unconditioned, timed, actions, types, named, columns, ids })
    }

    /// Whether any policy looks at the time: if none does, [`Context::now_unix_ms`](crate::Context::now_unix_ms) may be any.
    pub fn look_at_time(&self) -> bool {
        !self.timed.is_empty()
    }

    /// Whether any policy speaks of columns: if none does, nobody needs to know the columns of tables
    /// ([`Catalogue::with_columns`](crate::Catalogue::with_columns)).
    pub fn look_at_columns(&self) -> bool {
        self.columns.is_some()
    }

    /// The `@id`s of all policies, sorted.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.ids.iter().map(String::as_str)
    }
}

fn schema() -> Result<Schema, PolicyProblem> {
    let read = Schema::from_cedarschema_str(SCHEMA);
    read.map(|(schema, _)| schema).map_err(|error| PolicyProblem::of("portreeve.cedarschema", SCHEMA, &error))
}

#[derive(Debug)]
struct Place {
    file: String,
    line: Option<usize>,
}

#[derive(Debug, Default)]
struct Loading {
    set: PolicySet,
    conditions: BTreeMap<String, Condition>,
    places: BTreeMap<String, Place>,
    problems: Vec<PolicyProblem>,
}

impl Loading {
    fn source(&mut self, source: &Source<'_>) {
        let parsed = match PolicySet::from_str(source.text) {
            Ok(parsed) => parsed,
            Err(errors) => {
                let problems = errors.iter().map(|error| PolicyProblem::of(source.name, source.text, error));
                self.problems.extend(problems);
                return;
            }
        };
        for template in parsed.templates() {
            let at = source.text.find(&template.to_string());
            self.complain(source, at, "a template has nothing to fill it", "write the principal and resource out");
        }
        let mut policies: Vec<&Policy> = parsed.policies().collect();
        // Cedar numbers the policies of a text: policy0, policy1 …
        policies.sort_by_key(|policy| order(policy.id()));
        let mut from = 0;
        for policy in policies {
            let text = policy.to_string();
            let at = source.text.get(from..).and_then(|rest| rest.find(&text)).map(|at| at + from);
            from = at.map_or(from, |at| at + text.len());
            self.policy(source, policy, at);
        }
    }

    fn policy(&mut self, source: &Source<'_>, policy: &Policy, at: Option<usize>) {
        let id = match policy.annotation("id") {
            Some(id) if !id.trim().is_empty() => id.to_owned(),
            _ => {
                return self.complain(
                    source,
                    at,
                    "a policy has no `@id`",
                    "add one above it, such as `@id(\"no-ddl\")`",
                );
            }
        };
        if let Some(first) = self.places.get(&id) {
            let line = first.line.map_or(String::new(), |line| format!(":{line}"));
            let message = format!("the id `{id}` is taken by a policy at {}{line}", first.file);
            return self.complain(source, at, &message, "give one of them another `@id`");
        }
        self.condition(source, policy, &id, at);
        let problem = PolicyProblem::at(source.name, source.text, at, String::new(), None);
        self.places.insert(id.clone(), Place { file: source.name.to_owned(), line: problem.line });
        if let Err(error) = self.set.add(policy.new_id(PolicyId::new(&id))) {
            self.problems.push(PolicyProblem::of(source.name, source.text, &error));
        }
    }

    fn condition(&mut self, source: &Source<'_>, policy: &Policy, id: &str, at: Option<usize>) {
        match Condition::of(policy) {
            Ok(Some(condition)) => {
                self.conditions.insert(id.to_owned(), condition);
            }
            Ok(None) => {}
            Err(unfit) => {
                for unfit in unfit {
                    let name = format!("@{}", unfit.annotation);
                    let below = at.and_then(|at| Some(at + source.text.get(at..)?.find(&name)?));
                    self.complain(source, below.or(at), &unfit.message, &unfit.help);
                }
            }
        }
    }

    /// The set without the forbids that something lifts.
    fn unconditioned(&self) -> Result<PolicySet, String> {
        without(&self.set, &self.conditions)
    }

    fn complain(&mut self, source: &Source<'_>, at: Option<usize>, message: &str, help: &str) {
        let (message, help) = (message.to_owned(), Some(help.to_owned()));
        self.problems.push(PolicyProblem::at(source.name, source.text, at, message, help));
    }
}

/// A set without the forbids that something lifts.
pub(crate) fn without(set: &PolicySet, conditions: &BTreeMap<String, Condition>) -> Result<PolicySet, String> {
    let mut left = PolicySet::new();
    for policy in set.policies().filter(|policy| !conditions.contains_key(policy.id().as_ref() as &str)) {
        left.add(policy.clone()).map_err(|error| error.to_string())?;
    }
    Ok(left)
}

fn order(id: &PolicyId) -> (usize, String) {
    let id: &str = id.as_ref();
    let number = id.strip_prefix("policy").and_then(|number| number.parse().ok());
    (number.unwrap_or(usize::MAX), id.to_owned())
}
