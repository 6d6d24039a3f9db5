//! The same at a server, as whoever a token names: another person's approval goes this way.

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use reqwest::{Client, Method, Url, redirect::Policy};
use serde_json::{Value, json};

use super::REFUSED;
use crate::{UNUSABLE, USAGE, say};

/// A server where people decide, and what proves who asks.
pub(super) struct Server {
    base: Url,
    token: String,
    client: Client,
}

/// Where the token stands.
const TOKEN: &str = "BAILIWICK_TOKEN";
/// Longest wait for an answer.
const WAIT: Duration = Duration::from_secs(20);
/// Longest answer that is read.
const ANSWER_BYTES_MAX: usize = 8 << 20;

impl Server {
    /// A server by its address, e.g. `https://bailiwick.example.com`.
    pub(super) fn at(address: &str) -> anyhow::Result<Server> {
        let base: Url = address.parse().with_context(|| format!("--server {address}: no address"))?;
        let local = base.host_str().is_some_and(|it| ["127.0.0.1", "localhost", "[::1]"].contains(&it));
        anyhow::ensure!(
            base.scheme() == "https" || base.scheme() == "http" && local,
            "--server {address}: a token would cross the network unencrypted; use https"
        );
        let token = std::env::var(TOKEN).with_context(|| {
            format!("{TOKEN} is not set: a token with the scope bailiwick:approve proves who decides")
        })?;
        // A token goes to the server that it is for, and nowhere else.
        let client = Client::builder().redirect(Policy::none()).timeout(WAIT).build()?;
        Ok(Server { base, token, client })
    }

    pub(super) async fn get(&self, path: &str) -> anyhow::Result<Result<Value, ExitCode>> {
        self.send(Method::GET, path, None).await
    }

    pub(super) async fn show(&self, id: &str) -> anyhow::Result<Result<Value, ExitCode>> {
        match is_word(id) {
            true => self.get(&format!("/approvals/{id}")).await,
            false => Ok(Err(no_id(id))),
        }
    }

    pub(super) async fn tell(
        &self,
        id: &str,
        word: &str,
        comment: &str,
    ) -> anyhow::Result<Result<Value, ExitCode>> {
        self.post(&["approvals", id, word], json!({ "comment": comment })).await
    }

    /// Sends a body to a path of parts, none of which leads anywhere else.
    pub(super) async fn post(&self, parts: &[&str], body: Value) -> anyhow::Result<Result<Value, ExitCode>> {
        if let Some(odd) = parts.iter().find(|it| !is_word(it)) {
            return Ok(Err(no_id(odd)));
        }
        self.send(Method::POST, &format!("/{}", parts.join("/")), Some(body)).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Result<Value, ExitCode>> {
        let url = self.base.join(path)?;
        let mut request = self.client.request(method, url).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let mut answer = request
            .send()
            .await
            .map_err(reqwest::Error::without_url)
            .context("the server does not answer")?;
        let status = answer.status();
        let mut bytes = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(reqwest::Error::without_url)? {
            anyhow::ensure!(
                bytes.len() + piece.len() <= ANSWER_BYTES_MAX,
                "the server answers more than 8 MiB"
            );
            bytes.extend_from_slice(&piece);
        }
        let said: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if status.is_success() {
            return Ok(Ok(said));
        }
        let message = said["message"].as_str().or_else(|| said["error"]["message"].as_str());
        let message = message.unwrap_or("it says nothing that is understood here");
        say::note(&format!(
            "bailiwick: the server refuses (HTTP {}): {}",
            status.as_u16(),
            say::clean(message)
        ));
        Ok(Err(ExitCode::from(match status.as_u16() {
            400 | 404 => USAGE,
            500.. => UNUSABLE,
            _ => REFUSED,
        })))
    }
}

fn is_word(text: &str) -> bool {
    let letter = |it: u8| it.is_ascii_alphanumeric() || it == b'-' || it == b'_';
    !text.is_empty() && text.bytes().all(letter)
}

fn no_id(text: &str) -> ExitCode {
    say::note(&format!("bailiwick: `{}` is no id", say::clean(text)));
    ExitCode::from(USAGE)
}
