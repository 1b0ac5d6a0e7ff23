"""Many clients that connect, ask and leave, again and again, and count what went wrong: nothing may. No statement occurs twice:
each holds the mark `steady-<process id>-<number>.`. Ends when its standard input does, and prints what it did as JSON: `errors` is how
often each was seen.

usage: steady.py HOST USER PASSWORD SCHEMA CLIENTS
"""
import itertools
import json
import os
import sys
import threading
import time

import pymysql

STATEMENTS_PER_CONNECTION = 10
PAUSE_S = 0.01

host, user, password, schema, clients = sys.argv[1:]
marks = (f"steady-{os.getpid()}-{number}." for number in itertools.count())
lock = threading.Lock()
done = {"connects": 0, "statements": 0, "longest_connect_ms": 0, "errors": {}}
ended = threading.Event()


def connect():
    start = time.monotonic()
    connection = pymysql.connect(host=host, user=user, password=password, database=schema or None)
    with lock:
        done["connects"] += 1
        done["longest_connect_ms"] = max(done["longest_connect_ms"], int((time.monotonic() - start) * 1000))
    return connection


def session():
    with connect() as connection, connection.cursor() as cursor:
        for _ in range(STATEMENTS_PER_CONNECTION):
            with lock:
                mark = next(marks)
            cursor.execute(f"SELECT '{mark}'")
            if cursor.fetchall() != ((mark,),):
                raise ValueError(f"another answer than {mark}")
            with lock:
                done["statements"] += 1
            time.sleep(PAUSE_S)


def client():
    while not ended.is_set():
        try:
            session()
        except Exception as error:
            with lock:
                done["errors"][repr(error)] = done["errors"].get(repr(error), 0) + 1
            time.sleep(PAUSE_S)


threads = [threading.Thread(target=client) for _ in range(int(clients))]
for thread in threads:
    thread.start()
sys.stdin.read()
ended.set()
for thread in threads:
    thread.join()
print(json.dumps(done))
