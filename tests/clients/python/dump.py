"""A round trip with `mysqldump` or `mariadb-dump`: SCHEMA is dumped, the dump loaded into another schema and compared.

usage: dump.py HOST USER PASSWORD SCHEMA FILE DUMP CLIENT
DUMP and CLIENT are JSON lists of the words of their commands. Steps, which end the program with 1 where they fail:
  "dump": the dump's bytes and their SHA-256, without its comments
  "load": what the client says of it
  "checksums": of every table, equal in both schemas
  "routines": the names of the routines that arrived
"""
import hashlib
import json
import os
import subprocess
import sys

from steps import tell

host, user, password, schema, file, dump, client = sys.argv[1:]
login = [f"-h{host}", f"-u{user}", "--max-allowed-packet=256M"]
environment = {**os.environ, "MYSQL_PWD": password}
copy = schema + "_copy"


def run(words, *more, given=b""):
    done = subprocess.run([*json.loads(words), *login, *more], input=given, capture_output=True, env=environment)
    complaint = done.stderr.decode().splitlines()
    if done.returncode:
        sys.exit("\n".join(complaint))
    return done.stdout, complaint


def ask(sql):
    return run(client, "--batch", "--skip-column-names", "-e", sql)[0].decode().splitlines()


text, complaint = run(
    dump, "--single-transaction", "--routines", "--triggers", "--events", "--skip-comments", "--skip-dump-date", schema
)
tell("dump", bytes=len(text), hash=hashlib.sha256(text).hexdigest(), said=complaint)
ask(f"DROP DATABASE IF EXISTS {copy}")
ask(f"CREATE DATABASE {copy} CHARACTER SET utf8mb4")
_, complaint = run(client, copy, given=text)
tell("load", said=complaint)
tables = ask(f"SHOW TABLES FROM {schema}")
before, after = ([line.split(".")[1] for table in tables for line in ask(f"CHECKSUM TABLE {name}.{table}")] for name in (schema, copy))
tell("checksums", tables=before, equal=before == after)
tell("routines", names=ask(f"SELECT routine_name FROM information_schema.routines WHERE routine_schema = '{copy}'"))
ask(f"DROP DATABASE {copy}")
