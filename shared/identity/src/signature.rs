//! Is it signed by this key? Public keys only, by `ring`.

use std::sync::LazyLock;

use jsonwebtoken::{
    Algorithm, DecodingKey, DecodingKeyKind,
    crypto::{CryptoProvider, JwtVerifier, KeyUtils},
    errors::{ErrorKind, Result},
    signature::{Error, Verifier},
};
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};

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
        let checked = match &self.key {
            Key::Rsa { n, e, by } => RsaPublicKeyComponents { n, e }.verify(by, message, signature),
            Key::Bytes { bytes, by } => UnparsedPublicKey::new(*by, bytes).verify(message, signature),
        };
        checked.map_err(|_| Error::new())
    }
}

impl JwtVerifier for Checked {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}
