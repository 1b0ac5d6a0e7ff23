//! What a link reads from and writes to: a socket, in clear text or under TLS.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::TlsStream;

/// TLS is behind a pointer, so that a session in clear text is no larger for it.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<Rewound>>),
    /// A handshake failed or was given up. There is nothing more to read or to say.
    Closed,
}

impl Stream {
    /// Appends what is there to `buffer`, waiting for at least one byte. 0 is the end. Cancel safe.
    pub(super) async fn read_buf(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read_buf(buffer).await,
            Self::Tls(stream) => match stream.read_buf(buffer).await {
                // Many clients and servers just close: to the protocol above, a packet cut short says so as well.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
                read => read,
            },
            Self::Closed => Ok(0),
        }
    }

    pub(super) async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(bytes).await,
            Self::Tls(stream) => {
                stream.write_all(bytes).await?;
                // What the socket did not take at once is still with rustls.
                stream.flush().await
            }
            Self::Closed => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// The socket below; none when the link is closed.
    pub(super) fn socket(&self) -> Option<&TcpStream> {
        match self {
            Self::Plain(socket) => Some(socket),
            Self::Tls(stream) => Some(&stream.get_ref().0.socket),
            Self::Closed => None,
        }
    }

    /// Ends our side, under TLS with `close_notify`.
    pub(super) async fn shutdown(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.shutdown().await,
            Self::Tls(stream) => stream.shutdown().await,
            Self::Closed => Ok(()),
        }
    }
}

/// A socket, and before it the bytes that were read from it too early.
#[derive(Debug)]
pub(super) struct Rewound {
    /// Unread from `at` on; empty once it was read.
    early: Vec<u8>,
    at: usize,
    socket: TcpStream,
}

impl Rewound {
    pub(super) fn new(early: Vec<u8>, socket: TcpStream) -> Self {
        Self { early, at: 0, socket }
    }
}

impl AsyncRead for Rewound {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let early = this.early.get(this.at..).unwrap_or_default();
        if early.is_empty() {
            return Pin::new(&mut this.socket).poll_read(context, buffer);
        }
        let count = early.len().min(buffer.remaining());
        buffer.put_slice(early.get(..count).unwrap_or_default());
        this.at += count;
        if this.at == this.early.len() {
            this.early = Vec::new();
            this.at = 0;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Rewound {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
