use thiserror::Error;

/// Why bytes of a peer could not be taken further. The session they came on cannot go on; no other is touched.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProtocolError {
    /// The bytes do not make the packet that they claim to be.
    #[error("malformed {packet}: {field} {fault}")]
    Malformed {
        /// The packet, as the protocol's manual calls it.
        packet: &'static str,
        /// The field within.
        field: &'static str,
        fault: Fault,
    },
    /// A well-formed packet that the peer may not send here.
    #[error("protocol violation: {0}")]
    Misbehaved(Misbehaviour),
    /// Something the protocol has and the gateway does not speak.
    #[error("unsupported: {0}")]
    Unsupported(Unsupported),
}

/// What is wrong with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Fault {
    #[error("ends before its end")]
    Truncated,
    #[error("has a value that the protocol does not know")]
    Invalid,
    #[error("takes {len} bytes, at most {max} are accepted")]
    TooLong { len: u64, max: u64 },
    #[error("is followed by {len} bytes that belong to nothing")]
    Trailing { len: usize },
}

/// What a peer did out of turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Misbehaviour {
    /// MySQL answers 1156 (08S01) to this.
    #[error("packet with sequence id {got} where {expected} is due")]
    SequenceId { expected: u8, got: u8 },
    /// MySQL answers 1153 (08S01) to this.
    #[error("packet of at least {len} bytes, at most {max} are accepted")]
    PacketTooLarge { len: usize, max: usize },
    /// MySQL answers 1047 (08S01) to this.
    #[error("empty packet where a command is due")]
    EmptyCommand,
    #[error("server asks for a file of the client though no statement allowed that")]
    UnrequestedLocalInfile,
    #[error("packet that cannot come {0}")]
    UnexpectedPacket(&'static str),
    #[error("more than {max} changes of the authentication plugin in one login")]
    TooManyAuthSwitches { max: u8 },
    /// Someone on the way may have written the request.
    #[error("login inside TLS with other capabilities than the request for TLS had")]
    ChangedCapabilities,
    #[error("server's public key cannot be used: {0}")]
    PublicKey(&'static str),
    #[error("password of {len} bytes does not fit the server's public key, at most {max} bytes do")]
    PasswordTooLongForKey { len: usize, max: usize },
}

/// What the gateway does not speak.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unsupported {
    #[error("the client asks for TLS, which was not offered to it: let it connect without")]
    Tls,
    #[error("the protocol before version 4.1 of MySQL: use a newer client or server")]
    OldProtocol,
    /// The name is cut and cleaned of everything but printable ASCII.
    #[error(
        "the server's account uses authentication plugin `{name}`: give the account {usable}",
        usable = "`caching_sha2_password`, `client_ed25519`, `parsec` or `mysql_native_password`"
    )]
    AuthPlugin { name: String },
    /// `mysql_clear_password`, on a leg without TLS or to a server that was not verified.
    #[error(
        "the server asks for the password as it is (`{name}`), which goes to a verified server under TLS only: write `tls = \"{better}\"`",
        better = "verify-identity"
    )]
    CleartextWithoutTls { name: &'static str },
    #[error("the server does not offer TLS: configure it there, or turn `tls` off for the server")]
    ServerTls,
    #[error("the server's account uses the password hash from before MySQL 4.1: set its password again")]
    OldPassword,
    #[error("the server's account needs a second factor: use one that does not")]
    SecondFactor,
    /// Which of a row's values are to be concealed cannot be known.
    #[error("a result without column names may hold what portreeve conceals: ask for metadata, or not for variables")]
    ConcealingWithoutMetadata,
}

impl ProtocolError {
    pub(crate) const fn malformed(packet: &'static str, field: &'static str, fault: Fault) -> Self {
        Self::Malformed { packet, field, fault }
    }

    pub(crate) const fn unexpected(place: &'static str) -> Self {
        Self::Misbehaved(Misbehaviour::UnexpectedPacket(place))
    }
}

impl From<Misbehaviour> for ProtocolError {
    fn from(misbehaviour: Misbehaviour) -> Self {
        Self::Misbehaved(misbehaviour)
    }
}

impl From<Unsupported> for ProtocolError {
    fn from(unsupported: Unsupported) -> Self {
        Self::Unsupported(unsupported)
    }
}
