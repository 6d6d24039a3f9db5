//! Whom the attacks are carried out on: two logs that have seen each other, and what a verifier kept of them.

use std::{fs, sync::Mutex};

use audit::{
    Anchor, Doubt, Event, KeptReceipt, Operator, Options, VerifyingKey, heads, key_beside, revoke, rotate,
    verify,
};
use ed25519_dalek::SigningKey;

use super::{
    entry,
    forge::{self, CHECKPOINT, LEAF, copy},
    frames::{Frame, frames, rebuild},
    intent, open_small, scratch,
};

/// What a verifier kept before the attack.
pub(crate) struct Kept {
    /// The key of the logs; where it was changed, the one that came next.
    pub(crate) key: VerifyingKey,
    pub(crate) anchor: Anchor,
    pub(crate) receipt: Vec<KeptReceipt>,
}

/// A state folder of two logs that have seen each other, and its copy from before the last records.
pub(crate) struct Victim {
    pub(crate) state: tempfile::TempDir,
    pub(crate) earlier: tempfile::TempDir,
    pub(crate) kept: Kept,
    /// A lock that the attacker holds.
    pub(crate) held: Mutex<Option<fs::File>>,
    /// The key of the first logs, as a thief has it.
    pub(crate) stolen: SigningKey,
}

impl Victim {
    /// Log `code/0`: start, read, intent, outcome, then seen by `code/1`, two reads, stop.
    pub(crate) async fn new() -> Victim {
        let (state, earlier) = (scratch(), scratch());
        let (zero, _) = open_small(state.path());
        zero.record(entry(Event::Read)).await.unwrap();
        let index = zero.admit_effect([1; 32], intent()).await.unwrap().intent().unwrap().index();
        zero.record(entry(Event::Outcome { intent: index })).await.unwrap();
        let (one, _) = open_small(state.path());
        one.record(entry(Event::Read)).await.unwrap();
        one.close("end of test").await.unwrap();
        copy(state.path(), earlier.path());
        zero.record(entry(Event::Read)).await.unwrap();
        let receipt = zero.record(entry(Event::Read)).await.unwrap();
        zero.close("end of test").await.unwrap();
        let report = verify(state.path(), &[]).unwrap();
        assert_eq!(report.exit_code(), 0, "{report}");
        let anchor = Anchor::parse("kept", &heads(state.path()).unwrap().to_string()).unwrap();
        let receipt = serde_json::to_string(&receipt).unwrap();
        let receipt = KeptReceipt::parse_all("kept", &receipt).unwrap();
        let kept = Kept { key: report.keys[0].parse().unwrap(), anchor, receipt };
        let stolen = forge::steal(state.path());
        Victim { state, earlier, kept, held: Mutex::default(), stolen }
    }

    /// The same after the theft was noticed: the key is changed and revoked, and the new key and another anchor are kept.
    pub(crate) async fn revoked() -> Victim {
        let mut it = Victim::new().await;
        let state = it.state.path();
        rotate(state, &operator()).unwrap();
        revoke(state, &it.kept.key, &Doubt::default(), "the laptop was stolen", &operator()).await.unwrap();
        let report = verify(state, &[it.kept.key]).unwrap();
        assert_eq!(report.exit_code(), 3, "the key that was kept is not enough any more: {report}");
        it.kept.key = key_beside(state).unwrap();
        it.kept.anchor = Anchor::parse("kept", &heads(state).unwrap().to_string()).unwrap();
        let report = verify(state, &[]).unwrap();
        assert_eq!(report.exit_code(), 0, "{report}");
        it
    }

    pub(crate) fn log(&self) -> std::path::PathBuf {
        self.state.path().join("logs/code/0")
    }

    /// Rewrites the journal of `code/0`, its checksums right.
    pub(crate) fn edit(&self, edit: impl FnOnce(&mut Vec<Frame>)) {
        let path = self.log().join("journal");
        let mut all = frames(&fs::read(&path).unwrap());
        edit(&mut all);
        fs::write(&path, rebuild(&all)).unwrap();
    }

    /// Takes away whatever else shows how long the log was, and what was published.
    pub(crate) fn cover_up(&self) {
        let _ = fs::remove_file(self.log().join("head"));
        let _ = fs::remove_dir_all(self.log().join("tlog"));
    }
}

/// Positions of the leaf frames.
pub(crate) fn leaves(all: &[Frame]) -> Vec<usize> {
    (0..all.len()).filter(|it| all[*it].kind == LEAF).collect()
}

/// Cuts the commits behind so many records.
pub(crate) fn cut(all: &mut Vec<Frame>, records: usize) {
    let at = leaves(all)[records];
    all.truncate(at);
    assert_eq!(all.last().unwrap().kind, CHECKPOINT, "every record was a commit");
}

/// Takes the last read out and numbers and signs everything anew: what is left fits together.
pub(crate) fn without_last_read(all: &mut Vec<Frame>, key: &SigningKey) {
    let at = leaves(all)[5];
    all.drain(at..at + 3);
    forge::number_again(all);
    forge::sign_again(all, key);
}

pub(crate) fn operator() -> Operator {
    let options = Options { chunk_bytes: 1024, reserve_bytes: 0, ..Options::default() };
    Operator { subject: "agent:local person:olga".to_owned(), assurance: "os_user", options }
}
