//! What if a log is damaged for good? Its folder is put aside whole, and its loss becomes a record, with the reason: for ever.
//!
//! Nothing accepts a loss by itself. What is accepted is exactly what anybody is known to have seen of the log: who shows more later
//! still contradicts it.

mod evidence;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
};

use serde::Serialize;
use serde_json::json;

use crate::{
    Anchor, AuditError, Operator, Receipt, Verification,
    error::At,
    keys::{key_beside, random, sync_folder},
    pool::{Place, named, places, try_lock},
    record::{Facts, Left, Seen, Word},
    verify::{LOST_MAX, claims::claims, deeds, log::heads_beside, signed},
};
pub(crate) use evidence::digest_of_folder;

/// What the record of a loss calls it.
const TOOL: &str = "accept_loss";
/// Longest reason.
const REASON_MAX: usize = 200;

/// A loss that was accepted.
#[derive(Clone, Debug, Serialize)]
pub struct Accepted {
    /// `<server>/<n>`.
    pub log: String,
    /// Origins of the lost logs, with the most records that anybody is known to have seen.
    pub lost: Vec<(String, u64)>,
    /// Where what is left of it stands now; none where nothing was.
    pub kept: Option<PathBuf>,
    /// The record.
    pub receipt: Receipt,
}

/// Accepts the loss of the log `<server>/<n>`, if verification finds that it was altered or is gone. `anchors` are checkpoints that
/// were kept elsewhere: what they show is accepted as lost too. The next start begins a new log in its place.
///
/// The record is durable before the folder is moved: a crash between the two leaves the damaged log where it was, and the loss can be
/// accepted again.
pub async fn accept_loss(
    state: &Path,
    log: &str,
    reason: &str,
    anchors: &[Anchor],
    operator: &Operator,
) -> Result<Accepted, AuditError> {
    check_reason(reason)?;
    let missing =
        |problem: &str| AuditError::NoRecord { selector: log.to_owned(), problem: problem.to_owned() };
    let place = named(state, log).ok_or_else(|| missing("expected <server>/<n>, e.g. code/0"))?;
    // Held to the end: nobody may begin to write where a folder is about to go away.
    let _lock = lock(&place, &missing)?;
    let lost = lost(state, &place, anchors)?;
    if !lost.is_damaged && lost.heads.is_empty() {
        return Err(missing("nothing of it is lost: `bailiwick audit verify` finds it as it was written"));
    }
    let name = format!("lost-{}-{}", place.number, hex::encode(*random::<4>()));
    let left = match lost.is_damaged {
        true => vec![Left {
            folder: format!("{}/{name}", place.server),
            sha256: hex::encode(digest_of_folder(&place.folder)?),
        }],
        false => Vec::new(),
    };
    let facts = Facts {
        lost: Some(lost.heads.clone()),
        left: Some(left),
        reason: Some(reason.to_owned()),
        ..Facts::default()
    };
    let book = operator.open(state)?;
    let draft = operator.draft(Word::Lost, TOOL, facts, &json!({ "operator": operator.subject }))?;
    let receipt = book.append(draft).await?;
    let mut kept = None;
    if lost.is_damaged {
        let aside = place.folder.with_file_name(name);
        fs::rename(&place.folder, &aside).at("put aside", &place.folder)?;
        sync_folder(aside.parent().unwrap_or(state))?;
        kept = Some(aside);
    }
    book.close("accept loss").await?;
    let lost = lost.heads.into_iter().map(|it| (it.origin, it.size)).collect();
    Ok(Accepted { log: place.name(), lost, kept, receipt })
}

/// What is lost of the logs that stood in one place.
struct Lost {
    /// Whether the log that stands there now is damaged.
    is_damaged: bool,
    /// The largest head of each lost log that anybody has seen.
    heads: Vec<Seen>,
}

fn lost(state: &Path, place: &Place, anchors: &[Anchor]) -> Result<Lost, AuditError> {
    let own: Vec<_> = key_beside(state)?.iter().map(|it| *it.public()).collect();
    // A log that was closed with its key is one of ours, too.
    let deeds = deeds(state, &own)?;
    let keys = deeds.trust.keys.clone();
    for anchor in anchors {
        // What nobody signed would contradict any log, however whole it is.
        if anchor.notes().any(|it| signed::open(it, &keys).is_err()) {
            let problem = format!("anchor {}: a checkpoint that none of the keys signed", anchor.name());
            return Err(AuditError::Malformed { problem });
        }
    }
    let verification = Verification { anchors: anchors.to_vec(), ..Verification::default() };
    let report = verification.run(state)?;
    let mut altered = report.logs.iter().filter(|it| it.log == place.name() && it.altered.is_some());
    let (gone, here): (Vec<_>, Vec<_>) = altered.by_ref().partition(|it| it.gone);
    let is_lost = |origin: &str| {
        gone.iter().any(|it| it.origin == origin)
            || here.iter().any(|it| match it.origin.as_str() {
                // Its first bytes are destroyed: whatever stood here, and is not accounted for, may have been this one.
                "" => {
                    origin.starts_with(&place.origin_prefix())
                        && !report.logs.iter().any(|it| it.origin == origin)
                }
                known => known == origin,
            })
    };
    let mut heads: BTreeMap<String, Seen> = BTreeMap::new();
    let mut see = |it: Seen| {
        if is_lost(&it.origin) && heads.get(&it.origin).is_none_or(|known| known.size < it.size) {
            heads.insert(it.origin.clone(), it);
        }
    };
    let seen = |origin: String, size, root| Seen { origin, size, root: hex::encode(root) };
    deeds.trust.heads().for_each(|it| see(seen(it.origin.clone(), it.size, it.root)));
    for other in places(state)? {
        claims(&other, &keys, |it| see(seen(it.origin, it.size, it.root)))?;
    }
    for it in heads_beside(place, &keys)? {
        see(seen(it.origin, it.size, it.root));
    }
    for it in anchors.iter().flat_map(Anchor::notes).filter_map(|it| signed::open(it, &keys).ok()) {
        see(seen(it.origin, it.size, it.root));
    }
    if heads.len() > LOST_MAX {
        let problem = format!("{} lost logs stood here; at most {LOST_MAX} can be accepted", heads.len());
        return Err(AuditError::Malformed { problem });
    }
    Ok(Lost { is_damaged: !here.is_empty(), heads: heads.into_values().collect() })
}

/// The lock of the log, if there is one to be put aside.
fn lock(place: &Place, missing: &impl Fn(&str) -> AuditError) -> Result<Option<File>, AuditError> {
    if !place.folder.exists() {
        return Ok(None);
    }
    match try_lock(&place.folder.join("lock"))? {
        Some(lock) => Ok(Some(lock)),
        None => Err(missing("a process holds it; stop that first")),
    }
}

/// A reason stands in the tree, which is never erased.
pub(crate) fn check_reason(reason: &str) -> Result<(), AuditError> {
    let fits =
        !reason.trim().is_empty() && reason.len() <= REASON_MAX && !reason.chars().any(char::is_control);
    match fits {
        true => Ok(()),
        false => Err(AuditError::Malformed {
            problem: format!("reason {reason:?}: expected 1 to {REASON_MAX} bytes on one line"),
        }),
    }
}
