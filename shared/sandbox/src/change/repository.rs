//! What does the repository hold before the first change?

use std::collections::BTreeMap;

use crate::estate::{Estate, Service};

/// Text by path, from the root of the repository.
pub(crate) fn repository(estate: &Estate) -> BTreeMap<String, String> {
    let mut files = BTreeMap::from([("README.md".to_owned(), readme(estate))]);
    for (service, build) in estate.services.iter().zip(&estate.builds) {
        let mut file = |name: &str, text: String| files.insert(place(service.name, name), text);
        file("README.md", service_readme(service));
        file("deploy.yaml", deploy(service, build.cpu_limit, build.memory_limit));
        file("config.yaml", CONFIG.to_owned());
        file("certificate.yaml", certificate(service));
        file("src/server.go", SERVER.to_owned());
        file("src/handler.go", HANDLER.replace("{purpose}", service.purpose));
        file("src/cache.go", CACHE.to_owned());
        if build.connections > 0 {
            file("src/store.go", STORE.to_owned());
        }
    }
    files
}

/// Path of a file of a service.
pub(super) fn place(service: &str, file: &str) -> String {
    format!("services/{service}/{file}")
}

/// The line of `deploy.yaml` that says which version runs.
pub(super) fn image(service: &str, version: &str) -> String {
    format!("  image: registry.example.com/{service}:{version}\n")
}

fn readme(estate: &Estate) -> String {
    let services = estate.services.iter();
    let lines = services.map(|it| format!("| {} | {} | {} | {} |\n", it.name, it.team, it.tier, it.purpose));
    let table: String = lines.collect();
    format!(
        "# Shop\n\nEverything that runs.\n\n| service | team | tier | purpose |\n| --- | --- | --- | --- |\n{table}"
    )
}

fn service_readme(service: &Service) -> String {
    let calls: String = service.calls.iter().map(|it| format!("* `{}`\n", it.upstream)).collect();
    let calls = if calls.is_empty() { "nobody\n".to_owned() } else { calls };
    let (name, purpose, team) = (service.name, service.purpose, service.team);
    let (owner, email) = (service.owner.name, service.owner.email);
    format!("# {name}\n\nIt {purpose}. Team {team}; ask {owner} <{email}>.\n\nCalls:\n\n{calls}")
}

fn deploy(service: &Service, cores: f64, bytes: f64) -> String {
    let (name, team, pods) = (service.name, service.team, service.pods.len());
    let (image, mib) = (image(name, &service.version), (bytes / 1_048_576.0) as u64);
    format!(
        "name: {name}\nteam: {team}\nreplicas: {pods}\ncontainer:\n{image}  limits:\n    \
         cpu: \"{cores}\"\n    memory: {mib}Mi\n"
    )
}

fn certificate(service: &Service) -> String {
    let name = service.name;
    format!("common_name: {name}.internal.example.com\nissuer: internal-ca\nserial: 41\nrenewal: by hand\n")
}

const CONFIG: &str = "\
log_level: info
metrics_path: /metrics
request_timeout: 2s
graceful_shutdown: 20s
purge_interval: 5m
purge_batch: 500
trace_sample_ratio: 0.05
feature_flags:
  new_footer: false
  short_links: true
";

const SERVER: &str = "\
package main

import \"net/http\"

func routes(s *Server) http.Handler {
\tmux := http.NewServeMux()
\tmux.Handle(\"/healthz\", alive())
\tmux.Handle(\"/metrics\", metrics())
\tmux.Handle(\"/\", s.answer())
\treturn mux
}
";

const HANDLER: &str = "\
package main

import (
\t\"context\"
\t\"fmt\"
\t\"time\"
)

const slowRequest = 2 * time.Second

// Handle answers one request: the service {purpose}.
func (s *Server) Handle(ctx context.Context, request *Request) (*Response, error) {
\tstarted := time.Now()
\tif response, ok := s.cache.Recall(request.Key()); ok {
\t\treturn response, nil
\t}
\tentry, err := s.load(ctx, request)
\tif err != nil {
\t\treturn nil, fmt.Errorf(\"load: %w\", err)
\t}
\tif entry == nil || entry.Terms == nil {
\t\treturn nil, ErrNotFound
\t}
\tresponse := s.render(entry, entry.Terms.Locale)
\ts.cache.Remember(request.Key(), response)
\tif elapsed := time.Since(started); elapsed > slowRequest {
\t\ts.log.Warn(\"slow request\", \"id\", request.ID)
\t}
\treturn response, nil
}
";

const CACHE: &str = "\
package main

// Answers that are kept at most; the least recently used goes first.
const cacheEntries = 4096

func newCache() *Cache {
\treturn &Cache{entries: lru.New(cacheEntries)}
}

// Remember keeps an answer for whoever asks the same again.
func (c *Cache) Remember(key string, response *Response) {
\tc.entries.Add(key, response)
}

// Recall finds an answer that was kept.
func (c *Cache) Recall(key string) (*Response, bool) {
\treturn c.entries.Get(key)
}
";

const STORE: &str = "\
package main

import \"context\"

const findEntry = `SELECT id, terms, body FROM entries WHERE id = $1`

// Find reads one entry, or nil when there is none.
func (s *Store) Find(ctx context.Context, id string) (*Entry, error) {
\tconnection, err := s.pool.Acquire(ctx)
\tif err != nil {
\t\treturn nil, err
\t}
\tdefer connection.Release()
\trows, err := connection.Query(ctx, findEntry, id)
\tif err != nil {
\t\treturn nil, err
\t}
\tif !rows.Next() {
\t\treturn nil, rows.Err()
\t}
\treturn scan(rows)
}
";
