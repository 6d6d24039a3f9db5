//! Is this a leaf of format 1? Every field by the table in `FORMAT.md`, and none beside.

use std::borrow::Cow;

use ed25519_dalek::VerifyingKey as PublicKey;
use jiff::Timestamp;

use super::{
    json::{Value, parse},
    seen::{Sighting, Source, What},
    steps::Step,
};
use crate::{Digest, VerifyingKey};

/// Longest leaf.
pub(crate) const LEAF_BYTES_MAX: usize = 32 * 1024;

/// What of a leaf a verifier goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leaf {
    pub(crate) index: u64,
    pub(crate) time: Timestamp,
    pub(crate) event: &'static str,
    pub(crate) subject: Option<String>,
    pub(crate) policy: Option<Digest>,
    pub(crate) intent: Option<u64>,
    pub(crate) commitment: Option<Digest>,
    /// Heads of other logs.
    pub(crate) siblings: Vec<Head>,
    /// Pseudonym of a subject whose key is destroyed.
    pub(crate) erased: Option<String>,
    /// Heads of logs whose loss is accepted.
    pub(crate) lost: Vec<Head>,
    /// Folder and digest of what was left of them.
    pub(crate) left: Option<(String, Digest)>,
    pub(crate) reason: Option<String>,
    /// The key that comes next, and the one that was before.
    pub(crate) next: Option<PublicKey>,
    pub(crate) previous: Option<PublicKey>,
    /// Last heads that the key before signed.
    pub(crate) closed: Vec<Head>,
    /// A key that is not to be trusted, and the heads up to which it still is.
    pub(crate) revoked: Option<PublicKey>,
    pub(crate) trusted: Vec<Head>,
    /// Of a transition.
    pub(crate) step: Option<Step>,
}

/// Size and root of a log, as somebody saw it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Head {
    pub(crate) origin: String,
    pub(crate) size: u64,
    pub(crate) root: Digest,
}

impl Head {
    pub(super) fn seen_by(&self, source: &Source) -> Sighting {
        Sighting { size: self.size, what: What::Root(self.root), source: source.clone() }
    }
}

const EVENTS: [&str; 14] = [
    "start",
    "siblings",
    "recovered",
    "heartbeat",
    "stop",
    "read",
    "intent",
    "outcome",
    "rejected",
    "refused",
    "lost",
    "rotated",
    "revoked",
    "transition",
];
/// Heads of logs.
const HEADS: Form = Form::Objects(&[("origin", Form::Text), ("root", Form::Hex(32)), ("size", Form::Number)]);

/// What a field may hold.
#[derive(Clone, Copy)]
enum Form {
    /// One of these.
    OneOf(&'static [&'static str]),
    /// 1 to 63 of a-z, 0-9, `-` and `_`.
    Word,
    /// So many bytes in hex.
    Hex(usize),
    /// From 0.
    Number,
    /// RFC 3339 in UTC.
    Time,
    /// A line of at most 256 bytes.
    Text,
    /// Two words with `/` between them: a folder below `logs`.
    Path,
    /// Objects of exactly these fields.
    Objects(&'static [(&'static str, Form)]),
}

/// Every field that a leaf may have; new ones are added here and to `FORMAT.md`.
const FIELDS: [(&str, Form); 32] = [
    ("assurance", Form::Word),
    ("call", Form::Hex(32)),
    ("channel", Form::Word),
    ("closed", HEADS),
    ("commitment", Form::Hex(32)),
    ("cut", Form::Objects(&[("bytes", Form::Number), ("sha256", Form::Hex(32))])),
    ("effect", Form::Word),
    ("erased", Form::Hex(16)),
    ("event", Form::OneOf(&EVENTS)),
    ("index", Form::Number),
    ("intent", Form::Number),
    ("key", Form::Hex(4)),
    ("left", Form::Objects(&[("folder", Form::Path), ("sha256", Form::Hex(32))])),
    ("lost", HEADS),
    ("next", Form::Text),
    ("omitted_bytes", Form::Number),
    ("outcome", Form::OneOf(&crate::OUTCOMES)),
    ("policy", Form::Hex(32)),
    ("previous", Form::Text),
    ("reason", Form::Text),
    ("reference", Form::Word),
    ("revoked", Form::Text),
    ("server", Form::Word),
    ("siblings", HEADS),
    ("step", Form::Word),
    ("subject", Form::Hex(16)),
    ("time", Form::Time),
    ("tool", Form::Word),
    ("trusted", HEADS),
    ("verdict", Form::OneOf(&crate::VERDICTS)),
    ("version", Form::Text),
    ("what", Form::Word),
];

