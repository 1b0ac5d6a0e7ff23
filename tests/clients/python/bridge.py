"""Connects a TCP socket and hands it to its parent: what comes on standard input is sent, what arrives is printed.

usage: bridge.py HOST
Each piece of input is a length (4 bytes, big endian) and so many bytes, sent by one call with Nagle off: the parent
decides what a segment holds. The length 2^31 stands for no bytes: from there on pieces are sent in compressed packets
(zlib), and what arrives is taken out of them. The length 2^32-1 resets the connection (RST, no end of the stream) and
exits. Standard output ends when the peer closes. A connection that cannot be made: exit 1.
"""
import os
import socket
import struct
import sys
import threading
import zlib

COMPRESS = 1 << 31
RESET = 0xFFFFFFFF
PACKET_MAX = (1 << 24) - 1
# As the servers have it: what is shorter is sent as it is.
COMPRESSED_MIN = 50


class Wire:
    def __init__(self, host):
        self.socket = socket.create_connection((host, 3306))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.compressed = False
        self.next_number = 0

    def send(self, data):
        if not self.compressed:
            self.socket.sendall(data)
            return
        # A command, whose first packet has the number 0, begins a new count.
        if data[3] == 0:
            self.next_number = 0
        packets = []
        for start in range(0, len(data), PACKET_MAX):
            piece, before = data[start : start + PACKET_MAX], 0
            if len(piece) >= COMPRESSED_MIN:
                piece, before = zlib.compress(piece, 1), len(piece)
            packets.append(struct.pack("<I", len(piece))[:3] + bytes([self.next_number]))
            packets.append(struct.pack("<I", before)[:3] + piece)
            self.next_number = (self.next_number + 1) % 256
        self.socket.sendall(b"".join(packets))

    def arriving(self):
        held = b""
        while data := self.socket.recv(1 << 20):
            if not self.compressed:
                yield data
                continue
            held += data
            while len(held) >= 7:
                length, before = int.from_bytes(held[:3], "little"), int.from_bytes(held[4:7], "little")
                if len(held) < 7 + length:
                    break
                self.next_number = (held[3] + 1) % 256
                piece, held = held[7 : 7 + length], held[7 + length :]
                piece = zlib.decompress(piece) if before else piece
                if before and before != len(piece):
                    return
                yield piece


def print_what_arrives(wire):
    try:
        for data in wire.arriving():
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
    except (OSError, zlib.error):
        pass  # a reset ends the connection as well
    os.close(1)  # closing `sys.stdout` leaves the descriptor open


wire = Wire(sys.argv[1])
reader = threading.Thread(target=print_what_arrives, args=(wire,), daemon=True)
reader.start()
while head := sys.stdin.buffer.read(4):
    length = struct.unpack(">I", head)[0]
    if length == COMPRESS:
        wire.compressed = True
        continue
    if length == RESET:
        # socket(7): closing with a linger time of 0 sends a reset. The process's end closes: the reader holds the socket.
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os._exit(0)
    try:
        wire.send(sys.stdin.buffer.read(length))
    except OSError:
        break
else:
    try:
        wire.socket.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # The peer ended it first.
reader.join(timeout=10)
