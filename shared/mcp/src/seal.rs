//! How is something kept by whoever brings it back? Sealed: they can neither read nor change it, nor take it for something else.

use approval::StoreError;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use chacha20poly1305::{
    Key, KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};

/// Length of a key.
pub(crate) const KEY_BYTES: usize = 32;
/// Random and long enough that none comes twice under one key.
const NONCE_BYTES: usize = 24;

/// Seals bytes for one purpose.
pub(crate) fn seal(key: &[u8; KEY_BYTES], purpose: &[u8], bytes: &[u8]) -> Result<String, StoreError> {
    let mut nonce = [0; NONCE_BYTES];
    getrandom::fill(&mut nonce).map_err(|it| StoreError::Unavailable(it.to_string()))?;
    let sealed = cipher(key)
        .encrypt(XNonce::from_slice(&nonce), Payload { msg: bytes, aad: purpose })
        .expect("what is sealed is far below the cipher's bound");
    Ok(BASE64_URL_SAFE_NO_PAD.encode([nonce.as_slice(), &sealed].concat()))
}

/// What was sealed for that purpose with that key, and nothing else.
pub(crate) fn open(key: &[u8; KEY_BYTES], purpose: &[u8], text: &str) -> Option<Vec<u8>> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
    let (nonce, sealed) = bytes.split_first_chunk::<NONCE_BYTES>()?;
    cipher(key).decrypt(XNonce::from_slice(nonce), Payload { msg: sealed, aad: purpose }).ok()
}

fn cipher(key: &[u8; KEY_BYTES]) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(Key::from_slice(key))
}
