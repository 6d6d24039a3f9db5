//! When may a segment go? Once its leaves are published and its payloads stand in bundles of their own, durably, and no
//! intent in it waits for its outcome.

use std::fs;

use super::publisher::Publisher;
use crate::{
    AuditError,
    error::At,
    frame::Kind,
    keys::sync_folder,
    ledger::Reach,
    segment::{Position, Segment, Walk},
    tiles::{WIDTH, digits, put_payload},
};

/// Drops the oldest segments beyond those that are kept, as far as they may go. All records up to `reach` are published.
pub(super) fn prune(publisher: &Publisher, reach: &Reach) -> Result<(), AuditError> {
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
        bundle_payloads(publisher, oldest, covered)?;
        let step = publisher.payloads.step();
        step.and_then(|()| fs::remove_file(&oldest.path)).at("remove", &oldest.path)?;
        sync_folder(&publisher.folder)?;
    }
    Ok(())
}

/// Puts the payloads of a segment into bundles. The bundle in which it begins was written with the segment before it.
fn bundle_payloads(publisher: &Publisher, segment: &Segment, covered: u64) -> Result<(), AuditError> {
    let first = segment.first;
    let mut walk = Walk::new(&publisher.folder, Position { segment: first, offset: 0, index: first });
    let mut done = first.next_multiple_of(WIDTH);
    let (mut bundle, mut staged) = (Vec::new(), Vec::new());
    // The last record's sealed payload, empty where it has none, until the frame behind it was seen.
    let mut pending: Option<Vec<u8>> = None;
    while done < covered {
        let kind =
            walk.step()?.ok_or_else(|| publisher.damaged("its journal ends before what was durable"))?;
        if kind == Kind::Payload {
            if let Some(sealed) = &mut pending {
                *sealed = walk.content().to_vec();
            }
            continue;
        }
        if let Some(sealed) = pending.take() {
            put_payload(&mut bundle, &sealed);
            done += 1;
            if done.is_multiple_of(WIDTH) {
                let path = digits(done / WIDTH - 1);
                if publisher.payloads.stage(&path, &std::mem::take(&mut bundle))? {
                    staged.push(path);
                }
            }
        }
        if kind == Kind::Leaf && walk.position().index > done {
            pending = Some(Vec::new());
        }
    }
    publisher.payloads.settle(&staged)
}
