//! How young is what a witness has cosigned? As young as the last moment at which that was the whole log.

use super::*;
use crate::{Refused, VerifyingKey, Witness, WitnessKey};

/// A witness in this process.
struct Near(Witness);

impl fmt::Debug for Near {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.0.key().name())
    }
}

impl Ask for Near {
    fn name(&self) -> String {
        self.0.key().name().to_owned()
    }

    fn key(&self) -> &WitnessKey {
        self.0.key()
    }

    fn add_checkpoint(&self, request: &str) -> Result<(u16, String), TargetError> {
        Ok(match self.0.add_checkpoint(request.as_bytes()) {
            Ok(lines) => (200, lines),
            Err(Refused::Conflict { size }) => (409, format!("{size}\n")),
            Err(refused) => (refused.status(), refused.to_string()),
        })
    }
}

/// A witness of the logs of a state folder.
fn near(state: &Path, home: &Path) -> Arc<Near> {
    let log: VerifyingKey = Keys::load(state, &Default::default()).unwrap().unwrap().verifying();
    Arc::new(Near(Witness::open(home, Some("witness.example/w1"), vec![log]).unwrap()))
}

/// An asker about a log that ended so before.
fn asker(state: &Path, witness: &Arc<Near>, found: u64, course: &Course) -> (Asker, Attestations) {
    let all = Attestations::new(watch::Sender::new(vec![Default::default()]));
    let asker = with_subject(state, |it| {
        let subject = Subject { found: Position { index: found, ..it.found }, ..it };
        let shared = (Desk::default(), course.clone());
        Asker::new(&subject, witness.clone(), (all.clone(), 0), shared, Arc::default())
    });
    (asker, all)
}

/// What stands between an effect and its witness, at once.
fn refused(all: &Attestations) -> Option<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(attest::witnessed(all, Duration::from_secs(60), Duration::ZERO)).err()
}

fn publish(state: &Path) -> u64 {
    publisher(state, None, i64::MAX).publish(&reach(state), |_| {}).unwrap()
}

#[test]
fn a_head_that_the_log_has_outgrown_grows_old_however_often_it_is_cosigned() {
    let (state, home) = (scratch(), scratch());
    write(state.path(), 20);
    let size = publish(state.path());
    let (witness, course) = (near(state.path(), home.path()), Course::default());
    let (mut asker, all) = asker(state.path(), &witness, 0, &course);
    asker.follow().unwrap();
    assert!(refused(&all).is_some(), "nobody said that this is all of it");
    course.durable(size);
    course.published(size, attest::now() - 100);
    asker.follow().unwrap();
    assert_eq!(refused(&all), None, "there is nothing else, now");
    // What follows is durable and never published: the witness goes on cosigning what it knows.
    let (mut later, all) = self::asker(state.path(), &witness, 0, &course);
    course.durable(size + 1);
    later.follow().unwrap();
    assert!(refused(&all).unwrap().contains("100 s ago"), "{:?}", refused(&all));
    // Under load the head that is cosigned is always a little behind: it is as young as its publishing.
    course.published(size, attest::now() - 1);
    later.follow().unwrap();
    assert_eq!(refused(&all), None);
}

#[test]
fn what_a_witness_said_to_a_process_before_counts_if_it_was_of_all_that_was_left() {
    let (state, home) = (scratch(), scratch());
    write(state.path(), 20);
    let size = publish(state.path());
    let (witness, course) = (near(state.path(), home.path()), Course::default());
    asker(state.path(), &witness, 0, &course).0.follow().unwrap();
    assert_eq!(refused(&asker(state.path(), &witness, size, &course).1), None);
    for other in [size - 1, size + 1] {
        assert!(refused(&asker(state.path(), &witness, other, &course).1).is_some(), "{other}");
    }
}

#[test]
fn a_witness_that_saw_another_history_vouches_for_nothing() {
    let (state, home) = (scratch(), scratch());
    write(state.path(), 20);
    let before = files(&folder(state.path()));
    write(state.path(), 30);
    let size = publish(state.path());
    let (witness, course) = (near(state.path(), home.path()), Course::default());
    asker(state.path(), &witness, 0, &course).0.follow().unwrap();
    // An older copy of the log, which went on otherwise and as far; what the witness said stands beside it.
    let cosigned = files(&folder(state.path()).join("cosigned"));
    restore(&folder(state.path()), &before);
    write(state.path(), 30);
    restore(&folder(state.path()).join("cosigned"), &cosigned);
    assert_eq!(publish(state.path()), size);
    let (asker, all) = asker(state.path(), &witness, size, &course);
    assert_eq!(refused(&all), None, "remembered");
    let news = News::default();
    news.tell(size);
    asker.run(&news, Duration::ZERO, None, &Board::default());
    assert!(refused(&all).is_some(), "no longer");
}
