//! The matrix with sqlx; usage and steps: tests/clients/README.md.

use futures_util::TryStreamExt as _;
use portreeve_test_clients::*;
use serde_json::{Value, json};
use sqlx::{
    Column as _, ConnectOptions as _, Connection as _, Either, Executor as _, MySqlConnection, Row as _, TypeInfo as _,
    mysql::{MySqlConnectOptions, MySqlRow, MySqlSslMode},
};

type Result<T> = std::result::Result<T, sqlx::Error>;

/// Each value as it came, in text or binary, with the type's name.
fn row(row: &MySqlRow) -> Result<Value> {
    let mut values = Vec::new();
    for column in row.columns() {
        let bytes: Option<Vec<u8>> = row.try_get_unchecked(column.ordinal())?;
        values.push(json!([column.type_info().name(), bytes.map(|bytes| plain(&bytes))]));
    }
    Ok(values.into())
}

fn rows(rows: &[MySqlRow]) -> Result<Value> {
    rows.iter().map(row).collect()
}

/// By the text protocol, every result: rows, or the number of rows changed.
async fn results(db: &mut MySqlConnection, sql: &'static str) -> Result<Vec<Value>> {
    let (mut results, mut rows) = (Vec::new(), Vec::new());
    let mut stream = db.fetch_many(sqlx::raw_sql(sql));
    while let Some(part) = stream.try_next().await? {
        match part {
            Either::Right(one) => rows.push(row(&one)?),
            Either::Left(done) => results.push(json!([std::mem::take(&mut rows), done.rows_affected()])),
        }
    }
    Ok(results)
}

async fn ask(db: &mut MySqlConnection, sql: &'static str) -> Result<Value> {
    rows(&sqlx::raw_sql(sql).fetch_all(db).await?)
}

fn said(error: Option<sqlx::Error>) -> Value {
    let error = error.as_ref().and_then(|error| error.as_database_error());
    let Some(error) = error.and_then(|error| error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>()) else {
        return Value::Null;
    };
    json!([error.number(), error.code(), error.message()])
}

async fn transaction(db: &mut MySqlConnection) -> Result<()> {
    let mut begun = db.begin().await?;
    sqlx::query("INSERT INTO notes (word) VALUES ('gone')").execute(&mut *begun).await?;
    sqlx::query("INSERT INTO notes (word) VALUES ('gone too')").execute(&mut *begun).await?;
    begun.rollback().await?;
    let undone = ask(db, COUNT).await?;
    let mut begun = db.begin().await?;
    let done = sqlx::query("INSERT INTO notes (word) VALUES (?)").bind("kept").execute(&mut *begun).await?;
    begun.commit().await?;
    let facts = json!({ "undone": undone, "affected": done.rows_affected(), "insert_id": done.last_insert_id(), "done": ask(db, COUNT).await? });
    tell("transaction", facts);
    Ok(())
}

async fn values(db: &mut MySqlConnection) -> Result<()> {
    tell("text", json!({ "rows": ask(db, KINDS).await? }));
    let found = sqlx::query(KINDS_PREPARED).bind(0).fetch_all(&mut *db).await?;
    let first = &found[0];
    let typed = json!([
        first.try_get::<i8, _>("a_tiny")?,
        first.try_get::<u64, _>("a_ubig")?,
        first.try_get::<f64, _>("a_double")?,
        first.try_get::<String, _>("a_varchar")?,
        first.try_get::<bool, _>("a_bool")?,
    ]);
    tell("binary", json!({ "rows": rows(&found)?, "typed": typed }));
    Ok(())
}

/// None at the server: rows are read as they come.
async fn cursor(db: &mut MySqlConnection) -> Result<()> {
    let mut stream = sqlx::query_scalar::<_, i32>(NUMBERS).fetch(&mut *db);
    let (mut count, mut sum) = (0, 0);
    while let Some(number) = stream.try_next().await? {
        (count, sum) = (count + 1, sum + number);
    }
    tell("cursor", json!({ "rows": count, "sum": sum }));
    Ok(())
}

async fn statements(db: &mut MySqlConnection) -> Result<()> {
    tell("multi", json!({ "results": results(db, MULTI).await? }));
    tell("procedure", json!({ "results": results(db, "CALL several(3)").await? }));

    sqlx::query("INSERT INTO bodies VALUES (2, ?)").bind(big()).execute(&mut *db).await?;
    let (server, body): (String, Vec<u8>) = sqlx::query_as(BIG).fetch_one(&mut *db).await?;
    tell("big-row", json!({ "bytes": body.len(), "server": server, "client": sha256(&body) }));

    let missing = said(sqlx::query(MISSING).fetch_all(&mut *db).await.err());
    let duplicate = said(sqlx::query(DUPLICATE).execute(&mut *db).await.err());
    tell("error", json!({ "missing": missing, "duplicate": duplicate, "after": ask(db, "SELECT 1").await? }));
    let monkeys = ask(db, MONKEYS).await?;
    tell("warning", json!({ "rows": monkeys, "warnings": ask(db, "SHOW WARNINGS").await? }));
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let given = Given::read();
    let options = MySqlConnectOptions::new();
    let options = options.host(&given.host).username(&given.user).password(&given.password).database(&given.schema);
    let mut db = options.connect().await?;
    tell("connect", json!({ "rows": ask(&mut db, "SELECT VERSION(), DATABASE(), 'naïve ☕'").await? }));
    values(&mut db).await?;
    transaction(&mut db).await?;
    cursor(&mut db).await?;
    statements(&mut db).await?;

    let killed = sqlx::raw_sql("KILL CONNECTION_ID()").execute(&mut db).await;
    let noticed = killed.is_err() || db.ping().await.is_err();
    let mut db = options.connect().await?;
    tell("reconnect", json!({ "noticed": noticed, "rows": ask(&mut db, "SELECT 'again'").await? }));
    db.close().await?;

    if given.tls {
        let mut apart = options.ssl_mode(MySqlSslMode::Required).connect().await?;
        tell("tls", json!({ "rows": ask(&mut apart, "SELECT 'by tls'").await? }));
        apart.close().await?;
    }
    Ok(())
}
