//! From facts to a verdict.

use std::collections::BTreeSet;

use cedar_policy::{
    Authorizer, Context as CedarContext, Decision as CedarDecision, Entities, EntityUid, Request as CedarRequest,
    Response, RestrictedExpression,
};

use crate::action::Action;
use crate::context::Context;
use crate::entities::{Gathered, describe};
use crate::facts::{Facts, Request, Resource, StatementFacts};
use crate::names::NamedResources;
use crate::policies::Policies;
use crate::verdict::{Answer, Decision, Verdict};

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// `spiffe://example.org/reporting`
    pub spiffe_id: String,
    pub groups: Vec<String>,
}

impl Policies {
    /// Decides about a text: every request of every statement must be allowed. Pure: the same arguments give the same
    /// verdict.
    pub fn judge(&self, subject: &Subject, facts: &Facts, context: &Context<'_>) -> Verdict {
        let mut answers = Vec::new();
        let mut schema = context.default_schema;
        for statement in &facts.statements {
            let asked = Asked {
                statement,
                schema,
                multi: facts.statements.len() > 1,
                prepared: context.prepared,
                folds: context.lower_case_table_names != 0,
            };
            answers.extend(self.answers(subject, context.server, &asked));
            if let (Action::Use, Some(Request { resource: Resource::Schema(used), .. })) =
                (statement.class, statement.requests.first())
            {
                schema = Some(used);
            }
        }
        verdict(answers, facts, context.server)
    }

    /// Decides about `COM_INIT_DB`, and the schema that a login selects: `use` on the schema.
    pub fn judge_use_schema(&self, subject: &Subject, schema: &str, context: &Context<'_>) -> Verdict {
        self.judge_named(subject, Action::Use, Ok(Resource::Schema(schema.to_owned())), context)
    }

    /// Decides about `COM_FIELD_LIST`: `show` on the table of the default schema.
    pub fn judge_field_list(&self, subject: &Subject, table: &str, context: &Context<'_>) -> Verdict {
        let names = crate::context::Names { default_schema: context.default_schema };
        let resource = names.table(None, table.to_owned()).map_err(|unread| unread.0);
        self.judge_named(subject, Action::Show, resource, context)
    }

    /// Decides about ending a session or its statement: `kill_own` where the session is the same workload's, else `kill`.
    pub fn judge_kill(&self, subject: &Subject, own: bool, context: &Context<'_>) -> Verdict {
        let action = if own { Action::KillOwn } else { Action::Kill };
        self.judge_command(subject, action, Resource::Server, context)
    }

    /// Decides about a command of the protocol that is one action and holds no statement: `COM_SHUTDOWN`, `COM_DROP_DB`.
    pub fn judge_command(
        &self,
        subject: &Subject,
        action: Action,
        resource: Resource,
        context: &Context<'_>,
    ) -> Verdict {
        self.judge_named(subject, action, Ok(resource), context)
    }

    /// Names that come by a command of their own are checked like those of a statement.
    fn judge_named(
        &self,
        subject: &Subject,
        action: Action,
        resource: Result<Resource, String>,
        context: &Context<'_>,
    ) -> Verdict {
        let names = crate::context::Names { default_schema: None };
        let resource = match resource {
            Ok(Resource::Schema(schema)) => names.schema(Some(schema)).map_err(|unread| unread.0),
            other => other,
        };
        let statement = match resource {
            Ok(resource) => StatementFacts::of(action, action, resource),
            Err(reason) => StatementFacts::unread(reason),
        };
        let schema_after = context.default_schema.map(str::to_owned);
        let facts = Facts {
            statements: vec![statement],
            schema_after,
            local_files: Vec::new(),
            kills: None,
            canonical: None,
            changes_reading: false,
        };
        self.judge(subject, &facts, context)
    }

    fn answers(&self, subject: &Subject, server: &str, asked: &Asked<'_>) -> Vec<Answer> {
        let requests = &asked.statement.requests;
        if requests.is_empty() {
            // No statement asks for nothing; if one ever did, it must not pass.
            let request = Request { action: Action::Unparsed, resource: Resource::Server };
            return vec![denied(request, "the statement asks for nothing".to_owned())];
        }
        let prepared = self.entities(subject, server, requests).and_then(|entities| {
            let context = asked.context()?;
            Ok((entities, context))
        });
        match prepared {
            Ok((entities, context)) => {
                let ask = Asking { policies: self, subject, server, entities, context, folds: asked.folds };
                requests.iter().map(|request| ask.answer(request)).collect()
            }
            Err(error) => requests.iter().map(|request| denied(request.clone(), error.clone())).collect(),
        }
    }

