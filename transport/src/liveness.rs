//! Whether the peer of a connection still lives.
//!
//! A peer whose plug was pulled sends no goodbye. So a connection on which nothing arrives is asked for a sign of life,
//! and ended if none comes. Anything that arrives is one: on a slow network the answer to the question itself may wait
//! behind megabytes of bodies.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use h2::{Ping, PingPong};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{sleep, timeout},
};

/// Silence after which a connection is asked for a sign of life.
const ASK_AFTER: Duration = Duration::from_secs(2);

/// Further silence after which it is given up. With [`ASK_AFTER`] it is noticed before the leader takes the node for
/// down.
const GIVE_UP_AFTER: Duration = Duration::from_secs(2);

/// A socket that notes when something arrives.
#[derive(Debug)]
pub(crate) struct Watched {
    socket: TcpStream,
    arrived: Arc<AtomicBool>,
}

impl Watched {
    pub(crate) fn new(socket: TcpStream) -> Self {
        Self {
            socket,
            arrived: Arc::default(),
        }
    }

    /// The socket itself.
    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Set when something arrives; cleared by whoever looks.
    pub(crate) fn arrived(&self) -> Arc<AtomicBool> {
        self.arrived.clone()
    }
}

/// Returns once the peer has been silent for too long.
pub(crate) async fn until_silent(arrived: &AtomicBool, mut pings: PingPong) {
    loop {
        sleep(ASK_AFTER).await;
        if arrived.swap(false, Ordering::Relaxed) {
            continue;
        }
        if pings.send_ping(Ping::opaque()).is_err() {
            // The last one is still on its way, or the connection is ending by itself.
            sleep(GIVE_UP_AFTER).await;
        } else {
            let answer = poll_fn(|context| pings.poll_pong(context));
            if matches!(timeout(GIVE_UP_AFTER, answer).await, Ok(Ok(_))) {
                continue;
            }
        }
        if !arrived.swap(false, Ordering::Relaxed) {
            return;
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.socket).poll_read(context, buffer);
        if read.is_ready() {
            self.arrived.store(true, Ordering::Relaxed);
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(context, pieces)
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
