"""Opens idle connections, says `ready`, and holds them until its standard input ends.

usage: idle.py HOST USER PASSWORD SCHEMA COUNT
"""
import sys

import pymysql

host, user, password, schema, count = sys.argv[1:]
connections = [
    pymysql.connect(host=host, user=user, password=password, database=schema or None, ssl_disabled=True) for _ in range(int(count))
]
print("ready", flush=True)
sys.stdin.read()
for connection in connections:
    connection.close()
