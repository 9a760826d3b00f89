//! Taking connections: how many there may be, and how long a client may take to say what it wants. What is a request goes
//! to a router; its time has bounds there.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::Sleep;
use tower::{Service, ServiceExt};

use crate::http::Framing;

/// The pause after a connection could not be taken, mostly since there are no file handles left.
const PAUSE: Duration = Duration::from_millis(500);

/// How often a client is asked whether it is still there, where the protocol has a way to ask (HTTP/2).
const PING: Duration = Duration::from_secs(20);

/// Requests on one connection at a time (HTTP/2).
const MAX_STREAMS: u32 = 128;

/// The longest head of a request, in bytes: one Meilisearch answers longer ones 431 as well.
const MAX_HEAD: usize = 128 << 10;

/// The end of a head with a byte that none may have, so that hyper refuses it as it refuses any other that it can't read.
const UNREADABLE: &[u8] = b"\0\r\n\r\n";

/// The bounds of a listener.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Connections at one time; who comes then waits in the system's own queue.
    pub(crate) connections: usize,
    /// How long a request's head may take, and a connection may wait for one.
    pub(crate) head: Duration,
}

/// Serves until it is told to stop; then takes no more connections, and ends when the open requests have ended.
pub(crate) async fn serve<S>(
    listener: TcpListener,
    service: S,
    bounds: Bounds,
    mut stopped: watch::Receiver<bool>,
) -> io::Result<()>
where
    S: Service<Request<Body>, Response = Response, Error = std::convert::Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let places = Arc::new(Semaphore::new(bounds.connections));
    let builder = builder(bounds.head);
    let graceful = GracefulShutdown::new();
    // An error means that the sender is gone, which is as good a reason to stop.
    let mut until_stopped = std::pin::pin!(stopped.wait_for(|stop| *stop));
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await.map_err(io::Error::other)?;
            Ok::<_, io::Error>((listener.accept().await, place))
        };
        let (accepted, place) = tokio::select! {
            next = next => next?,
            _ = &mut until_stopped => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                rest_after(&error).await;
                continue;
            }
        };
        let service = service.clone().map_request(|request: Request<Incoming>| request.map(Body::new));
        let stream = TokioIo::new(Watched::new(stream, bounds.head));
        let connection = builder.serve_connection(stream, TowerToHyperService::new(service));
        let connection = graceful.watch(connection.into_owned());
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection broke");
            }
            drop(place);
        });
    }
    drop(listener);
    graceful.shutdown().await;
    Ok(())
}

fn builder(head: Duration) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(head).max_buf_size(MAX_HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .keep_alive_timeout(head)
        .max_concurrent_streams(MAX_STREAMS);
    builder
}

/// A connection that broke before it was taken says nothing about the next one.
async fn rest_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        tracing::error!(%error, "can't take a connection");
        tokio::time::sleep(PAUSE).await;
    }
}

/// A connection whose client has to begin in time, and has to say one thing about the length of a body.
struct Watched {
    stream: TcpStream,
    framing: Framing,
    /// Until the first line of the first request is there. Later ones have hyper's own bound, which begins only once it is
    /// known which version of HTTP the client speaks.
    first: Option<Pin<Box<Sleep>>>,
    /// What is still to be read in place of what the client said, when that was refused; then comes the end.
    refusal: Option<&'static [u8]>,
}

impl Watched {
    fn new(stream: TcpStream, head: Duration) -> Self {
        let first = Some(Box::pin(tokio::time::sleep(head)));
        Self { stream, framing: Framing::new(), first, refusal: None }
    }
}

fn give(rest: &mut &'static [u8], buffer: &mut ReadBuf<'_>) {
    let (now, later) = rest.split_at(rest.len().min(buffer.remaining()));
    buffer.put_slice(now);
    *rest = later;
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Some(rest) = &mut this.refusal {
            give(rest, buffer);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        match Pin::new(&mut this.stream).poll_read(context, buffer) {
            Poll::Pending => {
                if let Some(first) = &mut this.first {
                    ready!(first.as_mut().poll(context));
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
                return Poll::Pending;
            }
            Poll::Ready(read) => read?,
        }
        if let Err(at) = this.framing.follow(&buffer.filled()[before..]) {
            buffer.set_filled(before + at);
            give(this.refusal.insert(UNREADABLE), buffer);
        }
        if this.framing.has_begun() {
            this.first = None;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }
}