    fn entities(&self, subject: &Subject, server: &str, requests: &[Request]) -> Result<Entities, String> {
        let mut gathered = Gathered::new(&self.types, subject, server);
        for request in requests {
            gathered.action(request.action, &self.actions);
            gathered.resource(&request.resource);
        }
        gathered.finish()
    }
}

/// A statement in its text.
#[derive(Debug)]
struct Asked<'f> {
    statement: &'f StatementFacts,
    schema: Option<&'f str>,
    multi: bool,
    prepared: bool,
    folds: bool,
}

impl Asked<'_> {
    /// The schema's `StatementContext`.
    fn context(&self) -> Result<CedarContext, String> {
        let facts = self.statement;
        let text = |text: &str| RestrictedExpression::new_string(text.to_owned());
        let functions = RestrictedExpression::new_set(facts.functions.iter().map(|name| text(name)));
        let tables = i64::try_from(facts.tables).unwrap_or(i64::MAX);
        let mut pairs = vec![
            ("has_where", RestrictedExpression::new_bool(facts.has_where)),
            ("where_is_constant", RestrictedExpression::new_bool(facts.where_is_constant)),
            ("has_limit", RestrictedExpression::new_bool(facts.has_limit)),
            ("statement_class", text(facts.class.as_str())),
            ("functions", functions),
            ("table_count", RestrictedExpression::new_long(tables)),
            ("multi_statement", RestrictedExpression::new_bool(self.multi)),
            ("prepared", RestrictedExpression::new_bool(self.prepared)),
        ];
        if let Some(schema) = self.schema {
            pairs.push(("default_schema", text(schema)));
        }
        let context = CedarContext::from_pairs(pairs.into_iter().map(|(key, value)| (key.to_owned(), value)));
        context.map_err(|error| format!("the statement cannot be put to the policies: {error}"))
    }
}

/// All that the requests of one statement share.
struct Asking<'p> {
    policies: &'p Policies,
    subject: &'p Subject,
    server: &'p str,
    entities: Entities,
    context: CedarContext,
    /// The server takes names of schemas and tables in whatever case.
    folds: bool,
}

