//! What a leg is compressed with.

use portreeve_mysql::{
    capabilities::{Capabilities, Negotiated},
    compression::Algorithm,
};

use crate::session::link::Link;

/// An algorithm of the compressed protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::session) enum Compressed {
    Zlib,
    /// `None` is the usual level.
    Zstd {
        level: Option<u8>,
    },
}

impl Compressed {
    const BITS: Capabilities = Capabilities::CLIENT_COMPRESS.union(Capabilities::CLIENT_ZSTD_COMPRESSION_ALGORITHM);

    /// What is in force with these capabilities. With both, the servers take zlib.
    pub(super) const fn in_force(capabilities: Capabilities, level: Option<u8>) -> Option<Self> {
        if capabilities.contains(Capabilities::CLIENT_COMPRESS) {
            return Some(Self::Zlib);
        }
        if capabilities.contains(Capabilities::CLIENT_ZSTD_COMPRESSION_ALGORITHM) {
            return Some(Self::Zstd { level });
        }
        None
    }

    /// The capabilities with what is to be asked of a server.
    pub(super) fn ask(compressed: Option<Self>, capabilities: Negotiated) -> Negotiated {
        let bit = match compressed {
            None => Capabilities::empty(),
            Some(Self::Zlib) => Capabilities::CLIENT_COMPRESS,
            Some(Self::Zstd { .. }) => Capabilities::CLIENT_ZSTD_COMPRESSION_ALGORITHM,
        };
        Negotiated { standard: capabilities.standard.difference(Self::BITS).union(bit), ..capabilities }
    }

    const fn algorithm(self) -> Algorithm {
        match self {
            Self::Zlib => Algorithm::Zlib,
            Self::Zstd { .. } => Algorithm::Zstd,
        }
    }

    /// Begins it on a leg whose login is over.
    pub(super) fn begin(self, link: &mut Link) {
        link.compress(self.algorithm(), self.level());
    }

    pub(super) const fn level(self) -> Option<u8> {
        match self {
            Self::Zlib => None,
            Self::Zstd { level } => level,
        }
    }

    /// As recordings name it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Zlib => "zlib",
            Self::Zstd { .. } => "zstd",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zlib_wins_where_both_are_in_force() {
        let (zlib, zstd) = (Capabilities::CLIENT_COMPRESS, Capabilities::CLIENT_ZSTD_COMPRESSION_ALGORITHM);
        assert_eq!(Compressed::in_force(zlib | zstd, Some(9)), Some(Compressed::Zlib));
        assert_eq!(Compressed::in_force(zstd, Some(9)), Some(Compressed::Zstd { level: Some(9) }));
        assert_eq!(Compressed::in_force(Capabilities::CLIENT_SSL, None), None);
    }

    #[test]
    fn a_server_is_asked_for_one_algorithm_or_none() {
        let all = Negotiated::from(Capabilities::all());
        let asked = |compressed| Compressed::ask(compressed, all).standard.intersection(Compressed::BITS);
        assert_eq!(asked(None), Capabilities::empty());
        assert_eq!(asked(Some(Compressed::Zlib)), Capabilities::CLIENT_COMPRESS);
        assert_eq!(asked(Some(Compressed::Zstd { level: None })), Capabilities::CLIENT_ZSTD_COMPRESSION_ALGORITHM);
    }
}
