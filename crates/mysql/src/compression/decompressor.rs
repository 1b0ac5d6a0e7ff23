use flate2::{Decompress, FlushDecompress};
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation as _, OutBuffer};

use super::numbering::Numbering;
use super::{Algorithm, COMPRESSED_HEADER_LEN};
use crate::limits::DECOMPRESSED_STEP_MAX;
use crate::{Fault, ProtocolError};

const PACKET: &str = "compressed packet";
/// A window larger than the largest packet is of no use to anyone; it is memory that the peer makes us take.
const ZSTD_WINDOW_LOG_MAX: u32 = 24;

/// Reads one leg's compressed packets, in whatever pieces they arrive in.
///
/// Memory is bounded whatever is sent: what a packet decompresses to is handed out in steps, and ends with an error past
/// the length that its header announces (2^24-1 at most).
pub struct Decompressor {
    algorithm: Algorithm,
    place: Place,
    last_sequence_id: u8,
    numbering: Numbering,
    /// Made for the first packet that is compressed.
    decoder: Option<Codec>,
}

/// Where in the stream of compressed packets the next byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Header,
    /// That many bytes of payload are to come, uncompressed.
    Stored {
        left: usize,
    },
    /// Bytes of payload to come, and bytes they still make.
    Packed {
        left: usize,
        plain_left: usize,
        ended: bool,
    },
}

enum Codec {
    Zlib(Box<Decompress>),
    Zstd(Decoder<'static>),
}

/// How far [`Decompressor::feed`] came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decompressed {
    /// Bytes at the front of those fed that are done with; the rest is fed again, with more behind it.
    pub consumed: usize,
    /// Bytes appended.
    pub appended: usize,
}

/// One step of a codec.
struct Step {
    consumed: usize,
    produced: usize,
    ended: bool,
}

impl Decompressor {
    /// Numbers packets as commands until told otherwise.
    #[must_use]
    pub const fn new(algorithm: Algorithm) -> Self {
        Self { algorithm, place: Place::Header, last_sequence_id: 0, numbering: Numbering::commands(), decoder: None }
    }

    /// Gives every logical packet from the next one on sequence id 0: they are a client's commands.
    pub const fn number_commands(&mut self) {
        self.numbering.set_commands();
    }

    /// Gives the next packet that sequence id, and goes on from there: an answer, or a client's part of an exchange.
    pub const fn number_from(&mut self, sequence_id: u8) {
        self.numbering.set_exchange(sequence_id);
    }

    /// That of the compressed packet that began last: what is written on the same leg goes on behind it.
    #[must_use]
    pub const fn last_sequence_id(&self) -> u8 {
        self.last_sequence_id
    }

    /// Gives memory back while nothing is to be read; does nothing within a packet.
    pub fn rest(&mut self) {
        if self.place == Place::Header {
            self.decoder = None;
        }
    }

    /// Takes compressed bytes and appends plain ones, at most [`DECOMPRESSED_STEP_MAX`] in one call.
    ///
    /// It is called until it neither consumes nor appends anything: then more bytes are needed.
    ///
    /// # Errors
    /// `Malformed` for a payload that is not what the algorithm makes, or has another length than announced.
    pub fn feed(&mut self, bytes: &[u8], plain: &mut Vec<u8>) -> Result<Decompressed, ProtocolError> {
        let (mut rest, from) = (bytes, plain.len());
        loop {
            let appended = plain.len().saturating_sub(from);
            let room = DECOMPRESSED_STEP_MAX.saturating_sub(appended);
            let goes_on = match self.place {
                Place::Header => self.header(&mut rest)?,
                _ if room == 0 => false,
                Place::Stored { left } => self.stored(&mut rest, left, room, plain),
                Place::Packed { left, plain_left, ended } => {
                    self.packed(&mut rest, (left, plain_left, ended), room, plain)?
                }
            };
            if !goes_on {
                break;
            }
        }
        self.numbering.apply(plain.get_mut(from..).unwrap_or_default());
        let consumed = bytes.len().saturating_sub(rest.len());
        Ok(Decompressed { consumed, appended: plain.len().saturating_sub(from) })
    }

    fn header(&mut self, rest: &mut &[u8]) -> Result<bool, ProtocolError> {
        let Some((head, payload)) = rest.split_first_chunk::<COMPRESSED_HEADER_LEN>() else { return Ok(false) };
        let [low, middle, high, sequence_id, plain_low, plain_middle, plain_high] = *head;
        let left = u32::from_le_bytes([low, middle, high, 0]) as usize;
        let plain_left = u32::from_le_bytes([plain_low, plain_middle, plain_high, 0]) as usize;
        *rest = payload;
        self.last_sequence_id = sequence_id;
        self.place = match (left, plain_left) {
            (0, 0) => Place::Header,
            (left, 0) => Place::Stored { left },
            (left, plain_left) => {
                self.restart_decoder()?;
                Place::Packed { left, plain_left, ended: false }
            }
        };
        Ok(true)
    }

