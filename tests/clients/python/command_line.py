"""The matrix with the command line clients `mariadb` and `mysql`; usage and steps: tests/clients/README.md.

After FILE stand the flavour (`mariadb` or `mysql`) and the words of the client's command.
What each prints is shown as it is.
"""
import hashlib
import os
import re
import subprocess
import sys

from steps import BIG, COMPRESSIBLE, KINDS, MULTI, tell

host, user, password, schema, file, flavour, *command = sys.argv[1:]

# MariaDB does not know the collation that MySQL's client asks for at login, and falls back to latin1.
characters = "--default-character-set=utf8mb4", "--init-command=SET NAMES utf8mb4"


def run(sql, *options, binary=False):
    """What the client says to a script on its standard input; going on with the next statement after an error."""
    words = [f"-h{host}", f"-u{user}", *characters, "--force", *options, schema]
    done = subprocess.run([*command, *words], input=sql.encode(), capture_output=True, env={**os.environ, "MYSQL_PWD": password})
    if binary:
        return done.stdout
    return (done.stdout + done.stderr).decode(errors="backslashreplace").splitlines()


def show(step, sql, *options):
    tell(step, said=run(sql, *options))


show("connect", "SELECT VERSION(), DATABASE(), 'naïve ☕';")
show("text", KINDS + ";")
show(
    "transaction",
    """START TRANSACTION; INSERT INTO notes (word) VALUES ('gone'); INSERT INTO notes (word) VALUES ('gone too'); ROLLBACK;
    SELECT COUNT(*) AS undone FROM notes; START TRANSACTION; INSERT INTO notes (word) VALUES ('kept');
    SELECT ROW_COUNT(), LAST_INSERT_ID(); COMMIT; SELECT COUNT(*) AS done FROM notes;""",
    "-vv",
)
numbers = [int(line) for line in run("SELECT n FROM numbers ORDER BY n", "--quick", "--skip-column-names")]
tell("cursor", rows=len(numbers), sum=sum(numbers))
show("multi", MULTI + "//", "-vv", "--delimiter=//")
show("procedure", "CALL several(3);")

run(f"INSERT INTO bodies VALUES (2, X'{BIG.hex()}');", "--max-allowed-packet=256M")
options = "--max-allowed-packet=256M", "--skip-column-names", "--quick"
server, body = run("SELECT SHA2(body, 256), HEX(body) FROM bodies WHERE id = 2", *options, binary=True).split()
body = bytes.fromhex(body.decode())
tell("big-row", bytes=len(body), server=server.decode(), client=hashlib.sha256(body).hexdigest())

show("error", "SELECT * FROM not_there; INSERT INTO notes SELECT NULL, word FROM notes; SELECT 'after';")
show("warning", "SELECT CAST('12 monkeys' AS SIGNED);", "-vv", "--show-warnings")
load = f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE loaded CHARACTER SET utf8mb4; SELECT * FROM loaded ORDER BY id;"
# Its echo of the statement would show the path of FILE.
tell("local-infile", said=[line for line in run(load, "-vv", "--local-infile=1") if file not in line])
compress = ["--compress"] if flavour == "mariadb" else ["--compression-algorithms=zstd,zlib"]
tell("compression", length=len(run(COMPRESSIBLE, "--skip-column-names", *compress)[0]))
# Only at a terminal do they connect again by themselves.
noticed = any("ERROR" in line for line in run("KILL CONNECTION_ID(); SELECT 1;"))
tell("reconnect", noticed=noticed, said=run("SELECT 'again'"))
if os.environ.get("MATRIX_TLS") != "off":
    # MySQL's takes no commands of its own from a script unless it is told so.
    required = ["--ssl"] if flavour == "mariadb" else ["--ssl-mode=REQUIRED", "--commands"]
    said = run("SELECT 'by tls';\n\\s", *required)
    tell("tls", said=said[:2], encrypted=any(re.match(r"SSL:\s+Cipher in use is \w", line) for line in said))
