//! What do people change that hurts nobody?

use super::ChangeKind;

/// A change that can be made to any service once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Snippet {
    pub(super) kind: ChangeKind,
    /// In the folder of the service.
    pub(super) file: &'static str,
    pub(super) before: &'static str,
    pub(super) after: &'static str,
    pub(super) title: &'static str,
    pub(super) body: &'static str,
}

/// Changes that hurt nobody.
pub(super) const INNOCENT: &[Snippet] = &[
    Snippet {
        kind: ChangeKind::Deploy,
        file: "src/handler.go",
        before: "\t\ts.log.Warn(\"slow request\", \"id\", request.ID)\n",
        after: "\t\ts.log.Warn(\"slow request\", \"id\", request.ID, \"took\", elapsed)\n",
        title: "Log how long a slow request took",
        body: "The line said that it was slow, not how slow.",
    },
    Snippet {
        kind: ChangeKind::Deploy,
        file: "src/handler.go",
        before: "const slowRequest = 2 * time.Second\n",
        after: "const slowRequest = time.Second\n",
        title: "Call a request slow after one second",
        body: "",
    },
    Snippet {
        kind: ChangeKind::Deploy,
        file: "src/handler.go",
        before: "\t\treturn nil, fmt.Errorf(\"load: %w\", err)\n",
        after: "\t\treturn nil, fmt.Errorf(\"load %s: %w\", request.ID, err)\n",
        title: "Say which request could not be loaded",
        body: "So that support can match a complaint with its line in the log.",
    },
    Snippet {
        kind: ChangeKind::Deploy,
        file: "src/cache.go",
        before: "// Recall finds an answer that was kept.\n",
        after: "// Recall finds an answer that was kept, and false when it was never there or had to go.\n",
        title: "Explain when the cache has no answer",
        body: "Asked twice in reviews this month.",
    },
    Snippet {
        kind: ChangeKind::Deploy,
        file: "src/cache.go",
        before: "const cacheEntries = 4096\n",
        after: "const cacheEntries = 4000\n",
        title: "Keep a round number of answers",
        body: "It was a power of two for a structure that we no longer use.",
    },
    Snippet {
        kind: ChangeKind::Deploy,
        file: "src/server.go",
        before: "\tmux.Handle(\"/healthz\", alive())\n",
        after: "\tmux.Handle(\"/healthz\", alive())\n\tmux.Handle(\"/version\", version())\n",
        title: "Answer which version runs",
        body: "For the release page, which asked the cluster so far.",
    },
    Snippet {
        kind: ChangeKind::Config,
        file: "config.yaml",
        before: "trace_sample_ratio: 0.05\n",
        after: "trace_sample_ratio: 0.02\n",
        title: "Sample fewer traces",
        body: "Storage was at 80%; two in a hundred show the same.",
    },
    Snippet {
        kind: ChangeKind::Config,
        file: "config.yaml",
        before: "  new_footer: false\n",
        after: "  new_footer: true\n",
        title: "Turn the new footer on for everybody",
        body: "It was on for a tenth of customers since last week.",
    },
    Snippet {
        kind: ChangeKind::Config,
        file: "config.yaml",
        before: "graceful_shutdown: 20s\n",
        after: "graceful_shutdown: 30s\n",
        title: "Give requests ten more seconds to end before a shutdown",
        body: "",
    },
    Snippet {
        kind: ChangeKind::Config,
        file: "config.yaml",
        before: "log_level: info\n",
        after: "log_level: warn\n",
        title: "Log warnings only",
        body: "Nobody read the rest, and everybody paid for it.",
    },
    Snippet {
        kind: ChangeKind::Migration,
        file: "migrations/0042_entries_created_at.sql",
        before: "",
        after: "CREATE INDEX CONCURRENTLY entries_created_at ON entries (created_at);\n",
        title: "Index entries by when they were made",
        body: "The monthly report scans the table otherwise. Built concurrently, so nothing waits for it.",
    },
    Snippet {
        kind: ChangeKind::Certificate,
        file: "certificate.yaml",
        before: "serial: 41\n",
        after: "serial: 42\n",
        title: "Renew the certificate",
        body: "Valid for another 90 days.",
    },
];
