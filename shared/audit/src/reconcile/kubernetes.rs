//! What did a cluster do? Events of `audit.k8s.io/v1`, as an API server writes them, a line each
//! (<https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/>).

use serde_json::Value;

use super::{Event, text};

/// Objects that are made to ask a question: nothing is stored.
const QUESTIONS: [&str; 6] = [
    "localsubjectaccessreviews",
    "selfsubjectaccessreviews",
    "selfsubjectreviews",
    "selfsubjectrulesreviews",
    "subjectaccessreviews",
    "tokenreviews",
];

/// Every stage of a request is an event; the last one tells it whole.
pub(super) fn is_part(value: &Value) -> bool {
    matches!(text(value, "/stage"), Some("RequestReceived" | "ResponseStarted"))
}

pub(super) fn event(value: &Value) -> Option<Event> {
    let verb = text(value, "/verb")?;
    let time = text(value, "/requestReceivedTimestamp").or(text(value, "/stageTimestamp"))?;
    let object = |name: &str| text(value, &format!("/objectRef/{name}"));
    let resource = object("resource").unwrap_or_default();
    let whole = [object("namespace"), Some(resource), object("name"), object("subresource")];
    let whole: Vec<&str> = whole.into_iter().flatten().filter(|it| !it.is_empty()).collect();
    let uri = text(value, "/requestURI").unwrap_or_default();
    let identities = ["/user/username", "/impersonatedUser/username"];
    let reads = matches!(verb, "get" | "list" | "watch") || QUESTIONS.contains(&resource);
    Some(Event {
        time: time.parse().ok()?,
        identities: identities.iter().filter_map(|it| text(value, it)).map(str::to_owned).collect(),
        verb: verb.to_owned(),
        // A command in a container, and a connection to one, may be a `get`.
        changes: !reads || matches!(object("subresource"), Some("exec" | "attach" | "portforward" | "proxy")),
        done: value.pointer("/responseStatus/code").and_then(Value::as_u64).is_none_or(|it| it < 400)
            && !is_dry_run(uri),
        names: object("name").map(str::to_lowercase).into_iter().collect(),
        resource: if whole.is_empty() { uri.to_owned() } else { whole.join("/") },
        id: text(value, "/auditID").unwrap_or_default().to_owned(),
    })
}

/// Whether the server was asked to store nothing: a parameter of its own says so, and what others hold does not.
fn is_dry_run(uri: &str) -> bool {
    uri.split_once('?').is_some_and(|(_, query)| query.split('&').any(|it| it == "dryRun=All"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_parameter_of_its_own_makes_a_dry_run() {
        let path = "/apis/apps/v1/namespaces/shop/deployments/checkout";
        for query in ["?dryRun=All", "?fieldManager=kubectl&dryRun=All", "?dryRun=All&force=true"] {
            assert!(is_dry_run(&format!("{path}{query}")), "{query}");
        }
        for query in
            ["", "?fieldManager=dryRun=All", "?fieldManager=x%26dryRun=All", "?dryRun=AllButNot", "?dryRun="]
        {
            assert!(!is_dry_run(&format!("{path}{query}")), "{query}");
        }
        assert!(!is_dry_run("/api/v1/namespaces/dryRun=All/pods"));
    }
}
