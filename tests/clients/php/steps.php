<?php
// What the PHP programs of the matrix share; the steps are those of tests/clients/README.md.
declare(strict_types=1);

[, $host, $user, $password, $schema, $file] = $argv;
$tls = getenv('MATRIX_TLS') !== 'off';

const KINDS = 'SELECT * FROM kinds ORDER BY id';
const MULTI = "SELECT 1 AS one; UPDATE notes SET word = 'changed' WHERE word = 'kept'; SELECT word FROM notes";
const MONKEYS = "SELECT CAST('12 monkeys' AS SIGNED)";
const COMPRESSIBLE = "SELECT REPEAT('compressible', 100000)";
const PIECE = 'abcdefghij';

function big(): string
{
    return str_repeat(implode('', array_map('chr', range(0, 255))), 80_000);
}

// Values as JSON takes them: what is no text in hexadecimal digits.
function plain(mixed $value): mixed
{
    if (is_array($value)) {
        return array_map('plain', $value);
    }
    return is_string($value) && (!mb_check_utf8($value) || preg_match('/[\x00-\x1f]/', $value)) ? bin2hex($value) : $value;
}

function mb_check_utf8(string $value): bool
{
    return preg_match('//u', $value) === 1;
}

function tell(string $step, array $facts): void
{
    echo json_encode(['step' => $step] + plain($facts), JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES | JSON_THROW_ON_ERROR), "\n";
}
