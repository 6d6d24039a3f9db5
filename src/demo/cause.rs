//! Which movement explains the others, and what does that come to? What moved first, along the call graph, joined with
//! what changed: the agent has no other rule.

use jiff::SignedDuration;
use serde_json::json;

use super::{
    agent::Agent,
    commits::Suspect,
    moved::{Moved, Nature, Picture},
    table::clock,
    tell::{Step, Tone},
};

/// What the agent says at the end.
pub(super) struct Finding {
    /// A service, a node, or somebody outside.
    pub(super) place: String,
    /// First digits of the commit; none where no change of ours explains it.
    pub(super) commit: Option<String>,
}

/// What begins this close together may have begun in either order.
const TOGETHER: SignedDuration = SignedDuration::from_secs(240);

/// The movement that no other explains, the earliest of them.
///
/// Trouble at a service is explained by trouble of what it stands on (whom it calls, where it runs), and everything by
/// more requests at the door.
pub(super) fn first<'a>(moved: &'a [Moved], calls: &[(String, String)]) -> Option<&'a Moved> {
    let is_called = |place: &str| calls.iter().any(|it| it.1 == place);
    let calls_it = |caller: &str, called: &str| calls.iter().any(|it| it.0 == caller && it.1 == called);
    let explains = |cause: &Moved, effect: &Moved| {
        let in_time = cause.onset <= effect.onset + TOGETHER;
        in_time
            && match (cause.nature, effect.nature) {
                (Nature::Trouble, Nature::Trouble) => calls_it(&effect.place, &cause.place),
                // Callers that try again send more, but the door is where people come in.
                (Nature::Load, _) => {
                    cause != effect && cause.after > cause.before && !is_called(&cause.place)
                }
                // Nobody comes because something fails.
                (Nature::Trouble, Nature::Load) => effect.after < effect.before || is_called(&effect.place),
            }
    };
    // More requests inside come from those who call, who may only be trying again: a place that somebody calls is not
    // where requests began to move.
    let own = moved.iter().filter(|it| it.nature == Nature::Trouble || !is_called(&it.place));
    let unexplained = own.filter(|it| !moved.iter().any(|other| explains(other, it)));
    let earliest = |it: &&Moved| (it.onset, std::cmp::Reverse((it.relative() * 1_000.0) as u64));
    unexplained.min_by_key(earliest).or_else(|| moved.iter().min_by_key(|it| it.onset))
}

impl Moved {
    /// How far it moved, for its own size.
    fn relative(&self) -> f64 {
        (self.after - self.before).abs() / self.before.abs().max(0.01)
    }
}

impl Agent<'_> {
    /// Step: the finding, with the receipts of all that it rests on.
    pub(super) async fn conclude(
        &mut self,
        picture: &Picture,
        suspect: Option<Suspect>,
    ) -> anyhow::Result<Finding> {
        let mut step = Step::new("finding", "The finding");
        let first = &picture.first;
        let callers: Vec<&str> =
            picture.calls.iter().filter(|it| it.1 == first.place).map(|it| it.0.as_str()).collect();
        let reached = picture.moved.iter().filter(|it| callers.contains(&it.place.as_str())).count();
        step.line(
            Tone::Key,
            format!("{} moved first: {} from {}", first.place, first.what, clock(first.onset)),
        );
        if reached > 0 {
            step.line(Tone::Fact, format!("those who call it followed: {}", callers.join(", ")));
        }
        match &suspect {
            Some(it) => {
                step.line(Tone::Key, format!("cause: {} \"{}\" by {}", it.sha, it.subject, it.author));
                step.line(
                    Tone::Fact,
                    format!(
                        "committed {} minutes before; proposal: roll it back",
                        it.minutes_before(first.onset)
                    ),
                );
            }
            None => {
                step.line(
                    Tone::Key,
                    format!("cause: {} itself; no change of ours touches it before that", first.place),
                );
                step.line(Tone::Fact, "proposal: call whoever answers for it; a roll back would not help");
            }
        }
        let mut receipts = Vec::new();
        for server in crate::family::Server::ALL {
            let own = self.receipts.iter().filter(|it| it.0 == server).map(|it| format!("#{}", it.1));
            let own: Vec<String> = own.collect();
            // Indexes of one agent's calls only rise.
            let shown = match &own[..] {
                [first, .., last] => format!("{first} to {last}"),
                few => few.concat(),
            };
            step.line(Tone::Quiet, format!("receipts: {} {shown}", server.word()));
            receipts.push(json!({ "server": server.word(), "indexes": own }));
        }
        step.expect(!self.receipts.is_empty(), "receipts", "none")?;
        let finding = Finding { place: first.place.clone(), commit: suspect.map(|it| it.sha) };
        step.found(json!({ "place": finding.place, "commit": finding.commit, "receipts": receipts }));
        self.teller.tell(step).await?;
        Ok(finding)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn moved(place: &str, minute: i64, nature: Nature) -> Moved {
        let onset = Timestamp::from_second(minute * 60).expect("a moment");
        Moved { what: "x", place: place.to_owned(), onset, before: 1.0, after: 2.0, nature }
    }

    fn calls() -> Vec<(String, String)> {
        [("door", "cart"), ("cart", "price"), ("door", "price")]
            .map(|it| (it.0.to_owned(), it.1.to_owned()))
            .to_vec()
    }

    #[test]
    fn whoever_is_called_explains_whoever_calls() {
        let all = [
            moved("door", 10, Nature::Trouble),
            moved("cart", 11, Nature::Trouble),
            moved("price", 12, Nature::Trouble),
        ];
        assert_eq!(first(&all, &calls()).map(|it| it.place.as_str()), Some("price"));
    }

    #[test]
    fn trouble_long_after_explains_nothing() {
        let all = [moved("cart", 10, Nature::Trouble), moved("price", 40, Nature::Trouble)];
        assert_eq!(first(&all, &calls()).map(|it| it.place.as_str()), Some("cart"));
    }

    #[test]
    fn requests_at_the_door_explain_everything_and_retries_nothing() {
        let crowd = [
            moved("price", 10, Nature::Trouble),
            moved("cart", 10, Nature::Load),
            moved("door", 11, Nature::Load),
            moved("cart", 10, Nature::Trouble),
        ];
        assert_eq!(first(&crowd, &calls()).map(|it| it.place.as_str()), Some("door"));
        let retries = [moved("price", 11, Nature::Trouble), moved("price", 10, Nature::Load)];
        let found = first(&retries, &calls()).expect("one");
        assert_eq!(found.nature, Nature::Trouble);
        assert_eq!(first(&[], &calls()), None);
    }
}
