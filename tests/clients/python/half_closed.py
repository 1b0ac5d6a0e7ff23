"""Ends its sending side while its statement runs, and prints the answer, which it still waits for.

usage: half_closed.py HOST USER PASSWORD SCHEMA
"""
import socket
import sys

import pymysql
from pymysql.constants import COMMAND

host, user, password, schema = sys.argv[1:]
connection = pymysql.connect(host=host, user=user, password=password, database=schema or None, ssl_disabled=True)
connection._execute_command(COMMAND.COM_QUERY, "SELECT SLEEP(3), 'waited'")
connection._sock.shutdown(socket.SHUT_WR)
connection._read_query_result()
print(connection._result.rows[0][1])
