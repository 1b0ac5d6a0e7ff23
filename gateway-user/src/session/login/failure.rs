//! Why the server has no session for the gateway, and who reads what of it: the client neither account nor address, the log
//! both.

use portreeve_mysql::packet;

use crate::session::{Ended, arrival::Route, refusal::Refusal};

/// Why a login or a change of user came to nothing.
#[derive(Debug)]
pub(in crate::session) enum LoginFailure {
    /// The connection to the server broke, or what came was no answer.
    Broken(Ended),
    /// The configuration demands TLS, and there is none: in words.
    Insecure(String),
    /// The server would not have the held credential: in words.
    Refused(String),
    /// The server said no, and not to the credential: the payload of its ERR packet, which the client may read.
    Said { code: u16, payload: Vec<u8> },
}

/// A failure as each side hears of it.
pub(in crate::session) struct Failed {
    /// The ERR packet for the client.
    pub(in crate::session) wire: Vec<u8>,
    /// What the recording says of the login.
    pub(in crate::session) refusal: Refusal,
    /// Why the session ended.
    pub(in crate::session) ended: Ended,
}

impl LoginFailure {
    /// `sequence_id` is that of the gateway's next packet to the client.
    ///
    /// # Errors
    /// There is nothing to tell: the connection broke.
    pub(in crate::session) fn explain(
        self,
        route: &Route<'_>,
        session: &str,
        sequence_id: u8,
    ) -> Result<Failed, Ended> {
        let name = &route.server.name;
        let (told, why) = match self {
            Self::Broken(ended) => return Err(ended),
            Self::Said { code, payload } => {
                let (mut wire, mut sequence_id) = (Vec::new(), sequence_id);
                packet::write_packet(&mut wire, &mut sequence_id, &payload);
                let why = format!("server `{name}` refused the login: error {code}");
                return Ok(Failed { wire, refusal: Refusal::access(&why, session), ended: Ended::Refused(why) });
            }
            Self::Insecure(why) => {
                let told = format!("the connection to server `{name}` is not as secure as its configuration demands");
                (format!("{told}; the gateway's log says why"), why)
            }
            Self::Refused(why) => {
                let told = format!("the gateway could not log in to server `{name}` with the credential it holds");
                (format!("{told}; its log says why"), why)
            }
        };
        tracing::error!(
            session, server = %name, account = %route.account.user,
            "there is no login at the server: {why}"
        );
        let refusal = Refusal::access(&told, session);
        let ended = Ended::Refused(format!("login at server `{name}` failed: {why}"));
        Ok(Failed { wire: refusal.packet(sequence_id), refusal, ended })
    }
}
