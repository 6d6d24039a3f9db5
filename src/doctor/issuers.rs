//! Could tokens of every configured issuer be verified?

use config::Config;
use identity::Verifier;

use super::Check;

/// Whether tokens of each issuer could be verified.
pub(super) async fn check(config: &Config) -> Vec<Check> {
    let instead = "see that its url, jwks_url and ca_file are right; until then its tokens prove nobody";
    let verifier = match Verifier::new(&config.issuers) {
        Ok(verifier) => verifier,
        Err(error) => return vec![Check::broken("issuer", error.to_string(), instead).named("issuers")],
    };
    let check = |(name, keys): (String, Result<usize, String>)| match keys {
        Ok(keys) => Check::well("issuer", format!("gives {keys} keys")).named(&name),
        Err(problem) => Check::broken("issuer", problem, instead).named(&name),
    };
    verifier.check().await.into_iter().map(check).collect()
}
