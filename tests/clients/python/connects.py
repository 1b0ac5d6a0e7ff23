"""Times connects, each closed at once by a reset, and prints the nanoseconds of each as JSON.

usage: connects.py HOST PORT COUNT

`connect` is connect(2) alone, `whole` goes from socket(2) to close(2). On one processor and before everybody else there, so
that it is the kernel's work that is timed and not who else had a turn.
"""
import json
import os
import socket
import struct
import sys
import time

host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(os.sched_get_priority_min(os.SCHED_FIFO)))
# A connection that ends by a reset leaves no port behind in TIME_WAIT: thousands would use them up.
reset = struct.pack("ii", 1, 0)
connects, wholes = [], []
for _ in range(count):
    begin = time.perf_counter_ns()
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
    before = time.perf_counter_ns()
    client.connect((host, port))
    after = time.perf_counter_ns()
    client.close()
    wholes.append(time.perf_counter_ns() - begin)
    connects.append(after - before)
print(json.dumps({"connect": connects, "whole": wholes}))
