//! A connection that can be cut also after it was handed on: an upgraded one is no longer in the hands of who serves it.

use std::{
    io,
    net::{Shutdown, TcpStream as Socket},
    os::fd::AsFd as _,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The connection, for whoever has it.
#[derive(Debug)]
pub(crate) struct Guarded {
    stream: TlsStream<TcpStream>,
    _gone: DropGuard,
}

/// What is left to who handed it on.
#[derive(Debug)]
pub(crate) struct Guard {
    socket: Socket,
    gone: CancellationToken,
}

impl Guarded {
    /// The connection, and what it can be cut by.
    ///
    /// # Errors
    /// Where the system has no file descriptors left.
    pub(crate) fn new(stream: TlsStream<TcpStream>) -> io::Result<(Self, Guard)> {
        let socket = Socket::from(stream.get_ref().0.as_fd().try_clone_to_owned()?);
        let gone = CancellationToken::new();
        let guarded = Self {
            stream,
            _gone: gone.clone().drop_guard(),
        };
        Ok((guarded, Guard { socket, gone }))
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

impl AsyncRead for Guarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Guarded {
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