impl Leaf {
    /// Reads a leaf, or says what is not of the format.
    pub(crate) fn read(bytes: &[u8]) -> Result<Leaf, String> {
        if bytes.len() > LEAF_BYTES_MAX {
            return Err("it is longer than a leaf can be".to_owned());
        }
        let Value::Fields(fields) = parse(bytes)? else { return Err("it is no object".to_owned()) };
        for (name, value) in &fields {
            // The version decides what the other fields may be.
            if name == "v" {
                if *value != Value::Integer(1) {
                    return Err("its version is not 1".to_owned());
                }
                continue;
            }
            let form = FIELDS.iter().find(|(known, _)| known == name).map(|(_, form)| form);
            if !form.ok_or_else(|| format!("it has a field `{}`", name.escape_debug()))?.holds(value) {
                return Err(format!("its `{name}` is not of the format"));
            }
        }
        let mut leaf = Fields(&fields)
            .leaf()
            .ok_or("it lacks one of `v`, `index`, `time` and `event`, or a key is none")?;
        leaf.step = Step::read(&Fields(&fields))?;
        if (leaf.event == "outcome") != leaf.intent.is_some() {
            return Err("an outcome has an intent, and nothing else has".to_owned());
        }
        if !leaf.siblings.is_empty() && !bytes.starts_with(b"{\"event\":\"s") {
            return Err("heads of other logs stand in starts, and nowhere else".to_owned());
        }
        if (leaf.event == "lost") == fields.iter().all(|(name, _)| name != "lost") {
            return Err("a loss says what is lost, and nothing else does".to_owned());
        }
        if (leaf.event == "revoked") != leaf.revoked.is_some() {
            return Err("a revocation says which key is revoked, and nothing else does".to_owned());
        }
        if leaf.commitment.is_some() && leaf.subject.is_none() {
            return Err("it has a commitment and no subject".to_owned());
        }
        Ok(leaf)
    }
}

