//! A connection that can be cut also after it was handed on: an upgraded one is no longer in the hands of who serves it.

use std::{
    io,
    net::{Shutdown, TcpStream as Socket},
    os::fd::{AsFd, OwnedFd},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::{CancellationToken, DropGuard};

/// The connection, for whoever has it.
#[derive(Debug)]
pub(crate) struct Guarded<S> {
    stream: S,
    _gone: DropGuard,
}

/// What is left to who handed it on.
#[derive(Debug)]
pub(crate) struct Guard {
    socket: Socket,
    gone: CancellationToken,
}

/// A second hold on the socket below a connection, for [`Guarded::new`].
///
/// # Errors
/// Where the system has no file descriptors left.
pub(crate) fn hold(socket: &impl AsFd) -> io::Result<OwnedFd> {
    socket.as_fd().try_clone_to_owned()
}

impl<S> Guarded<S> {
    /// The connection over `socket`, and what it can be cut by.
    pub(crate) fn new(stream: S, socket: OwnedFd) -> (Self, Guard) {
        let gone = CancellationToken::new();
        let guarded = Self {
            stream,
            _gone: gone.clone().drop_guard(),
        };
        let socket = Socket::from(socket);
        (guarded, Guard { socket, gone })
    }
}

impl Guard {
    /// Returns once nobody has the connection any more.
    pub(crate) async fn gone(&self) {
        self.gone.cancelled().await;
    }

    /// Ends the connection for whoever has it.
    pub(crate) fn cut(&self) {
        // It may have ended by itself.
        _ = self.socket.shutdown(Shutdown::Both);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
