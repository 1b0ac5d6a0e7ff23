<?php
// The matrix with PDO (mysqlnd); usage and steps: tests/clients/README.md.
declare(strict_types=1);

require __DIR__ . '/steps.php';

function connect(array $options = []): PDO
{
    global $host, $user, $password, $schema;
    return new PDO("mysql:host=$host;dbname=$schema;charset=utf8mb4", $user, $password, $options + [
        PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
        PDO::ATTR_DEFAULT_FETCH_MODE => PDO::FETCH_NUM,
        PDO::MYSQL_ATTR_LOCAL_INFILE => true,
    ]);
}

function rows(PDO $db, string $sql): array
{
    return $db->query($sql)->fetchAll();
}

// Every result of a statement: rows, or the number of rows changed.
function results(PDOStatement $statement): array
{
    $results = [];
    do {
        $results[] = $statement->columnCount() ? $statement->fetchAll() : $statement->rowCount();
    } while ($statement->nextRowset());
    return $results;
}

$db = connect();
tell('connect', ['server' => $db->getAttribute(PDO::ATTR_SERVER_VERSION), 'rows' => rows($db, "SELECT DATABASE(), 'naïve ☕'")]);
tell('text', ['rows' => rows($db, KINDS)]);

// From now on prepared at the server.
$db->setAttribute(PDO::ATTR_EMULATE_PREPARES, false);
$prepared = $db->prepare('SELECT * FROM kinds WHERE id > ? ORDER BY id');
$prepared->execute([0]);
tell('binary', ['rows' => $prepared->fetchAll()]);

$db->beginTransaction();
$db->exec("INSERT INTO notes (word) VALUES ('gone')");
$db->exec("INSERT INTO notes (word) VALUES ('gone too')");
$db->rollBack();
$undone = rows($db, 'SELECT COUNT(*) FROM notes');
$db->beginTransaction();
$insert = $db->prepare('INSERT INTO notes (word) VALUES (?)');
$insert->execute(['kept']);
$facts = ['affected' => $insert->rowCount(), 'insert_id' => $db->lastInsertId()];
$db->commit();
tell('transaction', ['undone' => $undone, ...$facts, 'done' => rows($db, 'SELECT COUNT(*) FROM notes')]);

// No cursor at the server: rows are read as they come.
$db->setAttribute(PDO::MYSQL_ATTR_USE_BUFFERED_QUERY, false);
$reading = $db->query('SELECT n FROM numbers ORDER BY n');
[$count, $sum] = [0, 0];
while ([$n] = $reading->fetch()) {
    $count++;
    $sum += $n;
}
$reading = null;
$db->setAttribute(PDO::MYSQL_ATTR_USE_BUFFERED_QUERY, true);
tell('cursor', ['rows' => $count, 'sum' => $sum]);

$db->setAttribute(PDO::ATTR_EMULATE_PREPARES, true);
tell('multi', ['results' => results($db->query(MULTI))]);
$text = results($db->query('CALL several(3)'));
$db->setAttribute(PDO::ATTR_EMULATE_PREPARES, false);
$call = $db->prepare('CALL several(?)');
$call->execute([3]);
tell('procedure', ['results' => $text, 'prepared' => results($call)]);

$insert = $db->prepare('INSERT INTO bodies VALUES (2, ?)');
$insert->bindValue(1, big(), PDO::PARAM_LOB);
$insert->execute();
[[$server, $body]] = rows($db, 'SELECT SHA2(body, 256), body FROM bodies WHERE id = 2');
tell('big-row', ['bytes' => strlen($body), 'server' => $server, 'client' => hash('sha256', $body)]);

$facts = [];
$failing = ['missing' => 'SELECT * FROM not_there', 'duplicate' => 'INSERT INTO notes SELECT NULL, word FROM notes'];
foreach ($failing as $name => $sql) {
    try {
        $db->exec($sql);
    } catch (PDOException $error) {
        $facts[$name] = $error->errorInfo;
    }
}
tell('error', [...$facts, 'after' => rows($db, 'SELECT 1')]);
// SHOW WARNINGS cannot be prepared.
$db->setAttribute(PDO::ATTR_EMULATE_PREPARES, true);
tell('warning', ['rows' => rows($db, MONKEYS), 'warnings' => rows($db, 'SHOW WARNINGS')]);

$affected = $db->exec("LOAD DATA LOCAL INFILE '$file' INTO TABLE loaded CHARACTER SET utf8mb4");
tell('local-infile', ['affected' => $affected, 'rows' => rows($db, 'SELECT * FROM loaded ORDER BY id')]);

$compressed = connect([PDO::MYSQL_ATTR_COMPRESS => true]);
tell('compression', ['length' => strlen(rows($compressed, COMPRESSIBLE)[0][0])]);
$compressed = null;

$noticed = false;
try {
    $db->exec('KILL CONNECTION_ID()');
    $db->exec('SELECT 1');
} catch (PDOException) {
    $noticed = true;
}
$db = connect();
tell('reconnect', ['noticed' => $noticed, 'rows' => rows($db, "SELECT 'again'")]);

if ($tls) {
    // Any of these options asks for TLS.
    $apart = connect([PDO::MYSQL_ATTR_SSL_CIPHER => 'DEFAULT', PDO::MYSQL_ATTR_SSL_VERIFY_SERVER_CERT => false]);
    tell('tls', ['rows' => rows($apart, "SELECT 'by tls'")]);
}
