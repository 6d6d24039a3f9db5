//! When may a segment go? Once its leaves are published and its payloads stand in bundles of their own, durably, and no
//! intent in it waits for its outcome.

use std::{fs, sync::atomic::Ordering::Relaxed};

use super::{Failure, PAYLOADS, publisher::Publisher};
use crate::{
    AuditError,
    error::At,
    frame::Kind,
    keys::sync_folder,
    ledger::Reach,
    segment::{Position, Segment, Walk},
    tiles::{self, WIDTH, digits, put_payload},
};

/// Drops the oldest segments beyond those that are kept, as far as they may go. All records up to `reach` are published.
pub(super) fn prune(publisher: &Publisher, reach: &Reach) -> Result<(), Failure> {
    let Some(keep) = publisher.keep_segments else { return Ok(()) };
    let segments = Segment::list(&publisher.folder)?;
    let surplus = segments.len().saturating_sub(keep as usize + 1);
    for pair in segments.windows(2).take(surplus) {
        let [oldest, next] = pair else { break };
        // The bundle that the segment's last record stands in has to be full.
        let covered = next.first.next_multiple_of(WIDTH);
        if reach.open.is_some_and(|it| it < next.first) || reach.position.index < covered {
            break;
        }
        // What the collector does not hold yet is sent from here.
        if publisher.collected.as_ref().is_some_and(|it| it.load(Relaxed) < next.first) {
            break;
        }
        leave(publisher, oldest, covered, reach.position.index)?;
        let step = publisher.payloads.step();
        step.and_then(|()| fs::remove_file(&oldest.path)).at("remove", &oldest.path)?;
        sync_folder(&publisher.folder)?;
    }
    Ok(())
}

/// Leaves what a segment holds to bundles: those up to `covered` have every byte of it afterwards, whatever was done to them since
/// they were published. Nothing is put there before a checkpoint has shown that the journal's records are those that were signed.
fn leave(publisher: &Publisher, segment: &Segment, covered: u64, published: u64) -> Result<(), Failure> {
    let first = segment.first;
    let (mut staged, mut sealed) = (Vec::new(), Vec::new());
    let mut edge = publisher.edge_before(segment, published, &mut staged)?;
    let mut bundle = payloads_before(publisher, first)?;
    let mut walk = Walk::new(&publisher.folder, Position { segment: first, offset: 0, index: first });
    let mut done = first;
    // The last record's sealed payload, empty where it has none, until the frame behind it was seen.
    let mut pending: Option<Vec<u8>> = None;
    loop {
        let kind =
            walk.step()?.ok_or_else(|| publisher.damaged("its journal ends before what was durable"))?;
        if kind != Kind::Payload
            && let Some(payload) = pending.take()
        {
            put_payload(&mut bundle, &payload);
            done += 1;
            if done.is_multiple_of(WIDTH) {
                let (path, bytes) = (digits(done / WIDTH - 1), std::mem::take(&mut bundle));
                if done <= covered && publisher.payloads.stage(&path, &bytes)? {
                    sealed.push(path);
                }
            }
        }
        match kind {
            Kind::Leaf => {
                pending = Some(Vec::new());
                for (path, bytes) in edge.push(walk.content()) {
                    publisher.stage(path, &bytes, &mut staged)?;
                }
            }
            Kind::Payload => pending = pending.map(|_| walk.content().to_vec()),
            Kind::Checkpoint if edge.size() >= covered => break,
            _ => {}
        }
    }
    publisher.check(walk.content(), &edge)?;
    publisher.tlog.settle(&staged)?;
    publisher.payloads.settle(&sealed)?;
    Ok(())
}

/// Payloads of the records before a segment that share a bundle with its first: they stand nowhere else any more.
fn payloads_before(publisher: &Publisher, first: u64) -> Result<Vec<u8>, AuditError> {
    let (path, count) = (digits(first / WIDTH), (first % WIDTH) as usize);
    let mut before = Vec::new();
    if count > 0 {
        let bundle = publisher.payloads.get(&path)?.unwrap_or_default();
        let all = tiles::payloads(&bundle);
        let all = all.ok_or_else(|| publisher.damaged(&format!("{PAYLOADS}/{path} is gone or not whole")))?;
        all.into_iter().take(count).for_each(|it| put_payload(&mut before, it));
    }
    Ok(before)
}
