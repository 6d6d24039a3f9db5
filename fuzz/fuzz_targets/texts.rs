//! Any text as an anchor, as receipts, as a proof: read or refused, and never believed without a key.

#![no_main]

use audit::{Anchor, KeptReceipt, VerifyingKey, check_proof};
use libfuzzer_sys::fuzz_target;

const KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

fuzz_target!(|text: &str| {
    let key: VerifyingKey = KEY.parse().expect("the key of the specification");
    let anchor = Anchor::parse("anchor", text);
    let _ = KeptReceipt::parse_all("receipt", text);
    assert!(check_proof(text, &[key], anchor.ok().as_ref()).is_err());
});
