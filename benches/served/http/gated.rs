//! The same tool as a team has it: tokens, policy of 200 rules, record, shaping, by the real program's own way in.

use std::{
    ffi::OsString,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use anyhow::Context as _;
use audit::Log;
use gate::Gate;
use identity::Verifier;
use mcp::{Callers, Http, Listener, Reachable, Reached, Site};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tool::define;

use super::issuer;
use crate::{echo::EchoText, gated::policy};

/// Serves until it is killed, with its log in a folder, and believes one issuer. Says where on its standard output.
pub(crate) fn serve(mut arguments: impl Iterator<Item = OsString>) -> anyhow::Result<()> {
    let state = PathBuf::from(arguments.next().context("a state folder is needed")?);
    let issuer = arguments.next().and_then(|it| it.into_string().ok()).context("an issuer is needed")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let definition = define::<EchoText>().definition;
    let tools = vec![("echo".to_owned(), define::<EchoText>().bind(Arc::new(())))];
    let policy = Arc::new(policy(&definition)?);
    runtime.block_on(async {
        let (log, _) = Log::open(&state, "echo", audit::Options::default())?;
        let site = Site {
            word: "echo".to_owned(),
            name: "echo".to_owned(),
            instructions: String::new(),
            tools: vec![mcp::describe(&definition)],
            gate: Arc::new(Gate::new(tools, policy, log)),
            telemetry: Default::default(),
        };
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let address = listener.local_addr()?;
        let http = Http {
            sites: vec![site],
            callers: Callers::Proven(Arc::new(Verifier::new(&[issuer::trusted(&issuer)?])?)),
            base: format!("http://{address}"),
            reachable: Reachable::new(address, None, &[])?,
            reach: Arc::new(|| Box::pin(async { Reached { asked: 0, answered: 0 } })),
            sign_in: None,
        };
        crate::told(&address);
        mcp::serve_http(Listener::Network(listener, None), http, CancellationToken::new()).await?;
        Ok(())
    })
}