    fn stored(&mut self, rest: &mut &[u8], left: usize, room: usize, plain: &mut Vec<u8>) -> bool {
        let (taken, behind) = rest.split_at_checked(left.min(room)).unwrap_or((*rest, &[]));
        plain.extend_from_slice(taken);
        *rest = behind;
        let left = left.saturating_sub(taken.len());
        self.place = if left == 0 { Place::Header } else { Place::Stored { left } };
        !taken.is_empty()
    }

    fn packed(
        &mut self,
        rest: &mut &[u8],
        (left, plain_left, ended): (usize, usize, bool),
        room: usize,
        plain: &mut Vec<u8>,
    ) -> Result<bool, ProtocolError> {
        if left == 0 && ended {
            if plain_left > 0 {
                return Err(malformed("uncompressed length"));
            }
            self.place = Place::Header;
            return Ok(true);
        }
        let input = rest.get(..left).unwrap_or(rest);
        // Behind the end of what was compressed nothing may come.
        if ended {
            return if input.is_empty() { Ok(false) } else { Err(malformed("payload")) };
        }
        let from = plain.len();
        // One byte more than is due shows a payload that makes too much.
        plain.resize(from.saturating_add(room.min(plain_left.saturating_add(1))), 0);
        let step = self.step(input, plain.get_mut(from..).unwrap_or_default());
        let step = step.filter(|step| step.produced <= plain_left);
        plain.truncate(from.saturating_add(step.as_ref().map_or(0, |step| step.produced)));
        let Some(step) = step else { return Err(malformed("payload")) };
        *rest = rest.get(step.consumed..).unwrap_or_default();
        let left = left.saturating_sub(step.consumed);
        let idle = step.consumed == 0 && step.produced == 0 && !step.ended;
        if idle && left == 0 {
            return Err(malformed("payload"));
        }
        let plain_left = plain_left.saturating_sub(step.produced);
        self.place = Place::Packed { left, plain_left, ended: step.ended };
        Ok(!idle)
    }

    fn restart_decoder(&mut self) -> Result<(), ProtocolError> {
        match &mut self.decoder {
            Some(Codec::Zlib(decoder)) => decoder.reset(true),
            Some(Codec::Zstd(decoder)) => decoder.reinit().map_err(|_| malformed("payload"))?,
            None => self.decoder = Some(Codec::new(self.algorithm)?),
        }
        Ok(())
    }

    /// `None` for a payload that is not what the algorithm makes.
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Option<Step> {
        match self.decoder.as_mut()? {
            Codec::Zlib(decoder) => {
                let (total_in, total_out) = (decoder.total_in(), decoder.total_out());
                let status = match decoder.decompress(input, output, FlushDecompress::None) {
                    Ok(status) => status,
                    Err(_) => return None,
                };
                let consumed = usize::try_from(decoder.total_in().saturating_sub(total_in)).ok()?;
                let produced = usize::try_from(decoder.total_out().saturating_sub(total_out)).ok()?;
                Some(Step { consumed, produced, ended: status == flate2::Status::StreamEnd })
            }
            Codec::Zstd(decoder) => {
                let (mut input, mut output) = (InBuffer::around(input), OutBuffer::around(output));
                // 0 says that a frame is over and all of it handed out.
                let hint = decoder.run(&mut input, &mut output).ok()?;
                Some(Step { consumed: input.pos(), produced: output.pos(), ended: hint == 0 })
            }
        }
    }
}

impl Codec {
    fn new(algorithm: Algorithm) -> Result<Self, ProtocolError> {
        match algorithm {
            Algorithm::Zlib => Ok(Self::Zlib(Box::new(Decompress::new(true)))),
            Algorithm::Zstd => {
                let decoder = Decoder::new().and_then(|mut decoder| {
                    decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))?;
                    Ok(decoder)
                });
                decoder.map(Self::Zstd).map_err(|_| malformed("payload"))
            }
        }
    }
}

const fn malformed(field: &'static str) -> ProtocolError {
    ProtocolError::malformed(PACKET, field, Fault::Invalid)
}

impl std::fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decompressor")
            .field("algorithm", &self.algorithm)
            .field("place", &self.place)
            .field("last_sequence_id", &self.last_sequence_id)
            .field("numbering", &self.numbering)
            .finish_non_exhaustive()
    }
}
