//! How does a receiver know that it was us? By an HMAC over id, time and body, as Standard Webhooks has it
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>).

use base64::{Engine as _, prelude::BASE64_STANDARD};
use config::Secret;
use jiff::Timestamp;
use ring::hmac;

/// What both sides know.
pub(super) struct Key(hmac::Key);

/// What stands before the base64 of a key.
const PREFIX: &str = "whsec_";
/// Bytes of a key, as the specification has them.
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;

impl Key {
    /// Reads it. The problem never repeats it.
    pub(super) fn read(secret: &Secret) -> Result<Key, String> {
        let text = secret.read().map_err(|it| it.to_string())?;
        let bytes = text.strip_prefix(PREFIX).and_then(|it| BASE64_STANDARD.decode(it).ok());
        match bytes.filter(|it| BYTES.contains(&it.len())) {
            Some(bytes) => Ok(Key(hmac::Key::new(hmac::HMAC_SHA256, &bytes))),
            None => Err(format!(
                "secret {secret}: expected `{PREFIX}` and the base64 of 24 to 64 random bytes, as from: \
                 echo {PREFIX}$(openssl rand -base64 32)"
            )),
        }
    }

    /// Headers that prove one attempt.
    pub(super) fn headers(&self, id: &str, at: Timestamp, body: &[u8]) -> Vec<(&'static str, String)> {
        let seconds = at.as_second().to_string();
        let signed = [id.as_bytes(), b".", seconds.as_bytes(), b".", body].concat();
        let tag = BASE64_STANDARD.encode(hmac::sign(&self.0, &signed));
        let signature = format!("v1,{tag}");
        vec![("webhook-id", id.to_owned()), ("webhook-timestamp", seconds), ("webhook-signature", signature)]
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    fn key(text: &str) -> Result<Key, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        fs::write(&path, text).expect("ours");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("ours");
        Key::read(&Secret::File(path))
    }

    /// The example of the specification's own libraries.
    #[test]
    fn a_signature_is_what_other_implementations_make() {
        let Ok(key) = key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n") else { panic!("a key") };
        let at = Timestamp::from_second(1_614_265_330).expect("a time");
        let headers = key.headers("msg_p5jXN8AQM9LWM0D4loKWxJek", at, b"{\"test\": 2432232314}");
        let right = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(headers[2], ("webhook-signature", right.to_owned()));
        assert_eq!(headers[1], ("webhook-timestamp", "1614265330".to_owned()));
    }

    #[test]
    fn a_key_that_is_none_is_refused_and_not_repeated() {
        let short = format!("whsec_{}", BASE64_STANDARD.encode([7; 23]));
        for wrong in ["hunter2", "whsec_hunter2!", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", &short] {
            let problem = key(wrong).err().expect("refused");
            assert!(problem.contains("24 to 64 random bytes"), "{problem}");
            assert!(!problem.contains("hunter2") && !problem.contains("MfKQ"), "{problem}");
        }
    }
}
