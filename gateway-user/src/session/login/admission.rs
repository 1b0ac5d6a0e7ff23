//! What policy says of a session as a whole: its character set, its schema, and whether its texts can be read at all.

use portreeve_mysql::{capabilities::Negotiated, collation};
use portreeve_policy::{Action, Resource, Verdict};

use crate::{
    gateway::Gateway,
    session::{Ended, link::Link, reading, refusal::Refusal, verdicts::ScopeKey},
};

/// The key with how the server reads texts in this session; as it was where policy permits everything, so that nothing
/// depends on it.
pub(in crate::session) async fn ask(
    gateway: &Gateway,
    upstream: &mut Link,
    capabilities: &Negotiated,
    key: ScopeKey,
) -> Result<ScopeKey, Ended> {
    if permits_everything(gateway, &key) {
        return Ok(ScopeKey { unasked: true, ..key });
    }
    match reading::ask(upstream, *capabilities, key.version).await? {
        Ok(reading) => Ok(reading.applied_to(key)),
        Err(code) => Err(Ended::Refused(format!("the server does not say how it reads statements: error {code}"))),
    }
}

/// [`ask`] once more, after a statement that may have changed the answer.
pub(in crate::session) async fn ask_again(
    gateway: &Gateway,
    upstream: &mut Link,
    capabilities: &Negotiated,
    key: ScopeKey,
) -> Result<ScopeKey, Ended> {
    if permits_everything(gateway, &key) {
        // What was known is no longer so, should verdicts come to depend on it.
        return Ok(ScopeKey { unasked: true, ..key });
    }
    Ok(match reading::ask(upstream, *capabilities, key.version).await? {
        Ok(reading) => reading.applied_to(ScopeKey { unreadable: None, ..key }),
        // A session that the server lets ask nothing now (`XA END`).
        Err(code) => {
            let why = format!("the server did not say how it reads statements since: error {code}");
            ScopeKey { unreadable: Some(why), ..key }
        }
    })
}

fn permits_everything(gateway: &Gateway, key: &ScopeKey) -> bool {
    gateway.policies.current().policies.permits_everything(&key.subject(), &key.server)
}

/// A session whose texts cannot be read is of use only where policy permits what is `unparsed`.
///
/// # Errors
/// Why it may not stay.
pub(in crate::session) fn may_stay(gateway: &Gateway, key: &ScopeKey) -> Result<(), String> {
    let Some(why) = &key.unreadable else { return Ok(()) };
    if permits_unparsed(gateway, key) { Ok(()) } else { Err(why.clone()) }
}

fn permits_unparsed(gateway: &Gateway, key: &ScopeKey) -> bool {
    gateway.config.observe || unparsed(gateway, key).is_allowed()
}

fn unparsed(gateway: &Gateway, key: &ScopeKey) -> Verdict {
    let policies = gateway.policies.current();
    policies.policies.judge_command(&key.subject(), Action::Unparsed, Resource::Server, &key.context(false))
}

/// # Errors
/// What the client is told.
pub(in crate::session) fn admit_collation(
    gateway: &Gateway,
    collation: u16,
    mut key: ScopeKey,
    session: &str,
) -> Result<ScopeKey, Refusal> {
    if !collation::character_set(collation).is_some_and(portreeve_policy::is_known_charset) {
        if !permits_unparsed(gateway, &key) {
            return Err(Refusal::character_set(collation, session));
        }
        key.unreadable = Some(format!("the client's collation {collation} is not one that portreeve reads"));
    }
    Ok(key)
}

/// # Errors
/// What the client is told.
pub(in crate::session) fn admit_schema(
    gateway: &Gateway,
    schema: Option<&[u8]>,
    mut key: ScopeKey,
    session: &str,
) -> Result<ScopeKey, Refusal> {
    let Some(schema) = schema else { return Ok(ScopeKey { schema: None, ..key }) };
    let Ok(schema) = std::str::from_utf8(schema) else {
        return Err(Refusal::schema("the name of the initial schema is not UTF-8", session));
    };
    let policies = gateway.policies.current();
    let verdict = policies.policies.judge_use_schema(&key.subject(), schema, &key.context(false));
    if !verdict.is_allowed() && gateway.config.observe {
        tracing::info!(session, workload = %key.spiffe_id, server = %key.server, "would deny: {}", verdict.reason);
    } else if !verdict.is_allowed() {
        return Err(Refusal::schema(&verdict.reason, session));
    }
    key.schema = Some(schema.to_owned());
    Ok(key)
}
