//! What an attacker does who has read the description of the format: frames cut, rebuilt and signed again.

use std::{fs, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signer, SigningKey};
use sha2::{Digest as _, Sha256};

use super::frames::Frame;

/// Kind of a frame with a leaf.
pub(crate) const LEAF: u8 = 2;
/// Kind of a frame with a checkpoint.
pub(crate) const CHECKPOINT: u8 = 4;

/// The key of a state folder, stolen.
pub(crate) fn steal(state: &Path) -> SigningKey {
    let text = fs::read_to_string(state.join("keys/log.key")).unwrap();
    let bytes = STANDARD.decode(text.trim_end().splitn(5, '+').last().unwrap()).unwrap();
    SigningKey::from_bytes(bytes[1..].try_into().unwrap())
}

/// Copies a folder, as it stands.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => {
                fs::create_dir_all(&target).unwrap();
                copy(&entry.path(), &target);
            }
            false => drop(fs::copy(entry.path(), &target).unwrap()),
        }
    }
}

/// Puts another key in its place.
pub(crate) fn replace_key(state: &Path, key: &SigningKey) {
    let id = hex::encode(key_id("bailiwick", key));
    let bytes = [[1].as_slice(), &key.to_bytes()].concat();
    let text = format!("PRIVATE+KEY+bailiwick+{id}+{}\n", STANDARD.encode(bytes));
    fs::write(state.join("keys/log.key"), text).unwrap();
}

/// Signs every checkpoint again, over the leaves that now stand before it.
pub(crate) fn sign_again(all: &mut [Frame], key: &SigningKey) {
    let origin = origin(all);
    let mut leaves = Vec::new();
    for frame in all {
        match frame.kind {
            LEAF => leaves.push(leaf_hash(&frame.content)),
            CHECKPOINT => frame.content = note(&origin, &leaves, key).into_bytes(),
            _ => {}
        }
    }
}

/// Puts other roots under the signatures that stand there.
pub(crate) fn keep_signatures(all: &mut [Frame]) {
    let origin = origin(all);
    let mut leaves = Vec::new();
    for frame in all {
        match frame.kind {
            LEAF => leaves.push(leaf_hash(&frame.content)),
            CHECKPOINT => {
                let text = String::from_utf8(frame.content.clone()).unwrap();
                let signatures = text.split_once("\n\n").unwrap().1;
                frame.content = format!("{}\n{signatures}", body(&origin, &leaves)).into_bytes();
            }
            _ => {}
        }
    }
}

/// Has every leaf say where it stands now.
pub(crate) fn number_again(all: &mut [Frame]) {
    for (index, frame) in all.iter_mut().filter(|it| it.kind == LEAF).enumerate() {
        let text = String::from_utf8(frame.content.clone()).unwrap();
        let (before, rest) = text.split_once("\"index\":").unwrap();
        let digits = rest.find(|it: char| !it.is_ascii_digit()).unwrap();
        frame.content = format!("{before}\"index\":{index}{}", &rest[digits..]).into_bytes();
    }
}

fn origin(all: &[Frame]) -> String {
    String::from_utf8(all[0].content.clone()).unwrap().lines().nth(1).unwrap().to_owned()
}

fn body(origin: &str, leaves: &[[u8; 32]]) -> String {
    format!("{origin}\n{}\n{}\n", leaves.len(), STANDARD.encode(root(leaves)))
}

fn note(origin: &str, leaves: &[[u8; 32]], key: &SigningKey) -> String {
    let body = body(origin, leaves);
    let signature = [key_id(origin, key).as_slice(), &key.sign(body.as_bytes()).to_bytes()].concat();
    format!("{body}\n\u{2014} {origin} {}\n", STANDARD.encode(signature))
}

fn key_id(name: &str, key: &SigningKey) -> [u8; 4] {
    let text = [name.as_bytes(), b"\n\x01", key.verifying_key().as_bytes()].concat();
    Sha256::digest(text)[..4].try_into().unwrap()
}

fn leaf_hash(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest([b"\0", bytes].concat()).into()
}

fn root(leaves: &[[u8; 32]]) -> [u8; 32] {
    match leaves {
        [] => Sha256::digest([]).into(),
        [only] => *only,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            Sha256::digest([b"\x01".as_slice(), &root(left), &root(right)].concat()).into()
        }
    }
}
