//! Who may hold a connection, and how slowly may they speak? TCP, TLS and HTTP/1.1, each step under a deadline.

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::Router;
use hyper::{body::Incoming, server::conn::http1, service::Service as _};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Most connections at once; more wait to be taken.
const CONNECTIONS_MAX: usize = 8192;
/// Longest wait for a TLS handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// Longest wait for the head of a request, and for the next one on a connection that is kept.
const HEAD_MAX: Duration = Duration::from_secs(15);
/// Largest head of a request, and piece of an answer that is being sent.
const BUFFER_BYTES_MAX: usize = 64 << 10;
/// Longest wait for what is on its way when the server closes.
const LAST_WORDS_MAX: Duration = Duration::from_secs(2);
/// How often the files of a certificate are looked at.
const CERTIFICATE_KEPT: Duration = Duration::from_secs(60);

/// Where requests come in.
pub enum Listener {
    /// By the network, or this machine's part of it; with a certificate, over TLS.
    Network(TcpListener, Option<Certificate>),
    /// From processes on this machine, whose users the operating system names.
    Socket(UnixListener),
}

/// Whose connection a request came over.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Peer {
    /// It came from there.
    Address(SocketAddr),
    /// The user id of the process that connected, as the operating system says.
    User(u32),
}

/// A connection that was taken.
enum Connection {
    Plain(TcpStream),
    Secret(TcpStream, Certificate),
    Local(UnixStream),
}

/// A certificate for TLS, read again every minute, so that it can be renewed under a running server.
#[derive(Clone)]
pub struct Certificate {
    files: Files,
    lately: Arc<Mutex<(Instant, TlsAcceptor)>>,
}

#[derive(Clone, Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

/// Why a certificate cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("the certificate {certificate} with the key {key} cannot be served: {problem}", certificate = .certificate.display(), key = .key.display())]
pub struct CertificateError {
    certificate: PathBuf,
    key: PathBuf,
    problem: String,
}

/// Takes connections until `closing` fires, then waits for the last of them.
pub(crate) async fn accept(listener: Listener, router: Router, closing: CancellationToken) {
    let (room, connections) = (Arc::new(Semaphore::new(CONNECTIONS_MAX)), TaskTracker::new());
    loop {
        let taken = tokio::select! {
            taken = listener.take(&room) => taken,
            () = closing.cancelled() => break,
        };
        let (connection, peer, permit) = match taken {
            Ok(taken) => taken,
            Err(error) => {
                // Out of descriptors, or the other side left at once: nothing that ends a server.
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (router, closing) = (router.clone(), closing.clone());
        connections.spawn(async move {
            let _permit = permit;
            match connection {
                Connection::Plain(stream) => converse(stream, peer, router, closing).await,
                Connection::Local(stream) => converse(stream, peer, router, closing).await,
                Connection::Secret(stream, certificate) => {
                    let shaken = certificate.current().accept(stream);
                    if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_MAX, shaken).await {
                        converse(stream, peer, router, closing).await;
                    }
                }
            }
        });
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

impl Listener {
    async fn take(&self, room: &Arc<Semaphore>) -> io::Result<(Connection, Peer, OwnedSemaphorePermit)> {
        let permit = room.clone().acquire_owned().await.expect("the semaphore is never closed");
        let (connection, peer) = match self {
            Listener::Network(listener, certificate) => {
                let (stream, address) = listener.accept().await?;
                // Without it each small answer waits for the acknowledgement of the one before.
                stream.set_nodelay(true)?;
                let connection = match certificate {
                    None => Connection::Plain(stream),
                    Some(certificate) => Connection::Secret(stream, certificate.clone()),
                };
                (connection, Peer::Address(address))
            }
            Listener::Socket(listener) => {
                let (stream, _) = listener.accept().await?;
                // Who it was when it connected: what it becomes later changes nothing.
                let user = stream.peer_cred()?.uid();
                (Connection::Local(stream), Peer::User(user))
            }
        };
        Ok((connection, peer, permit))
    }
}

/// One connection, request after request.
async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    router: Router,
    closing: CancellationToken,
) {
    let inner = TowerToHyperService::new(router);
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(peer);
        inner.call(request)
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_MAX).max_buf_size(BUFFER_BYTES_MAX);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service).with_upgrades());
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            match tokio::time::timeout(LAST_WORDS_MAX, connection).await {
                Ok(ended) => ended,
                Err(_) => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

impl Certificate {
    /// Reads a certificate with what it was signed by, and its private key, both PEM.
    pub fn open(certificate: PathBuf, key: PathBuf) -> Result<Certificate, CertificateError> {
        let files = Files { certificate, key };
        let acceptor = files.read()?;
        Ok(Certificate { files, lately: Arc::new(Mutex::new((Instant::now(), acceptor))) })
    }

    /// The one to serve now. A renewal that cannot be read leaves the one before.
    fn current(&self) -> TlsAcceptor {
        let mut lately = self.lately.lock().unwrap_or_else(PoisonError::into_inner);
        if lately.0.elapsed() >= CERTIFICATE_KEPT {
            lately.0 = Instant::now();
            match self.files.read() {
                Ok(acceptor) => lately.1 = acceptor,
                Err(error) => tracing::error!(%error, "the certificate stays as it was"),
            }
        }
        lately.1.clone()
    }
}

impl Files {
    fn read(&self) -> Result<TlsAcceptor, CertificateError> {
        let failed = |problem: String| CertificateError {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            problem,
        };
        let chain = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| failed(format!("the certificate is no PEM: {error}")))?;
        if chain.is_empty() {
            return Err(failed("the file holds no certificate".to_owned()));
        }
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|error| failed(format!("the key is no PEM: {error}")))?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(error.to_string()))?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|error| failed(error.to_string()))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}
