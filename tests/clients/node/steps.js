// What the Node programs of the matrix share; the steps are those of tests/clients/README.md.
"use strict";

const crypto = require("crypto");

const [host, user, password, database, file] = process.argv.slice(2);

// A value as JSON takes it; numbers keep every digit.
function plain(value) {
  if (Buffer.isBuffer(value)) return value.toString("hex");
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Date || value === null || value === undefined) return value;
  // What a statement without rows says.
  if (typeof value === "object" && "affectedRows" in value) {
    return { affected: value.affectedRows, info: value.info ?? value.message, warnings: value.warningStatus ?? value.warningCount };
  }
  if (typeof value === "object") return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, plain(part)]));
  return value;
}

function tell(step, facts) {
  console.log(JSON.stringify({ step, ...plain(facts) }));
}

function said(error) {
  return [error.errno, error.sqlState, error.sqlMessage];
}

// The steps that both drivers take alike; `ask(connection, sql, values)` gives what the driver gives.
function steps(ask) {
  return {
    async text(connection) {
      tell("text", { rows: await ask(connection, "SELECT * FROM kinds ORDER BY id") });
    },
    async multi(connection) {
      const sql = "SELECT 1 AS one; UPDATE notes SET word = 'changed' WHERE word = 'kept'; SELECT word FROM notes";
      tell("multi", { results: await ask(connection, sql) });
    },
    async procedure(connection) {
      tell("procedure", { results: await ask(connection, "CALL several(3)") });
    },
    async transaction(connection, begin, rollback, commit) {
      const count = async () => (await ask(connection, "SELECT COUNT(*) AS count FROM notes"))[0];
      await begin();
      await ask(connection, "INSERT INTO notes (word) VALUES ('gone')");
      await ask(connection, "INSERT INTO notes (word) VALUES ('gone too')");
      await rollback();
      const undone = await count();
      await begin();
      const done = await ask(connection, "INSERT INTO notes (word) VALUES (?)", ["kept"]);
      await commit();
      tell("transaction", { undone, affected: done.affectedRows, insert_id: done.insertId, done: await count() });
    },
    async bigRow(connection, insert) {
      const big = Buffer.alloc(20480000, Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)));
      await insert("INSERT INTO bodies VALUES (2, ?)", [big]);
      const [{ server, body }] = await ask(connection, "SELECT SHA2(body, 256) AS server, body FROM bodies WHERE id = 2");
      const client = crypto.createHash("sha256").update(body).digest("hex");
      tell("big-row", { bytes: body.length, server, client });
    },
    async error(connection) {
      const facts = {};
      const failing = { missing: "SELECT * FROM not_there", duplicate: "INSERT INTO notes SELECT NULL, word FROM notes" };
      for (const [name, sql] of Object.entries(failing)) {
        await ask(connection, sql).catch((error) => (facts[name] = said(error)));
      }
      tell("error", { ...facts, after: await ask(connection, "SELECT 1 AS one") });
    },
    async warning(connection) {
      const rows = await ask(connection, "SELECT CAST('12 monkeys' AS SIGNED) AS monkeys");
      tell("warning", { rows, warnings: await ask(connection, "SHOW WARNINGS") });
    },
    async localInfile(connection, options) {
      const sql = `LOAD DATA LOCAL INFILE '${file}' INTO TABLE loaded CHARACTER SET utf8mb4`;
      const done = await ask(connection, options ? { sql, ...options } : sql);
      tell("local-infile", { done, rows: await ask(connection, "SELECT * FROM loaded ORDER BY id") });
    },
    // Neither connects again by itself.
    async reconnect(connection, connect) {
      let noticed = false;
      connection.on("error", () => (noticed = true));
      await ask(connection, "KILL CONNECTION_ID()").catch(() => (noticed = true));
      await ask(connection, "SELECT 1").catch(() => (noticed = true));
      const again = await connect();
      tell("reconnect", { noticed, rows: await ask(again, "SELECT 'again' AS word") });
      return again;
    },
  };
}

// Ends the program with 1 where something fails that should not; process.exit() would lose what a pipe has not taken yet.
function run(main) {
  main().catch((error) => {
    console.error(error);
    process.exitCode = 1;
  });
}

module.exports = { login: { host, user, password, database }, file, tell, steps, run, tls: process.env.MATRIX_TLS !== "off" };
