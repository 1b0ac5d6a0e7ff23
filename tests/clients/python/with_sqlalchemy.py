"""The matrix with SQLAlchemy on PyMySQL: its pool, its reflection and its dialect; usage and steps:
tests/clients/README.md.
"""
import hashlib
import os
import ssl
import sys

import sqlalchemy
from sqlalchemy import MetaData, Table, bindparam, func, insert, select, text

from steps import BIG, tell

host, user, password, schema, file = sys.argv[1:6]
url = sqlalchemy.URL.create("mysql+pymysql", user, password, host, database=schema, query={"charset": "utf8mb4"})
arguments = {"local_infile": True, "max_allowed_packet": 256 << 20}
engine = sqlalchemy.create_engine(url, pool_pre_ping=True, connect_args=arguments)
tables = MetaData()


def rows(result):
    return [list(row) for row in result]


def table(name):
    return Table(name, tables, autoload_with=engine)


def connect(connection):
    version = connection.dialect.server_version_info
    tell("connect", server=version, rows=rows(connection.execute(text("SELECT DATABASE(), 'naïve ☕'"))))


def kinds(connection):
    inspector = sqlalchemy.inspect(engine)
    # POINT is no type that it knows.
    columns = [column for column in table("kinds").columns if column.name != "a_point"]
    types = [repr(column.type) for column in columns]
    keys = [inspector.get_indexes("notes"), inspector.get_pk_constraint("notes"), inspector.get_table_names()]
    tell("text", types=types, keys=str(keys), rows=rows(connection.execute(select(*columns).order_by("id"))))


def transaction(connection):
    notes = table("notes")
    count = select(func.count()).select_from(notes)
    with connection.begin() as begun:
        connection.execute(insert(notes), [{"word": "gone"}, {"word": "gone too"}])
        with connection.begin_nested() as savepoint:
            connection.execute(insert(notes).values(word="gone first"))
            savepoint.rollback()
        inside = connection.scalar(count)
        begun.rollback()
    with connection.begin():
        undone = connection.scalar(count)
        done = connection.execute(insert(notes).values(word=bindparam("given")), {"given": "kept"})
        facts = {"affected": done.rowcount, "insert_id": done.inserted_primary_key[0]}
    with connection.begin():
        tell("transaction", inside=inside, undone=undone, **facts, done=connection.scalar(count))


def cursor(connection):
    """Rows are read as they come; PyMySQL has no cursor at the server."""
    with connection.begin():
        result = connection.execution_options(yield_per=100).execute(text("SELECT n FROM numbers ORDER BY n"))
        numbers = [n for part in result.partitions() for (n,) in part]
    tell("cursor", rows=len(numbers), sum=sum(numbers))


def procedure(connection):
    raw = engine.raw_connection()
    with raw.cursor() as calling:
        calling.callproc("several", (3,))
        results = [calling.fetchall()]
        while calling.nextset():
            results.append(calling.fetchall())
    raw.close()
    tell("procedure", results=results)


def big_row(connection):
    bodies = table("bodies")
    with connection.begin():
        connection.execute(insert(bodies).values(id=2, body=BIG))
        server, body = connection.execute(select(func.sha2(bodies.c.body, 256), bodies.c.body)).one()
    tell("big-row", bytes=len(body), server=server, client=hashlib.sha256(body).hexdigest())


def error(connection):
    facts = {}
    for name, sql in ("missing", "SELECT * FROM not_there"), ("duplicate", "INSERT INTO notes SELECT NULL, word FROM notes"):
        try:
            with connection.begin():
                connection.execute(text(sql))
        except sqlalchemy.exc.DBAPIError as failed:
            facts[name] = [type(failed).__name__, *failed.orig.args]
    with connection.begin():
        tell("error", **facts, after=connection.scalar(text("SELECT 1")))


def warning(connection):
    with connection.begin():
        found = rows(connection.execute(text("SELECT CAST('12 monkeys' AS SIGNED)")))
        tell("warning", rows=found, warnings=rows(connection.execute(text("SHOW WARNINGS"))))


def local_infile(connection):
    with connection.begin():
        done = connection.execute(text(f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE loaded CHARACTER SET utf8mb4"))
        tell("local-infile", affected=done.rowcount, rows=rows(connection.execute(text("SELECT * FROM loaded ORDER BY id"))))


def reconnect():
    """The pool notices a broken connection before it hands it out."""
    noticed = False
    try:
        with engine.connect() as connection:
            connection.execute(text("KILL CONNECTION_ID()"))
            connection.execute(text("SELECT 1"))
    except sqlalchemy.exc.DBAPIError as failed:
        noticed = True
    with engine.connect() as connection:
        tell("reconnect", noticed=noticed, rows=rows(connection.execute(text("SELECT 'again'"))))


def tls():
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    apart = sqlalchemy.create_engine(url, connect_args={"ssl": context})
    with apart.connect() as connection:
        found = rows(connection.execute(text("SELECT 'by tls'")))
        encrypted = isinstance(connection.connection.dbapi_connection._sock, ssl.SSLSocket)
    tell("tls", rows=found, encrypted=encrypted)
    apart.dispose()


for step in connect, kinds, transaction, cursor, procedure, big_row, error, warning, local_infile:
    with engine.connect() as connection:
        step(connection)
reconnect()
if os.environ.get("MATRIX_TLS") != "off":
    tls()
