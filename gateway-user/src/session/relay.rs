//! The command phase: one command at a time, in order; its answer forwarded byte for byte.

use std::{
    convert::Infallible,
    time::{Duration, Instant},
};

use portreeve_mysql::{
    Misbehaviour, ProtocolError,
    capabilities::Negotiated,
    command::{Command, LongDataHead},
    limits::{HEADER_LEN, HELD_PACKET_MAX, PACKET_PAYLOAD_MAX},
    login::ServerLeg,
    outcome::ErrorPacket,
    packet::{self, Framed, Packet},
};
use tokio::time::timeout;

use super::{
    Ended,
    arrival::{Arrival, Route},
    client_fault,
    commands::{Action, Commands, unreadable},
    link::{Link, LinkError},
    login::ClientLeg,
    refusal::Refusal,
    server_fault,
};
use crate::{connections::Connection, gateway::Gateway, workloads::Workload};

/// Payload bytes of one command. A statement is judged whole, so that it is held whole.
pub(super) const COMMAND_MAX: usize = 64 * 1024 * 1024;
/// How long a client may pause within a command or a file. The servers' own `net_read_timeout` is 30 s by default.
const CLIENT_PAUSE_MAX: Duration = Duration::from_secs(60);
/// How long a server may take over the error that it ends a session with.
const LAST_WORD_MAX: Duration = Duration::from_secs(5);
/// The whole packet.
pub(super) const COM_QUIT: &[u8] = b"\x01\0\0\0\x01";
/// Bytes of the statement's id behind header and command byte.
pub(super) const STATEMENT_ID_AT: usize = HEADER_LEN + 1;

/// A session that is logged in on both legs.
///
/// What happens once in a while (a change of user, a kill, a stream) is boxed where it is called: an idle session holds
/// the room for everything that its futures might.
pub(super) struct Session<'a> {
    pub(super) arrival: &'a mut Arrival,
    pub(super) upstream: Link,
    pub(super) route: Route<'a>,
    pub(super) workload: &'a Workload,
    pub(super) client: ClientLeg,
    pub(super) leg: ServerLeg,
    /// In the register of connections for as long as the session lives.
    pub(super) connection: Connection<'a>,
    pub(super) commands: Commands,
    /// Number of the statement that the server is at work on.
    pub(super) running: Option<u64>,
    /// When the client was last looked for, once it had said that it sends no more.
    pub(super) looked_for: Option<Instant>,
}

impl<'a> Session<'a> {
    #[expect(clippy::too_many_arguments, reason = "what two logins came to, once")]
    pub(super) fn new(
        arrival: &'a mut Arrival,
        upstream: Link,
        route: Route<'a>,
        workload: &'a Workload,
        client: ClientLeg,
        leg: ServerLeg,
        connection: Connection<'a>,
        commands: Commands,
    ) -> Self {
        Self { arrival, upstream, route, workload, client, leg, connection, commands, running: None, looked_for: None }
    }

    pub(super) fn bytes_to_server(&self) -> u64 {
        self.upstream.sent
    }

    /// In force on both legs, as far as it lays out commands and answers.
    pub(super) fn negotiated(&self) -> Negotiated {
        self.client.capabilities
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
        self.arrival.client.expect_commands();
        self.wait_for_command().await?;
        if let Some(head) = self.streamed_head().await? {
            return Box::pin(self.stream_long_data(&head)).await;
        }
        let wire_len = match self.whole_command().await {
            Ok(wire_len) => wire_len,
            // Most likely a command over the bound, judged by its header: the client is still sending it.
            Err(Ended::Client(LinkError::Protocol(error))) => {
                let full_packets = self.arrival.client.unread().len() / (HEADER_LEN + PACKET_PAYLOAD_MAX);
                // Sequence ids wrap.
                let next_sequence_id = (full_packets as u8).wrapping_add(1);
                return Err(Box::pin(self.end_unreadable(error, next_sequence_id)).await);
            }
            Err(ended) => return Err(ended),
        };
        if self.commands.take_policies(gateway) {
            // In a session that began when no verdict depended on how the server reads texts.
            Box::pin(self.read_on(gateway)).await?;
        }
        self.take_command(gateway, wire_len).await
    }

