//! Who asked not to hear of what, and until when?

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, RandomState},
};

use axum::http::StatusCode;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::store::Labels;

use super::{Refusal, alerts::time, matcher::Matcher};

/// More would be a mistake, and would be kept in memory.
const SILENCES_MAX: usize = 10_000;

/// Every silence that was ever made, by id.
#[derive(Debug, Default)]
pub(crate) struct Silences {
    all: BTreeMap<String, Silence>,
}

#[derive(Clone, Debug)]
struct Silence {
    matchers: Vec<Matcher>,
    starts: Timestamp,
    ends: Timestamp,
    updated: Timestamp,
    created_by: String,
    comment: String,
}

/// A silence that somebody wants, read and valid in itself.
#[derive(Debug)]
pub(super) struct Wanted {
    id: Option<String>,
    silence: Silence,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Posted {
    id: Option<String>,
    matchers: Option<Vec<PostedMatcher>>,
    starts_at: Option<Timestamp>,
    ends_at: Option<Timestamp>,
    created_by: Option<String>,
    comment: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PostedMatcher {
    name: Option<String>,
    value: Option<String>,
    is_regex: Option<bool>,
    #[serde(default = "positive")]
    is_equal: bool,
}

impl Wanted {
    /// Reads a silence as it is posted.
    pub(super) fn read(body: &[u8]) -> Result<Wanted, Refusal> {
        let posted: Posted = serde_json::from_slice(body).map_err(|it| {
            let message = format!("parsing silence body from \"\" failed, because {it}");
            Refusal(StatusCode::BAD_REQUEST, json!({ "code": 400, "message": message }))
        })?;
        let needed = |name: &str| Refusal::invalid(602, &format!("{name} in body is required"));
        let matchers = posted.matchers.ok_or_else(|| needed("matchers"))?;
        if matchers.is_empty() {
            return Err(Refusal::invalid(612, "matchers in body should have at least 1 items"));
        }
        let matchers: Vec<Matcher> = matchers
            .into_iter()
            .enumerate()
            .map(|(at, it)| {
                let needed = |name: &str| needed(&format!("matchers.{at}.{name}"));
                let name = it.name.ok_or_else(|| needed("name"))?;
                let value = it.value.ok_or_else(|| needed("value"))?;
                let regex = it.is_regex.ok_or_else(|| needed("isRegex"))?;
                let wrong = |problem| bad(&format!("silence invalid: invalid label matcher {at}: {problem}"));
                Matcher::new(&name, &value, it.is_equal, regex).map_err(wrong)
            })
            .collect::<Result<_, Refusal>>()?;
        let silence = Silence {
            starts: posted.starts_at.ok_or_else(|| needed("startsAt"))?,
            ends: posted.ends_at.ok_or_else(|| needed("endsAt"))?,
            created_by: posted.created_by.ok_or_else(|| needed("createdBy"))?,
            comment: posted.comment.ok_or_else(|| needed("comment"))?,
            updated: Timestamp::UNIX_EPOCH,
            matchers,
        };
        Ok(Wanted { id: posted.id.filter(|it| !it.is_empty()), silence })
    }
}

impl Silences {
    /// Makes a silence, or changes the one it names: in place where only its end moves, otherwise by another.
    pub(super) fn put(&mut self, wanted: Wanted, now: Timestamp) -> Result<String, Refusal> {
        let Wanted { id, mut silence } = wanted;
        if silence.starts >= silence.ends {
            return Err(bad("failed to create silence: start time must be before end time"));
        }
        if silence.ends < now {
            return Err(bad("failed to create silence: end time can't be in the past"));
        }
        if silence.matchers.iter().all(|it| it.meets("")) {
            return Err(bad("silence invalid: at least one matcher must not match the empty string"));
        }
        silence.updated = now;
        if let Some(id) = id {
            let before = self.all.get_mut(&id).ok_or_else(not_found)?;
            let same = before.conditions() == silence.conditions();
            let begun = before.starts == silence.starts || (before.starts > now && silence.starts >= now);
            if before.state(now) != "expired" && same && begun {
                *before = silence;
                return Ok(id);
            }
            before.end(now);
        }
        if self.all.len() >= SILENCES_MAX {
            return Err(bad("too many silences"));
        }
        silence.starts = silence.starts.max(now);
        let id = random_id();
        self.all.insert(id.clone(), silence);
        Ok(id)
    }

    /// Ends a silence now.
    pub(super) fn expire(&mut self, id: &str, now: Timestamp) -> Result<(), Refusal> {
        let silence = self.all.get_mut(id).ok_or_else(not_found)?;
        if silence.state(now) == "expired" {
            let text = format!("silence {id} already expired");
            return Err(Refusal(StatusCode::INTERNAL_SERVER_ERROR, json!(text)));
        }
        silence.end(now);
        Ok(())
    }

    /// One silence.
    pub(super) fn get(&self, id: &str, now: Timestamp) -> Option<Value> {
        self.all.get(id).map(|it| it.json(id, now))
    }

    /// Silences whose own conditions meet all matchers: active, then pending, then expired ones.
    pub(super) fn list(&self, matchers: &[Matcher], now: Timestamp) -> Vec<Value> {
        let admitted = self.all.iter().filter(|(_, silence)| {
            let labels = Labels::new(silence.matchers.iter().map(|it| (&it.name, &it.value)));
            matchers.iter().all(|it| it.admits(&labels))
        });
        let mut shown: Vec<(&String, &Silence)> = admitted.collect();
        let rank = |it: &Silence| match it.state(now) {
            "active" => (0, it.ends.as_millisecond()),
            "pending" => (1, it.starts.as_millisecond()),
            _ => (2, -it.ends.as_millisecond()),
        };
        shown.sort_by_key(|it| rank(it.1));
        shown.into_iter().map(|(id, it)| it.json(id, now)).collect()
    }

    /// Ids of silences that keep an alert of these labels from being told.
    pub(super) fn of(&self, labels: &Labels, now: Timestamp) -> Vec<String> {
        let silencing =
            |it: &Silence| it.state(now) == "active" && it.matchers.iter().all(|it| it.admits(labels));
        self.all.iter().filter(|it| silencing(it.1)).map(|it| it.0.clone()).collect()
    }
}

impl Silence {
    fn state(&self, now: Timestamp) -> &'static str {
        match (now < self.starts, now < self.ends) {
            (true, _) => "pending",
            (_, true) => "active",
            _ => "expired",
        }
    }

    fn end(&mut self, now: Timestamp) {
        if self.ends > now {
            (self.starts, self.ends, self.updated) = (self.starts.min(now), now, now);
        }
    }

    fn conditions(&self) -> Vec<String> {
        let mut all: Vec<String> = self.matchers.iter().map(|it| it.json().to_string()).collect();
        all.sort();
        all
    }

    fn json(&self, id: &str, now: Timestamp) -> Value {
        json!({
            "id": id,
            "status": { "state": self.state(now) },
            "updatedAt": time(self.updated),
            "comment": self.comment,
            "createdBy": self.created_by,
            "endsAt": time(self.ends),
            "matchers": self.matchers.iter().map(Matcher::json).collect::<Vec<_>>(),
            "startsAt": time(self.starts),
        })
    }
}

/// An id as it stands in an address.
pub(super) fn id(text: &str) -> Result<String, Refusal> {
    let parts: Vec<usize> = text.split('-').map(str::len).collect();
    let hexadecimal = text.bytes().all(|it| it == b'-' || it.is_ascii_hexdigit());
    match hexadecimal && parts == [8, 4, 4, 4, 12] {
        true => Ok(text.to_ascii_lowercase()),
        false => Err(Refusal::invalid(601, &format!("silenceID in path must be of type uuid: {text:?}"))),
    }
}

fn bad(text: &str) -> Refusal {
    Refusal(StatusCode::BAD_REQUEST, json!(text))
}

fn not_found() -> Refusal {
    Refusal(StatusCode::NOT_FOUND, json!("silence not found"))
}

/// A version 4 UUID. Nobody has to be unable to guess it.
fn random_id() -> String {
    let (a, b) = (RandomState::new().hash_one(1), RandomState::new().hash_one(2));
    let (a, b) = ((a & !0xf000) | 0x4000, (b & !(0b11 << 62)) | (0b10 << 62));
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        a >> 32,
        (a >> 16) & 0xffff,
        a & 0xffff,
        b >> 48,
        b & 0xffff_ffff_ffff
    )
}

fn positive() -> bool {
    true
}