impl Asking<'_> {
    /// Asks about the resource as named, where a permit is needed; then about its other cases, where a forbid denies. Where the
    /// server itself takes another case for the same name, a permit for that counts as well.
    fn answer(&self, request: &Request) -> Answer {
        let types = &self.policies.types;
        let resource = types.resource(&request.resource, self.server);
        let answer = self.answer_about(request, resource, &self.entities);
        if is_forbidden(&answer) {
            return answer;
        }
        let all = match self.in_other_cases(request, |gathered, resource, named| gathered.other_cases(resource, named))
        {
            Ok(answers) => answers,
            Err(reason) => return denied(request.clone(), reason),
        };
        // No permit for another case is no reason to deny.
        if let Some(forbidden) = all.iter().find(|answer| is_forbidden(answer)) {
            return forbidden.clone();
        }
        if answer.allowed {
            return answer;
        }
        let same = match self.folds {
            true => Ok(all),
            false => self.in_other_cases(request, |gathered, resource, named| gathered.other_names(resource, named)),
        };
        match same {
            Ok(same) => same.into_iter().find(|answer| answer.allowed).unwrap_or(answer),
            Err(reason) => denied(request.clone(), reason),
        }
    }

    fn answer_about(&self, request: &Request, resource: EntityUid, entities: &Entities) -> Answer {
        match self.ask(request, resource, entities) {
            Ok(response) => self.read(request, &response),
            Err(reason) => denied(request.clone(), reason),
        }
    }

    /// The answers about each form that `forms` gives; none when there is one form only.
    fn in_other_cases(
        &self,
        request: &Request,
        forms: impl Fn(&mut Gathered<'_>, &Resource, &NamedResources) -> Vec<EntityUid>,
    ) -> Result<Vec<Answer>, String> {
        let mut gathered = Gathered::new(&self.policies.types, self.subject, self.server);
        let forms = forms(&mut gathered, &request.resource, &self.policies.named);
        if forms.is_empty() {
            return Ok(Vec::new());
        }
        gathered.action(request.action, &self.policies.actions);
        let entities = gathered.finish()?;
        Ok(forms.into_iter().map(|resource| self.answer_about(request, resource, &entities)).collect())
    }

    fn ask(&self, request: &Request, resource: EntityUid, entities: &Entities) -> Result<Response, String> {
        let types = &self.policies.types;
        let principal = types.workload(self.subject);
        let action = types.action(request.action);
        // Unvalidated: what is built here fits the schema (a test holds it to that), and a mistake would be an evaluation
        // error, which denies.
        let asked = CedarRequest::new(principal, action, resource, self.context.clone(), None);
        let asked = asked.map_err(|error| format!("the request cannot be put to the policies: {error}"))?;
        Ok(Authorizer::new().is_authorized(&asked, &self.policies.set, entities))
    }

    /// Cedar skips a policy that fails to evaluate: here it denies, as it may have been the forbid.
    fn read(&self, request: &Request, response: &Response) -> Answer {
        let about = describe(request, self.server);
        let failed = response.diagnostics().errors().map(|error| match error {
            cedar_policy::AuthorizationError::PolicyEvaluationError(error) => error.policy_id().to_string(),
        });
        let failed: BTreeSet<String> = failed.collect();
        if let Some(first) = failed.first() {
            let reason = format!("policy `{first}` could not be evaluated for {about}");
            return Answer { request: request.clone(), allowed: false, policies: names(failed), reason: Some(reason) };
        }
        let policies: BTreeSet<String> = response.diagnostics().reason().map(ToString::to_string).collect();
        let allowed = response.decision() == CedarDecision::Allow;
        let reason = match (allowed, policies.first()) {
            (true, _) => None,
            (false, Some(_)) => Some(format!("{about} is forbidden")),
            (false, None) => Some(format!("no policy permits {about}")),
        };
        Answer { request: request.clone(), allowed, policies: names(policies), reason }
    }
}

/// Whether a policy says no, or might if it could be evaluated: a denial without a policy only lacks a permit.
fn is_forbidden(answer: &Answer) -> bool {
    !answer.allowed && !answer.policies.is_empty()
}

fn names(policies: BTreeSet<String>) -> Vec<String> {
    policies.into_iter().collect()
}

fn denied(request: Request, reason: String) -> Answer {
    Answer { request, allowed: false, policies: Vec::new(), reason: Some(reason) }
}

/// Denied when any answer is, by a forbid before a missing permit.
fn verdict(answers: Vec<Answer>, facts: &Facts, server: &str) -> Verdict {
    let refused = |answer: &&Answer| !answer.allowed;
    let by_policy = answers.iter().filter(refused).find(|answer| !answer.policies.is_empty());
    let first = by_policy.or_else(|| answers.iter().find(refused));
    let unread = facts.statements.iter().find_map(|statement| statement.unparsed.as_deref());
    let (decision, reason, deciding) = match first {
        None if !answers.is_empty() => (Decision::Allow, allowed_reason(&answers, server), answers.iter().collect()),
        None => (Decision::Deny, "nothing was asked".to_owned(), Vec::new()),
        Some(answer) => {
            let reason = answer.reason.clone().unwrap_or_else(|| describe(&answer.request, server));
            let reason = match (answer.request.action, unread) {
                (Action::Unparsed, Some(unread)) => format!("{reason}: {unread}"),
                _ => reason,
            };
            (Decision::Deny, reason, answers.iter().filter(refused).collect::<Vec<_>>())
        }
    };
    let policies: BTreeSet<String> = deciding.into_iter().flat_map(|answer| answer.policies.iter().cloned()).collect();
    Verdict { decision, policies: names(policies), reason, answers }
}

fn allowed_reason(answers: &[Answer], server: &str) -> String {
    match answers {
        [only] => format!("permitted: {}", describe(&only.request, server)),
        _ => format!("permitted: all {} requests", answers.len()),
    }
}
