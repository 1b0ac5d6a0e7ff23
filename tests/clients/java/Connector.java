import java.io.PrintStream;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.sql.Blob;
import java.sql.CallableStatement;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.SQLWarning;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;

/** The matrix with MariaDB Connector/J; usage and steps: tests/clients/README.md. */
class Connector {
    static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    static String host, user, password, schema, file;

    public static void main(String[] args) throws Exception {
        host = args[0];
        user = args[1];
        password = args[2];
        schema = args[3];
        file = args[4];
        try (Connection db = connect("")) {
            greet(db);
            rows(db);
            transaction(db);
            longData(db);
            cursor(db);
            results(db);
            bigRow(db);
            errors(db);
            localInfile(db);
        }
        try (Connection db = connect("&useCompression=true")) {
            String text = (String) ((List<?>) ask(db, "SELECT REPEAT('compressible', 100000)").get(0)).get(0);
            tell("compression", "length", text.length());
        }
        reconnect();
        if (!"off".equals(System.getenv("MATRIX_TLS"))) {
            try (Connection db = connect("&useSsl=true&trustServerCertificate=true")) {
                tell("tls", "rows", ask(db, "SELECT 'by tls'"));
            }
        }
    }

    static Connection connect(String options) throws SQLException {
        String url = "jdbc:mariadb://" + host + "/" + schema + "?allowMultiQueries=true&allowLocalInfile=true" + options;
        // A server without TLS hands its RSA key out for the password.
        return DriverManager.getConnection(url + "&allowPublicKeyRetrieval=true", user, password);
    }

    static void greet(Connection db) throws SQLException {
        String server = db.getMetaData().getDatabaseProductName() + " " + db.getMetaData().getDatabaseProductVersion();
        tell("connect", "server", server, "rows", ask(db, "SELECT DATABASE(), 'naïve ☕'"));
    }

    static void rows(Connection db) throws SQLException {
        tell("text", "rows", ask(db, "SELECT * FROM kinds ORDER BY id"));
        try (Connection prepares = connect("&useServerPrepStmts=true");
                PreparedStatement select = prepares.prepareStatement("SELECT * FROM kinds WHERE id > ? ORDER BY id")) {
            select.setInt(1, 0);
            tell("binary", "rows", read(select.executeQuery()));
        }
    }

    static void transaction(Connection db) throws SQLException {
        db.setAutoCommit(false);
        ask(db, "INSERT INTO notes (word) VALUES ('gone')");
        ask(db, "INSERT INTO notes (word) VALUES ('gone too')");
        db.rollback();
        Object undone = ask(db, "SELECT COUNT(*) FROM notes");
        int affected;
        Object id;
        String sql = "INSERT INTO notes (word) VALUES (?)";
        try (PreparedStatement insert = db.prepareStatement(sql, Statement.RETURN_GENERATED_KEYS)) {
            insert.setString(1, "kept");
            affected = insert.executeUpdate();
            id = read(insert.getGeneratedKeys());
        }
        db.commit();
        db.setAutoCommit(true);
        Object done = ask(db, "SELECT COUNT(*) FROM notes");
        tell("transaction", "undone", undone, "affected", affected, "insert_id", id, "done", done);
    }

    static void longData(Connection db) throws Exception {
        byte[] pieces = "abcdefghij".repeat(30_000).getBytes(StandardCharsets.US_ASCII);
        try (Connection prepares = connect("&useServerPrepStmts=true");
                PreparedStatement insert = prepares.prepareStatement("INSERT INTO bodies VALUES (1, ?)")) {
            insert.setBinaryStream(1, new java.io.ByteArrayInputStream(pieces));
            insert.executeUpdate();
        }
        Object server = ask(db, "SELECT SHA2(body, 256) FROM bodies WHERE id = 1");
        tell("long-data", "server", server, "client", hash(pieces));
    }

    /** None at the server: rows are read as they come. */
    static void cursor(Connection db) throws SQLException {
        int count = 0, sum = 0;
        try (Statement statement = db.createStatement()) {
            statement.setFetchSize(100);
            ResultSet numbers = statement.executeQuery("SELECT n FROM numbers ORDER BY n");
            for (; numbers.next(); count++) {
                sum += numbers.getInt(1);
            }
        }
        tell("cursor", "rows", count, "sum", sum);
    }

    static void results(Connection db) throws SQLException {
        String sql = "SELECT 1 AS one; UPDATE notes SET word = 'changed' WHERE word = 'kept'; SELECT word FROM notes";
        try (Statement statement = db.createStatement()) {
            tell("multi", "results", every(statement, statement.execute(sql)));
        }
        try (CallableStatement call = db.prepareCall("{CALL several(?)}")) {
            call.setInt(1, 3);
            tell("procedure", "results", every(call, call.execute()));
        }
    }

