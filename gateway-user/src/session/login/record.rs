//! What a recording says of a login.

use std::borrow::Cow;

use portreeve_recording::{ErrorText, Login, Transport, clip};

use super::{Client, Compressed, LoggedIn};
use crate::{
    session::{Ended, journal::Journal, refusal::Refusal},
    tls::Facts,
};

/// What is recorded of a login, or of a change of user.
pub(in crate::session) struct Said<'s> {
    pub(in crate::session) user: &'s str,
    pub(in crate::session) schema: Option<&'s [u8]>,
    pub(in crate::session) attributes: &'s [(Vec<u8>, Vec<u8>)],
    /// Of the server; empty for a change of user.
    pub(in crate::session) version: &'s [u8],
    pub(in crate::session) connection_id: u32,
}

impl Said<'_> {
    /// Accepted, unless there is an error.
    pub(in crate::session) fn record(&self, journal: &mut Journal, error: Option<&Refusal>) -> Result<(), Ended> {
        let attribute = |(name, value): &(Vec<u8>, Vec<u8>)| (clip(name).into_owned(), clip(value).into_owned());
        let attributes: Vec<_> = self.attributes.iter().map(attribute).collect();
        journal.login(Login {
            user: Cow::Borrowed(self.user),
            schema: self.schema.map(clip),
            client_attributes: Cow::Borrowed(&attributes),
            server_version: clip(self.version),
            server_connection_id: self.connection_id,
            accepted: error.is_none(),
            error: error.map(|refusal| ErrorText {
                code: refusal.code(),
                sqlstate: Cow::Borrowed(refusal.sqlstate()),
                message: Cow::Borrowed(refusal.message()),
            }),
        })?;
        Ok(())
    }
}

/// How the legs are carried, where that is not in clear text.
pub(super) fn transport(journal: &mut Journal, client: &Client, logged_in: &LoggedIn) -> Result<(), Ended> {
    let shown = |facts: &Option<Facts>| facts.as_ref().map(|facts| Cow::Owned(facts.to_string()));
    let name = |compressed: Option<Compressed>| compressed.map(|compressed| Cow::Borrowed(compressed.name()));
    let transport = Transport {
        client_tls: shown(&client.tls),
        server_tls: shown(&logged_in.tls),
        client_compression: name(client.compressed),
        server_compression: name(logged_in.compressed),
    };
    let Transport { client_tls, server_tls, client_compression, server_compression } = &transport;
    if [client_tls, server_tls, client_compression, server_compression].iter().any(|part| part.is_some()) {
        journal.transport(transport)?;
    }
    Ok(())
}
