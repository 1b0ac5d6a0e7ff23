//! Bytes of any number that pass in a buffer's worth of memory: long data, and the stream of replication.

use std::time::{Duration, Instant};

use portreeve_mysql::{
    Misbehaviour,
    command::LongDataHead,
    limits::HEADER_LEN,
    packet::Passage,
    response::{Expect, Response, State},
};

use super::{
    Ended, client_fault,
    commands::Action,
    link::{Link, LinkError},
    parameters,
    relay::{STATEMENT_ID_AT, Session},
    server_fault,
};

/// First byte of a replica's acknowledgement (`ReplSemiSyncBase::kPacketMagicNum`): all that it sends during a stream.
const ACKNOWLEDGEMENT: u8 = 0xEF;
/// Payload bytes of an acknowledgement: a position of eight bytes, and a file name.
const ACKNOWLEDGEMENT_MAX: usize = 1024;

impl Session<'_> {
    /// `COM_STMT_SEND_LONG_DATA` of a length that is not waited for: recorded by its beginning, then forwarded as it comes,
    /// or dropped as it comes where no statement has the id.
    pub(super) async fn stream_long_data(&mut self, head: &LongDataHead) -> Result<(), Ended> {
        let client = &self.arrival.client;
        let data = client.unread().get(HEADER_LEN + LongDataHead::LEN..).unwrap_or_default();
        let length = client.announced().saturating_sub(LongDataHead::LEN);
        let kept = parameters::beginning_of_long_data(data, length).into_owned();
        let action = self.commands.send_long_data(&mut self.arrival.journal, head.statement, head.parameter, kept)?;
        let forward = match action {
            Action::ForwardUnanswered { statement_id: Some(id) } => {
                self.arrival.journal.durable().await?;
                self.arrival.client.overwrite(STATEMENT_ID_AT, &id.to_le_bytes());
                self.upstream.begin_exchange(1);
                true
            }
            _ => false,
        };
        let mut passage = Passage::one_packet(0);
        loop {
            let client = &mut self.arrival.client;
            let passed = passage.feed(client.unread()).map_err(client_fault)?;
            match forward {
                true => client.forward(passed.consumed, &mut self.upstream).await.map_err(Ended::Server)?,
                false => client.consume(passed.consumed),
            }
            if passed.ended {
                return Ok(());
            }
            self.more_of_client().await?;
        }
    }

    /// Passes a stream of replication: the server's events as they come, the client's acknowledgements of them, and nothing
    /// else of the client before the stream is over.
    pub(super) async fn replicate(&mut self, number: u64, wire_len: usize) -> Result<(), Ended> {
        let sent = Instant::now();
        self.upstream.begin_exchange(1);
        self.arrival.client.forward(wire_len, &mut self.upstream).await.map_err(Ended::Server)?;
        let mut response = Response::new(Expect::BinlogDump, self.negotiated());
        let mut first_byte = None;
        let ended = self.pass_stream(&mut response, &mut first_byte, sent).await;
        let first_byte: Duration = first_byte.unwrap_or_default();
        self.arrival.journal.answered(number, response.summary(), first_byte, sent.elapsed())?;
        ended
    }

    async fn pass_stream(
        &mut self,
        response: &mut Response,
        first_byte: &mut Option<Duration>,
        sent: Instant,
    ) -> Result<(), Ended> {
        let client = &mut self.arrival.client;
        // A command that was sent ahead waits for the end of the stream.
        let mut waits = pass_acknowledgements(client, &mut self.upstream).await?;
        loop {
            tokio::select! {
                read = self.upstream.fill() => {
                    if read.map_err(|error| Ended::Server(error.into()))? == 0 {
                        return Err(Ended::Server(LinkError::Closed));
                    }
                    first_byte.get_or_insert_with(|| sent.elapsed());
                    let progress = response.feed(self.upstream.unread()).map_err(server_fault)?;
                    self.upstream.forward(progress.consumed, client).await.map_err(Ended::Client)?;
                    match progress.state {
                        State::Complete if self.upstream.unread().is_empty() => return Ok(()),
                        State::Complete => {
                            return Err(server_fault(Misbehaviour::UnexpectedPacket("after an answer").into()));
                        }
                        State::More => {}
                        State::LocalInfile => return Err(server_fault(Misbehaviour::UnrequestedLocalInfile.into())),
                    }
                }
                read = client.fill(), if !waits => {
                    if read.map_err(|error| Ended::Client(error.into()))? == 0 {
                        return Err(Ended::Client(LinkError::Closed));
                    }
                    waits = pass_acknowledgements(client, &mut self.upstream).await?;
                }
            }
        }
    }
}

/// Forwards the acknowledgements at the front of what the client sent. True when something else is there.
async fn pass_acknowledgements(client: &mut Link, upstream: &mut Link) -> Result<bool, Ended> {
    while client.unread().len() > HEADER_LEN {
        let is_acknowledgement = client.unread().get(HEADER_LEN) == Some(&ACKNOWLEDGEMENT);
        if !is_acknowledgement || client.announced() > ACKNOWLEDGEMENT_MAX {
            return Ok(true);
        }
        if !client.has_short_packet() {
            break;
        }
        let wire_len = client.announced().saturating_add(HEADER_LEN);
        client.forward(wire_len, upstream).await.map_err(Ended::Server)?;
    }
    Ok(false)
}
