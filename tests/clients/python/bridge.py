"""Connects a TCP socket and hands it to its parent: what comes on standard input is sent, what arrives is printed.

usage: bridge.py HOST
Each piece of input is a length (4 bytes, big endian) and so many bytes, sent by one call with Nagle off: the parent
decides what a segment holds. A length of 0xffffffff resets the connection (RST, no end of the stream) and exits.
Standard output ends when the peer closes. A connection that cannot be made: exit 1.
"""
import os
import socket
import struct
import sys
import threading

RESET = 0xFFFFFFFF


def print_what_arrives(connection):
    try:
        while data := connection.recv(1 << 16):
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
    except OSError:
        pass  # a reset ends the connection as well
    os.close(1)  # closing `sys.stdout` leaves the descriptor open


connection = socket.create_connection((sys.argv[1], 3306))
connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
reader = threading.Thread(target=print_what_arrives, args=(connection,), daemon=True)
reader.start()
while head := sys.stdin.buffer.read(4):
    length = struct.unpack(">I", head)[0]
    if length == RESET:
        # socket(7): closing with a linger time of 0 sends a reset. The process's end closes: the reader holds the socket.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os._exit(0)
    try:
        connection.sendall(sys.stdin.buffer.read(length))
    except OSError:
        break
else:
    try:
        connection.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # The peer ended it first.
reader.join(timeout=10)
