"""What the Python programs of the matrix share: the steps that every DB-API driver takes alike.

The steps are those of tests/clients/README.md. A driver's program is a subclass of `Steps` that says how it connects and
what it calls things.
"""
import datetime
import hashlib
import json
import os
import sys

KINDS = "SELECT * FROM kinds ORDER BY id"
MULTI = "SELECT 1 AS one; UPDATE notes SET word = 'changed' WHERE word = 'kept'; SELECT word FROM notes"
BIG = bytes(range(256)) * 80_000
COMPRESSIBLE = "SELECT REPEAT('compressible', 100000)"


def plain(value):
    """A value as JSON takes it; numbers keep every digit."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).hex()
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, datetime.timedelta):
        return f"{value.days} days {value.seconds}.{value.microseconds:06}"
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    return value if value is None or isinstance(value, (int, str, float)) else str(value)


def tell(step, **facts):
    print(json.dumps({"step": step, **{key: plain(value) for key, value in facts.items()}}, ensure_ascii=False), flush=True)


class Steps:
    """One client. `connect(**options)` opens a connection with `options` of the driver."""

    Error = Exception
    mark = "%s"

    def __init__(self):
        self.host, self.user, self.password, self.schema, self.file = sys.argv[1:6]

    def run(self, *steps):
        self.connection = self.connect()
        self.greet()
        for step in steps:
            if step != "tls" or os.environ.get("MATRIX_TLS") != "off":
                getattr(self, step.replace("-", "_"))()
        self.connection.close()

    def ask(self, sql, parameters=None):
        """Rows of a statement; an empty list where it has none."""
        cursor = self.connection.cursor()
        cursor.execute(*[sql] if parameters is None else [sql, parameters])
        rows = cursor.fetchall() if cursor.description else []
        self.affected, self.insert_id = cursor.rowcount, cursor.lastrowid
        cursor.close()
        return rows

    def results(self, cursor):
        """Every result: rows, or the number of rows changed."""
        found = []
        while True:
            found.append(cursor.fetchall() if cursor.description else cursor.rowcount)
            if not cursor.nextset():
                return found

    def greet(self):
        tell("connect", server=self.version(), rows=self.ask("SELECT DATABASE(), 'naïve ☕'"))

    def text(self):
        tell("text", rows=self.ask(KINDS))

    def transaction(self):
        self.connection.begin()
        self.ask("INSERT INTO notes (word) VALUES ('gone')")
        self.ask("INSERT INTO notes (word) VALUES ('gone too')")
        self.connection.rollback()
        undone = self.ask("SELECT COUNT(*) FROM notes")
        self.connection.begin()
        self.ask(f"INSERT INTO notes (word) VALUES ({self.mark})", ("kept",))
        facts = {"affected": self.affected, "insert_id": self.insert_id}
        self.connection.commit()
        tell("transaction", undone=undone, **facts, done=self.ask("SELECT COUNT(*) FROM notes"))

    def tell_numbers(self, cursor):
        numbers = []
        while rows := cursor.fetchmany(100):
            numbers += [n for (n,) in rows]
        tell("cursor", rows=len(numbers), sum=sum(numbers))

    def multi(self):
        cursor = self.connection.cursor()
        cursor.execute(MULTI)
        tell("multi", results=self.results(cursor))
        cursor.close()

    def procedure(self):
        cursor = self.connection.cursor()
        cursor.execute("CALL several(3)")
        tell("procedure", results=self.results(cursor))
        cursor.close()

    def big_row(self):
        self.ask(f"INSERT INTO bodies VALUES (2, {self.mark})", (BIG,))
        [(server, body)] = self.ask("SELECT SHA2(body, 256), body FROM bodies WHERE id = 2")
        tell("big-row", bytes=len(body), server=server, client=hashlib.sha256(body).hexdigest())

    def error(self):
        facts = {}
        for name, sql in ("missing", "SELECT * FROM not_there"), ("duplicate", "INSERT INTO notes SELECT NULL, word FROM notes"):
            try:
                self.ask(sql)
            except self.Error as error:
                facts[name] = self.said(error)
        tell("error", **facts, after=self.ask("SELECT 1"))

    def said(self, error):
        return list(error.args)

    def warning(self):
        rows = self.ask("SELECT CAST('12 monkeys' AS SIGNED)")
        tell("warning", rows=rows, warnings=self.warnings())

    def warnings(self):
        return self.ask("SHOW WARNINGS")

    def local_infile(self):
        self.ask(f"LOAD DATA LOCAL INFILE '{self.file}' INTO TABLE loaded CHARACTER SET utf8mb4")
        tell("local-infile", affected=self.affected, rows=self.ask("SELECT * FROM loaded ORDER BY id"))

    def apart(self, sql, **options):
        """Rows of a statement on a connection of its own."""
        usual, self.connection = self.connection, self.connect(**options)
        rows, encrypted = self.ask(sql), self.encrypted()
        self.connection.close()
        self.connection = usual
        return rows, encrypted

    def encrypted(self):
        """None: the driver does not say."""
        return None

    def compression(self, **options):
        [(text,)] = self.apart(COMPRESSIBLE, **options)[0]
        tell("compression", length=len(text))

    def tls(self, **options):
        rows, encrypted = self.apart("SELECT 'by tls'", **options)
        tell("tls", rows=rows, encrypted=encrypted)

    def reconnect(self):
        noticed = False
        try:
            self.ask("KILL CONNECTION_ID()")
            self.ask("SELECT 1")
        except self.Error:
            noticed = True
        self.again()
        tell("reconnect", noticed=noticed, rows=self.ask("SELECT 'again'"))

    def again(self):
        self.connection = self.connect()
