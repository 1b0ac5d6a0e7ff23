//! Who is there, and where they want to go: workload, server, credential, and the recording opened with it.

use std::{borrow::Cow, net::SocketAddr, rc::Rc, sync::Arc};

use anyhow::{Context as _, Result};
use portreeve_abi::Origin;
use portreeve_recording::{self as record, Evidence, Opened};
use uuid::Uuid;

use super::{Ended, Link, Verdicts, journal::Journal, login, refusal::Refusal};
use crate::{
    config::{Account, Meaning, Server},
    gateway::Gateway,
    interception::{self, Namespace},
    recorder::now_unix_ns,
    workloads::{Caller, Chosen, Presence, Workload},
};

/// A connection whose recording is open.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) id: String,
    pub(super) client: Link,
    pub(super) journal: Journal,
    pub(super) workload: Option<Presence>,
    /// Why no selector admits who connected, though its cgroup is a workload's.
    not_admitted: Option<String>,
    pub(super) destination: SocketAddr,
    pub(super) place: Place,
}

/// Where the agent is, as the network namespace of its socket says.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// In the daemon's own.
    Here,
    There(Arc<Namespace>),
}

impl Place {
    /// # Errors
    /// The namespace has no listener any more.
    fn of(gateway: &Gateway, origin: &Origin) -> Result<Self> {
        if origin.netns_cookie == gateway.netns_cookie {
            return Ok(Self::Here);
        }
        let namespace = gateway.namespaces.by_cookie(origin.netns_cookie);
        namespace.map(Self::There).context("its network namespace holds no tagged workload any more")
    }

    /// The server that a destination means here: another namespace's loopback is not the daemon's.
    fn server<'g>(&self, gateway: &'g Gateway, destination: SocketAddr) -> Option<&'g Server> {
        let server = gateway.config.server_for(destination.ip(), destination.port())?;
        match (self, server.namespace) {
            (Self::There(_), Meaning::Host) if destination.ip().is_loopback() => None,
            (Self::Here | Self::There(_), Meaning::Host | Meaning::Workload) => Some(server),
        }
    }
}

/// How a session ended, in words.
#[derive(Debug)]
pub(super) struct Reason {
    pub(super) text: String,
    pub(super) ordinary: bool,
}

/// Where an arrival may go on to.
#[derive(Debug, Clone)]
pub(super) struct Route<'g> {
    pub(super) destination: SocketAddr,
    pub(super) server: &'g Server,
    pub(super) account: &'g Account,
    pub(super) password: &'g [u8],
    /// Who reads the server's catalogue, and by which password, where that is not the session's account.
    pub(super) reader: Option<(&'g Account, &'g [u8])>,
    /// The network namespace that the server is dialled from, where that is not the daemon's own.
    pub(super) from: Option<Arc<Namespace>>,
}

impl Route<'_> {
    /// The way by which the server's catalogue is read.
    pub(super) fn of_reader(&self) -> Self {
        let (account, password) = self.reader.unwrap_or((self.account, self.password));
        Self { account, password, ..self.clone() }
    }
}

impl Arrival {
    /// Opens the recording. What cannot be recorded is not served: the client is told, and none is returned.
    pub(super) async fn open(gateway: &Gateway, mut client: Link, peer: SocketAddr, origin: &Origin) -> Option<Self> {
        let id = Uuid::now_v7();
        let workload = gateway.workloads.by_cgroup_id(origin.tagged_cgroup_id);
        let (chosen, not_admitted) = admission(gateway, workload.as_ref(), origin).await;
        match Self::record(gateway, id, peer, origin, workload, chosen) {
            Ok((journal, workload, place)) => {
                let destination = interception::destination(origin);
                Some(Self { id: id.to_string(), client, journal, workload, not_admitted, destination, place })
            }
            Err(error) => {
                tracing::error!(session = %id, %peer, "a connection was closed unserved: {error:#}");
                let id = id.to_string();
                let refusal = Refusal::failed("this session cannot be recorded", &id);
                let destination = interception::destination(origin);
                Box::pin(login::turn_away_unrecorded(&mut client, gateway, &id, destination, &refusal)).await;
                client.finish().await;
                None
            }
        }
    }

