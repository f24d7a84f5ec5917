//! The listener: connections over HTTP/1.1 and HTTP/2, with TLS where there is a certificate, with time-outs, limits and a
//! graceful end.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::RequestBody;
use super::origin::{Connection, network_of};
use super::tls::Tls;
use crate::app::App;

/// How long requests in progress may take to end once the server is told to stop.
const GRACE: Duration = Duration::from_secs(20);
/// The head of a request over HTTP/1.1, in bytes; a longer one is answered 431.
const HEAD_BYTES: usize = 128 << 10;
/// The headers of a request over HTTP/1.1; more are answered 431.
const HEADERS: usize = 100;
/// The headers of a request over HTTP/2, in bytes with their names.
const HEADER_LIST_BYTES: u32 = 64 << 10;
/// Requests at one time over one connection of HTTP/2.
const STREAMS: u32 = 128;

/// What is served at an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// The hub.
    Hub,
    /// What operators look at: metrics and health. Nobody is asked who they are.
    Operations,
}

/// A bound address.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    tls: Option<Arc<Tls>>,
    purpose: Purpose,
}

impl Listener {
    /// Binds an address for the hub.
    ///
    /// # Errors
    /// Where the address is taken or not this machine's.
    pub async fn bind(address: SocketAddr) -> std::io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        Ok(Self { socket, tls: None, purpose: Purpose::Hub })
    }

    /// Speaks TLS only.
    #[must_use]
    pub fn with_tls(self, tls: Arc<Tls>) -> Self {
        Self { tls: Some(tls), ..self }
    }

    /// Serves something else.
    #[must_use]
    pub fn with_purpose(self, purpose: Purpose) -> Self {
        Self { purpose, ..self }
    }

    /// The address bound, with its real port.
    ///
    /// # Errors
    /// Where the system does not say.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// How many connections each address has open.
#[derive(Debug, Default)]
struct Guests(Mutex<HashMap<IpAddr, usize>>);

/// One open connection of an address.
struct Guest {
    guests: Arc<Guests>,
    address: IpAddr,
}

impl Guests {
    fn admit(self: &Arc<Self>, address: IpAddr, most: usize) -> Option<Guest> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(address).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Guest { guests: self.clone(), address })
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut open = self.guests.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}

/// Serves until `stop` ends, then lets requests in progress end.
pub async fn serve(app: Arc<App>, listener: Listener, stop: impl Future<Output = ()>) {
    let graceful = GracefulShutdown::new();
    let limits = app.connections;
    let places = Arc::new(Semaphore::new(limits.all));
    let guests = Arc::new(Guests::default());
    let builder = builder(limits.head_time);
    tokio::pin!(stop);
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            break;
        };
        let accepted = tokio::select! {
            accepted = listener.socket.accept() => accepted,
            () = &mut stop => break,
        };
        let (stream, peer) = match accepted {
            Ok((stream, peer)) => (stream, peer.ip().to_canonical()),
            Err(error) => {
                // Out of descriptors, most likely: wait for connections to end.
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let most = if app.proxies.trusts(peer) { usize::MAX } else { limits.per_address };
        let Some(guest) = guests.admit(network_of(peer), most) else {
            tracing::debug!(%peer, "too many connections of one address: one was closed");
            continue;
        };
        let served = Served { app: app.clone(), peer, purpose: listener.purpose };
        let (builder, tls, watcher) = (builder.clone(), listener.tls.clone(), graceful.watcher());
        tokio::spawn(async move {
            let open = served.app.metrics.connections();
            open.increment(1.0);
            if let Err(error) = served.connection(stream, tls, &builder, watcher).await {
                tracing::debug!(%peer, error, "a connection ended early");
            }
            open.decrement(1.0);
            drop((place, guest));
        });
    }
    drop(listener);
    if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still in progress when the server stopped");
    }
}

fn builder(head_time: Duration) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(head_time)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(head_time)
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEADER_LIST_BYTES);
    builder
}

/// One connection and what it is served.
struct Served {
    app: Arc<App>,
    peer: IpAddr,
    purpose: Purpose,
}

impl Served {
    /// From the first byte to the last. An error is for the log.
    async fn connection(
        &self,
        stream: TcpStream,
        tls: Option<Arc<Tls>>,
        builder: &Builder<TokioExecutor>,
        watcher: Watcher,
    ) -> Result<(), String> {
        // Answers are written whole; waiting to fill a packet only delays them.
        let _ = stream.set_nodelay(true);
        let Some(tls) = tls else {
            return self.requests(stream, false, builder, watcher).await;
        };
        let shaken = tokio::time::timeout(self.app.connections.head_time, tls.acceptor().accept(stream));
        let stream = shaken.await.map_err(|_| "no handshake in time".to_owned())?;
        let stream = stream.map_err(|error| format!("the handshake failed: {error}"))?;
        self.requests(stream, true, builder, watcher).await
    }

    async fn requests(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        tls: bool,
        builder: &Builder<TokioExecutor>,
        watcher: Watcher,
    ) -> Result<(), String> {
        let begun = Arc::new(AtomicBool::new(false));
        let (app, purpose, seen) = (self.app.clone(), self.purpose, begun.clone());
        let connection = Connection { peer: self.peer, tls };
        let service = service_fn(move |mut request: Request<Incoming>| {
            seen.store(true, Ordering::Relaxed);
            request.extensions_mut().insert(connection);
            let app = app.clone();
            async move {
                let request = request.map(RequestBody::new);
                Ok::<_, Infallible>(match purpose {
                    Purpose::Hub => app.handle(request).await,
                    Purpose::Operations => app.handle_operations(request).await,
                })
            }
        });
        let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
        let silent = async {
            // Until the version of HTTP is known, and a first request is there, no other time-out counts.
            tokio::time::sleep(self.app.connections.head_time).await;
            if begun.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            ended = watcher.watch(connection) => ended.map_err(|error| error.to_string()),
            () = silent => Err("no request in time".to_owned()),
        }
    }
}
