//! The server's answer to one command, on its way to the client.

use std::time::{Duration, Instant};

use portreeve_mysql::{
    Misbehaviour,
    packet::{self, Passage},
    response::{Pass, Response, State},
};

use super::{
    Ended,
    arrival::{Arrival, Place},
    client_fault,
    commands::{FileRequest, Forwarded},
    journal::JournalError,
    link::{Link, LinkError},
    peer,
    refusal::Refusal,
    relay::Session,
    server_fault,
};
use crate::gateway::Gateway;

/// Bytes of commands that are read ahead while an answer is on its way, to notice that the client leaves. A client that
/// sends more in advance is there.
const READ_AHEAD_MAX: usize = 64 * 1024;
/// How often a client that ended its sending side is looked at: it may still wait for its answer.
const HALF_CLOSED_EVERY: Duration = Duration::from_secs(1);

/// What is heard first.
enum Heard {
    Server(usize),
    ClientGone,
}

/// What became of a server's request for a file.
enum FileTaken {
    Passed,
    /// The client has read an error, and the answer is over.
    Withheld,
}

/// An answer in the making.
struct Answering {
    response: Response,
    sent: Instant,
    first_byte: Option<Duration>,
    /// The sequence id of what may be put in behind what the client has, unless that ends within a packet.
    next_for_client: Option<u8>,
    /// The client left.
    abandoned: bool,
}

