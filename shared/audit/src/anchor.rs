//! What should be kept elsewhere? The heads of all logs as one text of signed notes, and receipts: with either, a verification
//! sees what was done to a log together with its checkpoints.

use std::{fmt, fs::File, path::Path};

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    AuditError, Digest, collector,
    error::At,
    pool::{Place, places},
    verify::{Frames, log::segment_paths, log_of, signed},
};

/// First words of an anchor file.
const TITLE: &str = "# bailiwick anchor v1";
/// How a line of a signature begins.
const SIGNATURE: &str = "\u{2014} ";
/// Key of a receipt in the results of calls.
const RECEIPT: &str = "io.bailiwick/receipt";

/// Checkpoints that somebody kept: one signed note, or the file of all heads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    name: String,
    notes: Vec<String>,
}

/// A receipt that somebody kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptReceipt {
    /// Name of the file that it comes from.
    pub(crate) name: String,
    pub(crate) log: String,
    pub(crate) index: u64,
    pub(crate) leaf: Digest,
}

/// A file that is not what was kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {problem}")]
pub struct BadAnchor {
    name: String,
    problem: String,
}

/// The heads of all logs of a state folder. Its text is the anchor file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heads {
    time: Timestamp,
    notes: Vec<String>,
}

impl Anchor {
    /// Reads signed notes, one after the other; lines that begin with `#` and empty lines between notes say nothing.
    /// `name` is how a report calls it.
    pub fn parse(name: &str, text: &str) -> Result<Anchor, BadAnchor> {
        let bad = |problem: &str| BadAnchor { name: name.to_owned(), problem: problem.to_owned() };
        let mut notes = Vec::new();
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let mut note = format!("{line}\n");
            for line in lines.by_ref().take_while(|it| !it.is_empty()) {
                note += &format!("{line}\n");
            }
            note.push('\n');
            while let Some(line) = lines.next_if(|it| it.starts_with(SIGNATURE)) {
                note += &format!("{line}\n");
            }
            if signed::claim(note.as_bytes()).is_none() {
                return Err(bad(
                    "not a checkpoint: expected signed notes, as `bailiwick audit checkpoint` prints them",
                ));
            }
            notes.push(note);
        }
        match notes.is_empty() {
            true => Err(bad("no checkpoint in it; expected what `bailiwick audit checkpoint` prints")),
            false => Ok(Anchor { name: name.to_owned(), notes }),
        }
    }

    /// How a report calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn notes(&self) -> impl Iterator<Item = &[u8]> {
        self.notes.iter().map(String::as_bytes)
    }

    /// What the notes say, whoever signed them.
    pub(crate) fn claims(&self) -> impl Iterator<Item = signed::Signed> {
        self.notes().filter_map(signed::claim)
    }
}

impl KeptReceipt {
    /// Reads receipts: objects of `log`, `index` and `leaf`, by themselves, in lists, a line each, or within whole results of
    /// calls. `name` is how a report calls them.
    pub fn parse_all(name: &str, text: &str) -> Result<Vec<KeptReceipt>, BadAnchor> {
        let bad = |problem: String| BadAnchor { name: name.to_owned(), problem };
        let mut found = Vec::new();
        for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
            let value = value.map_err(|error| bad(format!("not JSON: {error}")))?;
            collect(name, &value, &mut found).map_err(bad)?;
        }
        match found.is_empty() {
            true => Err(bad(format!(
                "no receipt in it; expected {{\"log\", \"index\", \"leaf\"}}, as in `{RECEIPT}`"
            ))),
            false => Ok(found),
        }
    }
}

fn collect(name: &str, value: &Value, found: &mut Vec<KeptReceipt>) -> Result<(), String> {
    match value {
        Value::Array(items) => items.iter().try_for_each(|it| collect(name, it, found)),
        Value::Object(fields) if fields.contains_key("leaf") && fields.contains_key("index") => {
            let digest = |it: &Value| hex::decode(it.as_str()?).ok()?.try_into().ok();
            let receipt = || {
                let log = fields.get("log")?.as_str()?.to_owned();
                let (index, leaf) = (fields.get("index")?.as_u64()?, digest(fields.get("leaf")?)?);
                Some(KeptReceipt { name: name.to_owned(), log, index, leaf })
            };
            found.push(receipt().ok_or("a receipt without a log, an index or the 64 hex digits of a leaf")?);
            Ok(())
        }
        // What a tool said stands in a result as well, and may look like anything: only these lead to our own receipt.
        Value::Object(fields) => {
            let inner = [RECEIPT, "receipt", "_meta", "result"].into_iter().find_map(|it| fields.get(it));
            inner.map_or(Ok(()), |it| collect(name, it, found))
        }
        _ => Ok(()),
    }
}

