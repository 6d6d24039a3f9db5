//! May this checkpoint be cosigned? Only one that a known key signed, and that continues the last one: what was cosigned is
//! durable before anybody hears of it, and never goes back.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::{SigningKey, VerifyingKey as PublicKey};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{COSIGNATURE, WitnessKey, cosign, cosigner_id, is_name};
use crate::{
    AuditError, Digest, Folder, VerifyingKey,
    error::At,
    keys::{find_or_make, private_folder, random, sync_folder},
    pool::try_lock,
    verify::{
        signed::{self, NOTE_BYTES_MAX, Signed, Unsigned, claim, parts, signature},
        tree::{self, Growing},
    },
};

/// Most lines of a proof, as the protocol has it.
const PROOF_LINES_MAX: usize = 63;
/// Most logs of one witness: whoever holds a log's key can name new ones.
const LOGS_MAX: usize = 100_000;
/// Folder of what was cosigned last, a file per log.
const LOGS: &str = "logs";

/// A witness: a key of its own, keys of the logs that it knows, and what it cosigned last.
pub struct Witness {
    signing: SigningKey,
    key: WitnessKey,
    logs: Vec<VerifyingKey>,
    heads: Folder,
    path: PathBuf,
    /// How many logs there are. Held over comparing and storing, so that nothing goes back between the two.
    count: Mutex<usize>,
    /// Two processes with one state would each go on from what the other has overtaken.
    _lock: File,
}

/// Why a witness does not cosign. A variant is an answer of the protocol.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// 400: not a request.
    #[error("malformed request: {0}")]
    Malformed(&'static str),
    /// 404: no log that this witness knows.
    #[error("unknown log `{origin}`; a witness knows the logs that it was given the keys of")]
    UnknownLog {
        /// As the checkpoint has it.
        origin: String,
    },
    /// 403: none of the log's keys signed it.
    #[error("no key that is known for this log signed the checkpoint")]
    Unsigned,
    /// 409: the request goes on from another size than the last that was cosigned, or shows another tree of that size.
    #[error("the last cosigned head has {size} records")]
    Conflict {
        /// Size of the last cosigned checkpoint.
        size: u64,
    },
    /// 422: the proof does not lead from the last cosigned checkpoint to this one.
    #[error("the proof does not show that the log only grew")]
    NotGrown,
    /// 503: no room for another log.
    #[error("this witness keeps {LOGS_MAX} logs already")]
    Full,
    /// 500: nothing could be made durable, so nothing was cosigned.
    #[error(transparent)]
    Failed(#[from] AuditError),
}

impl Refused {
    /// Status of the answer.
    pub fn status(&self) -> u16 {
        match self {
            Refused::Malformed(_) => 400,
            Refused::Unsigned => 403,
            Refused::UnknownLog { .. } => 404,
            Refused::Conflict { .. } => 409,
            Refused::NotGrown => 422,
            Refused::Failed(_) => 500,
            Refused::Full => 503,
        }
    }
}

/// A request, read.
struct Request<'a> {
    old: u64,
    proof: Vec<Digest>,
    note: &'a str,
}

impl Witness {
    /// Longest request that is read: a proof and a note.
    pub const REQUEST_BYTES_MAX: usize = NOTE_BYTES_MAX + 4096;

