//! How does a log get to a collector? By one POST after the other, from the thread that delivers it and nobody else.

use std::{fmt, time::Duration};

use audit::{Collect, TargetError};
use reqwest::{Client, Url, header::AUTHORIZATION, header::HeaderValue, redirect::Policy};
use tokio::runtime::Runtime;

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Longest answer that is read.
const ANSWER_BYTES_MAX: usize = 4096;

/// A collector that the configuration names.
pub(crate) struct Sent {
    name: String,
    url: Url,
    token: HeaderValue,
    client: Client,
    /// Present until dropped.
    runtime: Option<Runtime>,
}

impl Sent {
    /// Reads the token; sends nothing yet.
    pub(crate) fn open(settings: &config::Collector) -> anyhow::Result<Sent> {
        let mut url = settings.url.clone();
        url.path_segments_mut()
            .map_err(|()| anyhow::anyhow!("[audit] collector: an address without a path"))?
            .pop_if_empty()
            .push(super::DELIVER.trim_start_matches('/'));
        let token = settings.token.read()?;
        let mut token = HeaderValue::from_str(&format!("Bearer {}", *token))?;
        token.set_sensitive(true);
        // Neither a redirect nor a proxy of the surroundings gets to see the token.
        let client = Client::builder().timeout(TIMEOUT).redirect(Policy::none()).no_proxy().build()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Sent { name: settings.url.to_string(), url, token, client, runtime: Some(runtime) })
    }

    async fn send(&self, delivery: Vec<u8>) -> Result<(u16, String), reqwest::Error> {
        let request = self.client.post(self.url.clone()).header(AUTHORIZATION, self.token.clone());
        let mut answer = request.body(delivery).send().await?;
        let (status, mut body) = (answer.status().as_u16(), Vec::new());
        while let Some(chunk) = answer.chunk().await? {
            let room = ANSWER_BYTES_MAX - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if chunk.len() > room {
                break;
            }
        }
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }
}

impl Collect for Sent {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn deliver(&self, delivery: Vec<u8>) -> Result<(u16, String), TargetError> {
        let runtime = self.runtime.as_ref().expect("present until dropped");
        // The address is said by whoever reports it.
        let failed = |error: reqwest::Error| {
            TargetError(match () {
                () if error.is_timeout() => format!("no answer within {} s", TIMEOUT.as_secs()),
                () if error.is_connect() => "it cannot be reached".to_owned(),
                () => error.without_url().to_string(),
            })
        };
        runtime.block_on(self.send(delivery)).map_err(failed)
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        // The last holder may stand in another runtime, where waiting for this one is not allowed.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Sent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Sent").field("name", &self.name).finish_non_exhaustive()
    }
}
