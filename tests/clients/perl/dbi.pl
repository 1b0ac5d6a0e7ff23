#!/usr/bin/perl
# The matrix with DBD::mysql or DBD::MariaDB (last argument `mysql` or `MariaDB`); usage and steps: tests/clients/README.md.
use strict;
use warnings;
use utf8;
use DBI;
use Digest::SHA qw(sha256_hex);
use JSON::PP;

my ($host, $user, $password, $schema, $file, $driver) = @ARGV;
# Attributes of the driver are named after it: mysql_…, mariadb_….
my $own = lc $driver;
my $json = JSON::PP->new->canonical;
binmode STDOUT, ':utf8';

sub tell_step {
    my ($step, %facts) = @_;
    print $json->encode({step => $step, %facts}), "\n";
}

# Values as text; those that are no text in hexadecimal digits.
sub plain {
    my ($value) = @_;
    return [map { plain($_) } @$value] if ref $value;
    return $value if !defined $value || $value !~ /[^\x20-\x7e\x{a0}-\x{ffff}]/;
    utf8::encode($value) if utf8::is_utf8($value);
    return unpack 'H*', $value;
}

sub connect_with {
    my (%options) = @_;
    my $given = join ';', "host=$host", "database=$schema", map { "${own}_$_=$options{$_}" } keys %options;
    my %attributes = (RaiseError => 1, PrintError => 0, AutoCommit => 1, "${own}_auto_reconnect" => 0);
    $attributes{mysql_enable_utf8mb4} = 1 if $own eq 'mysql';
    return DBI->connect("DBI:$driver:$given", $user, $password, \%attributes);
}

# Every result of a statement: rows, or the number of rows changed.
sub results {
    my ($statement) = @_;
    my @results;
    do {
        push @results, $statement->{NUM_OF_FIELDS} ? plain($statement->fetchall_arrayref) : $statement->rows;
    } while $statement->more_results;
    return \@results;
}

sub rows { my ($db, $sql, @values) = @_; return plain($db->selectall_arrayref($sql, {}, @values)) }

my $db = connect_with(local_infile => 1, multi_statements => 1);
tell_step('connect', server => $db->{"${own}_serverinfo"}, rows => rows($db, "SELECT DATABASE(), 'naïve ☕'"));
tell_step('text', rows => rows($db, 'SELECT * FROM kinds ORDER BY id'));

# Prepared at the server only when asked for; a BIT or POINT of a binary row is what the driver makes of it.
my $prepared = $db->prepare('SELECT * FROM kinds WHERE id > ? ORDER BY id', {"${own}_server_prepare" => 1});
$prepared->execute(0);
tell_step('binary', rows => plain($prepared->fetchall_arrayref));
$prepared->finish;

$db->begin_work;
$db->do("INSERT INTO notes (word) VALUES ('gone')");
$db->do("INSERT INTO notes (word) VALUES ('gone too')");
$db->rollback;
my $undone = rows($db, 'SELECT COUNT(*) FROM notes');
$db->begin_work;
my $affected = $db->do('INSERT INTO notes (word) VALUES (?)', {}, 'kept');
my $id = $db->last_insert_id(undef, undef, 'notes', 'id');
$db->commit;
tell_step('transaction', undone => $undone, affected => $affected, insert_id => $id,
    done => rows($db, 'SELECT COUNT(*) FROM notes'));

# No cursor at the server: rows are read as they come. DBD::MariaDB 1.22 gets none that way, from a server itself.
if ($own eq 'mysql') {
    my $reading = $db->prepare('SELECT n FROM numbers ORDER BY n', {mysql_use_result => 1});
    $reading->execute;
    my ($count, $sum) = (0, 0);
    while (my ($number) = $reading->fetchrow_array) {
        $count += 1;
        $sum += $number;
    }
    tell_step('cursor', rows => $count, sum => $sum);
}

my $multi = $db->prepare("SELECT 1 AS one; UPDATE notes SET word = 'changed' WHERE word = 'kept'; SELECT word FROM notes");
$multi->execute;
tell_step('multi', results => results($multi));
my $procedure = $db->prepare('CALL several(3)');
$procedure->execute;
tell_step('procedure', results => results($procedure));

my $insert = $db->prepare('INSERT INTO bodies VALUES (2, ?)', {"${own}_server_prepare" => 1});
$insert->bind_param(1, join('', map { chr } 0 .. 255) x 80_000, DBI::SQL_BLOB);
$insert->execute;
my ($server, $body) = $db->selectrow_array('SELECT SHA2(body, 256), body FROM bodies WHERE id = 2');
tell_step('big-row', bytes => length $body, server => $server, client => sha256_hex($body));

my %said;
my %failing = (missing => 'SELECT * FROM not_there', duplicate => 'INSERT INTO notes SELECT NULL, word FROM notes');
for my $name (keys %failing) {
    eval { $db->do($failing{$name}) };
    $said{$name} = [$db->err, $db->state, $db->errstr];
}
tell_step('error', %said, after => rows($db, 'SELECT 1'));

my $warned = $db->prepare("SELECT CAST('12 monkeys' AS SIGNED)");
$warned->execute;
my $monkeys = plain($warned->fetchall_arrayref);
my $warnings = $warned->{"${own}_warning_count"};
tell_step('warning', rows => $monkeys, count => $warnings, warnings => rows($db, 'SHOW WARNINGS'));

my $loaded = $db->do("LOAD DATA LOCAL INFILE '$file' INTO TABLE loaded CHARACTER SET utf8mb4");
tell_step('local-infile', affected => $loaded, rows => rows($db, 'SELECT * FROM loaded ORDER BY id'));

my $compressed = connect_with(compression => 1);
my ($text) = $compressed->selectrow_array("SELECT REPEAT('compressible', 100000)");
tell_step('compression', length => length $text);
$compressed->disconnect;

# The driver connects again by itself, at the statement after the one that failed or at that one.
my $noticed = JSON::PP::false;
$db->{"${own}_auto_reconnect"} = 1;
eval { $db->do('KILL CONNECTION_ID()'); 1 } or $noticed = JSON::PP::true;
eval { $db->do('SELECT 1') };
tell_step('reconnect', noticed => $noticed, rows => rows($db, "SELECT 'again'"));
$db->disconnect;

if (($ENV{MATRIX_TLS} // '') ne 'off') {
    # With Debian's library both can ask for TLS and cannot insist on it.
    my $apart = connect_with(ssl => 1, ssl_verify_server_cert => 0, ssl_optional => 1);
    tell_step('tls', rows => rows($apart, "SELECT 'by tls'"));
    $apart->disconnect;
}