/// The heads of all logs of a state folder, as they are durable now.
pub fn heads(state: &Path) -> Result<Heads, AuditError> {
    let mut notes = Vec::new();
    for place in places(state)? {
        notes.extend(last_note(&place)?);
    }
    Ok(Heads { time: Timestamp::now(), notes })
}

/// The heads of all logs that a collector holds, as they are durable now.
pub fn collected_heads(state: &Path) -> Result<Heads, AuditError> {
    let mut notes = Vec::new();
    for source in collector::sources(state)? {
        notes.extend(heads(&source.folder)?.notes);
    }
    Ok(Heads { time: Timestamp::now(), notes })
}

impl Heads {
    /// How many logs.
    pub fn len(&self) -> usize {
        self.notes.len()
    }

    /// Whether there is nothing to keep.
    pub fn is_empty(&self) -> bool {
        self.notes.is_empty()
    }
}

/// The last checkpoint in a log's files. Its signature is judged by whoever uses it.
pub(crate) fn last_note(place: &Place) -> Result<Option<String>, AuditError> {
    for path in segment_paths(&place.folder)?.into_iter().rev() {
        let mut last = None;
        let mut frames = Frames::open(&path)?;
        while let Some(kind) = frames.next()? {
            if kind == Frames::CHECKPOINT {
                last = Some(frames.content().to_vec());
            }
        }
        if let Some(note) = last.and_then(|it| String::from_utf8(it).ok()) {
            // Its writer may not have synced it yet: what a crash takes away later would accuse the log for ever.
            File::open(&path).and_then(|it| it.sync_data()).at("sync", &path)?;
            return Ok(Some(note));
        }
    }
    Ok(None)
}

impl fmt::Display for Heads {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.notes.len();
        writeln!(out, "{TITLE}: heads of {count} logs, {}", self.time.strftime("%Y-%m-%dT%H:%M:%SZ"))?;
        writeln!(out, "# Keep this where whoever can write the logs cannot. Later:")?;
        writeln!(out, "# bailiwick audit verify --key KEY --anchor THIS-FILE")?;
        for note in &self.notes {
            if let Some(it) = signed::claim(note.as_bytes()) {
                writeln!(out, "\n# {}: {} records", log_of(&it.origin), it.size)?;
            }
            write!(out, "{note}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;
    use proptest::prelude::*;

    use super::*;
    use crate::note::Checkpoint;

    fn note(size: u64) -> String {
        let origin = format!("bailiwick/code/{size}/00ff");
        Checkpoint { origin, size, root: [1; 32] }.sign(&SigningKey::from_bytes(&[7; 32]))
    }

    proptest! {
        #[test]
        fn the_heads_read_back_as_an_anchor(sizes in proptest::collection::vec(any::<u64>(), 1..6)) {
            let notes: Vec<String> = sizes.iter().map(|it| note(*it)).collect();
            let heads = Heads { time: Timestamp::UNIX_EPOCH, notes: notes.clone() };
            let anchor = Anchor::parse("a", &heads.to_string()).unwrap();
            prop_assert_eq!(&anchor.notes, &notes);
            prop_assert_eq!(anchor.claims().map(|it| it.size).collect::<Vec<_>>(), sizes);
        }

        #[test]
        fn arbitrary_text_is_read_or_refused(text in "[#a—\n 0-9]{0,60}") {
            if let Ok(anchor) = Anchor::parse("a", &text) {
                prop_assert_eq!(anchor.claims().count(), anchor.notes.len());
            }
            let _ = KeptReceipt::parse_all("r", &text);
        }
    }

    #[test]
    fn one_checkpoint_is_an_anchor_too() {
        assert_eq!(Anchor::parse("a", &note(3)).unwrap().notes, [note(3)]);
        assert!(Anchor::parse("a", "# nothing\n").is_err());
        assert!(Anchor::parse("a", "one line\n").is_err());
    }

    #[test]
    fn receipts_are_found_wherever_clients_keep_them() {
        let receipt = format!(r#"{{"log":"bailiwick/code/0/00ff","index":3,"leaf":"{}"}}"#, "ab".repeat(32));
        let result = format!(r#"{{"content":[],"_meta":{{"io.bailiwick/receipt":{receipt}}}}}"#);
        for text in [&receipt, &result, &format!("[{receipt}]"), &format!("{receipt}\n")] {
            let found = KeptReceipt::parse_all("r", text).unwrap();
            assert_eq!((found.len(), found[0].index, found[0].leaf), (1, 3, [0xab; 32]), "{text}");
        }
        assert_eq!(KeptReceipt::parse_all("r", &format!("{receipt}\n{receipt}")).unwrap().len(), 2);
        for text in ["{}", "", "{\"index\":1,\"leaf\":\"\"}", "not json"] {
            assert!(KeptReceipt::parse_all("r", text).is_err(), "{text}");
        }
    }
}
