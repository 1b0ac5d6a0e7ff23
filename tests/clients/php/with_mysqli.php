<?php
// The matrix with mysqli (mysqlnd); usage and steps: tests/clients/README.md.
// `php` is to be told `-d mysqli.allow_local_infile=1`: the setting is the system's alone.
declare(strict_types=1);

require __DIR__ . '/steps.php';

mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);
function connect(int $flags = 0): mysqli
{
    global $host, $user, $password, $schema;
    $db = mysqli_init();
    $db->options(MYSQLI_OPT_LOCAL_INFILE, 1);
    $db->real_connect($host, $user, $password, $schema, 3306, null, $flags);
    $db->set_charset('utf8mb4');
    return $db;
}

function rows(mysqli $db, string $sql): array
{
    return $db->query($sql)->fetch_all();
}

// Every result of what was just asked: rows, or the number of rows changed.
function results(mysqli $db): array
{
    $results = [];
    do {
        $result = $db->store_result();
        $results[] = $result ? $result->fetch_all() : $db->affected_rows;
    } while ($db->more_results() && $db->next_result());
    return $results;
}

$db = connect();
tell('connect', ['server' => $db->server_info, 'rows' => rows($db, "SELECT DATABASE(), 'naïve ☕'")]);
tell('text', ['rows' => rows($db, KINDS)]);

$prepared = $db->prepare('SELECT * FROM kinds WHERE id > ? ORDER BY id');
$prepared->execute([0]);
tell('binary', ['rows' => $prepared->get_result()->fetch_all()]);
$prepared->close();

$db->begin_transaction();
$db->query("INSERT INTO notes (word) VALUES ('gone')");
$db->query("INSERT INTO notes (word) VALUES ('gone too')");
$db->rollback();
$undone = rows($db, 'SELECT COUNT(*) FROM notes');
$db->begin_transaction();
$insert = $db->prepare('INSERT INTO notes (word) VALUES (?)');
$insert->execute(['kept']);
$facts = ['affected' => $insert->affected_rows, 'insert_id' => $insert->insert_id];
$db->commit();
tell('transaction', ['undone' => $undone, ...$facts, 'done' => rows($db, 'SELECT COUNT(*) FROM notes')]);

$long = $db->prepare('INSERT INTO bodies VALUES (1, ?)');
$null = null;
$long->bind_param('b', $null);
foreach (range(1, 3) as $_) {
    $long->send_long_data(0, str_repeat(PIECE, 10_000));
}
$long->execute();
$server = rows($db, 'SELECT SHA2(body, 256) FROM bodies WHERE id = 1');
tell('long-data', ['server' => $server, 'client' => hash('sha256', str_repeat(PIECE, 30_000))]);

// mysqlnd fetches rows of a cursor one at a time, whatever is asked for.
$cursor = $db->prepare('SELECT n FROM numbers WHERE n > ? ORDER BY n');
$cursor->attr_set(MYSQLI_STMT_ATTR_CURSOR_TYPE, MYSQLI_CURSOR_TYPE_READ_ONLY);
$cursor->execute([0]);
$cursor->bind_result($n);
[$count, $sum] = [0, 0];
while ($cursor->fetch()) {
    $count++;
    $sum += $n;
}
$cursor->close();
tell('cursor', ['rows' => $count, 'sum' => $sum]);

$db->multi_query(MULTI);
tell('multi', ['results' => results($db)]);
$db->multi_query('CALL several(3)');
$text = results($db);
$call = $db->prepare('CALL several(?)');
$call->execute([3]);
$binary = [];
do {
    $result = $call->get_result();
    $binary[] = $result ? $result->fetch_all() : $call->affected_rows;
} while ($call->more_results() && $call->next_result());
$call->close();
tell('procedure', ['results' => $text, 'prepared' => $binary]);

$insert = $db->prepare('INSERT INTO bodies VALUES (2, ?)');
$insert->execute([big()]);
[[$server, $body]] = rows($db, 'SELECT SHA2(body, 256), body FROM bodies WHERE id = 2');
tell('big-row', ['bytes' => strlen($body), 'server' => $server, 'client' => hash('sha256', $body)]);

$facts = [];
$failing = ['missing' => 'SELECT * FROM not_there', 'duplicate' => 'INSERT INTO notes SELECT NULL, word FROM notes'];
foreach ($failing as $name => $sql) {
    try {
        $db->query($sql);
    } catch (mysqli_sql_exception $error) {
        $facts[$name] = [$error->getCode(), $error->getSqlState(), $error->getMessage()];
    }
}
tell('error', [...$facts, 'after' => rows($db, 'SELECT 1')]);

$rows = rows($db, MONKEYS);
$warnings = ['count' => $db->warning_count];
for ($warning = $db->get_warnings(); $warning; $warning = $warning->next() ? $warning : null) {
    $warnings[] = [$warning->errno, $warning->sqlstate, $warning->message];
}
tell('warning', ['rows' => $rows, 'warnings' => $warnings]);

$db->query("LOAD DATA LOCAL INFILE '$file' INTO TABLE loaded CHARACTER SET utf8mb4");
$facts = ['affected' => $db->affected_rows, 'info' => $db->info];
tell('local-infile', [...$facts, 'rows' => rows($db, 'SELECT * FROM loaded ORDER BY id')]);

$compressed = connect(MYSQLI_CLIENT_COMPRESS);
tell('compression', ['length' => strlen(rows($compressed, COMPRESSIBLE)[0][0])]);
$compressed->close();

$noticed = false;
try {
    $db->query('KILL CONNECTION_ID()');
    $db->query('SELECT 1');
} catch (mysqli_sql_exception) {
    $noticed = true;
}
// The same object may connect again: COM_CHANGE_USER is for one that still lives, and is used here after it.
$db = connect();
$db->query('SET @before = 1');
$db->change_user($user, $password, $schema);
tell('reconnect', ['noticed' => $noticed, 'rows' => rows($db, "SELECT 'again', @before")]);
$db->close();

if ($tls) {
    $apart = connect(MYSQLI_CLIENT_SSL | MYSQLI_CLIENT_SSL_DONT_VERIFY_SERVER_CERT);
    tell('tls', ['rows' => rows($apart, "SELECT 'by tls'")]);
}