    /// Judges, records and carries out the command at the front of what the client sent.
    async fn take_command(&mut self, gateway: &Gateway, wire_len: usize) -> Result<(), Ended> {
        let negotiated = self.negotiated();
        let Arrival { client, journal, .. } = &mut *self.arrival;
        let Framed::Packet(packet) = packet::frame(client.unread(), COMMAND_MAX).map_err(client_fault)? else {
            return Err(Ended::Client(LinkError::ClosedWithin));
        };
        let next_sequence_id = packet.last_sequence_id.wrapping_add(1);
        let command = match read(&packet, negotiated) {
            Ok(command) => command,
            Err(ProtocolError::Misbehaved(Misbehaviour::EmptyCommand)) => {
                client.consume(wire_len);
                return self.tell(&Refusal::unknown_command(), next_sequence_id).await;
            }
            Err(error @ ProtocolError::Malformed { .. }) => {
                let byte = packet.payload.first().copied().unwrap_or_default();
                let answered = self.commands.malformed(gateway, journal, byte, &error);
                client.consume(wire_len);
                return match answered {
                    Ok(Action::Answer(refusal)) => self.tell(&refusal, next_sequence_id).await,
                    Ok(_) => Ok(()),
                    Err(ended) => Err(self.end_untold(ended, next_sequence_id).await),
                };
            }
            Err(error) => return Err(self.end_unreadable(error, next_sequence_id).await),
        };
        let facts = self.commands.analyse_aside(&command).await;
        let action = match self.commands.decide(gateway, journal, &command, facts) {
            Ok(action) => action,
            Err(ended) => return Err(self.end_untold(ended, next_sequence_id).await),
        };
        if let Err(error) = journal.durable().await {
            return Err(self.end_untold(error.into(), next_sequence_id).await);
        }
        match action {
            Action::Forward(forwarded) => {
                let sent = Instant::now();
                let _changing = forwarded.changes_definitions().then(|| self.commands.definitions.begin_change());
                match &forwarded.canonical {
                    None => self.forward_command(wire_len, forwarded.statement_id, next_sequence_id).await?,
                    Some(text) => {
                        let wire = anew(&packet, &command, text)?;
                        client.consume(wire_len);
                        self.upstream.begin_exchange(next_sequence_id);
                        self.upstream.send(&wire).await.map_err(Ended::Server)?;
                    }
                }
                self.answer(gateway, forwarded, next_sequence_id, sent).await
            }
            Action::Look => {
                Box::pin(self.look(gateway)).await;
                Box::pin(self.take_command(gateway, wire_len)).await
            }
            Action::ForwardUnanswered { statement_id } => {
                self.forward_command(wire_len, statement_id, next_sequence_id).await
            }
            Action::Answer(refusal) => {
                client.consume(wire_len);
                self.tell(&refusal, next_sequence_id).await
            }
            Action::Drop => {
                client.consume(wire_len);
                Ok(())
            }
            Action::ChangeUser => {
                let request = packet.payload.into_owned();
                client.consume_secret(wire_len);
                Box::pin(self.change_user(gateway, request.into(), next_sequence_id)).await
            }
            Action::Replicate { number } => Box::pin(self.replicate(number, wire_len)).await,
            Action::Quit => {
                // The server is told, so that it does not count an aborted connection, in the gateway's own words: what stands
                // behind the client's is no part of them.
                self.upstream.begin_exchange(1);
                let _ = self.upstream.send(COM_QUIT).await;
                Err(Ended::ClientQuit)
            }
        }
    }

    /// Sends the command on. Where `statement_id` is given, the server reads that id, whatever the client wrote.
    async fn forward_command(
        &mut self,
        wire_len: usize,
        statement_id: Option<u32>,
        next_sequence_id: u8,
    ) -> Result<(), Ended> {
        let client = &mut self.arrival.client;
        self.upstream.begin_exchange(next_sequence_id);
        if let Some(id) = statement_id {
            client.overwrite(STATEMENT_ID_AT, &id.to_le_bytes());
        }
        client.forward(wire_len, &mut self.upstream).await.map_err(Ended::Server)
    }

    /// Waits for the first bytes of a command, and meanwhile for the server to say that it ends the session.
    async fn wait_for_command(&mut self) -> Result<(), Ended> {
        let Arrival { client, .. } = &mut *self.arrival;
        if client.unread().len() >= HEADER_LEN {
            return Ok(());
        }
        client.rest();
        self.upstream.rest();
        tokio::select! {
            biased;
            read = client.fill() => match read.map_err(|error| Ended::Client(error.into()))? {
                0 if client.unread().is_empty() => Err(Ended::Client(LinkError::Closed)),
                0 => Err(Ended::Client(LinkError::ClosedWithin)),
                _ => Ok(()),
            },
            read = self.upstream.fill() => {
                let read = read.map_err(|error| Ended::Server(error.into()))?;
                Err(Box::pin(self.server_spoke(read)).await)
            }
        }
    }

    /// The head of a command that is not held whole: long data of any length passes in a buffer's worth of memory.
    async fn streamed_head(&mut self) -> Result<Option<LongDataHead>, Ended> {
        while self.arrival.client.unread().len() < HEADER_LEN {
            self.more_of_client().await?;
        }
        if self.arrival.client.has_short_packet() || self.arrival.client.announced() < LongDataHead::LEN {
            return Ok(None);
        }
        while self.arrival.client.unread().len() < HEADER_LEN + LongDataHead::LEN {
            self.more_of_client().await?;
        }
        LongDataHead::parse(self.arrival.client.unread().get(HEADER_LEN..).unwrap_or_default()).map_err(client_fault)
    }

