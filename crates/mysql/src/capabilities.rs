//! Capability bits, and which of them the gateway honours.

pub use mysql_common::constants::{
    CapabilityFlags as Capabilities, MariadbCapabilities as MariaDbCapabilities, StatusFlags,
};

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

    /// Those of the protocol alone.
    #[must_use]
    pub const fn without_mariadb(standard: Capabilities) -> Self {
        Self { standard, mariadb: MariaDbCapabilities::empty() }
    }

    /// What both have.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self { standard: self.standard.intersection(other.standard), mariadb: self.mariadb.intersection(other.mariadb) }
    }
}

/// Without any of MariaDB's.
impl From<Capabilities> for Negotiated {
    fn from(standard: Capabilities) -> Self {
        Self::without_mariadb(standard)
    }
}

/// The capabilities that the gateway understands; everything else is masked.
///
/// Masked: MULTI_FACTOR_AUTHENTICATION (one held credential is one factor), NO_SCHEMA (it forbids `db.table.column`), and
/// bit 29 (MariaDB's old progress reports, for which the extended set has a bit of its own). LONG_PASSWORD is mirrored:
/// clear, it says that the server is a MariaDB.
pub const GATEWAY: Capabilities = Capabilities::CLIENT_LONG_PASSWORD
    .union(Capabilities::CLIENT_FOUND_ROWS)
    .union(Capabilities::CLIENT_LONG_FLAG)
    .union(Capabilities::CLIENT_CONNECT_WITH_DB)
    .union(Capabilities::CLIENT_COMPRESS)
    .union(Capabilities::CLIENT_LOCAL_FILES)
    .union(Capabilities::CLIENT_ODBC)
    .union(Capabilities::CLIENT_IGNORE_SPACE)
    .union(Capabilities::CLIENT_PROTOCOL_41)
    .union(Capabilities::CLIENT_INTERACTIVE)
    .union(Capabilities::CLIENT_SSL)
    .union(Capabilities::CLIENT_TRANSACTIONS)
    .union(Capabilities::CLIENT_SECURE_CONNECTION)
    .union(Capabilities::CLIENT_MULTI_STATEMENTS)
    .union(Capabilities::CLIENT_MULTI_RESULTS)
    .union(Capabilities::CLIENT_PS_MULTI_RESULTS)
    .union(Capabilities::CLIENT_PLUGIN_AUTH)
    .union(Capabilities::CLIENT_CONNECT_ATTRS)
    .union(Capabilities::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA)
    .union(Capabilities::CLIENT_CAN_HANDLE_EXPIRED_PASSWORDS)
    .union(Capabilities::CLIENT_SESSION_TRACK)
    .union(Capabilities::CLIENT_DEPRECATE_EOF)
    .union(Capabilities::CLIENT_OPTIONAL_RESULTSET_METADATA)
    .union(Capabilities::CLIENT_ZSTD_COMPRESSION_ALGORITHM)
    .union(Capabilities::CLIENT_QUERY_ATTRIBUTES);

/// The extended capabilities of MariaDB that the gateway understands. Masked: RESERVED_1, once COM_MULTI.
pub const GATEWAY_MARIADB: MariaDbCapabilities = MariaDbCapabilities::MARIADB_CLIENT_PROGRESS
    .union(MariaDbCapabilities::MARIADB_CLIENT_STMT_BULK_OPERATIONS)
    .union(MariaDbCapabilities::MARIADB_CLIENT_EXTENDED_METADATA)
    .union(MariaDbCapabilities::MARIADB_CLIENT_CACHE_METADATA)
    .union(MariaDbCapabilities::MARIADB_CLIENT_BULK_UNIT_RESULTS);

/// How a leg is carried: the caller offers and asks for these as it likes, whatever the other leg has.
pub const TRANSPORT: Capabilities = Capabilities::CLIENT_SSL
    .union(Capabilities::CLIENT_COMPRESS)
    .union(Capabilities::CLIENT_ZSTD_COMPRESSION_ALGORITHM);

/// What each leg has for itself: its transport, and the layout of its own login. All others must be the same on both
/// legs, for they change how commands and answers are laid out, and those are forwarded byte for byte.
pub const LEG_ONLY: Capabilities = TRANSPORT
    .union(Capabilities::CLIENT_CONNECT_WITH_DB)
    .union(Capabilities::CLIENT_PROTOCOL_41)
    .union(Capabilities::CLIENT_SECURE_CONNECTION)
    .union(Capabilities::CLIENT_PLUGIN_AUTH)
    .union(Capabilities::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA)
    .union(Capabilities::CLIENT_CONNECT_ATTRS);

/// What of a server's capabilities the gateway offers to a client: what the gateway honours as well.
///
/// The caller takes away what policy does not grant (`LOCAL_FILES`, `MULTI_STATEMENTS`), and sets of [`TRANSPORT`] what it
/// gives its clients.
#[must_use]
pub const fn offered(server: Negotiated) -> Negotiated {
    server.intersection(Negotiated { standard: GATEWAY, mariadb: GATEWAY_MARIADB })
}

/// What is in force on a leg. A client's bit alone never counts: mysql2 for Node sets QUERY_ATTRIBUTES unasked.
#[must_use]
pub const fn effective(offered: Negotiated, client: Negotiated) -> Negotiated {
    offered.intersection(client)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Negotiated = Negotiated { standard: Capabilities::all(), mariadb: MariaDbCapabilities::all() };

    #[test]
    fn what_the_gateway_cannot_read_is_masked() {
        let offer = offered(ALL);
        for masked in [
            Capabilities::CLIENT_NO_SCHEMA,
            Capabilities::MULTI_FACTOR_AUTHENTICATION,
            Capabilities::CLIENT_PROGRESS_OBSOLETE,
        ] {
            assert!(!offer.standard.intersects(masked), "{masked:?}");
        }
        assert_eq!(offer.standard.bits(), 0x0FFF_AFEF);
        assert_eq!(offer.mariadb.bits(), 0x3D);
        let unknown = Negotiated {
            standard: Capabilities::from_bits_retain(u32::MAX),
            mariadb: MariaDbCapabilities::from_bits_retain(u32::MAX),
        };
        assert_eq!(offered(unknown), offer);
    }

    #[test]
    fn a_bit_of_one_side_alone_does_not_count() {
        let offer = offered(Capabilities::CLIENT_PROTOCOL_41.union(Capabilities::CLIENT_NO_SCHEMA).into());
        assert_eq!(effective(offer, ALL), Capabilities::CLIENT_PROTOCOL_41.into());
        assert_eq!(effective(offer, Capabilities::CLIENT_FOUND_ROWS.into()), Capabilities::empty().into());
    }
}