impl Session<'_> {
    /// Forwards the server's answer as it arrives.
    pub(super) async fn answer(
        &mut self,
        gateway: &Gateway,
        forwarded: Forwarded,
        first_sequence_id: u8,
        sent: Instant,
    ) -> Result<(), Ended> {
        let response = Response::new(forwarded.expect, self.negotiated())
            .with_first_sequence_id(first_sequence_id)
            .with_local_infile(forwarded.may_ask_for_a_file());
        let response = match forwarded.conceals() {
            true => response.with_concealing(forwarded.plan()),
            false => response,
        };
        let response = match self.arrival.journal.row_limits() {
            Some(limits) => response.with_rows(limits, forwarded.columns()),
            None => response,
        };
        let mut answering = Answering { response, sent, first_byte: None, next_for_client: None, abandoned: false };
        self.running = Some(forwarded.number);
        let ended = self.pass(gateway, &forwarded, &mut answering).await;
        if let Err(Ended::Recording(error)) = &ended {
            self.tell_unrecorded(error, answering.next_for_client).await;
        }
        let Answering { mut response, first_byte, abandoned, .. } = answering;
        let columns = response.columns().cloned();
        let summary = response.summary();
        let first_byte = first_byte.unwrap_or_default();
        if abandoned || matches!(ended, Err(Ended::Client(_))) {
            Box::pin(self.abandon(gateway, forwarded.number, "the client left")).await;
        }
        self.running = None;
        let recorded = self.arrival.journal.answered(forwarded.number, summary, first_byte, sent.elapsed());
        ended?;
        if let Err(error) = recorded {
            return Err(Box::pin(self.end_unrecorded(error.into())).await);
        }
        let anew = forwarded.begins_anew() && summary.error.is_none();
        let must_ask = self.commands.must_ask(&forwarded, summary);
        self.commands.settle(forwarded, summary, response.plan(), columns);
        if anew {
            Box::pin(self.begin_anew(gateway)).await?;
        } else if must_ask {
            Box::pin(self.read_on(gateway)).await?;
        }
        Ok(())
    }

    async fn pass(&mut self, gateway: &Gateway, forwarded: &Forwarded, answering: &mut Answering) -> Result<(), Ended> {
        loop {
            if !self.hear_more(answering).await? {
                answering.abandoned = true;
                return Err(Ended::Client(LinkError::Closed));
            }
            loop {
                let response = &mut answering.response;
                answering.next_for_client = (!response.is_within_packet()).then(|| response.next_sequence_id());
                let progress = response.feed(self.upstream.unread()).map_err(server_fault)?;
                match progress.state {
                    State::LocalInfile => {
                        let asked = self.file_asked_for(gateway, forwarded, answering, progress.consumed);
                        if let FileTaken::Withheld = Box::pin(asked).await? {
                            return Ok(());
                        }
                    }
                    State::More | State::Complete => {
                        if self.arrival.journal.row_limits().is_some() {
                            self.record_rows(forwarded.number, answering).await?;
                        }
                        self.pass_on(progress.consumed, progress.pass).await?;
                    }
                }
                match progress.state {
                    State::Complete if self.upstream.unread().is_empty() => return Ok(()),
                    State::Complete => {
                        return Err(server_fault(Misbehaviour::UnexpectedPacket("after an answer").into()));
                    }
                    State::More if progress.consumed == 0 || self.upstream.unread().is_empty() => break,
                    State::LocalInfile if self.upstream.unread().is_empty() => break,
                    State::More | State::LocalInfile => {}
                }
            }
        }
    }

    /// Part of the answer could not be recorded and is not forwarded. The client is told why, where a packet may be put in.
    async fn tell_unrecorded(&mut self, error: &JournalError, sequence_id: Option<u8>) {
        if let Some(sequence_id) = sequence_id {
            let what = format!("what follows of this answer was not forwarded: {error}");
            let _ = self.tell(&Refusal::failed(&what, &self.arrival.id), sequence_id).await;
        }
    }

    /// Records the rows whose last bytes are forwarded next.
    async fn record_rows(&mut self, number: u64, answering: &mut Answering) -> Result<(), Ended> {
        let journal = &mut self.arrival.journal;
        let taken = answering.response.take_rows();
        for rows in &taken {
            journal.rows(number, rows)?;
        }
        if !taken.is_empty() {
            journal.durable().await?;
        }
        Ok(())
    }

    async fn pass_on(&mut self, consumed: usize, pass: Pass) -> Result<(), Ended> {
        let client = &mut self.arrival.client;
        match pass {
            Pass::Verbatim => self.upstream.forward(consumed, client).await.map_err(Ended::Client),
            Pass::Rewritten(bytes) => {
                self.upstream.consume(consumed);
                client.send(&bytes).await.map_err(Ended::Client)
            }
        }
    }

    /// Reads on from the server. False when the client has left meanwhile.
    async fn hear_more(&mut self, answering: &mut Answering) -> Result<bool, Ended> {
        let Arrival { client, place, .. } = &mut *self.arrival;
        let heard = tokio::select! {
            biased;
            read = self.upstream.fill() => Heard::Server(read.map_err(|error| Ended::Server(error.into()))?),
            () = gone(client, place, &mut self.looked_for) => Heard::ClientGone,
        };
        match heard {
            Heard::ClientGone => Ok(false),
            Heard::Server(0) => {
                // The client's connection ends like the server's: drivers know what that means, and a session that was killed
                // looks as it does without us.
                Err(Ended::Server(LinkError::ClosedWithin))
            }
            Heard::Server(_) => {
                answering.first_byte.get_or_insert_with(|| answering.sent.elapsed());
                Ok(true)
            }
        }
    }

    /// The server asks for a file of the client. The request is not with the client yet: a hostile server may ask for any.
    async fn file_asked_for(
        &mut self,
        gateway: &Gateway,
        forwarded: &Forwarded,
        answering: &mut Answering,
        request_len: usize,
    ) -> Result<FileTaken, Ended> {
        let file = answering.response.local_infile_name().unwrap_or_default();
        match self.commands.file_request(gateway, forwarded, file) {
            FileRequest::Hostile => Err(server_fault(Misbehaviour::UnrequestedLocalInfile.into())),
            FileRequest::Stop => {
                self.arrival.journal.refused_file(file)?;
                self.withhold_file(answering, request_len).await?;
                Ok(FileTaken::Withheld)
            }
            FileRequest::Pass => {
                self.arrival.journal.asked_for_file(file)?;
                self.arrival.journal.durable().await?;
                let first_sequence_id = answering.response.next_sequence_id();
                let Arrival { client, .. } = &mut *self.arrival;
                client.expect_exchange(first_sequence_id);
                self.upstream.forward(request_len, client).await.map_err(Ended::Client)?;
                let last = self.pass_file(first_sequence_id).await?;
                answering.response.local_infile_sent(last).map_err(client_fault)?;
                Ok(FileTaken::Passed)
            }
        }
    }

    /// The server gets an empty file, and the client an error in place of the rest of the answer, which is used up.
    async fn withhold_file(&mut self, answering: &mut Answering, request_len: usize) -> Result<(), Ended> {
        let in_place_of_request = answering.response.next_sequence_id().wrapping_sub(1);
        self.upstream.consume(request_len);
        self.send_empty_file(answering).await?;
        // Nothing of what follows is for the client: an error ends a chain of results.
        loop {
            if self.upstream.unread().is_empty() && !self.hear_unpassed().await? {
                return Err(Ended::Server(LinkError::ClosedWithin));
            }
            let progress = answering.response.feed(self.upstream.unread()).map_err(server_fault)?;
            self.upstream.consume(progress.consumed);
            match progress.state {
                State::Complete if self.upstream.unread().is_empty() => break,
                State::Complete => {
                    return Err(server_fault(Misbehaviour::UnexpectedPacket("after an answer").into()));
                }
                // A text that was not read may load several files: none is given.
                State::LocalInfile => self.send_empty_file(answering).await?,
                State::More if progress.consumed == 0 && !self.hear_unpassed().await? => {
                    return Err(Ended::Server(LinkError::ClosedWithin));
                }
                State::More => {}
            }
        }
        let refusal = Refusal::file(&self.arrival.id);
        self.tell(&refusal, in_place_of_request).await
    }

    /// Forwards the client's file as it comes, up to the empty packet. Returns that one's sequence id.
    async fn pass_file(&mut self, first_sequence_id: u8) -> Result<u8, Ended> {
        let mut passage = Passage::up_to_empty(first_sequence_id);
        loop {
            let client = &mut self.arrival.client;
            let passed = passage.feed(client.unread()).map_err(client_fault)?;
            if passed.ended {
                self.upstream.expect_exchange(passage.last_sequence_id().wrapping_add(1));
            }
            client.forward(passed.consumed, &mut self.upstream).await.map_err(Ended::Server)?;
            if passed.ended {
                return Ok(passage.last_sequence_id());
            }
            self.more_of_client().await?;
        }
    }

    /// In answer to a request for a file that was used up.
    async fn send_empty_file(&mut self, answering: &mut Answering) -> Result<(), Ended> {
        let mut sequence_id = answering.response.next_sequence_id();
        let mut wire = Vec::new();
        packet::write_packet(&mut wire, &mut sequence_id, b"");
        self.upstream.expect_exchange(sequence_id);
        self.upstream.send(&wire).await.map_err(Ended::Server)?;
        answering.response.local_infile_sent(sequence_id.wrapping_sub(1)).map_err(server_fault)
    }

    /// False when the server has closed.
    async fn hear_unpassed(&mut self) -> Result<bool, Ended> {
        Ok(self.upstream.fill().await.map_err(|error| Ended::Server(error.into()))? > 0)
    }
}

/// Comes back when nobody waits for the answer any more. It is dropped and made anew as the answer comes: `looked_for` keeps
/// the time of the last look, so that there is one in a while however fast that is.
async fn gone(client: &mut Link, place: &Place, looked_for: &mut Option<Instant>) {
    loop {
        if !client.has_ended() && client.unread().len() < READ_AHEAD_MAX {
            match client.fill().await {
                Ok(0) => {}
                Ok(_) => continue,
                Err(_) => return,
            }
        }
        if let Some(at) = *looked_for {
            tokio::time::sleep_until((at + HALF_CLOSED_EVERY).into()).await;
        }
        *looked_for = Some(Instant::now());
        let Ok((peer, local)) = client.addresses() else { return };
        let place = place.clone();
        let looked = tokio::task::spawn_blocking(move || peer::is_gone(&place, peer, local)).await;
        if !matches!(looked, Ok(Ok(false))) {
            return;
        }
    }
}
