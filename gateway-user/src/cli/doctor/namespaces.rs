//! Network namespaces of workloads, as the running daemon sees them.

use super::Finding;
use crate::{
    admin::{
        NamespaceView, client,
        message::{Request, Response},
    },
    config::{Config, Meaning},
};

const WHAT: &str = "network namespaces of workloads";

/// Nothing where no daemon runs: another finding says so.
pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let answer = client::ask(&config.control_socket(), &Request::Status {});
    let mut findings = match answer {
        Ok(Response::Status { status }) => told(&status.namespaces),
        Ok(_) | Err(_) => Vec::new(),
    };
    findings.extend(unnamed(config));
    findings
}

fn told(namespaces: &[NamespaceView]) -> Vec<Finding> {
    if namespaces.is_empty() {
        return vec![Finding::ok(WHAT, "all workloads are in the daemon's own")];
    }
    let finding = |namespace: &NamespaceView| match &namespace.problem {
        None => Finding::ok(WHAT, format!("{}: the gateway listens there", namespace.inode)),
        Some(problem) => Finding::warning(
            WHAT,
            format!("{}: the gateway does not listen there: {problem}", namespace.inode),
            "agents there cannot connect to the servers: they are refused",
            "set it right as said; the daemon looks again each second. `lsns --type net` shows whose it is",
        ),
    };
    namespaces.iter().map(finding).collect()
}

/// A certificate for an address proves little where an agent may take any address.
fn unnamed(config: &Config) -> Option<Finding> {
    let servers =
        config.servers.iter().filter(|server| server.namespace == Meaning::Workload && server.hosts.is_empty());
    let names: Vec<&str> = servers.map(|server| server.name.as_str()).collect();
    (!names.is_empty()).then(|| {
        Finding::warning(
            "servers in workloads' namespaces",
            format!("{} have no `hosts`", names.join(", ")),
            "whoever has a certificate for the address that an agent calls is taken for the server, and given the credential",
            "name the server in `hosts`: that name is verified",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::{super::State, *};

    #[test]
    fn a_namespace_without_listener_is_a_warning() {
        let view = |problem: Option<&str>| NamespaceView {
            inode: 5,
            netns_cookie: None,
            listen: Vec::new(),
            problem: problem.map(str::to_owned),
        };
        assert_eq!(told(&[])[0].state, State::Ok);
        let found = told(&[view(None), view(Some("lo is down"))]);
        assert_eq!((found[0].state, found[1].state), (State::Ok, State::Warning));
        assert!(found[1].found.contains("lo is down"));
    }
}
