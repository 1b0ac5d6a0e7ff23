"""Drives a MySQL MCP server over stdio, as an agent does, and prints one JSON line per answer.

usage: mcp.py HOST USER PASSWORD SCHEMA FILE COMMAND...
Steps: `initialize` and `tools` (the protocol's), then calls of its tool for SQL, named after the statement's purpose.
"""
import json
import os
import subprocess
import sys

from steps import KINDS, tell

host, user, password, schema, _, *command = sys.argv[1:]
# The two servers that are driven call the same things differently.
login = {"HOST": host, "PORT": "3306", "USER": user, "PASSWORD": password, "PASS": password, "DATABASE": schema, "DB": schema}
environment = {f"MYSQL_{key}": value for key, value in login.items()}
allowed = {f"ALLOW_{what}_OPERATION": "true" for what in ("INSERT", "UPDATE", "DELETE")}
server = subprocess.Popen(
    command, env={**os.environ, **environment, **allowed}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    stderr=subprocess.DEVNULL, text=True,
)


def send(method, parameters, **number):
    message = {"jsonrpc": "2.0", "method": method, "params": parameters, **number}
    server.stdin.write(json.dumps(message) + "\n")
    server.stdin.flush()


def ask(method, parameters):
    """The answer to a request; what a server says unasked is passed over."""
    ask.number += 1
    send(method, parameters, id=ask.number)
    for line in server.stdout:
        message = json.loads(line) if line.startswith("{") else {}
        if message.get("id") == ask.number:
            return message.get("result") or {"error": message["error"]}
    sys.exit(f"the MCP server ended ({server.wait()}) before it answered {method}")


ask.number = 0
client = {"name": "portreeve-matrix", "version": "1"}
started = ask("initialize", {"protocolVersion": "2025-03-26", "capabilities": {}, "clientInfo": client})
tell("initialize", name=started["serverInfo"]["name"])
send("notifications/initialized", {})
tools = ask("tools/list", {})["tools"]
tell("tools", names=[tool["name"] for tool in tools])
# The tool that takes SQL, and what it calls its text.
tool = next(tool for tool in tools if tool["name"] in ("execute_sql", "mysql_query"))
argument = next(name for name in tool["inputSchema"]["properties"] if name in ("query", "sql"))

calls = {
    "text": KINDS.replace("*", "id, a_ubig, a_decimal, a_datetime, a_varchar, an_enum, a_json"),
    "insert": "INSERT INTO notes (word) VALUES ('by an agent')",
    "inserted": "SELECT word FROM notes",
    "tables": "SHOW TABLES",
    "describe": "DESCRIBE notes",
    "error": "SELECT * FROM not_there",
    "after": "SELECT 1 AS one",
}
for step, sql in calls.items():
    answer = ask("tools/call", {"name": tool["name"], "arguments": {argument: sql}})
    # How long it took differs.
    texts = [part["text"] for part in answer.get("content", []) if "execution time" not in part["text"]]
    tell(step, failed=answer.get("isError", False), texts=texts)
server.stdin.close()
server.terminate()
server.wait()
