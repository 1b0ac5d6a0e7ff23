"""The matrix with MySQL's own connector, in pure Python or (last argument `c`) over its C extension; usage and steps:
tests/clients/README.md.
"""
# Before anything that loads Debian's OpenSSL 3.0, which is too old for the extension: it brings its own.
import _mysql_connector  # noqa: F401  isort:skip

import hashlib
import io
import sys

import mysql.connector

from steps import Steps, tell

PIECES = b"abcdefghij" * 30_000


class Connector(Steps):
    Error = mysql.connector.Error
    pure = sys.argv[6] == "pure"

    def connect(self, **options):
        return mysql.connector.connect(
            host=self.host, user=self.user, password=self.password, database=self.schema, autocommit=True,
            use_pure=self.pure, allow_local_infile=True, **options,
        )

    def version(self):
        return self.connection.server_info

    def said(self, error):
        return [error.errno, error.sqlstate, error.msg]

    def transaction(self):
        self.connection.begin = self.connection.start_transaction
        super().transaction()

    def binary(self):
        columns = "*"
        if self.pure:
            # It cannot read a YEAR of a binary row (26.10.0, `_parse_binary_values`).
            names = self.ask("SELECT column_name FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = 'kinds' ORDER BY ordinal_position")
            columns = ", ".join(name for (name,) in names if name != "a_year")
        with self.connection.cursor(prepared=True) as cursor:
            cursor.execute(f"SELECT {columns} FROM kinds WHERE id > %s ORDER BY id", (0,))
            tell("binary", rows=cursor.fetchall())

    def long_data(self):
        with self.connection.cursor(prepared=True) as cursor:
            cursor.execute("INSERT INTO bodies VALUES (1, %s)", (io.BytesIO(PIECES),))
        server = self.ask("SELECT SHA2(body, 256) FROM bodies WHERE id = 1")
        tell("long-data", server=server, client=hashlib.sha256(PIECES).hexdigest())

    def procedure(self):
        with self.connection.cursor() as cursor:
            given = cursor.callproc("several", (3,))
            tell("procedure", given=given, results=[result.fetchall() for result in cursor.stored_results()])

    def warning(self):
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT CAST('12 monkeys' AS SIGNED)")
            rows, count = cursor.fetchall(), cursor.warning_count
        tell("warning", rows=rows, count=count, warnings=self.ask("SHOW WARNINGS"))

    def compression(self):
        super().compression(compress=True)

    def again(self):
        self.connection.reconnect()

    def encrypted(self):
        # Of the C extension's connection `is_secure` is always false.
        return self.connection.is_secure if self.pure else bool(self.connection._cmysql.get_ssl_cipher())

    def tls(self):
        # Unless it is turned off, this connector insists on TLS only where it verifies; it says itself what it got.
        super().tls(ssl_disabled=False)


Connector().run(
    "text", "binary", "transaction", *(["long-data"] if Connector.pure else []), "multi", "procedure", "big-row", "error",
    "warning", "local-infile", "compression", "reconnect", "tls",
)
