// The matrix with mysql (mysqljs); usage and steps: tests/clients/README.md.
//
// It knows `mysql_native_password` only: where the server has none, the harness lets nobody log in with it directly.
"use strict";

const mysql = require("mysql");
const { login, tell, steps, run, tls } = require("./steps");

function ask(connection, sql, values) {
  return new Promise((resolve, reject) =>
    connection.query(sql, values, (error, result) => (error ? reject(error) : resolve(result))),
  );
}

async function connect(options) {
  const connection = mysql.createConnection({
    ...login,
    charset: "utf8mb4",
    multipleStatements: true,
    supportBigNumbers: true,
    bigNumberStrings: true,
    dateStrings: true,
    ...options,
  });
  await new Promise((resolve, reject) => connection.connect((error) => (error ? reject(error) : resolve())));
  return connection;
}

run(async () => {
  const shared = steps(ask);
  const call = (connection, name) => new Promise((resolve, reject) => connection[name]((e) => (e ? reject(e) : resolve())));
  let connection = await connect();
  const server = connection._protocol._handshakeInitializationPacket.serverVersion;
  tell("connect", { server, rows: await ask(connection, "SELECT DATABASE(), 'naïve ☕'") });
  await shared.text(connection);
  await shared.transaction(
    connection,
    () => call(connection, "beginTransaction"),
    () => call(connection, "rollback"),
    () => call(connection, "commit"),
  );
  await shared.multi(connection);
  await shared.procedure(connection);
  await shared.bigRow(connection, (sql, values) => ask(connection, sql, values));
  await shared.error(connection);
  await shared.warning(connection);
  await shared.localInfile(connection);
  connection = await shared.reconnect(connection, connect);
  connection.end();

  if (tls) {
    const apart = await connect({ ssl: { rejectUnauthorized: false } });
    const encrypted = Boolean(apart._socket.encrypted ?? apart._protocol._connection._secureSocket ?? apart.config.ssl);
    tell("tls", { rows: await ask(apart, "SELECT 'by tls' AS word"), encrypted });
    apart.end();
  }
});
