"""Runs statements with PyMySQL and prints what comes back, one JSON line per statement.

usage: query.py HOST USER PASSWORD SCHEMA STATEMENT...
Rows: {"rows": [[...]]}; a failing statement: {"error": [code, message]} and the connection goes on. A connection that
cannot be made: {"connect_error": [code, message]} and exit 1. A value after a TAB in a statement is a parameter.
"""
import json
import sys

import pymysql


def main():
    host, user, password, schema, *statements = sys.argv[1:]
    try:
        connection = pymysql.connect(host=host, user=user, password=password, database=schema or None, autocommit=True)
    except pymysql.MySQLError as error:
        print(json.dumps({"connect_error": list(error.args)}))
        return 1
    failed = False
    with connection, connection.cursor() as cursor:
        for statement in statements:
            sql, *parameters = statement.split("\t")
            try:
                cursor.execute(sql, parameters or None)
                print(json.dumps({"rows": cursor.fetchall()}, default=str, ensure_ascii=False))
            except pymysql.MySQLError as error:
                failed = True
                print(json.dumps({"error": list(error.args)}))
    return 1 if failed else 0


sys.exit(main())
