# The matrix with Ruby's mysql2 (on Debian's libmariadb); usage and steps: tests/clients/README.md.
require "bigdecimal"
require "digest"
require "json"
require "mysql2"

HOST, USER, PASSWORD, SCHEMA, FILE = ARGV

# Values as JSON takes them: what is no text in hexadecimal digits.
def plain(value)
  case value
  when Array then value.map { |part| plain(part) }
  when Hash then value.transform_values { |part| plain(part) }
  when BigDecimal then value.to_s("F")
  when Time then value.strftime("%F %T.%6N")
  when String then value.encoding == Encoding::BINARY || value.match?(/[\x00-\x1f]/) ? value.unpack1("H*") : value
  else value
  end
end

def tell(step, **facts)
  puts JSON.generate({ step: step, **facts.transform_values { |value| plain(value) } })
end

def connect(**options)
  given = { host: HOST, username: USER, password: PASSWORD, database: SCHEMA, encoding: "utf8mb4", as: :array }
  Mysql2::Client.new(**given, database_timezone: :utc, local_infile: true, flags: Mysql2::Client::MULTI_STATEMENTS, **options)
end

def rows(db, sql) = db.query(sql).to_a

# Every result of a text: rows, or the number of rows changed.
def results(db, sql)
  result = db.query(sql)
  found = [result ? result.to_a : db.affected_rows]
  while db.next_result
    result = db.store_result
    found << (result ? result.to_a : db.affected_rows)
  end
  found
end

db = connect
tell("connect", server: db.server_info[:version], rows: rows(db, "SELECT DATABASE(), 'naïve ☕'"))
text = db.query("SELECT * FROM kinds ORDER BY id")
tell("text", rows: text.to_a)
# A TIME outside of a day is null in rows of text, and an ArgumentError in binary ones (0.5.3).
columns = (text.fields - ["a_time"]).join(", ")
tell("binary", rows: db.prepare("SELECT #{columns} FROM kinds WHERE id > ? ORDER BY id").execute(0, as: :array).to_a)

db.query("BEGIN")
db.query("INSERT INTO notes (word) VALUES ('gone')")
db.query("INSERT INTO notes (word) VALUES ('gone too')")
db.query("ROLLBACK")
undone = rows(db, "SELECT COUNT(*) FROM notes")
db.query("BEGIN")
insert = db.prepare("INSERT INTO notes (word) VALUES (?)")
insert.execute("kept")
facts = { affected: insert.affected_rows, insert_id: insert.last_id }
db.query("COMMIT")
tell("transaction", undone: undone, **facts, done: rows(db, "SELECT COUNT(*) FROM notes"))

# No cursor at the server: rows are read as they come.
numbers = []
db.query("SELECT n FROM numbers ORDER BY n", stream: true, cache_rows: false).each { |row| numbers << row.first }
tell("cursor", rows: numbers.size, sum: numbers.sum)

multi = "SELECT 1 AS one; UPDATE notes SET word = 'changed' WHERE word = 'kept'; SELECT word FROM notes"
tell("multi", results: results(db, multi))
tell("procedure", results: results(db, "CALL several(3)"))

db.prepare("INSERT INTO bodies VALUES (2, ?)").execute((0..255).to_a.pack("C*") * 80_000)
server, body = rows(db, "SELECT SHA2(body, 256), body FROM bodies WHERE id = 2").first
tell("big-row", bytes: body.bytesize, server: server, client: Digest::SHA256.hexdigest(body))

facts = {}
{ missing: "SELECT * FROM not_there", duplicate: "INSERT INTO notes SELECT NULL, word FROM notes" }.each do |name, sql|
  db.query(sql)
rescue Mysql2::Error => error
  facts[name] = [error.error_number, error.sql_state, error.message]
end
tell("error", **facts, after: rows(db, "SELECT 1"))

monkeys = rows(db, "SELECT CAST('12 monkeys' AS SIGNED)")
tell("warning", rows: monkeys, count: db.warning_count, warnings: rows(db, "SHOW WARNINGS"))

db.query("LOAD DATA LOCAL INFILE '#{FILE}' INTO TABLE loaded CHARACTER SET utf8mb4")
facts = { affected: db.affected_rows, info: db.query_info }
tell("local-infile", **facts, rows: rows(db, "SELECT * FROM loaded ORDER BY id"))

compressed = connect(flags: Mysql2::Client::COMPRESS)
tell("compression", length: rows(compressed, "SELECT REPEAT('compressible', 100000)").first.first.size)
compressed.close

noticed = false
begin
  db.query("KILL CONNECTION_ID()")
  db.query("SELECT 1")
rescue Mysql2::Error
  noticed = true
end
db = connect(reconnect: true)
tell("reconnect", noticed: noticed, rows: rows(db, "SELECT 'again'"))
db.close

unless ENV["MATRIX_TLS"] == "off"
  apart = connect(ssl_mode: :required, sslverify: false)
  tell("tls", rows: rows(apart, "SELECT 'by tls'"), encrypted: !apart.ssl_cipher.nil?)
end
