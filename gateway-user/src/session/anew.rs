//! What begins a session anew within its connection: `COM_RESET_CONNECTION` and `COM_CHANGE_USER`.

use portreeve_mysql::{
    greeting,
    limits::{LOGIN_SEED_LEN, NONCE_LEN},
    login::{ChangeUser, ChangeUserRequest, ClientLogin, ServerLogin},
    outcome, packet,
};
use portreeve_recording::clip;
use zeroize::Zeroizing;

use super::{
    Ended, client_fault,
    login::{
        self, Failed, LoginFailure, Said, admit_collation, admit_schema, ask, ask_again, exchange, may_stay, random,
        take_login,
    },
    refusal::Refusal,
    relay::Session,
    server_fault,
    verdicts::ScopeKey,
};
use crate::gateway::Gateway;

impl Session<'_> {
    /// After a reset: what was set is gone, and texts may be read otherwise than a moment ago.
    pub(super) async fn begin_anew(&mut self, gateway: &Gateway) -> Result<(), Ended> {
        let key = ScopeKey { unreadable: None, ..self.commands.key().clone() };
        self.read_anew(gateway, key).await
    }

    /// Asks the server how it reads texts from here on, and forgets what it prepared.
    async fn read_anew(&mut self, gateway: &Gateway, key: ScopeKey) -> Result<(), Ended> {
        let key = ask(gateway, &mut self.upstream, &self.leg.capabilities, key).await?;
        may_stay(gateway, &key).map_err(Ended::Refused)?;
        self.commands.begin_anew(key);
        Ok(())
    }

    /// After a statement that may have changed how the server reads texts: only the server knows.
    pub(super) async fn read_on(&mut self, gateway: &Gateway) -> Result<(), Ended> {
        let key = self.commands.key().clone();
        let key = ask_again(gateway, &mut self.upstream, &self.leg.capabilities, key).await?;
        self.commands.read_as(key);
        Ok(())
    }

    /// The client says who it is once more. It is who the kernel said it is; the server gets the held credential again.
    pub(super) async fn change_user(
        &mut self,
        gateway: &Gateway,
        request: Zeroizing<Vec<u8>>,
        mut next_sequence_id: u8,
    ) -> Result<(), Ended> {
        let negotiated = self.negotiated();
        let change = match ChangeUser::parse(request.get(1..).unwrap_or_default(), negotiated) {
            Ok(change) => change,
            Err(error) => {
                // As servers say it, before they end the session.
                let _ = self.tell(&Refusal::unknown_command(), next_sequence_id).await;
                return Err(client_fault(error));
            }
        };
        let switch_nonce = greeting::nonce_from_random(random::<NONCE_LEN>()?);
        let mut client = ClientLogin::new(self.client.plugin, switch_nonce, self.client.tls);
        let step = client.start_change(&change, negotiated).map_err(client_fault)?;
        take_login(&mut self.arrival.client, &mut client, step, &mut next_sequence_id).await?;

        let attributes: Vec<_> =
            change.connect_attrs.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        let user = clip(change.user);
        let connection_id = self.connection.id();
        let said = Said { user: &user, schema: change.schema, attributes: &attributes, version: &[], connection_id };
        let collation = change.collation.unwrap_or_else(|| self.client.collation.into());
        let key = ScopeKey { unreadable: None, ..self.commands.key().clone() };
        let admitted = admit_collation(gateway, collation, key, &self.arrival.id)
            .and_then(|key| admit_schema(gateway, change.schema, key, &self.arrival.id));
        let key = match admitted {
            Ok(key) => key,
            Err(refusal) => {
                said.record(&mut self.arrival.journal, Some(&refusal))?;
                // As servers do: a change of user that fails ends the session.
                let _ = self.tell(&refusal, next_sequence_id).await;
                return Err(Ended::Refused(refusal.message().to_owned()));
            }
        };
        let ok = match self.change_user_at_server(change.schema, collation, &attributes).await {
            Ok(ok) => ok,
            Err(failure) => return Err(self.fail_change(&said, failure, next_sequence_id).await),
        };
        said.record(&mut self.arrival.journal, None)?;
        self.read_anew(gateway, key).await?;
        let ok = outcome::of_login(&ok, negotiated).map_err(server_fault)?;
        let mut wire = Vec::new();
        packet::write_packet(&mut wire, &mut next_sequence_id, &ok);
        self.arrival.client.send(&wire).await.map_err(Ended::Client)
    }

    /// Returns the payload of the server's OK packet.
    async fn change_user_at_server(
        &mut self,
        schema: Option<&[u8]>,
        collation: u16,
        attributes: &[(Vec<u8>, Vec<u8>)],
    ) -> Result<Vec<u8>, LoginFailure> {
        let request = ChangeUserRequest {
            user: self.route.account.user.as_bytes(),
            schema,
            collation,
            connect_attrs: login::attributes(attributes, self.workload, &self.arrival.id),
        };
        let seed = random::<LOGIN_SEED_LEN>().map_err(LoginFailure::Broken)?;
        let mut server = ServerLogin::change_user(&self.leg, self.route.password, seed);
        let mut payload = Vec::new();
        let written = server.change_user_request(&request, &mut payload);
        written.map_err(|error| LoginFailure::Broken(server_fault(error)))?;
        let mut sequence_id = 0;
        let mut wire = Zeroizing::new(Vec::new());
        packet::write_packet(&mut wire, &mut sequence_id, &payload);
        self.upstream.begin_exchange(sequence_id);
        self.upstream.send(&wire).await.map_err(|error| LoginFailure::Broken(Ended::Server(error)))?;
        exchange(&mut self.upstream, &mut server, &mut sequence_id).await
    }

    async fn fail_change(&mut self, said: &Said<'_>, failure: LoginFailure, sequence_id: u8) -> Ended {
        let Failed { wire, refusal, ended } = match failure.explain(&self.route, &self.arrival.id, sequence_id) {
            Ok(failed) => failed,
            Err(ended) => return ended,
        };
        if let Err(ended) = said.record(&mut self.arrival.journal, Some(&refusal)) {
            return ended;
        }
        // As servers do: a change of user that fails ends the session.
        let _ = self.arrival.client.send(&wire).await;
        ended
    }
}
