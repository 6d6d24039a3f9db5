//! How much does a person send, and how slowly? A word or two, at once.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    extract::Request,
    http::StatusCode,
};

/// Why a body is not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unread {
    /// It is too long, or ended early.
    #[error("body broken, or longer than {BODY_BYTES_MAX} bytes")]
    Long,
    /// It trickles.
    #[error("body not complete in time")]
    Slow,
}

/// Longest body.
const BODY_BYTES_MAX: usize = 16 << 10;
/// Longest wait for it.
const BODY_MAX: Duration = Duration::from_secs(10);

/// All that somebody sends.
pub(crate) async fn read(body: Body) -> Result<Bytes, Unread> {
    let read = tokio::time::timeout(BODY_MAX, axum::body::to_bytes(body, BODY_BYTES_MAX));
    read.await.map_err(|_| Unread::Slow)?.map_err(|_| Unread::Long)
}

/// The same request with all of its body.
pub(crate) async fn bounded(request: Request) -> Result<Request, Unread> {
    let (parts, body) = request.into_parts();
    Ok(Request::from_parts(parts, read(body).await?.into()))
}

impl Unread {
    /// How HTTP says it.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Unread::Long => StatusCode::PAYLOAD_TOO_LARGE,
            Unread::Slow => StatusCode::REQUEST_TIMEOUT,
        }
    }
}
