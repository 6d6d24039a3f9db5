//! What stands in a repository beside the services themselves?

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use crate::{Service, World};

/// Where text stands that no deploy follows.
const ASIDE: [&str; 2] = ["docs/", "runbooks/"];

/// Whether a change of this file is no change of production.
pub(super) fn is_aside(path: &str) -> bool {
    ASIDE.iter().any(|it| path.starts_with(it))
}

/// Files that the world's own repository does not have: text by path.
pub(super) fn around(world: &World) -> BTreeMap<String, String> {
    let own = world.repository();
    let mut texts = BTreeMap::from([
        ("CODEOWNERS".to_owned(), owners(world.services(), &own)),
        ("README.md".to_owned(), readme(world.services())),
        ("docs/on-call.md".to_owned(), ON_CALL.to_owned()),
        ("docs/releases.md".to_owned(), RELEASES.to_owned()),
    ]);
    texts.extend(world.services().iter().map(|it| (format!("runbooks/{}.md", it.name), runbook(it))));
    texts.retain(|path, _| !own.contains_key(path));
    texts
}

/// Each team owns the folders and files that bear the names of its services.
fn owners(services: &[Service], own: &BTreeMap<String, String>) -> String {
    let mut text = "# Who is asked before something here changes.\n*  @shop/edge\n".to_owned();
    for service in services {
        let mut patterns = BTreeSet::from([
            format!("/services/{}/", service.name),
            format!("/runbooks/{}.md", service.name),
        ]);
        for path in own.keys() {
            let Some((folder, rest)) = path.split_once('/') else { continue };
            let first = rest.split('/').next().unwrap_or_default();
            match (first == service.name, first.split('.').next() == Some(service.name)) {
                (true, _) => patterns.insert(format!("/{folder}/{first}/")),
                (false, true) => patterns.insert(format!("/{folder}/{first}")),
                _ => false,
            };
        }
        for pattern in patterns {
            let _ = writeln!(text, "{pattern}  @shop/{}", service.team); // writing to a string does not fail
        }
    }
    text
}

fn readme(services: &[Service]) -> String {
    let mut text =
        "# The shop\n\nEvery service, how it is deployed, and what to do when it breaks.\n\n".to_owned();
    for service in services {
        let _ = writeln!(text, "- `services/{}` {} ({})", service.name, service.purpose, service.team);
    }
    text.push_str("\nMerging to `main` deploys. Settings reach the pods within minutes, code within a quarter of an hour.\n");
    text
}

fn runbook(service: &Service) -> String {
    let Service { name, team, tier, purpose, owner, .. } = service;
    let mut text = format!(
        "# {name}\n\n{name} {purpose}. Team {team}, tier {tier}; ask {}.\n\n## Before you act\n\n\
         - Look at `http_requests_total` by `code` before you believe an alert.\n\
         - A release in the last hour is the first thing to doubt.\n\
         - Pods of one node that are slow together have a bad neighbour.\n\
         - Roll back first, read the code afterwards.\n\n## Whom it calls\n\n",
        owner.name
    );
    for call in &service.calls {
        let kind = if call.external { "outside of the estate" } else { "ours" };
        let _ = writeln!(
            text,
            "- {}, {kind}: gives up after {} ms, tries {} times more.",
            call.upstream, call.timeout_ms, call.retries
        );
    }
    let _ = write!(
        text,
        "\n## Numbers\n\nerrors_percent_max: 2\np99_ms_max: {}\nminutes_to_answer: {}\n",
        250 + 150 * u32::from(*tier),
        5 * u32::from(*tier),
    );
    text
}

const ON_CALL: &str = "# On call

- The person on call decides; the agent beside them reads, proposes and records.
- Silence an alert only while somebody works on what it says.
- Nothing is deleted during an incident, not even what looks unused.
- Whoever rolls back says so in the channel before, not after.
- An incident ends with a finding: what moved first, which change, which receipt.
- A provider outside of the estate is called on the phone, not by mail.

minutes_to_acknowledge: 5
minutes_to_escalate: 20
hours_of_a_shift: 12
people_in_rotation: 6
";

const RELEASES: &str = "# Releases

- Every merge to `main` is a release of the services whose folders it touches.
- Pods are replaced one after the other; a release that fails its probe stops.
- Settings live beside the code and take the same way.
- A migration only adds; what is no longer used goes a release later.
- Nobody releases on a Friday evening.

minutes_between_pods: 2
pods_replaced_at_once: 1
releases_kept: 10
";
