"""Connects with PyMySQL under TLS, verified by a CA, and prints what the two ends say, one JSON line.

usage: tls.py HOST USER PASSWORD SCHEMA CA NAME
NAME is what the certificate must be for; empty means that any name will do. {"version", "cipher", "rows"}, or
{"connect_error": [code, message]} and exit 1.
"""
import json
import ssl
import sys

import pymysql


class Named(ssl.SSLContext):
    """PyMySQL verifies the name that it dialled; this one verifies another."""

    name = None

    def wrap_socket(self, sock, server_hostname=None, **options):
        return super().wrap_socket(sock, server_hostname=self.name or server_hostname, **options)


host, user, password, schema, ca, name = sys.argv[1:]
context = Named(ssl.PROTOCOL_TLS_CLIENT)
context.load_verify_locations(ca)
context.name = name
context.check_hostname = bool(name)
try:
    connection = pymysql.connect(host=host, user=user, password=password, database=schema or None, ssl=context)
except (pymysql.MySQLError, ssl.SSLError) as error:
    print(json.dumps({"connect_error": [str(part) for part in error.args]}))
    sys.exit(1)
with connection, connection.cursor() as cursor:
    cursor.execute("SELECT item FROM shop.orders WHERE id = 1")
    rows = cursor.fetchall()
    sock = connection._sock  # PyMySQL has no other way to it.
    print(json.dumps({"version": sock.version(), "cipher": sock.cipher()[0], "rows": rows}))
