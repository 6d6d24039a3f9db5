//! Could people log in to the page on which they decide?

use std::sync::Arc;

use config::{Config, Page};
use identity::{LoginError, SetupError, SignIn, Verifier};
use mcp::Http;

use super::Check;

/// Whether the issuer says where people log in, and what it has to know of the page. Nobody is logged in.
pub(super) async fn check(config: &Config) -> Option<Check> {
    let page = config.approving.page.as_ref()?;
    let Some(url) = &config.serving.public_url else {
        let instead = "give [http] public_url: links lead there, and the issuer sends browsers back there";
        return Some(Check::broken("page", "nobody knows where it is".to_owned(), instead));
    };
    let (audience, callback) = Http::deciding(url.as_str().trim_end_matches('/'));
    let instead = "see that [approvals.page] and its issuer are right; until then nobody decides there";
    Some(match asked(config, page, audience, callback.clone()).await {
        Ok(()) => {
            let Page { issuer, client_id, .. } = page;
            Check::well("page", format!("people log in by {issuer}"))
                .with(&format!("there, {callback} has to be a redirect address of client {client_id}"))
        }
        Err(problem) => Check::broken("page", problem, instead),
    })
}

async fn asked(config: &Config, page: &Page, audience: String, callback: String) -> Result<(), String> {
    let setup = |it: SetupError| it.to_string();
    let verifier = Arc::new(Verifier::new(&config.issuers).map_err(setup)?);
    let sign_in = SignIn::new(&config.issuers, page, verifier, callback, audience).map_err(setup)?;
    sign_in.check().await.map_err(|it: LoginError| it.to_string())
}