    /// Opens a witness's folder; makes folder and key where there are none. `name` is that of a new key; a folder keeps the one it
    /// has. `logs`: a key counts for the log of its name and for those whose names go on from it behind a slash. Blocks on
    /// the disk.
    pub fn open(state: &Path, name: Option<&str>, logs: Vec<VerifyingKey>) -> Result<Witness, AuditError> {
        private_folder(state)?;
        let lock = try_lock(&state.join("lock"))?.ok_or_else(|| AuditError::Closed {
            why: format!("another witness holds {}", state.display()),
        })?;
        let path = state.join("witness.key");
        let bad = |problem: &str| AuditError::Keys { path: path.clone(), problem: problem.to_owned() };
        if name.is_some_and(|it| !is_name(it)) {
            return Err(bad("a witness's name holds no space and no `+`, and is not empty"));
        }
        let text = find_or_make(&path, || encode(name))?;
        let (found, signing) = decode(&text)
            .ok_or_else(|| bad("not the key of a witness; restore it from a copy, never make it anew"))?;
        if name.is_some_and(|it| it != found) {
            return Err(bad(&format!("its name is `{found}`; a witness keeps its name")));
        }
        let heads = state.join(LOGS);
        private_folder(&heads)?;
        // What an earlier process renamed may not have been synced yet, and what is read counts as durable from now on.
        [heads.as_path(), state].into_iter().try_for_each(sync_folder)?;
        let count = fs::read_dir(&heads).at("list", &heads)?.count();
        let key = WitnessKey { name: found, key: signing.verifying_key() };
        Ok(Witness {
            signing,
            key,
            logs,
            heads: Folder::private(&heads),
            path: heads,
            count: Mutex::new(count),
            _lock: lock,
        })
    }

    /// How others know it.
    pub fn key(&self) -> &WitnessKey {
        &self.key
    }

    /// Answers `add-checkpoint`: the cosignature of a checkpoint that continues the last one. Blocks on the disk.
    pub fn add_checkpoint(&self, request: &[u8]) -> Result<String, Refused> {
        let Request { old, proof, note } = read(request)?;
        let checkpoint = claim(note.as_bytes()).ok_or(Refused::Malformed("not a checkpoint"))?;
        self.check_signed(note, &checkpoint)?;
        if old > checkpoint.size {
            return Err(Refused::Malformed("the old size is larger than the checkpoint's"));
        }
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        let last = self.last(&checkpoint.origin)?;
        let (size, root, time) =
            last.as_ref().map_or((0, Growing::default().root(), 0), |(it, time)| (it.size, it.root, *time));
        if old != size || (old == checkpoint.size && root != checkpoint.root) {
            return Err(Refused::Conflict { size });
        }
        if !tree::extends(old, &root, &proof, checkpoint.size, &checkpoint.root) {
            return Err(Refused::NotGrown);
        }
        if last.is_none() {
            if *count >= LOGS_MAX {
                return Err(Refused::Full);
            }
            *count += 1;
        }
        let now = u64::try_from(Timestamp::now().as_second()).unwrap_or_default().max(time);
        let (text, lines) = parts(note.as_bytes()).ok_or(Refused::Malformed("not a note"))?;
        let line = cosign(self.key.name(), &self.signing, now, text);
        let of_log = lines.split_inclusive('\n').filter(|it| {
            signature(it.trim_end_matches('\n')).is_some_and(|(name, ..)| name == checkpoint.origin)
        });
        let kept = format!("{text}\n{}{line}", of_log.collect::<String>());
        // Durable before it is told: whoever cuts us off between the two is told the size the next time.
        self.heads.put(&file(&checkpoint.origin), kept.as_bytes())?;
        Ok(line)
    }