    /// Reads on until a whole command is at the front of what the client sent. Returns the bytes it takes on the wire.
    async fn whole_command(&mut self) -> Result<usize, Ended> {
        loop {
            match packet::frame(self.arrival.client.unread(), COMMAND_MAX).map_err(client_fault)? {
                Framed::Packet(packet) => return Ok(packet.wire_len),
                Framed::Incomplete { .. } => self.more_of_client().await?,
            }
        }
    }

    /// Reads on from a client that is in the middle of something, and hears the server end the session meanwhile. A client
    /// that stops there is not waited for: a server would not do so either (`net_read_timeout`).
    pub(super) async fn more_of_client(&mut self) -> Result<(), Ended> {
        let client = &mut self.arrival.client;
        let server_read = tokio::select! {
            biased;
            read = client.fill() => match read.map_err(|error| Ended::Client(error.into()))? {
                0 => return Err(Ended::Client(LinkError::ClosedWithin)),
                _ => return Ok(()),
            },
            read = self.upstream.fill() => read.map_err(|error| Ended::Server(error.into()))?,
            () = tokio::time::sleep(CLIENT_PAUSE_MAX) => return Err(Ended::ClientPause),
        };
        Err(Box::pin(self.server_spoke(server_read)).await)
    }

    /// The server speaks first only to end the session (`wait_timeout`, `KILL`, shutdown): the client reads what it
    /// would have read without us.
    async fn server_spoke(&mut self, read: usize) -> Ended {
        if read == 0 {
            return Ended::Server(LinkError::Closed);
        }
        let wire_len = match timeout(LAST_WORD_MAX, self.upstream.packet(HELD_PACKET_MAX)).await {
            Ok(Ok(wire_len)) => wire_len,
            Ok(Err(error)) => return Ended::Server(error),
            Err(_) => return Ended::Server(LinkError::ClosedWithin),
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

    /// Sends an error of the gateway's own; the session goes on.
    pub(super) async fn tell(&mut self, refusal: &Refusal, sequence_id: u8) -> Result<(), Ended> {
        self.arrival.client.send(&refusal.packet(sequence_id)).await.map_err(Ended::Client)
    }

    async fn end_unreadable(&mut self, error: ProtocolError, sequence_id: u8) -> Ended {
        let refusal = unreadable(&error, &self.arrival.id);
        // An exchange that began wrong is none: servers answer from its beginning.
        let begun_wrong = matches!(error, ProtocolError::Misbehaved(Misbehaviour::SequenceId { .. }));
        let sequence_id = if begun_wrong { 0 } else { sequence_id };
        // On a compressed leg, what is sent goes on behind what was used.
        self.arrival.client.consume(usize::MAX);
        let _ = self.tell(&refusal, sequence_id).await;
        client_fault(error)
    }

    /// The answer is with the client, and what it was cannot be recorded: the next command is where the client can be
    /// told, and that one is not forwarded, for the recording would have a gap before it.
    pub(super) async fn end_unrecorded(&mut self, ended: Ended) -> Ended {
        if self.wait_for_command().await.is_err() || self.whole_command().await.is_err() {
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
        self.arrival.client.consume(usize::MAX);
        let _ = self.tell(&refusal, sequence_id).await;
        ended
    }
}

/// The command with another text: its byte and its query attributes stay. It is cut into as many packets as the client's, so
/// that the answer's sequence ids are those that the client waits for.
///
/// # Errors
/// A longer text would need one packet more (16 MiB of query attributes before a short text).
fn anew(packet: &Packet<'_>, command: &Command<'_>, text: &str) -> Result<Vec<u8>, Ended> {
    let sql = match *command {
        Command::Query { sql, .. } | Command::StmtPrepare { sql } => sql,
        _ => return Err(Ended::Refused("a command without a text has another text".to_owned())),
    };
    let length = packet.payload.len();
    let head = packet.payload.get(..length.saturating_sub(sql.len())).unwrap_or_default();
    let mut payload = Vec::with_capacity(length);
    payload.extend_from_slice(head);
    payload.extend_from_slice(text.as_bytes());
    if length >= PACKET_PAYLOAD_MAX && payload.len() < length {
        payload.resize(length, b' ');
    }
    if payload.len() / PACKET_PAYLOAD_MAX != length / PACKET_PAYLOAD_MAX {
        return Err(Ended::Refused("the canonical text does not fit where the client's was".to_owned()));
    }
    let mut wire = Vec::with_capacity(payload.len().saturating_add(HEADER_LEN));
    packet::write_packet(&mut wire, &mut 0, &payload);
    Ok(wire)
}

fn read<'p>(packet: &'p Packet<'_>, negotiated: Negotiated) -> Result<Command<'p>, ProtocolError> {
    // A server answers any other with 1156 and ends: commands start a new exchange.
    if packet.first_sequence_id != 0 {
        return Err(Misbehaviour::SequenceId { expected: 0, got: packet.first_sequence_id }.into());
    }
    Command::parse(&packet.payload, negotiated)
}
