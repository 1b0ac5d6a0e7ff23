//! Bytes of any number that pass in a buffer's worth of memory: long data, and the stream of replication.

use std::time::{Duration, Instant};

use portreeve_mysql::{command::LongDataHead, limits::HEADER_LEN, packet::Passage, response::Summary};

use super::{
    Ended, client_fault,
    commands::Action,
    link::{Link, LinkError},
    parameters,
    relay::Session,
};

impl Session<'_> {
    /// `COM_STMT_SEND_LONG_DATA` of a length that is not waited for: recorded by its beginning, then forwarded as it comes,
    /// or dropped as it comes where no statement has the id.
    pub(super) async fn stream_long_data(&mut self, head: &LongDataHead) -> Result<(), Ended> {
        let client = &self.arrival.client;
        let unread = client.unread();
        let announced = unread.first_chunk().map_or(0, |[low, middle, high, _]: &[u8; HEADER_LEN]| {
            u32::from_le_bytes([*low, *middle, *high, 0])
        });
        let data = unread.get(HEADER_LEN + LongDataHead::LEN..).unwrap_or_default();
        let length = u64::from(announced).saturating_sub(LongDataHead::LEN as u64);
        let kept = parameters::long_data_of(data, length).into_owned();
        let action = self.commands.send_long_data(&mut self.arrival.journal, head.statement, head.parameter, kept)?;
        let forward = match action {
            Action::ForwardUnanswered { statement_id } => {
                self.upstream.begin_exchange(1);
                if let Some(id) = statement_id {
                    self.arrival.client.write_statement_id(id);
                }
                true
            }
            _ => false,
        };
        let mut passage = Passage::of_packet(0);
        loop {
            let client = &mut self.arrival.client;
            if client.unread().is_empty() && client.fill().await.map_err(|error| Ended::Client(error.into()))? == 0 {
                return Err(Ended::Client(LinkError::ClosedWithin));
            }
            let progress = passage.feed(client.unread()).map_err(client_fault)?;
            if forward {
                client.forward(progress.consumed, &mut self.upstream).await.map_err(Ended::Server)?;
            } else {
                client.consume(progress.consumed);
            }
            if progress.ended.is_some() {
                return Ok(());
            }
        }
    }

    /// Passes bytes both ways until either side ends: what the server sends is a stream of events without an end, and what
    /// the client sends are acknowledgements.
    pub(super) async fn replicate(&mut self, number: u64, wire_len: usize) -> Result<(), Ended> {
        let sent = Instant::now();
        let received = self.upstream.received;
        self.upstream.begin_exchange(1);
        self.arrival.client.forward(wire_len, &mut self.upstream).await.map_err(Ended::Server)?;
        let mut first_byte = None;
        let ended = loop {
            let client = &mut self.arrival.client;
            let passed = tokio::select! {
                read = self.upstream.fill() => match read {
                    Ok(0) => Err(Ended::Server(LinkError::Closed)),
                    Ok(_) => {
                        first_byte.get_or_insert_with(|| sent.elapsed());
                        pass_all(&mut self.upstream, client).await.map_err(Ended::Client)
                    }
                    Err(error) => Err(Ended::Server(error.into())),
                },
                read = client.fill() => match read {
                    Ok(0) => Err(Ended::Client(LinkError::Closed)),
                    Ok(_) => pass_all(client, &mut self.upstream).await.map_err(Ended::Server),
                    Err(error) => Err(Ended::Client(error.into())),
                },
            };
            if let Err(ended) = passed {
                break ended;
            }
        };
        let summary = Summary { bytes: self.upstream.received.saturating_sub(received), ..Summary::default() };
        let first_byte: Duration = first_byte.unwrap_or_default();
        self.arrival.journal.answered(number, &summary, first_byte, sent.elapsed())?;
        Err(ended)
    }
}

async fn pass_all(from: &mut Link, to: &mut Link) -> Result<(), LinkError> {
    let count = from.unread().len();
    from.forward(count, to).await
}
