//! The matrix with mysql_async; usage and steps: tests/clients/README.md.

use mysql_async::{
    Compression, Conn, Error, Opts, OptsBuilder, QueryResult, Result, Row, SslOpts, TxOpts, Value as Cell,
    prelude::{Protocol, Query as _, Queryable as _, WithParams as _},
};
use portreeve_test_clients::*;
use serde_json::{Value, json};

fn value(value: &Cell) -> Value {
    match value {
        Cell::NULL => Value::Null,
        Cell::Bytes(bytes) => plain(bytes),
        Cell::Int(number) => json!(number),
        Cell::UInt(number) => json!(number),
        Cell::Float(number) => json!(number),
        Cell::Double(number) => json!(number),
        Cell::Date(..) | Cell::Time(..) => json!(value.as_sql(true)),
    }
}

fn rows(rows: Vec<Row>) -> Value {
    rows.into_iter().map(|row| row.unwrap().iter().map(value).collect::<Value>()).collect()
}

async fn ask(db: &mut Conn, sql: &str) -> Result<Value> {
    Ok(rows(db.query(sql).await?))
}

/// Every result: rows, or the number of rows changed.
async fn results<P: Protocol>(mut found: QueryResult<'_, 'static, P>) -> Result<Vec<Value>> {
    let mut results = Vec::new();
    while !found.is_empty() {
        let (has_rows, changed) = (!found.columns_ref().is_empty(), found.affected_rows());
        let all = rows(found.collect().await?);
        results.push(if has_rows { all } else { json!(changed) });
    }
    Ok(results)
}

fn said<T>(outcome: Result<T>) -> Value {
    match outcome {
        Err(Error::Server(error)) => json!([error.code, error.state, error.message]),
        _ => Value::Null,
    }
}

async fn values(db: &mut Conn) -> Result<()> {
    tell("text", json!({ "rows": ask(db, KINDS).await? }));
    tell("binary", json!({ "rows": rows(KINDS_PREPARED.with((0,)).fetch(&mut *db).await?) }));
    Ok(())
}

/// None at the server: rows are read as they come.
async fn cursor(db: &mut Conn) -> Result<()> {
    let (mut count, mut sum) = (0, 0);
    let mut found = db.query_iter(NUMBERS).await?;
    found.for_each(|row| (count, sum) = (count + 1, sum + mysql_async::from_row::<i64>(row))).await?;
    tell("cursor", json!({ "rows": count, "sum": sum }));
    Ok(())
}

async fn transaction(db: &mut Conn) -> Result<()> {
    let mut begun = db.start_transaction(TxOpts::default()).await?;
    // COM_STMT_BULK_EXECUTE where the server has it.
    begun.exec_batch("INSERT INTO notes (word) VALUES (?)", [("gone",), ("gone too",)]).await?;
    begun.rollback().await?;
    let undone = ask(db, COUNT).await?;
    let mut begun = db.start_transaction(TxOpts::default()).await?;
    begun.exec_drop("INSERT INTO notes (word) VALUES (?)", ("kept",)).await?;
    let facts = (begun.affected_rows(), begun.last_insert_id());
    begun.commit().await?;
    let done = ask(db, COUNT).await?;
    tell("transaction", json!({ "undone": undone, "affected": facts.0, "insert_id": facts.1, "done": done }));
    Ok(())
}

async fn statements(db: &mut Conn, given: &Given) -> Result<()> {
    tell("multi", json!({ "results": results(db.query_iter(MULTI).await?).await? }));
    let text = results(db.query_iter("CALL several(3)").await?).await?;
    let prepared = results(db.exec_iter("CALL several(?)", (3,)).await?).await?;
    tell("procedure", json!({ "results": text, "prepared": prepared }));

    // What does not fit into one packet goes in pieces, by COM_STMT_SEND_LONG_DATA.
    db.exec_drop("INSERT INTO bodies VALUES (2, ?)", (big(),)).await?;
    let (server, body): (String, Vec<u8>) = db.query_first(BIG).await?.expect("a row");
    tell("big-row", json!({ "bytes": body.len(), "server": server, "client": sha256(&body) }));

    let missing = said(db.query_drop(MISSING).await);
    let duplicate = said(db.query_drop(DUPLICATE).await);
    tell("error", json!({ "missing": missing, "duplicate": duplicate, "after": ask(db, "SELECT 1").await? }));
    let monkeys = ask(db, MONKEYS).await?;
    let count = db.get_warnings();
    tell("warning", json!({ "rows": monkeys, "count": count, "warnings": ask(db, "SHOW WARNINGS").await? }));

    db.query_drop(format!("LOAD DATA LOCAL INFILE '{}' INTO TABLE loaded CHARACTER SET utf8mb4", given.file)).await?;
    let facts = (db.affected_rows(), db.info().into_owned());
    let loaded = ask(db, "SELECT * FROM loaded ORDER BY id").await?;
    tell("local-infile", json!({ "affected": facts.0, "info": facts.1, "rows": loaded }));
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let given = Given::read();
    let login = OptsBuilder::default().ip_or_hostname(&given.host).user(Some(&given.user)).pass(Some(&given.password));
    let infile = mysql_async::WhiteListFsHandler::new([&given.file]);
    let options = login.db_name(Some(&given.schema)).local_infile_handler(Some(infile));

    let mut db = Conn::new(options.clone()).await?;
    let version = format!("{:?}", db.server_version());
    tell(
        "connect",
        json!({ "server": version, "rows": ask(&mut db, "SELECT VERSION(), DATABASE(), 'naïve ☕'").await? }),
    );
    values(&mut db).await?;
    transaction(&mut db).await?;
    cursor(&mut db).await?;
    statements(&mut db, &given).await?;

    let mut compressed = Conn::new(options.clone().compression(Compression::default())).await?;
    let text: Option<String> = compressed.query_first("SELECT REPEAT('compressible', 100000)").await?;
    tell("compression", json!({ "length": text.map(|text| text.len()) }));
    compressed.disconnect().await?;

    let killed = db.query_drop("KILL CONNECTION_ID()").await;
    let noticed = killed.is_err() || db.ping().await.is_err();
    let mut db = Conn::new(options.clone()).await?;
    // COM_RESET_CONNECTION and COM_CHANGE_USER, which a pool uses.
    db.query_drop("SET @before = 1").await?;
    db.reset().await?;
    db.change_user(Default::default()).await?;
    tell("reconnect", json!({ "noticed": noticed, "rows": ask(&mut db, "SELECT 'again', @before").await? }));
    db.disconnect().await?;

    if given.tls {
        let trusting = SslOpts::default().with_danger_accept_invalid_certs(true);
        let mut apart = Conn::new(Opts::from(options.ssl_opts(Some(trusting)))).await?;
        tell("tls", json!({ "rows": ask(&mut apart, "SELECT 'by tls'").await? }));
        apart.disconnect().await?;
    }
    Ok(())
}
