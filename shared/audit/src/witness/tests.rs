//! Tests of cosignatures and of the state behind them.

use std::fs;

use proptest::prelude::*;

use super::*;
use crate::{
    Digest, VerifyingKey,
    merkle::{Tree, leaf_hash},
    note::Checkpoint,
    tiles::Edge,
    verify::tree::{self, Growing},
};

const ORIGIN: &str = "bailiwick/code/0/00ff";

fn log_key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

/// A log of so many leaves whose published files are kept in memory.
struct Shown {
    edge: Edge,
    files: std::collections::BTreeMap<String, Vec<u8>>,
}

impl Shown {
    fn of(leaves: u64, salt: u8) -> Shown {
        let mut it = Shown { edge: Edge::default(), files: Default::default() };
        for leaf in 0..leaves {
            it.files.extend(it.edge.push(&[&leaf.to_be_bytes()[..], &[salt]].concat()));
        }
        it.files.extend(it.edge.partials());
        it
    }

    fn note(&self) -> String {
        let root = self.edge.tree().root();
        Checkpoint { origin: ORIGIN.to_owned(), size: self.edge.size(), root }.sign(&log_key())
    }

    fn request(&self, old: u64) -> String {
        let read = |path: &str| Ok::<_, ()>(self.files.get(path).cloned());
        let proof = growth(old, self.edge.size(), read).unwrap().expect("the tiles are whole");
        let proof: String = proof.iter().map(|it| format!("{}\n", STANDARD.encode(it))).collect();
        format!("old {old}\n{proof}\n{}", self.note())
    }
}

fn open(state: &Path) -> Witness {
    let log = VerifyingKey::new("bailiwick", log_key().verifying_key());
    Witness::open(state, Some("witness.example/w1"), vec![log]).unwrap()
}

