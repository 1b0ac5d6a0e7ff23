//! Links whose leg is compressed, against a peer that says compressed packets byte by byte.

use super::*;
use portreeve_mysql::compression::{Compressor, Decompressor};

const BOTH: [Algorithm; 2] = [Algorithm::Zlib, Algorithm::Zstd];

/// One compressed packet with that id.
fn compressed(algorithm: Algorithm, id: u8, plain: &[u8]) -> Vec<u8> {
    let mut compressor = Compressor::new(algorithm, None);
    compressor.follow(id.wrapping_sub(1));
    let mut wire = Vec::new();
    compressor.compress(plain, &mut wire);
    wire
}

/// A packet of the protocol within.
fn packet(id: u8, payload: &[u8]) -> Vec<u8> {
    [&[u8::try_from(payload.len()).unwrap(), 0, 0, id], payload].concat()
}

/// Reads compressed packets off the socket until `plain` bytes were in them: their ids, and what was in them.
async fn read_packets(socket: &mut TcpStream, algorithm: Algorithm, plain: usize) -> (Vec<u8>, Vec<u8>) {
    let mut decompressor = Decompressor::new(algorithm);
    // Packets of an answer keep their own ids.
    decompressor.number_from(0);
    let (mut ids, mut read) = (Vec::new(), Vec::new());
    while read.len() < plain {
        let mut header = [0; 7];
        socket.read_exact(&mut header).await.unwrap();
        ids.push(header[3]);
        let mut body = vec![0; u32::from_le_bytes([header[0], header[1], header[2], 0]) as usize];
        socket.read_exact(&mut body).await.unwrap();
        let mut wire = [header.to_vec(), body].concat();
        loop {
            let step = decompressor.feed(&wire, &mut read).unwrap();
            wire.drain(..step.consumed);
            if step.consumed == 0 && step.appended == 0 {
                break;
            }
        }
    }
    (ids, read)
}

#[tokio::test]
async fn what_is_sent_compressed_arrives_whole() {
    for algorithm in BOTH {
        let (mut client, mut server) = pair().await;
        client.compress(algorithm, None);
        server.compress(algorithm, None);
        // Well compressed, badly compressed, and not worth it.
        let mut noise = 1_u32;
        let mut random = || {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (noise >> 24) as u8
        };
        let parts = [vec![7; 3_000_000], (0..1_000_000).map(|_| random()).collect(), b"short".to_vec()];
        // Bytes where ids of packets stand are the link's to write: one large packet has none within.
        let payload = parts.concat();
        let mut wire = Vec::new();
        packet::write_packet(&mut wire, &mut 0, &payload);
        client.begin_exchange(1);
        let (sent, ()) = tokio::join!(client.send(&wire), fill_to(&mut server, wire.len()));
        sent.unwrap();
        assert!(server.unread() == wire, "{algorithm:?}");
        assert!(client.sent > 1_000_000 && client.sent < 1_100_000, "{}", client.sent);
        server.rest();
        client.rest();
    }
}

#[tokio::test]
async fn an_answer_goes_on_behind_the_compressed_packet_that_its_command_ended_in() {
    for algorithm in BOTH {
        let (mut peer, accepted) = sockets().await;
        let mut link = Link::new(accepted).unwrap();
        link.compress(algorithm, None);
        let command = packet(0, &[b'q'; 120]);
        let answer = packet(1, &[b'a'; 100]);
        // Two commands in one segment, each of an exchange of its own, then one in three compressed packets.
        let pipelined = compressed(algorithm, 0, &command);
        peer.write_all(&[pipelined.clone(), pipelined].concat()).await.unwrap();
        let split: Vec<u8> =
            command.chunks(50).zip(0..).flat_map(|(part, id)| compressed(algorithm, id, part)).collect();
        peer.write_all(&split).await.unwrap();
        for expected in [1, 1, 3] {
            link.expect_commands();
            fill_to(&mut link, command.len()).await;
            assert_eq!(link.unread()[..command.len()], command);
            link.consume(command.len());
            link.send(&answer).await.unwrap();
            // The next command is read ahead before the answer is whole.
            if expected == 1 {
                fill_to(&mut link, 1).await;
            }
            link.send(&answer).await.unwrap();
            let (ids, read) = read_packets(&mut peer, algorithm, answer.len() * 2).await;
            assert_eq!(ids, [expected, expected + 1], "{algorithm:?}");
            assert_eq!(read.len(), answer.len() * 2);
        }
    }
}

#[tokio::test]
async fn an_exchange_with_a_server_begins_at_zero_and_its_answer_is_numbered_as_in_the_plain_protocol() {
    for algorithm in BOTH {
        let (dialled, mut peer) = sockets().await;
        let mut link = Link::new(dialled).unwrap();
        link.compress(algorithm, None);
        let command = packet(0, &[b'q'; 80]);
        for _ in 0..2 {
            link.begin_exchange(1);
            link.send(&command).await.unwrap();
            let (ids, read) = read_packets(&mut peer, algorithm, command.len()).await;
            assert_eq!((ids, read), (vec![0], command.clone()));
            // A server that flushed counts packets within as it likes.
            let answer = [packet(9, b"one"), packet(77, b"two")].concat();
            peer.write_all(&compressed(algorithm, 1, &answer)).await.unwrap();
            fill_to(&mut link, answer.len()).await;
            assert_eq!(link.unread(), [packet(1, b"one"), packet(2, b"two")].concat());
            link.consume(answer.len());
            // As a file that the server asked for.
            let file = packet(3, &[b'f'; 60]);
            link.send(&file).await.unwrap();
            let (ids, _) = read_packets(&mut peer, algorithm, file.len()).await;
            assert_eq!(ids, [2]);
            // As between two commands.
            link.rest();
        }
    }
}

#[tokio::test]
async fn what_was_read_before_compression_is_the_first_of_it() {
    let (mut peer, accepted) = sockets().await;
    let mut link = Link::new(accepted).unwrap();
    let command = packet(0, &[b'q'; 120]);
    let wire = compressed(Algorithm::Zlib, 0, &command);
    peer.write_all(&wire).await.unwrap();
    fill_to(&mut link, wire.len()).await;
    link.compress(Algorithm::Zlib, None);
    assert_eq!(link.unread(), b"");
    fill_to(&mut link, command.len()).await;
    assert_eq!(link.unread(), command);
}

#[tokio::test]
async fn a_compressed_packet_that_is_none_is_a_protocol_error_and_one_cut_short_an_end_within() {
    let (mut peer, accepted) = sockets().await;
    let mut link = Link::new(accepted).unwrap();
    link.compress(Algorithm::Zlib, None);
    peer.write_all(b"\x05\0\0\0\x10\0\0abcde").await.unwrap();
    let error = LinkError::from(link.fill().await.unwrap_err());
    assert!(matches!(error, LinkError::Protocol(_)), "{error:?}");

    let (mut peer, accepted) = sockets().await;
    let mut link = Link::new(accepted).unwrap();
    link.compress(Algorithm::Zlib, None);
    peer.write_all(b"\x05\0\0\0\0\0\0ab").await.unwrap();
    drop(peer);
    assert_eq!(link.fill().await.unwrap(), 2);
    assert_eq!(link.fill().await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
}
