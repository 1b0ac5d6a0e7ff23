//! From facts to a verdict.

use std::collections::BTreeSet;

use cedar_policy::{
    Authorizer, Context as CedarContext, Decision as CedarDecision, Entities, EntityUid, PolicySet,
    Request as CedarRequest, Response, RestrictedExpression,
};

use crate::action::Action;
use crate::columns::Sets;
use crate::context::Context;
use crate::entities::{Gathered, describe};
use crate::facts::{Facts, Request, Resource, StatementFacts};
use crate::moment;
use crate::names::NamedResources;
use crate::policies::Policies;
use crate::verdict::{Answer, Approval, Decision, Verdict};

mod columns;

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
        let asked = self.asked(facts, context);
        let answers = asked.iter().flat_map(|asked| self.answers(subject, context.server, asked)).collect();
        verdict(answers, facts, context.server)
    }

    /// The statements of a text with what each finds when it is reached.
    pub(crate) fn asked<'f>(&self, facts: &'f Facts, context: &Context<'f>) -> Vec<Asked<'f>> {
        let mut schema = context.default_schema;
        let (multi, prepared) = (facts.statements.len() > 1, context.prepared);
        let now_unix_ms = (!self.timed.is_empty()).then_some(context.now_unix_ms);
        let each = facts.statements.iter().map(|statement| {
            let folds = context.lower_case_table_names != 0;
            let asked = Asked { statement, schema, multi, prepared, now_unix_ms, folds };
            if let (Action::Use, Some(Request { resource: Resource::Schema(used), .. })) =
                (statement.class, statement.requests.first())
            {
                schema = Some(used);
            }
            asked
        });
        each.collect()
    }

    fn sets(&self) -> Sets<'_> {
        Sets { all: &self.set, unconditioned: &self.unconditioned, timed: &self.timed }
    }

    /// Decides about `COM_INIT_DB`, and the schema that a login selects: `use` on the schema.
    pub fn judge_use_schema(&self, subject: &Subject, schema: &str, context: &Context<'_>) -> Verdict {
        self.judge_named(subject, Action::Use, Ok(Resource::Schema(schema.to_owned())), context)
    }

    /// Decides about `COM_FIELD_LIST`: `show` on the table of the default schema.
    pub fn judge_field_list(&self, subject: &Subject, table: &str, context: &Context<'_>) -> Verdict {
        let names = crate::context::Names::of(context);
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
        let names = crate::context::Names { default_schema: None, utf8: context.utf8 };
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

    fn answers<'p>(&'p self, subject: &'p Subject, server: &'p str, asked: &Asked<'p>) -> Vec<Answer> {
        let requests = &asked.statement.requests;
        if requests.is_empty() {
            // No statement asks for nothing; if one ever did, it must not pass.
            let request = Request { action: Action::Unparsed, resource: Resource::Server };
            return vec![denied(request, "the statement asks for nothing".to_owned())];
        }
        match self.asking(subject, server, asked) {
            Ok(asking) => {
                let answers = requests.iter().map(|request| asking.answer(request));
                answers.chain(asking.reads_besides()).collect()
            }
            Err(error) => requests.iter().map(|request| denied(request.clone(), error.clone())).collect(),
        }
    }

    pub(crate) fn asking<'p>(
        &'p self,
        subject: &'p Subject,
        server: &'p str,
        asked: &Asked<'p>,
    ) -> Result<Asking<'p>, String> {
        let statement = asked.statement;
        let entities = self.entities(subject, server, &statement.requests)?;
        let (context, folds) = (asked.context()?, asked.folds);
        Ok(Asking { policies: self, subject, server, statement, entities, context, folds })
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
pub(crate) struct Asked<'f> {
    pub(crate) statement: &'f StatementFacts,
    schema: Option<&'f str>,
    multi: bool,
    prepared: bool,
    /// `None` when no policy looks at it.
    now_unix_ms: Option<i64>,
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
        pairs.extend(self.now_unix_ms.into_iter().flat_map(moment::pairs));
        let context = CedarContext::from_pairs(pairs.into_iter().map(|(key, value)| (key.to_owned(), value)));
        context.map_err(|error| format!("the statement cannot be put to the policies: {error}"))
    }
}