    fn record(
        gateway: &Gateway,
        id: Uuid,
        peer: SocketAddr,
        origin: &Origin,
        workload: Option<Arc<Workload>>,
        chosen: Option<Chosen>,
    ) -> Result<(Journal, Option<Presence>, Place)> {
        let place = Place::of(gateway, origin)?;
        let destination = interception::destination(origin);
        let workload = workload.map(Workload::enter);
        let server = place.server(gateway, destination);
        let account = workload
            .as_ref()
            .zip(server)
            .and_then(|(workload, server)| gateway.config.account_for(server, &workload.name, &workload.groups));
        let file = gateway.recorder.create(id, now_unix_ns()).context("its recording cannot be made")?;
        let opened = Opened {
            session_id: Cow::Owned(id.to_string()),
            workload: workload.as_ref().map(|workload| Cow::Borrowed(workload.spiffe_id.as_str())),
            groups: workload.as_ref().map_or(Cow::Borrowed(&[]), |workload| Cow::Borrowed(workload.groups.as_slice())),
            evidence: evidence(gateway, origin),
            original_destination: Cow::Owned(destination.to_string()),
            client_address: Cow::Owned(peer.to_string()),
            server: server.map(|server| Cow::Borrowed(server.name.as_str())),
            credential: account.map(|account| Cow::Borrowed(account.user.as_str())),
            gateway_version: Cow::Borrowed(env!("CARGO_PKG_VERSION")),
        };
        let recording = &gateway.config.recording;
        let keeps_rows =
            workload.as_ref().is_some_and(|workload| recording.keeps_rows(&workload.name, &workload.groups));
        let mut journal = Journal::open(file, opened, gateway.config.observe, recording.durability, keeps_rows)?;
        if let Some(chosen) = chosen {
            journal.chosen(record_of(chosen))?;
        }
        Ok((journal, workload, place))
    }

    pub(super) fn workload_name(&self) -> String {
        self.workload.as_ref().map_or_else(|| "(none)".to_owned(), |workload| workload.name.clone())
    }

    /// Serves the connection to its end, and closes the recording.
    pub(super) async fn run(mut self, gateway: &Gateway, verdicts: &Rc<Verdicts>) -> Reason {
        let mut bytes_to_server = 0;
        let ended = match (self.workload.take(), self.not_admitted.take()) {
            (Some(workload), Some(why)) => {
                let why = format!("it does not fit the selectors of workload `{}`: {why}", workload.name);
                self.turn_away(gateway, &why).await
            }
            (Some(workload), None) => self.proceed(gateway, verdicts, &workload, &mut bytes_to_server).await,
            (None, _) => self.turn_away(gateway, "the cgroup it was opened from is no workload's").await,
        };
        self.client.finish().await;
        let text = ended.to_string();
        let ordinary = ended.is_ordinary();
        match self.journal.close(&text, self.client.sent, bytes_to_server).await {
            Ok(_) => Reason { text, ordinary },
            Err(error) => Reason { text: format!("{text}; {error}"), ordinary: false },
        }
    }

    async fn proceed(
        &mut self,
        gateway: &Gateway,
        verdicts: &Rc<Verdicts>,
        workload: &Workload,
        bytes_to_server: &mut u64,
    ) -> Ended {
        let route = match self.route(gateway, workload) {
            Ok(route) => route,
            Err(why) => return self.turn_away(gateway, &why).await,
        };
        // Boxed, so that its memory is not every session's for as long as that lasts.
        let login = Box::pin(login::log_in(self, gateway, verdicts, workload, route));
        let mut session = match until_revoked(workload, login).await {
            Ok(session) => session,
            Err(ended) => return ended,
        };
        let Err(ended) = until_revoked(workload, session.relay(gateway)).await;
        if let (Ended::Revoked(why), Some(number)) = (&ended, session.running) {
            Box::pin(session.abandon(gateway, number, why)).await;
        }
        *bytes_to_server = session.bytes_to_server();
        ended
    }

