//! Whether a workload may do everything at a server, whatever it asks.

use cedar_policy::{ActionConstraint, Effect, EntityUid, Policy, PrincipalConstraint, ResourceConstraint};

use crate::facts::Resource;
use crate::judge::Subject;
use crate::policies::Policies;

impl Policies {
    /// Whether one policy permits the workload every action on all of the server, `unparsed` among them, without a condition,
    /// and none forbids anything: then no verdict depends on how a text is read.
    ///
    /// False when in doubt: a set that permits everything in several parts, or forbids something to somebody else.
    pub fn permits_everything(&self, subject: &Subject, server: &str) -> bool {
        let forbids = self.set.policies().any(|policy| policy.effect() == Effect::Forbid);
        !forbids && self.set.policies().any(|policy| self.is_unconditional(policy, subject, server))
    }

    fn is_unconditional(&self, policy: &Policy, subject: &Subject, server: &str) -> bool {
        let is_server = |entity: &EntityUid| *entity == self.types.resource(&Resource::Server, server);
        let is_workload = |entity: &EntityUid| *entity == self.types.workload(subject);
        let is_group = |entity: &EntityUid| subject.groups.iter().any(|group| *entity == self.types.group(group));
        let principal = match policy.principal_constraint() {
            PrincipalConstraint::Any => true,
            PrincipalConstraint::Eq(entity) => is_workload(&entity),
            PrincipalConstraint::In(entity) => is_workload(&entity) || is_group(&entity),
            PrincipalConstraint::Is(_) | PrincipalConstraint::IsIn(..) => false,
        };
        let action = match policy.action_constraint() {
            ActionConstraint::Any => true,
            ActionConstraint::In(_) | ActionConstraint::Eq(_) => false,
        };
        let resource = match policy.resource_constraint() {
            ResourceConstraint::Any => true,
            ResourceConstraint::In(entity) => is_server(&entity),
            ResourceConstraint::Eq(_) | ResourceConstraint::Is(_) | ResourceConstraint::IsIn(..) => false,
        };
        principal && action && resource && !policy.has_non_scope_constraint()
    }
}