/// All that the requests of one statement share.
pub(crate) struct Asking<'p> {
    policies: &'p Policies,
    subject: &'p Subject,
    server: &'p str,
    statement: &'p StatementFacts,
    entities: Entities,
    context: CedarContext,
    /// The server takes names of schemas and tables in whatever case.
    folds: bool,
}

/// What the policies say about one request on one resource.
#[derive(Debug, Default)]
struct Said {
    /// Policies that could not be evaluated.
    failed: BTreeSet<String>,
    /// Permits; not looked for when a forbid stands that no approval lifts.
    permits: BTreeSet<String>,
    /// Forbids whose condition is not met, or that have none.
    standing: BTreeSet<String>,
    /// Forbids whose condition is met.
    lifted: BTreeSet<String>,
    depends_on_time: bool,
}

impl Said {
    /// Adds what is said about another form of the name; its permits only where the server takes it for the same name.
    fn take(&mut self, other: Self, is_same: bool) {
        self.failed.extend(other.failed);
        self.standing.extend(other.standing);
        self.lifted.extend(other.lifted);
        self.depends_on_time |= other.depends_on_time;
        if is_same && self.permits.is_empty() {
            self.permits = other.permits;
        }
    }
}

impl Asking<'_> {
    /// Asks about the resource as named, where a permit is needed; then about its other cases, where a forbid denies. Where the
    /// server itself takes another case for the same name, a permit for that counts as well.
    pub(crate) fn answer(&self, request: &Request) -> Answer {
        let answer = self.answer_as_whole(request);
        match &self.policies.columns {
            Some(policies) => self.in_columns(request, answer, policies),
            None => answer,
        }
    }

    fn answer_as_whole(&self, request: &Request) -> Answer {
        match self.said(request) {
            Ok(said) => self.read(request, said),
            Err(reason) => denied(request.clone(), reason),
        }
    }

    fn said(&self, request: &Request) -> Result<Said, String> {
        let resource = self.policies.types.resource(&request.resource, self.server);
        let sets = self.policies.sets();
        let mut said = self.ask(request, resource, &self.entities, sets)?;
        if !said.failed.is_empty() || said.standing.iter().any(|id| self.approval(id).is_none()) {
            // Nothing outweighs it.
            return Ok(said);
        }
        // No permit for another case is no reason to deny.
        for other in
            self.in_other_cases(request, sets, |gathered, resource, named| gathered.other_cases(resource, named))?
        {
            said.take(other, self.folds);
        }
        if said.permits.is_empty() && !self.folds {
            for same in
                self.in_other_cases(request, sets, |gathered, resource, named| gathered.other_names(resource, named))?
            {
                said.take(same, true);
            }
        }
        Ok(said)
    }

    /// What is said about each form that `forms` gives; nothing when there is one form only.
    fn in_other_cases(
        &self,
        request: &Request,
        sets: Sets<'_>,
        forms: impl Fn(&mut Gathered<'_>, &Resource, &NamedResources) -> Vec<EntityUid>,
    ) -> Result<Vec<Said>, String> {
        let mut gathered = Gathered::new(&self.policies.types, self.subject, self.server);
        let forms = forms(&mut gathered, &request.resource, &self.policies.named);
        if forms.is_empty() {
            return Ok(Vec::new());
        }
        gathered.action(request.action, &self.policies.actions);
        let entities = gathered.finish()?;
        forms.into_iter().map(|resource| self.ask(request, resource, &entities, sets)).collect()
    }

    /// The ids of the permits of another set, which has no forbids, that hold for a request.
    pub(crate) fn holding(&self, request: &Request, permits: &PolicySet) -> Result<BTreeSet<String>, String> {
        let resource = self.policies.types.resource(&request.resource, self.server);
        let asked = self.cedar(request, resource)?;
        let response = match &request.resource {
            Resource::Column { .. } => {
                let entities = self.policies.entities(self.subject, self.server, std::slice::from_ref(request))?;
                authorize(&asked, permits, &entities)
            }
            Resource::Server | Resource::Schema(_) | Resource::Table { .. } | Resource::Routine { .. } => {
                authorize(&asked, permits, &self.entities)
            }
        };
        Ok(reasons(&response).collect())
    }

    fn cedar(&self, request: &Request, resource: EntityUid) -> Result<CedarRequest, String> {
        let types = &self.policies.types;
        let principal = types.workload(self.subject);
        let action = types.action(request.action);
        // Unvalidated: what is built here fits the schema (a test holds it to that), and a mistake would be an evaluation
        // error, which denies.
        let asked = CedarRequest::new(principal, action, resource, self.context.clone(), None);
        asked.map_err(|error| format!("the request cannot be put to the policies: {error}"))
    }

    fn ask(&self, request: &Request, resource: EntityUid, entities: &Entities, sets: Sets<'_>) -> Result<Said, String> {
        let asked = self.cedar(request, resource)?;
        let timed = sets.timed;
        let mut said = Said {
            depends_on_time: !timed.is_empty() && reasons(&authorize(&asked, timed, entities)).next().is_some(),
            ..Said::default()
        };
        let response = authorize(&asked, sets.all, entities);
        said.failed = failed(&response);
        if response.decision() == CedarDecision::Allow {
            said.permits = reasons(&response).collect();
            return Ok(said);
        }
        for id in reasons(&response) {
            let met = self.policies.conditions.get(&id).is_some_and(|condition| condition.is_met(self.statement));
            if met {
                said.lifted.insert(id)
            } else {
                said.standing.insert(id)
            };
        }
        let any = !said.lifted.is_empty() || !said.standing.is_empty();
        if any && said.standing.iter().all(|id| self.approval(id).is_some()) {
            // Every forbid that applies has a condition: what is left of the set without those says who permits. A forbid
            // that has none applied above as well, and stands.
            let without = authorize(&asked, sets.unconditioned, entities);
            said.failed.extend(failed(&without));
            match without.decision() {
                CedarDecision::Allow => said.permits = reasons(&without).collect(),
                CedarDecision::Deny => said.standing.extend(reasons(&without)),
            }
        }
        Ok(said)
    }

    fn approval(&self, id: &str) -> Option<Approval> {
        let group = self.policies.conditions.get(id)?.approval.clone()?;
        Some(Approval { group, policy: id.to_owned() })
    }

    /// Cedar skips a policy that fails to evaluate: here it denies, as it may have been the forbid.
    fn read(&self, request: &Request, said: Said) -> Answer {
        let about = describe(request, self.server);
        let (lifted, depends_on_time) = (names(said.lifted), said.depends_on_time);
        let answer = |allowed, policies, reason| Answer {
            request: request.clone(),
            allowed,
            policies: names(policies),
            reason,
            lifted,
            approvals: Vec::new(),
            depends_on_time,
        };
        if let Some(first) = said.failed.first() {
            let reason = format!("policy `{first}` could not be evaluated for {about}");
            return answer(false, said.failed, Some(reason));
        }
        let approvals: Vec<Approval> = said.standing.iter().filter_map(|id| self.approval(id)).collect();
        let plain: BTreeSet<String> = said.standing.iter().filter(|id| self.approval(id).is_none()).cloned().collect();
        if !plain.is_empty() {
            let reason = format!("{about} is forbidden{}", self.unless(&plain));
            return answer(false, plain, Some(reason));
        }
        if said.permits.is_empty() {
            return answer(false, BTreeSet::new(), Some(format!("no policy permits {about}")));
        }
        if approvals.is_empty() {
            return answer(true, said.permits, None);
        }
        let reason = format!("{about} {}", needs(&approvals));
        Answer { approvals, ..answer(false, said.standing, Some(reason)) }
    }

    /// What would have lifted the only forbid there is.
    fn unless(&self, standing: &BTreeSet<String>) -> String {
        let only = standing.first().filter(|_| standing.len() == 1);
        let max = only.and_then(|id| self.policies.conditions.get(id)).and_then(|condition| condition.rows_changed_max);
        max.map_or_else(String::new, |max| format!(" unless at most {max} rows change (`LIMIT {max}`)"))
    }
}