    /// # Errors
    /// What the client is told.
    fn route<'g>(&self, gateway: &'g Gateway, workload: &Workload) -> Result<Route<'g>, String> {
        let Some(server) = self.place.server(gateway, self.destination) else {
            return Err(self.no_server());
        };
        let Some(account) = gateway.config.account_for(server, &workload.name, &workload.groups) else {
            return Err(format!("workload `{}` has no credential for server `{}`", workload.name, server.name));
        };
        let password = held(gateway, server, account)?;
        let reader = server.catalogue.as_ref();
        let reader = reader.map(|account| held(gateway, server, account).map(|password| (account, password)));
        let reader = reader.transpose()?;
        let from = match (server.namespace, &self.place) {
            (Meaning::Workload, Place::There(namespace)) => Some(Arc::clone(namespace)),
            (Meaning::Host | Meaning::Workload, Place::Here) | (Meaning::Host, Place::There(_)) => None,
        };
        Ok(Route { destination: self.destination, server, account, password, reader, from })
    }

    fn no_server(&self) -> String {
        let destination = self.destination;
        match &self.place {
            Place::There(_) if destination.ip().is_loopback() => format!(
                "{destination} is this network namespace's own, not the host's: call the server by an address that the host has for it"
            ),
            Place::Here | Place::There(_) => {
                format!("no server is configured for {destination}: it needs a `[[server]]` whose `match` covers it")
            }
        }
    }

    async fn turn_away(&mut self, gateway: &Gateway, why: &str) -> Ended {
        let refusal = Refusal::access(why, &self.id);
        Box::pin(login::turn_away(self, gateway, &refusal)).await;
        Ended::Refused(why.to_owned())
    }
}

fn held<'g>(gateway: &'g Gateway, server: &Server, account: &Account) -> Result<&'g [u8], String> {
    let password = gateway.secrets.password(account);
    password.ok_or_else(|| format!("the secret of account `{}` at server `{}` is not held", account.user, server.name))
}

/// Lets a stage of the session run until the workload's sessions must end.
async fn until_revoked<T>(workload: &Workload, stage: impl Future<Output = Result<T, Ended>>) -> Result<T, Ended> {
    tokio::select! {
        biased;
        result = stage => result,
        reason = workload.ended() => Err(Ended::Revoked(reason)),
    }
}

/// Why the caller is the workload that its cgroup is, where selectors say so, or why it is not.
async fn admission(
    gateway: &Gateway,
    workload: Option<&Arc<Workload>>,
    origin: &Origin,
) -> (Option<Chosen>, Option<String>) {
    let Some(workload) = workload.filter(|workload| !workload.selects.is_empty()) else { return (None, None) };
    let Origin { pid, uid, cgroup_id, connected_boot_ns, .. } = *origin;
    let caller = Caller { pid, uid, cgroup_id, connected_boot_ns };
    match gateway.workloads.admit(Arc::clone(workload), caller).await {
        Ok(chosen) => (chosen, None),
        Err(why) => (None, Some(why)),
    }
}

fn record_of(chosen: Chosen) -> record::Chosen<'static> {
    let Chosen { selector, place, executable } = chosen;
    let (exe, sha256) = executable.map(|found| (found.path, found.sha256)).unzip();
    record::Chosen {
        selector: Cow::Owned(selector),
        unit: place.unit.or(place.user_unit.map(|(_, unit)| unit)).map(Cow::Owned),
        container: place.container.map(Cow::Owned),
        pod: place.pod.map(Cow::Owned),
        exe: exe.map(Cow::Owned),
        sha256: sha256.map(Cow::Owned),
    }
}

fn evidence(gateway: &Gateway, origin: &Origin) -> Evidence<'static> {
    Evidence {
        cgroup_id: origin.cgroup_id,
        tagged_cgroup_id: origin.tagged_cgroup_id,
        cgroup_path: gateway.cgroup_path(origin.pid, origin.cgroup_id).map(Cow::Owned),
        uid: origin.uid,
        gid: origin.gid,
        pid: origin.pid,
        comm: Cow::Owned(interception::comm(origin)),
        netns_cookie: origin.netns_cookie,
        socket_cookie: origin.socket_cookie,
    }
}