fn status(witness: &Witness, request: &str) -> u16 {
    witness.add_checkpoint(request.as_bytes()).map_or_else(|it| it.status(), |_| 200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn proofs_from_tiles_are_those_of_the_records(size in 1u64..1500, from in 0u64..1500) {
        let from = from % (size + 1);
        let (shown, mut before) = (Shown::of(size, 0), Tree::default());
        for leaf in 0..from {
            before.push(leaf_hash(&[&leaf.to_be_bytes()[..], &[0]].concat()));
        }
        let read = |path: &str| Ok::<_, ()>(shown.files.get(path).cloned());
        let proof = growth(from, size, read).unwrap().unwrap();
        let root = shown.edge.tree().root();
        prop_assert!(tree::extends(from, &before.root(), &proof, size, &root));
    }
}

#[test]
fn the_cosignature_is_the_one_of_the_specification() {
    let state = tempfile::tempdir().unwrap();
    let (witness, shown) = (open(state.path()), Shown::of(3, 0));
    let line = witness.add_checkpoint(shown.request(0).as_bytes()).unwrap();
    // From the text of C2SP tlog-cosignature, byte by byte.
    let (name, encoded) = line.strip_prefix("— ").unwrap().trim_end().split_once(' ').unwrap();
    assert_eq!(name, "witness.example/w1");
    let bytes = STANDARD.decode(encoded).unwrap();
    assert_eq!(bytes.len(), 4 + 8 + 64);
    let text = witness.key().to_string();
    let key = STANDARD.decode(text.splitn(3, '+').nth(2).unwrap()).unwrap();
    assert_eq!((key.len(), key[0]), (33, 4));
    let id = Sha256::digest([b"witness.example/w1\n".as_slice(), &key].concat());
    assert_eq!(bytes[..4], id[..4]);
    assert_eq!(hex::encode(&id[..4]), text.split('+').nth(1).unwrap());
    let time = u64::from_be_bytes(bytes[4..12].try_into().unwrap());
    let note = shown.note();
    let body = &note[..note.find("\n\n").unwrap() + 1];
    let message = format!("cosignature/v1\ntime {time}\n{body}");
    let key = PublicKey::from_bytes(key[1..].try_into().unwrap()).unwrap();
    let signature = Signature::from_slice(&bytes[12..]).unwrap();
    key.verify_strict(message.as_bytes(), &signature).unwrap();
    let told: WitnessKey = text.parse().unwrap();
    assert_eq!(told.cosigned_at(format!("{note}{line}").as_bytes()).unwrap().as_second() as u64, time);
}

#[test]
fn the_example_of_the_specification_has_the_shape_that_is_read() {
    let line = "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==";
    let (name, id, bytes) = signature(line).unwrap();
    assert_eq!((name, hex::encode(id).as_str(), bytes.len()), ("witness.example.com/w1", "8d66cf3f", 72));
    assert_eq!(u64::from_be_bytes(bytes[..8].try_into().unwrap()), 1_679_315_147);
}

#[test]
fn every_answer_is_the_one_of_the_protocol() {
    let state = tempfile::tempdir().unwrap();
    let witness = open(state.path());
    let (three, five, other) = (Shown::of(3, 0), Shown::of(5, 0), Shown::of(5, 1));
    assert_eq!(status(&witness, &three.request(0)), 200);
    assert_eq!(status(&witness, &three.request(0)), 409, "replayed");
    assert_eq!(status(&witness, &three.request(3)), 200, "the same head, cosigned again");
    assert_eq!(status(&witness, &other.request(3)), 422, "a fork");
    assert_eq!(status(&witness, &five.request(3)), 200);
    assert_eq!(status(&witness, &three.request(3)), 409, "rolled back");
    assert_eq!(status(&witness, &other.request(5)), 409, "another tree of the same size");
    assert_eq!(
        status(&witness, &three.request(0).replace("old 0", "old 4")),
        400,
        "old beyond the checkpoint"
    );
    let unknown = three.request(0).replace("bailiwick/", "elsewhere/");
    assert_eq!(status(&witness, &unknown), 404);
    let beside = three.request(0).replace("bailiwick/", "bailiwickx/");
    assert_eq!(status(&witness, &beside), 404, "a name that only begins alike");
    let root = five.edge.tree().root();
    let stranger =
        Checkpoint { origin: ORIGIN.to_owned(), size: 5, root }.sign(&SigningKey::from_bytes(&[8; 32]));
    assert_eq!(status(&witness, &format!("old 5\n\n{stranger}")), 403);
    let hash = STANDARD.encode([1; 32]);
    let long = format!("old 5\n{}\n{}", format!("{hash}\n").repeat(64), five.note());
    for request in
        ["", "old 5\n", "old 05\n\nx", "old -1\n\nx", &long, &five.request(5).replace("old", "OLD")]
    {
        assert_eq!(status(&witness, request), 400, "{request:?}");
    }
    let refused = witness.add_checkpoint(three.request(0).as_bytes()).unwrap_err();
    assert!(matches!(refused, Refused::Conflict { size: 5 }));
}

#[test]
fn a_witness_remembers_across_restarts_and_never_starts_over() {
    let state = tempfile::tempdir().unwrap();
    let key = {
        let witness = open(state.path());
        assert_eq!(status(&witness, &Shown::of(3, 0).request(0)), 200);
        assert!(Witness::open(state.path(), None, Vec::new()).is_err(), "one process at a time");
        witness.key().clone()
    };
    let witness = open(state.path());
    assert_eq!(*witness.key(), key);
    assert_eq!(status(&witness, &Shown::of(5, 1).request(3)), 422);
    let (origin, note) = witness.heads().unwrap().pop_first().unwrap();
    assert_eq!(origin, ORIGIN);
    assert!(key.cosigned_at(note.as_bytes()).is_some(), "what it keeps is an anchor");
    let file = fs::read_dir(state.path().join("logs")).unwrap().next().unwrap().unwrap().path();
    fs::write(&file, note.replace("\n3\n", "\n1\n")).unwrap();
    assert_eq!(status(&witness, &Shown::of(5, 0).request(1)), 500, "a spoilt state is not gone on from");
    drop(witness);
    fs::write(state.path().join("witness.key"), "PRIVATE+KEY+x").unwrap();
    assert!(Witness::open(state.path(), None, Vec::new()).is_err());
}

#[test]
fn of_requests_at_once_one_wins() {
    let state = tempfile::tempdir().unwrap();
    let witness = open(state.path());
    let forks: Vec<String> = (0..8).map(|salt| Shown::of(4, salt).request(0)).collect();
    let told: Vec<u16> = std::thread::scope(|scope| {
        let asked: Vec<_> = forks.iter().map(|it| scope.spawn(|| status(&witness, it))).collect();
        asked.into_iter().map(|it| it.join().unwrap()).collect()
    });
    assert_eq!(told.iter().filter(|it| **it == 200).count(), 1, "{told:?}");
}

#[test]
fn a_line_takes_the_place_of_the_same_witness_and_of_no_other() {
    let note = Shown::of(2, 0).note();
    let body = &note[..note.find("\n\n").unwrap() + 1];
    let (one, two) = (SigningKey::from_bytes(&[1; 32]), SigningKey::from_bytes(&[2; 32]));
    let with = with_line(&note, &cosign("a", &one, 5, body)).unwrap();
    let with = with_line(&with, &cosign("b", &two, 6, body)).unwrap();
    let with = with_line(&with, &cosign("a", &one, 7, body)).unwrap();
    let key = |name: &str, key: &SigningKey| WitnessKey { name: name.to_owned(), key: key.verifying_key() };
    let second = |key: WitnessKey| key.cosigned_at(with.as_bytes()).map(|it| it.as_second());
    assert_eq!((second(key("a", &one)), second(key("b", &two))), (Some(7), Some(6)));
    assert_eq!(second(key("a", &two)), None);
    assert!(Checkpoint::open(with.as_bytes(), &[log_key().verifying_key()]).is_ok());
    assert_eq!(with.lines().count(), 3 + 1 + 3, "{with}");
}

#[test]
fn an_empty_log_can_be_cosigned() {
    let state = tempfile::tempdir().unwrap();
    let root: Digest = Growing::default().root();
    let note = Checkpoint { origin: ORIGIN.to_owned(), size: 0, root }.sign(&log_key());
    assert_eq!(status(&open(state.path()), &format!("old 0\n\n{note}")), 200);
}
