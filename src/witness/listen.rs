//! Who may hold a connection to a witness, and for how long? A bounded number, each for one request and some seconds: whoever speaks
//! slowly takes a place from the others, and not for long.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::serve::Listener;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Sleep,
};

/// Connections at once; more wait to be taken.
const CONNECTIONS_MAX: usize = 256;

/// Takes connections as long as there is a place.
pub(super) struct Door {
    listener: TcpListener,
    places: Arc<Semaphore>,
    longest: Duration,
}

/// A connection that ends at its time, whatever is still said on it.
pub(super) struct Visit {
    stream: TcpStream,
    end: Pin<Box<Sleep>>,
    /// Given back with the connection.
    _place: OwnedSemaphorePermit,
}

impl Door {
    pub(super) fn new(listener: TcpListener, longest: Duration) -> Door {
        Door { listener, places: Arc::new(Semaphore::new(CONNECTIONS_MAX)), longest }
    }
}

impl Listener for Door {
    type Io = Visit;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Visit, SocketAddr) {
        let place = self.places.clone().acquire_owned().await.expect("the semaphore is never closed");
        let (stream, address) = Listener::accept(&mut self.listener).await;
        (Visit { stream, end: Box::pin(tokio::time::sleep(self.longest)), _place: place }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Visit {
    /// The stream, until its time is over.
    fn until_end(&mut self, context: &mut Context<'_>) -> io::Result<Pin<&mut TcpStream>> {
        match self.end.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(Pin::new(&mut self.stream)),
        }
    }
}

impl AsyncRead for Visit {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.until_end(context)?.poll_read(context, buffer)
    }
}

impl AsyncWrite for Visit {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.until_end(context)?.poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.until_end(context)?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.until_end(context)?.poll_shutdown(context)
    }
}
