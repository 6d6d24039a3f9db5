//! The floor: the protocol library over HTTP with one tool and nothing around it, set as the real one sets it.

use std::{net::Ipv4Addr, sync::Arc};

use axum::{Router, serve::ListenerExt as _};
use rmcp::transport::streamable_http_server::{
    StreamableHttpServerConfig, StreamableHttpService, session::local::LocalSessionManager,
};
use tokio::net::TcpListener;

use super::PATH;
use crate::bare::Bare;

/// Serves until it is killed, and says where on its standard output.
pub(crate) fn serve() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let bare = Bare::new();
        let config = StreamableHttpServerConfig::default().with_json_response(true);
        let sessions = Arc::new(LocalSessionManager::default());
        let service = StreamableHttpService::new(move || Ok(bare.clone()), sessions, config);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        crate::told(&listener.local_addr()?);
        // Without it each small answer waits for the acknowledgement of the one before.
        let listener = listener.tap_io(|it| drop(it.set_nodelay(true)));
        axum::serve(listener, Router::new().route_service(PATH, service)).await?;
        Ok(())
    })
}
