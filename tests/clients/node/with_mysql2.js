// The matrix with mysql2; usage and steps: tests/clients/README.md.
"use strict";

const crypto = require("crypto");
const fs = require("fs");
const mysql = require("mysql2/promise");
const { login, file, tell, steps, run, tls } = require("./steps");

const ask = async (connection, sql, values) => (await connection.query(sql, values))[0];

function connect(options) {
  return mysql.createConnection({
    ...login,
    multipleStatements: true,
    supportBigNumbers: true,
    bigNumberStrings: true,
    dateStrings: true,
    infileStreamFactory: () => fs.createReadStream(file),
    ...options,
  });
}

run(async () => {
  const shared = steps(ask);
  let connection = await connect();
  const greeted = connection.connection._handshakePacket;
  tell("connect", { server: greeted.serverVersion, rows: await ask(connection, "SELECT DATABASE(), 'naïve ☕'") });
  await shared.text(connection);

  const [rows] = await connection.execute("SELECT * FROM kinds WHERE id > ? ORDER BY id", [0]);
  tell("binary", { rows });

  await shared.transaction(
    connection,
    () => connection.beginTransaction(),
    () => connection.rollback(),
    () => connection.commit(),
  );
  await shared.multi(connection);
  await shared.procedure(connection);
  await shared.bigRow(connection, (sql, values) => connection.execute(sql, values));
  await shared.error(connection);
  await shared.warning(connection);
  await shared.localInfile(connection);

  const compressed = await connect({ compress: true });
  const [{ text }] = await ask(compressed, "SELECT REPEAT('compressible', 100000) AS text");
  tell("compression", { length: text.length });
  await compressed.end();

  connection = await shared.reconnect(connection, connect);
  await connection.end();

  if (tls) {
    const apart = await connect({ ssl: { rejectUnauthorized: false } });
    const encrypted = apart.connection.stream.encrypted === true;
    tell("tls", { rows: await ask(apart, "SELECT 'by tls' AS word"), encrypted });
    await apart.end();
  }
});
