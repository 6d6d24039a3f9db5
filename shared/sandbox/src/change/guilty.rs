//! Which change brings a fault about?
//!
//! It reads like the innocent ones: nobody breaks production on purpose. A fault that is not ours has none: what
//! changed then is the world outside, or, for a certificate, nothing where something should have.

use super::{ChangeKind, innocent::Snippet};
use crate::Fault;

/// The guilty change, with all its edits: the first says where it is, the others are of the same file.
pub(super) fn guilty(fault: Fault) -> Option<(Snippet, &'static [(&'static str, &'static str)])> {
    match fault {
        Fault::BadDeploy => Some((
            Snippet {
                kind: ChangeKind::Deploy,
                file: "src/handler.go",
                before: "\tif entry == nil || entry.Terms == nil {\n",
                after: "\tif entry == nil {\n",
                title: "Simplify the lookup in the request handler",
                body: "Terms come with every entry since the migration in spring, so the second check was dead.",
            },
            &[],
        )),
        Fault::BadConfiguration => Some((
            Snippet {
                kind: ChangeKind::Config,
                file: "config.yaml",
                before: "purge_interval: 5m\n",
                after: "purge_interval: 720h\n",
                title: "Purge less often",
                body: "The purge showed up beside the noon peak. Once a month is what the retention policy asks for.",
            },
            &[],
        )),
        Fault::MemoryLeak => Some((
            Snippet {
                kind: ChangeKind::Deploy,
                file: "src/cache.go",
                before: "\treturn &Cache{entries: lru.New(cacheEntries)}\n",
                after: "\treturn &Cache{entries: shards.New(64)}\n",
                title: "Take the lock out of the answer cache",
                body: "The lock around the list was 4% of a profile under load; 64 shards have one each.",
            },
            &[],
        )),
        Fault::PoolSaturation => Some((
            Snippet {
                kind: ChangeKind::Deploy,
                file: "src/store.go",
                before: "\tdefer connection.Release()\n\trows, err",
                after: "\trows, err",
                title: "Give connections back as soon as the entry is read",
                body: "They were held until the whole function was done.",
            },
            &[(
                "\treturn scan(rows)\n",
                "\tentry, err := scan(rows)\n\tconnection.Release()\n\treturn entry, err\n",
            )],
        )),
        Fault::SlowDependency | Fault::TrafficSurge | Fault::NoisyNeighbour | Fault::ExpiredCertificate => {
            None
        }
    }
}
