//! Is it signed by this key? Public keys only, by `ring`.

use std::{
    collections::HashSet,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
};

use jsonwebtoken::{
    Algorithm, DecodingKey, DecodingKeyKind,
    crypto::{CryptoProvider, JwtVerifier, KeyUtils},
    errors::{ErrorKind, Result},
    signature::{Error, Verifier},
};
use ring::{
    digest::{self, SHA256},
    signature::{self, RsaPublicKeyComponents, UnparsedPublicKey},
};

use crate::SetupError;

/// Every algorithm that can count.
pub(crate) const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// Those that count where the configuration names none.
pub(crate) const USUAL: [Algorithm; 5] =
    [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA];

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
    verifier_factory: verifier,
    // Asked for thumbprints and for keys out of other keys, which nobody does here.
    key_utils: KeyUtils::new_unimplemented(),
};

static INSTALLED: LazyLock<bool> = LazyLock::new(|| PROVIDER.install_default().is_ok());

/// Makes the verification here that of the process, once.
pub(crate) fn install() -> std::result::Result<(), SetupError> {
    INSTALLED.then_some(()).ok_or(SetupError::Provider)
}

/// Signatures that held lately, by digest. Whether one holds depends on what is digested and on nothing else, so that a token
/// which comes with every request is checked once; whose key it is, and whether the token counts now, is asked each time.
static HELD: LazyLock<Mutex<HashSet<[u8; 32]>>> = LazyLock::new(Mutex::default);

/// Most of them; then all are forgotten. Nobody but an issuer that counts can add one.
const HELD_MAX: usize = 4096;

struct Checked {
    algorithm: Algorithm,
    key: Key,
}

enum Key {
    Rsa { n: Vec<u8>, e: Vec<u8>, by: &'static signature::RsaParameters },
    Bytes { bytes: Vec<u8>, by: &'static dyn signature::VerificationAlgorithm },
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    // A key of one kind never checks a signature of another.
    if key.family() != algorithm.family() {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    let key = match (algorithm, key.kind()) {
        (Algorithm::ES256, DecodingKeyKind::SecretOrDer(it)) => {
            bytes(it, &signature::ECDSA_P256_SHA256_FIXED)
        }
        (Algorithm::ES384, DecodingKeyKind::SecretOrDer(it)) => {
            bytes(it, &signature::ECDSA_P384_SHA384_FIXED)
        }
        (Algorithm::EdDSA, DecodingKeyKind::SecretOrDer(it)) => bytes(it, &signature::ED25519),
        (_, DecodingKeyKind::RsaModulusExponent { n, e }) => {
            let by = rsa(*algorithm).ok_or(ErrorKind::UnsupportedAlgorithm)?;
            // The library takes numbers without leading zeros only.
            let number = |it: &[u8]| it.iter().copied().skip_while(|it| *it == 0).collect();
            Key::Rsa { n: number(n), e: number(e), by }
        }
        _ => return Err(ErrorKind::UnsupportedAlgorithm.into()),
    };
    Ok(Box::new(Checked { algorithm: *algorithm, key }))
}

fn bytes(bytes: &[u8], by: &'static dyn signature::VerificationAlgorithm) -> Key {
    Key::Bytes { bytes: bytes.to_vec(), by }
}

/// Keys below 2048 bits count for nothing.
fn rsa(algorithm: Algorithm) -> Option<&'static signature::RsaParameters> {
    Some(match algorithm {
        Algorithm::RS256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::RS384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::RS512 => &signature::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::PS256 => &signature::RSA_PSS_2048_8192_SHA256,
        Algorithm::PS384 => &signature::RSA_PSS_2048_8192_SHA384,
        Algorithm::PS512 => &signature::RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}

impl Verifier<Vec<u8>> for Checked {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), Error> {
        let digest = self.digest(message, signature);
        if held().contains(&digest) {
            return Ok(());
        }
        let checked = match &self.key {
            Key::Rsa { n, e, by } => RsaPublicKeyComponents { n, e }.verify(by, message, signature),
            Key::Bytes { bytes, by } => UnparsedPublicKey::new(*by, bytes).verify(message, signature),
        };
        checked.map_err(|_| Error::new())?;
        let mut held = held();
        if held.len() >= HELD_MAX {
            held.clear();
        }
        held.insert(digest);
        Ok(())
    }
}

impl Checked {
    /// Of all that the check depends on, each part told from the next by its length.
    fn digest(&self, message: &[u8], signature: &[u8]) -> [u8; 32] {
        let algorithm = format!("{:?}", self.algorithm);
        let key = match &self.key {
            Key::Rsa { n, e, .. } => [n.as_slice(), e.as_slice()],
            Key::Bytes { bytes, .. } => [bytes.as_slice(), &[]],
        };
        let mut digest = digest::Context::new(&SHA256);
        for part in [algorithm.as_bytes(), key[0], key[1], message, signature] {
            digest.update(&part.len().to_be_bytes());
            digest.update(part);
        }
        digest.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
    }
}

fn held() -> MutexGuard<'static, HashSet<[u8; 32]>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

impl JwtVerifier for Checked {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

#[cfg(test)]
mod tests {
    use ring::{
        rand::SystemRandom,
        signature::{Ed25519KeyPair, KeyPair},
    };

    use super::*;

    fn pair() -> Ed25519KeyPair {
        let bytes = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("randomness");
        Ed25519KeyPair::from_pkcs8(bytes.as_ref()).expect("our own key")
    }

    fn checked(pair: &Ed25519KeyPair) -> Checked {
        let key = bytes(pair.public_key().as_ref(), &signature::ED25519);
        Checked { algorithm: Algorithm::EdDSA, key }
    }

    #[test]
    fn what_held_is_remembered_of_its_key_its_message_and_itself_alone() {
        let (own, other) = (pair(), pair());
        let signature = own.sign(b"claims").as_ref().to_vec();
        let remembered =
            |it: &Checked, message: &[u8], signature: &[u8]| held().contains(&it.digest(message, signature));
        assert!(!remembered(&checked(&own), b"claims", &signature));
        for _ in 0..2 {
            assert!(checked(&own).verify(b"claims", &signature).is_ok());
            assert!(remembered(&checked(&own), b"claims", &signature));
            assert!(checked(&other).verify(b"claims", &signature).is_err(), "another key");
            assert!(checked(&own).verify(b"other claims", &signature).is_err(), "another message");
            let mut altered = signature.clone();
            altered[5] ^= 1;
            assert!(checked(&own).verify(b"claims", &altered).is_err(), "another signature");
            assert!(!remembered(&checked(&own), b"claims", &altered), "what failed is not remembered");
            // The same bytes, parted elsewhere.
            let parted = [b"s".as_slice(), &signature].concat();
            assert!(checked(&own).verify(b"claim", &parted).is_err());
        }
    }
}
