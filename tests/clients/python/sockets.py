"""Opens connections and says nothing on them, says `ready` itself, and holds them until its standard input ends.

usage: sockets.py HOST PORT COUNT
"""
import socket
import sys

host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
connections = [socket.create_connection((host, port)) for _ in range(count)]
print("ready", flush=True)
sys.stdin.read()