    static void bigRow(Connection db) throws Exception {
        byte[] big = new byte[20_480_000];
        for (int at = 0; at < big.length; at++) {
            big[at] = (byte) at;
        }
        try (PreparedStatement insert = db.prepareStatement("INSERT INTO bodies VALUES (2, ?)")) {
            insert.setBytes(1, big);
            insert.executeUpdate();
        }
        try (Statement statement = db.createStatement()) {
            ResultSet row = statement.executeQuery("SELECT SHA2(body, 256), body FROM bodies WHERE id = 2");
            row.next();
            byte[] body = row.getBytes(2);
            tell("big-row", "bytes", body.length, "server", row.getString(1), "client", hash(body));
        }
    }

    static void errors(Connection db) throws SQLException {
        Object missing = failing(db, "SELECT * FROM not_there");
        Object duplicate = failing(db, "INSERT INTO notes SELECT NULL, word FROM notes");
        tell("error", "missing", missing, "duplicate", duplicate, "after", ask(db, "SELECT 1"));
        try (Statement statement = db.createStatement()) {
            Object rows = read(statement.executeQuery("SELECT CAST('12 monkeys' AS SIGNED)"));
            List<Object> warnings = new ArrayList<>();
            for (SQLWarning one = statement.getWarnings(); one != null; one = one.getNextWarning()) {
                warnings.add(List.of(one.getErrorCode(), one.getMessage()));
            }
            tell("warning", "rows", rows, "warnings", warnings);
        }
    }

    static Object failing(Connection db, String sql) throws SQLException {
        try {
            return ask(db, sql);
        } catch (SQLException error) {
            // The driver puts the connection's id before the server's text.
            String message = error.getMessage().replaceAll("^\\(conn=\\d+\\) ", "");
            return List.of(error.getErrorCode(), error.getSQLState(), message);
        }
    }

    static void localInfile(Connection db) throws SQLException {
        try (Statement statement = db.createStatement()) {
            String sql = "LOAD DATA LOCAL INFILE '" + file + "' INTO TABLE loaded CHARACTER SET utf8mb4";
            int affected = statement.executeUpdate(sql);
            tell("local-infile", "affected", affected, "rows", ask(db, "SELECT * FROM loaded ORDER BY id"));
        }
    }

    static void reconnect() throws SQLException {
        boolean noticed = false;
        try (Connection db = connect("")) {
            try {
                ask(db, "KILL CONNECTION_ID()");
                ask(db, "SELECT 1");
            } catch (SQLException error) {
                noticed = !db.isValid(1);
            }
        }
        try (Connection db = connect("")) {
            tell("reconnect", "noticed", noticed, "rows", ask(db, "SELECT 'again'"));
        }
    }

    static List<Object> ask(Connection db, String sql) throws SQLException {
        try (Statement statement = db.createStatement()) {
            return statement.execute(sql) ? read(statement.getResultSet()) : List.of();
        }
    }

    static List<Object> every(Statement statement, boolean rows) throws SQLException {
        List<Object> results = new ArrayList<>();
        while (rows || statement.getUpdateCount() != -1) {
            results.add(rows ? read(statement.getResultSet()) : statement.getUpdateCount());
            rows = statement.getMoreResults();
        }
        return results;
    }

    static List<Object> read(ResultSet rows) throws SQLException {
        List<Object> all = new ArrayList<>();
        while (rows.next()) {
            List<Object> row = new ArrayList<>();
            for (int at = 1; at <= rows.getMetaData().getColumnCount(); at++) {
                row.add(rows.getObject(at));
            }
            all.add(row);
        }
        return all;
    }

    static String hash(byte[] bytes) throws Exception {
        return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
    }

    /** Step, then names and values in turn. */
    static void tell(String step, Object... facts) {
        StringBuilder line = new StringBuilder("{\"step\":" + json(step));
        for (int at = 0; at < facts.length; at += 2) {
            line.append(',').append(json(facts[at])).append(':').append(json(facts[at + 1]));
        }
        OUT.println(line.append('}'));
    }

    static String json(Object value) {
        if (value == null || value instanceof Boolean || value instanceof Number && !(value instanceof BigDecimal)) {
            return String.valueOf(value);
        }
        if (value instanceof List<?> list) {
            return "[" + String.join(",", list.stream().map(Connector::json).toList()) + "]";
        }
        if (value instanceof byte[] bytes) {
            return json(HexFormat.of().formatHex(bytes));
        }
        if (value instanceof Blob blob) {
            try {
                return json(blob.getBytes(1, (int) blob.length()));
            } catch (SQLException error) {
                throw new IllegalStateException(error);
            }
        }
        StringBuilder text = new StringBuilder("\"");
        for (char c : value.toString().toCharArray()) {
            text.append(c == '"' || c == '\\' ? "\\" + c : c < ' ' ? String.format("\\u%04x", (int) c) : String.valueOf(c));
        }
        return text.append('"').toString();
    }
}
