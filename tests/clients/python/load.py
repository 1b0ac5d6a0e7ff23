"""Connects, asks some statements and leaves, again and again, until it is killed. No statement occurs twice: each holds the mark
`load-<process id>-<number>.`.

usage: load.py HOST USER PASSWORD SCHEMA
"""
import itertools
import os
import sys
import time

import pymysql

STATEMENTS_PER_CONNECTION = 20

host, user, password, schema = sys.argv[1:]
marks = (f"load-{os.getpid()}-{number}." for number in itertools.count())
while True:
    try:
        with pymysql.connect(host=host, user=user, password=password, database=schema or None) as connection:
            with connection.cursor() as cursor:
                for mark in itertools.islice(marks, STATEMENTS_PER_CONNECTION):
                    cursor.execute(f"SELECT '{mark}'")
    except pymysql.MySQLError:
        time.sleep(0.02)