fn authorize(request: &CedarRequest, set: &PolicySet, entities: &Entities) -> Response {
    Authorizer::new().is_authorized(request, set, entities)
}

fn reasons(response: &Response) -> impl Iterator<Item = String> {
    response.diagnostics().reason().map(ToString::to_string)
}

fn failed(response: &Response) -> BTreeSet<String> {
    let failed = response.diagnostics().errors().map(|error| match error {
        cedar_policy::AuthorizationError::PolicyEvaluationError(error) => error.policy_id().to_string(),
    });
    failed.collect()
}

/// `needs approval of `dba` (policy no-ddl)`
fn needs(approvals: &[Approval]) -> String {
    let each: Vec<_> = approvals.iter().map(|one| format!("`{}` (policy {})", one.group, one.policy)).collect();
    format!("needs approval of {}", each.join(" and "))
}

fn names(policies: BTreeSet<String>) -> Vec<String> {
    policies.into_iter().collect()
}

fn denied(request: Request, reason: String) -> Answer {
    Answer {
        request,
        allowed: false,
        policies: Vec::new(),
        reason: Some(reason),
        lifted: Vec::new(),
        approvals: Vec::new(),
        depends_on_time: false,
    }
}

/// Denied when any answer is: by a forbid before a missing permit, by that before a missing approval.
fn verdict(answers: Vec<Answer>, facts: &Facts, server: &str) -> Verdict {
    let refused = |answer: &&Answer| !answer.allowed;
    let final_no = |answer: &&Answer| !answer.allowed && !answer.needs_approval();
    let only_approvals = !answers.iter().any(|answer| final_no(&answer));
    let by_policy = answers.iter().filter(final_no).find(|answer| !answer.policies.is_empty());
    let first = by_policy.or_else(|| answers.iter().find(final_no)).or_else(|| answers.iter().find(refused));
    let unread = facts.statements.iter().find_map(|statement| statement.unparsed.as_deref());
    let (decision, reason, deciding) = match first {
        None if !answers.is_empty() => (Decision::Allow, allowed_reason(&answers, server), answers.iter().collect()),
        None => (Decision::Deny, "nothing was asked".to_owned(), Vec::new()),
        Some(answer) => {
            let reason = answer.reason.clone().unwrap_or_else(|| describe(&answer.request, server));
            let (more, unparsed) = nor(&answers, answer, server);
            let why = unread.filter(|_| unparsed).map(|unread| format!(": {unread}")).unwrap_or_default();
            // Nobody's approval is what is missing when more than that is.
            let decides = |answer: &&Answer| refused(answer) && (only_approvals || final_no(answer));
            (Decision::Deny, format!("{reason}{more}{why}"), answers.iter().filter(decides).collect::<Vec<_>>())
        }
    };
    let policies: BTreeSet<String> = deciding.into_iter().flat_map(|answer| answer.policies.iter().cloned()).collect();
    let lifted: BTreeSet<String> = answers.iter().flat_map(|answer| answer.lifted.iter().cloned()).collect();
    let approvals: BTreeSet<Approval> =
        answers.iter().filter(|_| only_approvals).flat_map(|answer| answer.approvals.iter().cloned()).collect();
    let (approvals, lifted) = (approvals.into_iter().collect(), names(lifted));
    let depends_on_time = answers.iter().any(|answer| answer.depends_on_time);
    Verdict { decision, policies: names(policies), reason, answers, lifted, approvals, depends_on_time }
}

