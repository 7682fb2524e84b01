//! A connection to the function that goes on listening when the function no longer does.
//!
//! A function may answer before it has read the whole request, and close: "too large", "who are you?". What we still write
//! then fails, which says nothing about the answer: it may have arrived, or be arriving. So what cannot be written is
//! dropped, and how the exchange went is left to what is read: the answer, or the end without one.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream whose writes never fail.
pub(super) struct Hearing<S> {
    stream: S,
    /// Nothing can be written any more.
    is_mute: bool,
    /// Whether anything was heard since whoever shares this asked last.
    heard: Rc<Cell<bool>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Hearing<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            is_mute: false,
            heard: Rc::default(),
        }
    }

    /// Becomes true when something is heard.
    pub(super) fn heard(&self) -> Rc<Cell<bool>> {
        self.heard.clone()
    }

    /// Writes with `write`, or pretends that all of `length` bytes were written.
    fn write(
        &mut self,
        length: usize,
        write: impl FnOnce(Pin<&mut S>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if !self.is_mute {
            match write(Pin::new(&mut self.stream)) {
                Poll::Ready(Err(_)) => self.is_mute = true,
                polled => return polled,
            }
        }
        Poll::Ready(Ok(length))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Hearing<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.heard.set(true);
        }
        polled
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Hearing<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write(data.len(), |stream| stream.poll_write(context, data))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = data.iter().map(|slice| slice.len()).sum();
        self.write(length, |stream| stream.poll_write_vectored(context, data))
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

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn what_was_said_before_a_reset_is_heard_after_writing_failed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut hearing = Hearing::new(stream);
        hearing
            .write_all(b"hello, this is more than you read")
            .await
            .unwrap();
        let mut function = listener.accept().unwrap().0;
        function.read_exact(&mut [0; 5]).unwrap();
        function.write_all(b"enough").unwrap();
        // Unread data makes this a reset.
        drop(function);

        while !hearing.is_mute {
            hearing.write_all(&[0; 1024]).await.unwrap();
        }
        hearing.write_all(&[0; 1024]).await.unwrap();
        let slices = [IoSlice::new(b"one"), IoSlice::new(b"two")];
        assert_eq!(hearing.write_vectored(&slices).await.unwrap(), 6);
        hearing.flush().await.unwrap();

        assert!(!hearing.heard().get());
        let mut said = [0; 6];
        hearing.read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"enough");
        assert!(hearing.heard().replace(false));
        // And then it is over: an end, or an error.
        assert_eq!(hearing.read(&mut said).await.unwrap_or(0), 0);
        assert!(!hearing.heard().get(), "an end is nothing that was said");
    }
}
