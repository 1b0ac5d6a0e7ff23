"""The matrix with mysqlclient (MySQLdb, on Debian's libmariadb); usage and steps: tests/clients/README.md."""
import MySQLdb
from MySQLdb.constants import CLIENT
from MySQLdb.cursors import SSCursor

from steps import Steps, tell


class MySqlClient(Steps):
    Error = MySQLdb.MySQLError

    def connect(self, **options):
        return MySQLdb.connect(
            host=self.host, user=self.user, password=self.password, database=self.schema, autocommit=True,
            charset="utf8mb4", client_flag=CLIENT.MULTI_STATEMENTS, local_infile=1, **options,
        )

    def version(self):
        return self.connection.get_server_info()

    def cursor(self):
        """None at the server (`mysql_use_result`): rows are read as they come."""
        cursor = self.connection.cursor(SSCursor)
        cursor.execute("SELECT n FROM numbers ORDER BY n")
        self.tell_numbers(cursor)
        cursor.close()

    def warning(self):
        rows = self.ask("SELECT CAST('12 monkeys' AS SIGNED)")
        tell("warning", rows=rows, count=self.connection.warning_count(), warnings=self.connection.show_warnings())

    def compression(self):
        super().compression(compress=True)

    def tls(self):
        # Any of these options makes TLS required; none has the certificate verified.
        super().tls(ssl={"cipher": "HIGH"})


MySqlClient().run(
    "text", "transaction", "cursor", "multi", "procedure", "big-row", "error", "warning", "local-infile", "compression",
    "reconnect", "tls"
)
