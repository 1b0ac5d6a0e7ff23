// Runs statements with mysql2 and prints what comes back, one JSON line per statement.
//
// usage: query.js HOST USER PASSWORD SCHEMA STATEMENT...
// Rows: {"rows": [[...]]}; a failing statement: {"error": [code, message]} and the connection goes on. A connection that
// cannot be made: {"connect_error": [code, message]} and exit 1. A statement with a value after a TAB is prepared, and
// the values are its parameters.
"use strict";

const mysql = require("mysql2/promise");

async function main() {
  const [host, user, password, schema, ...statements] = process.argv.slice(2);
  let connection;
  try {
    connection = await mysql.createConnection({ host, user, password, database: schema || undefined, rowsAsArray: true });
  } catch (error) {
    console.log(JSON.stringify({ connect_error: [error.errno, error.message] }));
    return 1;
  }
  let failed = 0;
  for (const statement of statements) {
    const [sql, ...parameters] = statement.split("\t");
    try {
      const [rows] = parameters.length ? await connection.execute(sql, parameters) : await connection.query(sql);
      console.log(JSON.stringify({ rows }));
    } catch (error) {
      failed = 1;
      console.log(JSON.stringify({ error: [error.errno, error.message] }));
    }
  }
  await connection.end().catch(() => {});
  return failed;
}

// process.exit() would lose what a pipe has not taken yet.
main().then((code) => (process.exitCode = code));
