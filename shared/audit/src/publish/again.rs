//! What if a place could not be reached while a log was written? Of a log that nobody writes any more, such as one that was closed when
//! its key was changed, what is missing there is brought later.

use std::{path::Path, sync::Arc};

use super::{CHECKPOINT, Published, Subject, TLOG, Target, mirror::Mirror};
use crate::{
    AuditError, Folder,
    note::Checkpoint,
    pool::places,
    segment::Position,
    verify::{deeds, key_beside, signed},
};

/// Publishes elsewhere what the folders of logs hold that no process writes, as far as keys signed it that the current one leads to.
/// One entry for each log and place. Blocks on the disk and the network.
pub fn publish(state: &Path, targets: &[Arc<dyn Target>]) -> Result<Vec<Published>, AuditError> {
    let keys = deeds(state, &[*key_beside(state)?.public()])?.trust.keys;
    let mut told = Vec::new();
    for place in places(state)?.into_iter().filter(|it| !it.is_held()) {
        let Some(note) = Folder::new(&place.folder.join(TLOG)).get(CHECKPOINT)? else { continue };
        let signer = signed::signer(&note, &keys);
        let Some((checkpoint, key)) =
            signer.and_then(|key| Some((Checkpoint::open(&note, &[key]).ok()?, key)))
        else {
            let problem = "none of the keys signed its published checkpoint".to_owned();
            told.push(Published { place: place.name(), size: 0, problem: Some(problem) });
            continue;
        };
        let subject = Subject {
            log: place.name(),
            folder: &place.folder,
            origin: &checkpoint.origin,
            key,
            found: Position::default(),
        };
        for target in targets {
            let name = format!("{} in {}", place.name(), target.name());
            let (size, problem) = match Mirror::new(&subject, target.clone()).follow() {
                Ok(size) => (size, None),
                Err(failure) => (0, Some(failure.to_string())),
            };
            told.push(Published { place: name, size, problem });
        }
    }
    Ok(told)
}
