//! The same at a server, as whoever a token names: another person's approval goes this way.

use std::{env::VarError, path::Path, process::ExitCode, time::Duration};

use anyhow::Context as _;
use config::Config;
use identity::{LoginError, Logins, Scopes};
use reqwest::{Client, Method, RequestBuilder, StatusCode, Url, redirect::Policy};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::REFUSED;
use crate::{UNUSABLE, USAGE, login, open, say};

/// A server where people decide, and what proves who asks.
pub(super) struct Server {
    base: Url,
    token: Zeroizing<String>,
    client: Client,
}

/// Where the token stands.
const TOKEN: &str = "BAILIWICK_TOKEN";
/// Longest wait for an answer.
const WAIT: Duration = Duration::from_secs(20);
/// Longest answer that is read.
const ANSWER_BYTES_MAX: usize = 8 << 20;

impl Server {
    /// A server by its address, e.g. `https://bailiwick.example.com`, as whoever a token names: that of the environment, or one
    /// that the person gets in a browser now, by an issuer that both the server and the configuration name.
    pub(super) async fn at(address: &str, config: Option<&Path>) -> anyhow::Result<Server> {
        let base: Url = address.parse().with_context(|| format!("--server {address}: no address"))?;
        let local = base.host_str().is_some_and(|it| ["127.0.0.1", "localhost", "[::1]"].contains(&it));
        anyhow::ensure!(
            base.scheme() == "https" || base.scheme() == "http" && local,
            "--server {address}: a token would cross the network unencrypted; use https"
        );
        // A token goes to the server that it is for, and nowhere else.
        let client = Client::builder().redirect(Policy::none()).timeout(WAIT).build()?;
        let mut server = Server { base, token: Zeroizing::default(), client };
        server.token = match std::env::var(TOKEN) {
            Ok(token) => Zeroizing::new(token),
            Err(VarError::NotPresent) => server.log_in(&open::configuration(config)?).await?,
            Err(VarError::NotUnicode(_)) => anyhow::bail!("{TOKEN} is no text, and so no token"),
        };
        Ok(server)
    }

    /// A token for this command alone: whoever decides is there, and says so in a browser.
    async fn log_in(&self, config: &Config) -> anyhow::Result<Zeroizing<String>> {
        let unset = || {
            format!(
                "{TOKEN} is not set: a token with the scope {} proves who decides. Set it, or have the configuration name one of \
                 the server's issuers with `login`",
                Scopes::APPROVE
            )
        };
        anyhow::ensure!(login::is_offered(config), unset());
        let about = self.base.join("/.well-known/oauth-protected-resource/approvals")?;
        let (status, about) = self.answered(self.client.get(about)).await?;
        anyhow::ensure!(status.is_success(), "the server does not say who issues its tokens (HTTP {status})");
        // A token for this server and no other, however it calls itself: <https://www.rfc-editor.org/rfc/rfc9728#section-3.3>.
        let resource = self.base.join("/approvals")?.to_string();
        anyhow::ensure!(
            about["resource"].as_str() == Some(resource.as_str()),
            "the server calls itself {}; give that address to --server",
            say::clean(about["resource"].as_str().unwrap_or("nothing"))
        );
        let issuers = about["authorization_servers"].as_array().map_or(&[][..], Vec::as_slice);
        let issuers: Vec<String> = issuers.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        let logins = Logins::new(&config.issuers, &config.state)?;
        let scopes = [Scopes::READ, Scopes::APPROVE];
        match logins.once(&issuers, &resource, &scopes, login::tell).await {
            Err(LoginError::NoWay) => anyhow::bail!(unset()),
            token => token.context("nobody is known to the server, so nothing was decided"),
        }
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
        let mut request = self.client.request(method, url).bearer_auth(self.token.as_str());
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let (status, said) = self.answered(request).await?;
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

    /// Status and body of an answer; a body that is no JSON says nothing.
    async fn answered(&self, request: RequestBuilder) -> anyhow::Result<(StatusCode, Value)> {
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
        Ok((status, serde_json::from_slice(&bytes).unwrap_or_default()))
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