    /// Whether a key that is known for this log signed the checkpoint.
    fn check_signed(&self, note: &str, checkpoint: &Signed) -> Result<(), Refused> {
        let origin = checkpoint.origin.as_str();
        let covers = |key: &&VerifyingKey| {
            origin.strip_prefix(key.name()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let keys: Vec<PublicKey> = self.logs.iter().filter(covers).map(|it| *it.public()).collect();
        if keys.is_empty() {
            return Err(Refused::UnknownLog { origin: origin.chars().take(200).collect() });
        }
        signed::open(note.as_bytes(), &keys).map(|_| ()).map_err(|it| match it {
            Unsigned::Malformed => Refused::Malformed("a line that is no signature"),
            Unsigned::Unknown | Unsigned::Forged => Refused::Unsigned,
        })
    }

    /// What was cosigned last of a log, and when. What we did not sign ourselves is not taken for it, nor for nothing.
    fn last(&self, origin: &str) -> Result<Option<(Signed, u64)>, AuditError> {
        let name = file(origin);
        let Some(note) = self.heads.get(&name)? else { return Ok(None) };
        let ours = self.key.witnessed(&note).filter(|(it, _)| it.origin == origin);
        let (head, time) = ours.ok_or_else(|| AuditError::Keys {
            path: self.path.join(&name),
            problem: format!(
                "not the head of {origin} that this witness cosigned; nothing is cosigned over it"
            ),
        })?;
        Ok(Some((head, u64::try_from(time.as_second()).unwrap_or_default())))
    }

    /// The last cosigned heads, by log: each is an anchor. Blocks on the disk.
    pub fn heads(&self) -> Result<BTreeMap<String, String>, AuditError> {
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(&self.path).at("list", &self.path)?.take(LOGS_MAX) {
            let path = entry.at("list", &self.path)?.path();
            let Ok(note) = fs::read_to_string(&path) else { continue };
            if let Some((head, _)) = self.key.witnessed(note.as_bytes()) {
                found.insert(head.origin, note);
            }
        }
        Ok(found)
    }
}

/// Names a log's file: origins are long, and hold slashes.
fn file(origin: &str) -> String {
    hex::encode(Sha256::digest(origin))
}

fn read(request: &[u8]) -> Result<Request<'_>, Refused> {
    let bad = Refused::Malformed;
    if request.len() > Witness::REQUEST_BYTES_MAX {
        return Err(bad("longer than any request"));
    }
    let text = std::str::from_utf8(request).map_err(|_| bad("not UTF-8"))?;
    let (head, note) = text.split_once("\n\n").ok_or(bad("no empty line before the checkpoint"))?;
    let mut lines = head.split('\n');
    let old = lines.next().and_then(|it| it.strip_prefix("old ")).ok_or(bad("no `old` line"))?;
    let number: u64 = old.parse().map_err(|_| bad("the old size is no number"))?;
    if number.to_string() != old {
        return Err(bad("the old size is no number"));
    }
    let proof: Option<Vec<Digest>> = lines.map(|it| STANDARD.decode(it).ok()?.try_into().ok()).collect();
    let proof = proof.filter(|it| it.len() <= PROOF_LINES_MAX).ok_or(bad("a proof line that is no hash"))?;
    Ok(Request { old: number, proof, note })
}

/// A new key, as signed-note tools write them: `PRIVATE+KEY+name+id+base64(type || seed)`.
fn encode(name: Option<&str>) -> Vec<u8> {
    let seed = random::<32>();
    let public = SigningKey::from_bytes(&seed).verifying_key();
    let unnamed = format!("witness/{}", hex::encode(&public.as_bytes()[..4]));
    let name = name.unwrap_or(&unnamed);
    let mut bytes = Zeroizing::new(vec![COSIGNATURE]);
    bytes.extend(seed.as_slice());
    let key = Zeroizing::new(STANDARD.encode(&*bytes));
    format!("PRIVATE+KEY+{name}+{}+{}\n", hex::encode(cosigner_id(name, &public)), *key).into_bytes()
}

fn decode(text: &[u8]) -> Option<(String, SigningKey)> {
    let text = std::str::from_utf8(text).ok()?.trim_end();
    let mut fields = text.strip_prefix("PRIVATE+KEY+")?.splitn(3, '+');
    let (name, id, key) = (fields.next()?, fields.next()?, fields.next()?);
    let bytes = Zeroizing::new(STANDARD.decode(key).ok()?);
    let (&COSIGNATURE, seed) = bytes.split_first()? else { return None };
    let seed = Zeroizing::new(<[u8; 32]>::try_from(seed).ok()?);
    let signing = SigningKey::from_bytes(&seed);
    let right = hex::encode(cosigner_id(name, &signing.verifying_key())) == id && is_name(name);
    right.then(|| (name.to_owned(), signing))
}
