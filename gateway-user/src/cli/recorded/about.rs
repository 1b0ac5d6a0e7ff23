//! What a session's first records say of it.

use portreeve_policy::{Flavour, version_number};
use portreeve_recording::{Login, Opened, Record};
use uuid::Uuid;

/// A session, as far as it was read.
#[derive(Debug, Clone, Default)]
pub(in crate::cli) struct About {
    pub(in crate::cli) id: Uuid,
    /// SPIFFE ID.
    pub(in crate::cli) workload: Option<String>,
    pub(in crate::cli) groups: Vec<String>,
    pub(in crate::cli) server: Option<String>,
    pub(in crate::cli) credential: Option<String>,
    pub(in crate::cli) client_address: String,
    pub(in crate::cli) original_destination: String,
    pub(in crate::cli) pid: u32,
    pub(in crate::cli) uid: u32,
    pub(in crate::cli) comm: String,
    /// As the client sent it.
    pub(in crate::cli) user: Option<String>,
    /// Whose SQL it is; none before a server was asked.
    pub(in crate::cli) flavour: Option<Flavour>,
    /// As in executable comments; 0 when it is not known.
    pub(in crate::cli) version: u32,
}

impl About {
    pub(in crate::cli) fn new(id: Uuid) -> Self {
        Self { id, ..Self::default() }
    }

    /// Takes over what a record says.
    pub(in crate::cli) fn learn(&mut self, record: &Record<'_>) {
        match record {
            Record::Opened(opened) => self.opened(opened),
            Record::Login(login) => self.login(login),
            Record::Statement(_)
            | Record::Verdict(_)
            | Record::Response(_)
            | Record::Closed(_)
            | Record::Transport(_)
            | Record::Abandoned(_)
            | Record::Forwarded(_)
            | Record::Chosen(_)
            | Record::Checkpoint(_)
            | Record::Sealed(_)
            | Record::Facts(_)
            | Record::Rows(_)
            | Record::Host(_) => {}
        }
    }

    fn opened(&mut self, opened: &Opened<'_>) {
        let owned = |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().map(str::to_owned);
        self.workload = owned(&opened.workload);
        self.groups = opened.groups.to_vec();
        self.server = owned(&opened.server);
        self.credential = owned(&opened.credential);
        self.client_address = opened.client_address.to_string();
        self.original_destination = opened.original_destination.to_string();
        self.pid = opened.evidence.pid;
        self.uid = opened.evidence.uid;
        self.comm = opened.evidence.comm.to_string();
    }

    fn login(&mut self, login: &Login<'_>) {
        let is_mariadb = login.server_version.to_ascii_lowercase().contains("mariadb");
        let flavour = if is_mariadb { Flavour::MariaDb } else { Flavour::MySql };
        self.user = Some(login.user.to_string());
        self.version = version_number(&login.server_version, flavour).unwrap_or_default();
        self.flavour = Some(flavour);
    }
}
