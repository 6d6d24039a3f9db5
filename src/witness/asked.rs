//! How is a witness asked? By one POST, from the thread that asks it and nobody else.

use std::{fmt, time::Duration};

use anyhow::Context as _;
use audit::{Ask, TargetError, WitnessKey};
use reqwest::{Client, Url, redirect::Policy};
use tokio::runtime::Runtime;

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Longest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// A witness that the configuration names.
pub(crate) struct Asked {
    name: String,
    key: WitnessKey,
    url: Url,
    client: Client,
    /// Present until dropped.
    runtime: Option<Runtime>,
}

impl Asked {
    /// Reads its key; asks it nothing yet.
    pub(crate) fn open(settings: &config::Witness) -> anyhow::Result<Asked> {
        let key: WitnessKey = settings.key.parse().context("[audit] witnesses: key")?;
        let mut url = settings.url.clone();
        url.path_segments_mut()
            .map_err(|()| anyhow::anyhow!("[audit] witnesses: an address without a path"))?
            .pop_if_empty()
            .push("add-checkpoint");
        let client = Client::builder().timeout(TIMEOUT).redirect(Policy::none()).no_proxy().build()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let name = format!("{} at {}", key.name(), settings.url);
        Ok(Asked { name, key, url, client, runtime: Some(runtime) })
    }

    async fn ask(&self, request: String) -> Result<(u16, String), reqwest::Error> {
        let mut answer = self.client.post(self.url.clone()).body(request).send().await?;
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

impl Ask for Asked {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn key(&self) -> &WitnessKey {
        &self.key
    }

    fn add_checkpoint(&self, request: &str) -> Result<(u16, String), TargetError> {
        let runtime = self.runtime.as_ref().expect("present until dropped");
        // The address is said by whoever reports it.
        let failed = |error: reqwest::Error| {
            TargetError(match () {
                () if error.is_timeout() => format!("no answer within {} s", TIMEOUT.as_secs()),
                () if error.is_connect() => "it cannot be reached".to_owned(),
                () => error.without_url().to_string(),
            })
        };
        runtime.block_on(self.ask(request.to_owned())).map_err(failed)
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        // The last holder may stand in another runtime, where waiting for this one is not allowed.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Asked {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Asked").field("name", &self.name).finish_non_exhaustive()
    }
}
