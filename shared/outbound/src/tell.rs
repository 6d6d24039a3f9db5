//! How is a connection told something that nobody waits for an answer to? One `POST`, and of the answer its status alone.

use std::time::Duration;

use http::{Method, header};
use tokio::time::timeout;

use crate::{
    Endpoint, Undelivered,
    endpoint::Outgoing,
    failure::Intent,
    hook::{judged, why},
};

impl Endpoint {
    /// Posts to it what is in a call's way nowhere, such as telemetry. No span is told of it.
    pub async fn tell(&self, path: &[&str], kind: &'static str, body: Vec<u8>) -> Result<(), Undelivered> {
        let later = |problem: String| Undelivered::Later { problem, after: None };
        let limit = self.settings.timeout_ms;
        let sending = async {
            let address = self.address(path, &[]);
            let outgoing = Outgoing {
                intent: Intent::Write,
                method: Method::POST,
                path,
                query: &[],
                body: Some((kind, body)),
                deadline: None,
                refusals: false,
            };
            let ready = self.request(&address, outgoing).await;
            let (request, _shown) = ready.map_err(|it| later(it.to_string()))?;
            let answer = request.send().await.map_err(|it| later(why(&it).to_owned()))?;
            judged(answer.status(), answer.headers().get(header::RETRY_AFTER))
        };
        let sent = timeout(Duration::from_millis(limit), sending).await;
        sent.unwrap_or_else(|_| Err(later(format!("no answer within {limit} ms"))))
    }
}
