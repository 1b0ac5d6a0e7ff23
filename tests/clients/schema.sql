-- What every client of the matrix finds in its schema, made anew for each run; tests/clients/README.md says what it does
-- with it. Loaded by the harness as root.
SET NAMES utf8mb4;
CREATE TABLE kinds (
  id INT PRIMARY KEY, a_bit BIT(10), a_bool BOOL, a_tiny TINYINT, a_utiny TINYINT UNSIGNED, a_small SMALLINT,
  a_medium MEDIUMINT, an_int INT, a_uint INT UNSIGNED, a_big BIGINT, a_ubig BIGINT UNSIGNED, a_decimal DECIMAL(40,10),
  a_float FLOAT, a_double DOUBLE, a_date DATE, a_time TIME(6), a_datetime DATETIME(6), a_timestamp TIMESTAMP(6) NULL,
  a_year YEAR, a_char CHAR(8), a_varchar VARCHAR(60), a_latin VARCHAR(20) CHARACTER SET latin1, a_binary BINARY(4),
  a_varbinary VARBINARY(300), a_tinytext TINYTEXT, a_text TEXT, a_mediumtext MEDIUMTEXT, a_longtext LONGTEXT,
  a_tinyblob TINYBLOB, a_blob BLOB, a_mediumblob MEDIUMBLOB, a_longblob LONGBLOB, an_enum ENUM('one','two'),
  a_set SET('a','b','c'), a_json JSON, a_point POINT
) CHARACTER SET utf8mb4;
INSERT INTO kinds VALUES
  (1, b'1000000001', TRUE, -128, 255, -32768, -8388608, -2147483648, 4294967295, -9223372036854775808,
   18446744073709551615, -123456789012345678901234567890.0123456789, 1.5, -2.5e300, '2026-02-28', '-838:59:58.999999',
   '9999-12-31 23:59:59.999999', '2026-02-28 12:34:56.000001', 2155, 'char', 'naïve ☕ ''quoted'' \\ "too"', 'café',
   0x00ff, REPEAT(0x00ff, 140), 'tiny', REPEAT('text ', 60), REPEAT('medium ', 50), 'long', 0x00, 0x0d0a1a00,
   REPEAT('x', 70000), 0xffee00, 'two', 'a,c', '{"a": [1, null, "ü"]}', POINT(1, -2)),
  (2, b'0', FALSE, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, '1000-01-01', '00:00:00', '1000-01-01 00:00:00',
   '1970-01-02 00:00:00', 1901, '', '', '', '', '', '', '', '', '', '', '', '', '', 'one', '', '[]', POINT(0, 0)),
  (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
   NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);

CREATE TABLE notes (id INT PRIMARY KEY AUTO_INCREMENT, word VARCHAR(60) NOT NULL UNIQUE) CHARACTER SET utf8mb4;
CREATE TABLE bodies (id INT PRIMARY KEY, body LONGBLOB);
CREATE TABLE loaded (id INT PRIMARY KEY, word VARCHAR(60)) CHARACTER SET utf8mb4;

CREATE TABLE numbers (n INT PRIMARY KEY, words VARCHAR(200));
INSERT INTO numbers
  WITH RECURSIVE up (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < 1000) SELECT n, REPEAT(n, 20) FROM up;

DELIMITER //
CREATE PROCEDURE several (IN wanted INT)
BEGIN
  SELECT n FROM numbers WHERE n <= wanted ORDER BY n;
  UPDATE notes SET word = word WHERE id = 0;
  SELECT 'second' AS word, NULL AS nothing;
END//
DELIMITER ;