/// Requests that a reason names beside the first.
const NAMED_MAX: usize = 2;

/// What else no policy permits, when that is what is wrong with the first; and whether `unparsed` is named at all.
fn nor(answers: &[Answer], first: &Answer, server: &str) -> (String, bool) {
    let lacks = |answer: &&Answer| !answer.allowed && answer.policies.is_empty();
    if !lacks(&first) {
        return (String::new(), false);
    }
    let mut requests: Vec<&Request> = Vec::new();
    for answer in answers.iter().filter(lacks).filter(|answer| answer.request != first.request) {
        if !requests.contains(&&answer.request) {
            requests.push(&answer.request);
        }
    }
    // Why a text was not read is what its writer wants to know.
    requests.sort_by_key(|request| request.action != Action::Unparsed);
    let mut text: String =
        requests.iter().take(NAMED_MAX).map(|request| format!(", nor {}", describe(request, server))).collect();
    if requests.len() > NAMED_MAX {
        text.push_str(&format!(", nor {} more", requests.len() - NAMED_MAX));
    }
    let unparsed = std::iter::once(&&first.request).chain(&requests).any(|request| request.action == Action::Unparsed);
    (text, unparsed)
}

fn allowed_reason(answers: &[Answer], server: &str) -> String {
    match answers {
        [only] => format!("permitted: {}", describe(&only.request, server)),
        _ => format!("permitted: all {} requests", answers.len()),
    }
}
