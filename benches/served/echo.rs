//! A tool that does no work, so that what is measured is everything around it.

use policy::{Effect, Target};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tool::{Answer, Context, Tool, ToolError, args::Text};

use crate::client::Prepared;

/// Say it again.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EchoText {
    /// What to say.
    pub(crate) text: Text<1, 4096>,
}

/// What was said.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Echoed {
    /// The same.
    pub(crate) said: String,
    /// Its length in bytes.
    pub(crate) bytes: u64,
}

impl EchoText {
    pub(crate) fn echoed(&self) -> Echoed {
        let said = self.text.to_string();
        Echoed { bytes: said.len() as u64, said }
    }
}

/// The request that every server is asked.
pub(crate) fn request() -> Prepared {
    Prepared::call(EchoText::NAME, &arguments())
}

pub(crate) fn arguments() -> Value {
    json!({ "text": "sum by (job) (rate(http_requests_total{code=~\"5..\"}[5m]))" })
}

pub(crate) fn target() -> Target {
    Target {
        kind: "echo".into(),
        id: "wall".to_owned(),
        connection: "wall".to_owned(),
        environment: "production".to_owned(),
        region: "unknown".to_owned(),
        team: "team-7".to_owned(),
        tier: "unknown".to_owned(),
    }
}

impl Tool for EchoText {
    const NAME: &'static str = "echo_text";
    const EFFECT: Effect = Effect::Read;
    type Backends = ();
    type Facts = Echoed;

    fn targets(&self, (): &()) -> Result<Vec<Target>, ToolError> {
        Ok(vec![target()])
    }

    fn examples() -> Vec<Value> {
        vec![arguments()]
    }

    async fn run(&self, (): &(), _: &Context) -> Result<Answer<Echoed>, ToolError> {
        Ok(Answer::facts(self.echoed()))
    }
}
