//! Capability bits, and which of them the gateway honours.

pub use mysql_common::constants::{CapabilityFlags as Capabilities, MariadbCapabilities as MariaDbCapabilities, StatusFlags};

/// What is in force on a leg: the protocol's capabilities and MariaDB's extended ones, which only MariaDB's greeting and
/// its clients' logins carry (in bytes that are reserved elsewhere).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Negotiated {
    pub standard: Capabilities,
    pub mariadb: MariaDbCapabilities,
}

impl Negotiated {
    /// Whether all of `flags` are in force.
    #[must_use]
    pub const fn has(self, flags: Capabilities) -> bool {
        self.standard.contains(flags)
    }

    /// Whether all of MariaDB's `flags` are in force.
    #[must_use]
    pub const fn has_mariadb(self, flags: MariaDbCapabilities) -> bool {
        self.mariadb.contains(flags)
    }

    /// What both have.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self {
            standard: self.standard.intersection(other.standard),
            mariadb: self.mariadb.intersection(other.mariadb),
        }
    }
}

/// Without any of MariaDB's.
impl From<Capabilities> for Negotiated {
    fn from(standard: Capabilities) -> Self {
        Self { standard, mariadb: MariaDbCapabilities::empty() }
    }
}

/// The capabilities that the gateway understands on both legs; everything else is masked.
///
/// Masked because they change what must be read (COMPRESS, ZSTD, QUERY_ATTRIBUTES), hide what masking needs
/// (OPTIONAL_RESULTSET_METADATA), or are not spoken yet (SSL, MFA, expired passwords, MariaDB's extended set).
/// LONG_PASSWORD is mirrored: clear, it says that the server is a MariaDB.
pub const GATEWAY: Capabilities = Capabilities::CLIENT_LONG_PASSWORD
    .union(Capabilities::CLIENT_FOUND_ROWS)
    .union(Capabilities::CLIENT_LONG_FLAG)
    .union(Capabilities::CLIENT_CONNECT_WITH_DB)
    .union(Capabilities::CLIENT_LOCAL_FILES)
    .union(Capabilities::CLIENT_ODBC)
    .union(Capabilities::CLIENT_IGNORE_SPACE)
    .union(Capabilities::CLIENT_PROTOCOL_41)
    .union(Capabilities::CLIENT_INTERACTIVE)
    .union(Capabilities::CLIENT_TRANSACTIONS)
    .union(Capabilities::CLIENT_SECURE_CONNECTION)
    .union(Capabilities::CLIENT_MULTI_STATEMENTS)
    .union(Capabilities::CLIENT_MULTI_RESULTS)
    .union(Capabilities::CLIENT_PS_MULTI_RESULTS)
    .union(Capabilities::CLIENT_PLUGIN_AUTH)
    .union(Capabilities::CLIENT_CONNECT_ATTRS)
    .union(Capabilities::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA)
    .union(Capabilities::CLIENT_SESSION_TRACK)
    .union(Capabilities::CLIENT_DEPRECATE_EOF);

/// What the gateway offers to a client: what the server has and the gateway honours.
///
/// The caller takes away what policy does not grant (`LOCAL_FILES`, `MULTI_STATEMENTS`).
#[must_use]
pub const fn offered(server: Capabilities) -> Capabilities {
    server.intersection(GATEWAY)
}

/// What is in force on a leg. A client's bit alone never counts: mysql2 for Node sets QUERY_ATTRIBUTES unasked.
#[must_use]
pub const fn effective(offered: Capabilities, client: Capabilities) -> Capabilities {
    offered.intersection(client)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_gateway_cannot_read_is_masked() {
        let offer = offered(Capabilities::all());
        for masked in [
            Capabilities::CLIENT_SSL,
            Capabilities::CLIENT_COMPRESS,
            Capabilities::CLIENT_ZSTD_COMPRESSION_ALGORITHM,
            Capabilities::CLIENT_QUERY_ATTRIBUTES,
            Capabilities::CLIENT_OPTIONAL_RESULTSET_METADATA,
            Capabilities::CLIENT_NO_SCHEMA,
            Capabilities::MULTI_FACTOR_AUTHENTICATION,
            Capabilities::CLIENT_CAN_HANDLE_EXPIRED_PASSWORDS,
            Capabilities::CLIENT_PROGRESS_OBSOLETE,
        ] {
            assert!(!offer.intersects(masked), "{masked:?}");
        }
        assert_eq!(offer.bits(), 0x01BF_A7CF);
    }

    #[test]
    fn a_bit_of_one_side_alone_does_not_count() {
        let offer = offered(Capabilities::CLIENT_PROTOCOL_41 | Capabilities::CLIENT_SSL);
        assert_eq!(effective(offer, Capabilities::all()), Capabilities::CLIENT_PROTOCOL_41);
        assert_eq!(effective(offer, Capabilities::CLIENT_FOUND_ROWS), Capabilities::empty());
    }
}
