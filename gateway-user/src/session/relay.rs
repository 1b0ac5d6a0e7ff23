//! The command phase: one command at a time, in order; its answer forwarded byte for byte.

use std::{
    convert::Infallible,
    rc::Rc,
    time::{Duration, Instant},
};

use portreeve_mysql::{
    Misbehaviour, ProtocolError,
    capabilities::Capabilities,
    command::Command,
    limits::{HEADER_LEN, PACKET_PAYLOAD_MAX},
    outcome::ErrorPacket,
    packet::{self, Framed, Packet},
    response::{Response, State},
};

use super::{
    Ended, Verdicts,
    arrival::Arrival,
    client_fault,
    commands::{self, Action, Commands, Forwarded},
    link::{Link, LinkError},
    refusal::Refusal,
    server_fault,
    verdicts::Scope,
};
use crate::gateway::Gateway;

/// Payload bytes of one command. A statement is judged whole, so that it is held whole.
const COMMAND_MAX: usize = 64 * 1024 * 1024;

/// A session that is logged in on both legs.
#[derive(Debug)]
pub(super) struct Session<'a> {
    arrival: &'a mut Arrival,
    upstream: Link,
    /// In force on both legs.
    capabilities: Capabilities,
    commands: Commands,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        arrival: &'a mut Arrival,
        upstream: Link,
        capabilities: Capabilities,
        verdicts: &Rc<Verdicts>,
        scope: Rc<Scope>,
    ) -> Self {
        let commands = Commands::new(arrival.id.clone(), verdicts, scope);
        Self { arrival, upstream, capabilities, commands }
    }

    pub(super) fn bytes_to_server(&self) -> u64 {
        self.upstream.sent
    }

    /// Passes commands and answers until something ends the session.
    ///
    /// # Errors
    /// Always: why it ended.
    pub(super) async fn relay(&mut self, gateway: &Gateway) -> Result<Infallible, Ended> {
        loop {
            self.turn(gateway).await?;
        }
    }

    /// One command and its answer.
    async fn turn(&mut self, gateway: &Gateway) -> Result<(), Ended> {
        let wire_len = match self.next_command().await {
            Ok(wire_len) => wire_len,
            // Most likely a command over the bound, judged by its header: the client is still sending it.
            Err(Ended::Client(LinkError::Protocol(error))) => {
                let full_packets = self.arrival.client.unread().len() / (HEADER_LEN + PACKET_PAYLOAD_MAX);
                // Sequence ids wrap.
                let next_sequence_id = (full_packets as u8).wrapping_add(1);
                return Err(self.end_unreadable(error, next_sequence_id).await);
            }
            Err(ended) => return Err(ended),
        };
        let Arrival { client, journal, .. } = &mut *self.arrival;
        let Framed::Packet(packet) = packet::frame(client.unread(), COMMAND_MAX).map_err(client_fault)? else {
            return Err(Ended::Client(LinkError::ClosedWithin));
        };
        let next_sequence_id = packet.last_sequence_id.wrapping_add(1);
        let command = match read(&packet) {
            Ok(command) => command,
            Err(error) => return Err(self.end_unreadable(error, next_sequence_id).await),
        };
        let facts = self.commands.analyse_aside(&command).await;
        let action = match self.commands.decide(gateway, journal, &command, facts) {
            Ok(action) => action,
            Err(ended) => return Err(self.end_untold(ended, next_sequence_id).await),
        };
        match action {
            Action::Forward(forwarded) => {
                let sent = Instant::now();
                client.forward(wire_len, &mut self.upstream).await.map_err(Ended::Server)?;
                self.answer(forwarded, next_sequence_id, sent).await
            }
            Action::ForwardUnanswered => client.forward(wire_len, &mut self.upstream).await.map_err(Ended::Server),
            Action::Answer(refusal) => {
                client.consume(wire_len);
                client.send(&refusal.packet(next_sequence_id)).await.map_err(Ended::Client)
            }
            Action::Drop => {
                client.consume(wire_len);
                Ok(())
            }
            Action::Quit => {
                // The server is told, so that it does not count an aborted connection.
                let _ = client.forward(wire_len, &mut self.upstream).await;
                Err(Ended::ClientQuit)
            }
        }
    }

    /// Waits for a whole command of the client, and meanwhile for the server to say that it ends the session.
    async fn next_command(&mut self) -> Result<usize, Ended> {
        let Arrival { client, .. } = &mut *self.arrival;
        if !client.has_short_packet() {
            client.rest();
            self.upstream.rest();
            tokio::select! {
                biased;
                read = client.fill() => if read.map_err(|error| Ended::Client(error.into()))? == 0 {
                    let within = !client.unread().is_empty();
                    return Err(Ended::Client(if within { LinkError::ClosedWithin } else { LinkError::Closed }));
                },
                read = self.upstream.fill() => {
                    let read = read.map_err(|error| Ended::Server(error.into()))?;
                    return Err(self.server_spoke(read).await);
                }
            }
        }
        self.arrival.client.packet(COMMAND_MAX).await.map_err(Ended::Client)
    }

    /// The server speaks first only to end the session (`wait_timeout`, `KILL`, shutdown): the client reads what it
    /// would have read without us.
    async fn server_spoke(&mut self, read: usize) -> Ended {
        if read == 0 {
            return Ended::Server(LinkError::Closed);
        }
        let wire_len = match self.upstream.packet(COMMAND_MAX).await {
            Ok(wire_len) => wire_len,
            Err(error) => return Ended::Server(error),
        };
        let payload = self.upstream.unread().get(HEADER_LEN..wire_len).unwrap_or_default();
        match ErrorPacket::parse(payload) {
            Ok(error) => {
                let why = format!("the server ended the session: error {}", error.code);
                // It may have gone already.
                let _ = self.upstream.forward(wire_len, &mut self.arrival.client).await;
                Ended::Refused(why)
            }
            Err(_) => server_fault(Misbehaviour::UnexpectedPacket("between two commands").into()),
        }
    }

    /// Forwards the server's answer as it arrives.
    async fn answer(&mut self, forwarded: Forwarded, first_sequence_id: u8, sent: Instant) -> Result<(), Ended> {
        let mut response = Response::with_first_sequence_id(
            forwarded.expect,
            self.capabilities,
            forwarded.may_ask_for_a_file(),
            first_sequence_id,
        );
        let mut first_byte = None;
        let ended = self.pass(&forwarded, &mut response, &mut first_byte, sent).await;
        let first_byte = first_byte.unwrap_or_default();
        let recorded = self.arrival.journal.answered(forwarded.number, response.summary(), first_byte, sent.elapsed());
        ended?;
        if let Err(error) = recorded {
            return Err(self.end_unrecorded(error.into()).await);
        }
        self.commands.settle(forwarded, response.summary());
        Ok(())
    }

    async fn pass(
        &mut self,
        forwarded: &Forwarded,
        response: &mut Response,
        first_byte: &mut Option<Duration>,
        sent: Instant,
    ) -> Result<(), Ended> {
        let Arrival { client, journal, id, .. } = &mut *self.arrival;
        loop {
            if self.upstream.fill().await.map_err(|error| Ended::Server(error.into()))? == 0 {
                if first_byte.is_none() {
                    let refusal = Refusal::failed("the server closed the connection before it answered", id);
                    let _ = client.send(&refusal.packet(response.next_sequence_id())).await;
                }
                return Err(Ended::Server(LinkError::ClosedWithin));
            }
            first_byte.get_or_insert_with(|| sent.elapsed());
            let progress = response.feed(self.upstream.unread()).map_err(server_fault)?;
            if progress.state == State::LocalInfile {
                // Before the client reads the whole of the request: a hostile server may ask for any file.
                let file = response.local_infile_name().unwrap_or_default();
                if !forwarded.names_file(file) {
                    return Err(server_fault(Misbehaviour::UnrequestedLocalInfile.into()));
                }
                journal.asked_for_file(file)?;
            }
            let wrote = self.upstream.forward(progress.consumed, client).await;
            wrote.map_err(Ended::Client)?;
            match progress.state {
                State::More => {}
                State::LocalInfile => {
                    let last = pass_file(client, &mut self.upstream).await?;
                    response.local_infile_sent(last).map_err(client_fault)?;
                }
                State::Complete if self.upstream.unread().is_empty() => return Ok(()),
                State::Complete => return Err(server_fault(Misbehaviour::UnexpectedPacket("after an answer").into())),
            }
        }
    }

    async fn end_unreadable(&mut self, error: ProtocolError, sequence_id: u8) -> Ended {
        let refusal = commands::unreadable(&error, &self.arrival.id);
        let _ = self.arrival.client.send(&refusal.packet(sequence_id)).await;
        client_fault(error)
    }

    /// The answer is with the client, and what it was cannot be recorded: the next command is where the client can be
    /// told, and that one is not forwarded, for the recording would have a gap before it.
    async fn end_unrecorded(&mut self, ended: Ended) -> Ended {
        if self.next_command().await.is_err() {
            return ended;
        }
        let command = packet::frame(self.arrival.client.unread(), COMMAND_MAX);
        let Ok(Framed::Packet(packet)) = command else { return ended };
        let next_sequence_id = packet.last_sequence_id.wrapping_add(1);
        self.end_untold(ended, next_sequence_id).await
    }

    /// A command that could not be recorded was not forwarded: the client is told, and that is the end.
    async fn end_untold(&mut self, ended: Ended, sequence_id: u8) -> Ended {
        let refusal = Refusal::failed(&format!("nothing was forwarded: {ended}"), &self.arrival.id);
        let _ = self.arrival.client.send(&refusal.packet(sequence_id)).await;
        ended
    }
}

fn read<'p>(packet: &'p Packet<'_>) -> Result<Command<'p>, ProtocolError> {
    // A server answers any other with 1156 and ends: commands start a new exchange.
    if packet.first_sequence_id != 0 {
        return Err(Misbehaviour::SequenceId { expected: 0, got: packet.first_sequence_id }.into());
    }
    Command::parse(&packet.payload)
}

/// Forwards the client's file, packet by packet, up to the empty one. Returns that one's sequence id.
async fn pass_file(client: &mut Link, upstream: &mut Link) -> Result<u8, Ended> {
    loop {
        let wire_len = client.packet(COMMAND_MAX).await.map_err(Ended::Client)?;
        let last = wire_len == HEADER_LEN;
        let sequence_id = client.unread().get(HEADER_LEN - 1).copied().unwrap_or_default();
        client.forward(wire_len, upstream).await.map_err(Ended::Server)?;
        if last {
            return Ok(sequence_id);
        }
    }
}