impl Form {
    fn holds(&self, value: &Value<'_>) -> bool {
        match (self, value) {
            (Form::OneOf(words), Value::Text(it)) => words.contains(&&**it),
            (Form::Word, Value::Text(it)) => is_word(it),
            (Form::Path, Value::Text(it)) => {
                it.split_once('/').is_some_and(|(server, folder)| is_word(server) && is_word(folder))
            }
            (Form::Hex(bytes), Value::Text(it)) => {
                it.len() == 2 * bytes && it.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'))
            }
            (Form::Number, Value::Integer(it)) => u64::try_from(*it).is_ok(),
            (Form::Time, Value::Text(it)) => {
                it.parse::<Timestamp>().is_ok_and(|time| time.to_string() == **it)
            }
            (Form::Text, Value::Text(it)) => it.len() <= 256 && !it.chars().any(char::is_control),
            (Form::Objects(form), Value::List(items)) => items.iter().all(|item| {
                let Value::Fields(fields) = item else { return false };
                let fits = |((name, value), (known, form)): (&(Cow<'_, str>, _), &(&str, Form))| {
                    name == known && form.holds(value)
                };
                fields.len() == form.len() && fields.iter().zip(form.iter()).all(fits)
            }),
            _ => false,
        }
    }
}

fn is_word(text: &str) -> bool {
    let plain = |it: u8| matches!(it, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
    (1..=63).contains(&text.len()) && text.bytes().all(plain)
}

/// Fields that were checked against the table.
pub(super) struct Fields<'a>(&'a [(Cow<'a, str>, Value<'a>)]);

impl Fields<'_> {
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| &**name)
    }

    fn get(&self, name: &str) -> Option<&Value<'_>> {
        self.0.iter().find(|(it, _)| it == name).map(|(_, value)| value)
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            Value::Text(it) => Some(it),
            _ => None,
        }
    }

    fn number(&self, name: &str) -> Option<u64> {
        match self.get(name)? {
            Value::Integer(it) => u64::try_from(*it).ok(),
            _ => None,
        }
    }

    fn digest(&self, name: &str) -> Option<Digest> {
        hex::decode(self.text(name)?).ok()?.try_into().ok()
    }

    /// A verifier key; none within where the field is absent.
    fn key(&self, name: &str) -> Option<Option<PublicKey>> {
        let Some(text) = self.text(name) else { return Some(None) };
        text.parse().ok().map(|it: VerifyingKey| Some(*it.public()))
    }

    fn items(&self, name: &str) -> &[Value<'_>] {
        match self.get(name) {
            Some(Value::List(items)) => items,
            _ => &[],
        }
    }

    fn heads(&self, name: &str) -> Option<Vec<Head>> {
        let head = |item: &Value<'_>| {
            let Value::Fields(fields) = item else { return None };
            let it = Fields(fields);
            Some(Head {
                origin: it.text("origin")?.to_owned(),
                size: it.number("size")?,
                root: it.digest("root")?,
            })
        };
        self.items(name).iter().map(head).collect()
    }

    fn leaf(&self) -> Option<Leaf> {
        self.get("v")?;
        let event = self.text("event")?;
        let left = self.items("left").first().and_then(|it| match it {
            Value::Fields(fields) => {
                Some((Fields(fields).text("folder")?.to_owned(), Fields(fields).digest("sha256")?))
            }
            _ => None,
        });
        Some(Leaf {
            index: self.number("index")?,
            time: self.text("time")?.parse().ok()?,
            event: EVENTS.into_iter().find(|it| *it == event)?,
            subject: self.text("subject").map(str::to_owned),
            policy: self.digest("policy"),
            intent: self.number("intent"),
            commitment: self.digest("commitment"),
            siblings: self.heads("siblings")?,
            erased: self.text("erased").map(str::to_owned),
            lost: self.heads("lost")?,
            left,
            reason: self.text("reason").map(str::to_owned),
            next: self.key("next")?,
            previous: self.key("previous")?,
            closed: self.heads("closed")?,
            revoked: self.key("revoked")?,
            trusted: self.heads("trusted")?,
            step: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTENT: &str = concat!(
        r#"{"assurance":"os_user","call":"00000000000000000000000000000000000000000000000000000000000000ff","#,
        r#""channel":"stdio","effect":"mitigate","event":"intent","index":5,"server":"code","#,
        r#""time":"2026-11-22T04:30:00.5Z","tool":"silence_alert","v":1,"verdict":"permitted"}"#
    );

    fn read(text: &str) -> Result<Leaf, String> {
        Leaf::read(text.as_bytes())
    }

    #[test]
    fn a_leaf_of_the_format_is_read() {
        let leaf = read(INTENT).unwrap();
        assert_eq!((leaf.index, leaf.event, leaf.intent), (5, "intent", None));
        let start = concat!(
            r#"{"event":"start","index":0,"key":"00ff00ff","siblings":[{"origin":"bailiwick/code/1/aa","root":""#,
            "00000000000000000000000000000000000000000000000000000000000000ff",
            r#"","size":3}],"time":"1970-01-01T00:00:00Z","v":1,"version":"0.1.0"}"#
        );
        assert_eq!(read(start).unwrap().siblings[0].size, 3);
    }

    #[test]
    fn what_the_table_does_not_have_is_refused() {
        let others = [
            INTENT.replace("\"v\":1", "\"v\":2"),
            INTENT.replace("\"v\":1,", ""),
            INTENT.replace("\"v\":1,", "\"v\":1,\"w\":1,"),
            INTENT.replace("\"intent\",", "\"intend\","),
            INTENT.replace("\"index\":5", "\"index\":-5"),
            INTENT.replace("\"index\":5", "\"index\":5,\"intent\":3"),
            INTENT.replace("\"os_user\"", "\"OS user\""),
            INTENT.replace("permitted", "allowed"),
            INTENT.replace("00ff", "00FF"),
            INTENT.replace("04:30:00.5Z", "05:30:00.5+01:00"),
            INTENT.replace("04:30:00.5Z", "04:30:00.50Z"),
            "[]".to_owned(),
        ];
        for text in others {
            assert!(read(&text).is_err(), "{text}");
        }
    }
}
