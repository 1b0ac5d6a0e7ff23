"""The matrix with PyMySQL; usage and steps: tests/clients/README.md."""
import ssl

import pymysql
from pymysql.constants import CLIENT

from steps import Steps


def unverified():
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


class PyMySql(Steps):
    Error = pymysql.MySQLError

    def connect(self, **options):
        return pymysql.connect(
            host=self.host, user=self.user, password=self.password, database=self.schema, autocommit=True,
            local_infile=True, client_flag=CLIENT.MULTI_STATEMENTS, max_allowed_packet=256 << 20, **options,
        )

    def version(self):
        return self.connection.get_server_info()

    def encrypted(self):
        return isinstance(self.connection._sock, ssl.SSLSocket)

    def cursor(self):
        """PyMySQL's is none at the server: it reads rows as they come."""
        with self.connection.cursor(pymysql.cursors.SSCursor) as cursor:
            cursor.execute("SELECT n FROM numbers ORDER BY n")
            self.tell_numbers(cursor)

    def warnings(self):
        return self.connection.show_warnings()

    def again(self):
        self.connection.ping(reconnect=True)

    def tls(self):
        super().tls(ssl=unverified())


PyMySql().run(
    "text", "transaction", "cursor", "multi", "procedure", "big-row", "error", "warning", "local-infile", "reconnect", "tls"
)
