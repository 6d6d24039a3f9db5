//! How does a program of ours call a server as any client would? A child process, and the protocol over its pipes.
//!
//! For rehearsals: what speaks to a server this way goes through everything that a client goes through.

use std::{
    fs::File,
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rmcp::{
    ClientServiceExt, RoleClient,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ClientConfig,
        Implementation, ProtocolVersion,
    },
    service::{ClientLifecycleMode, RunningService, ServiceError},
};
use serde_json::{Map, Value};
use tokio::{
    process::{Child, Command},
    time::timeout,
};

/// A server in a process of its own, and the connection to it. The process ends when this is dropped.
pub struct Client {
    name: String,
    running: RunningService<RoleClient, ClientConfig>,
    child: Child,
}

/// How to start a server.
pub struct Start<'a> {
    /// What the client calls it, e.g. `code`.
    pub name: &'a str,
    /// The program.
    pub program: &'a Path,
    /// Its arguments, e.g. `serve code`.
    pub arguments: &'a [String],
    /// All of its environment: nothing is inherited, so that nothing of the person who starts it changes what it does.
    pub variables: &'a [(String, String)],
    /// Where its standard error goes.
    pub errors: File,
}

/// What a server said to a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// Whether the tool, or the gate before it, refused.
    pub refused: bool,
    /// What programs and some models read.
    pub structured: Value,
    /// What other models and people read.
    pub text: String,
    /// Proof of the record: log, index and leaf; null when there is none.
    pub receipt: Value,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Is the program there?
    #[error("server `{name}` does not start: {problem}")]
    Start {
        /// Which server.
        name: String,
        /// What went wrong.
        problem: String,
    },
    /// It is gone, does not answer, or answers what the protocol does not allow: its standard error may say why.
    #[error("server `{name}` does not answer {request}: {problem}")]
    Answer {
        /// Which server.
        name: String,
        /// What was asked.
        request: String,
        /// What went wrong.
        problem: String,
    },
}

/// Longest wait for an answer: more than the gate's own deadline, so that its word comes first.
const ANSWER_MAX: Duration = Duration::from_secs(90);
/// Longest wait for a server to end after its input has: as long as it lets calls in flight go on.
const LEAVE_MAX: Duration = Duration::from_secs(40);

impl Client {
    /// Starts a server and greets it, in the newest revision of the protocol.
    pub async fn start(start: Start<'_>) -> Result<Client, ClientError> {
        let name = start.name.to_owned();
        let failed = |problem: String| ClientError::Start { name: name.clone(), problem };
        let mut command = Command::new(start.program);
        command.args(start.arguments).env_clear().envs(start.variables.iter().cloned());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(start.errors).kill_on_drop(true);
        let mut child = command.spawn().map_err(|it| failed(it.to_string()))?;
        let (Some(output), Some(input)) = (child.stdout.take(), child.stdin.take()) else {
            return Err(failed("it has no pipes".to_owned()));
        };
        let us = Implementation::new("bailiwick-rehearsal", env!("CARGO_PKG_VERSION"));
        // Nobody is there to be asked in band, and the server should know: so no capability is declared.
        let us = ClientConfig::new(ClientCapabilities::default(), us);
        let newest = ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::LATEST] };
        let greeting = timeout(ANSWER_MAX, us.serve_with_lifecycle((output, input), newest)).await;
        let running = greeting
            .map_err(|_| failed(format!("no greeting within {} s", ANSWER_MAX.as_secs())))?
            .map_err(|it| failed(it.to_string()))?;
        Ok(Client { name, running, child })
    }

    /// Names of the tools that the server offers.
    pub async fn tools(&self) -> Result<Vec<String>, ClientError> {
        let listed = self.within("tools/list", self.running.list_all_tools()).await?;
        Ok(listed.into_iter().map(|it| it.name.into_owned()).collect())
    }

    /// Calls a tool. A refusal is an answer; an error is none.
    pub async fn call(&self, tool: &str, arguments: Map<String, Value>) -> Result<Said, ClientError> {
        let asked = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        match self.within(tool, self.running.call_tool_once(asked)).await? {
            CallToolResponse::Complete(result) => Ok(Said::of(result)),
            _ => {
                Err(self.failed(tool, "it asks for more, though this client declared that it cannot answer"))
            }
        }
    }

    /// Leaves as a client does, by closing the server's input, and waits until the server has ended.
    pub async fn leave(mut self) -> Result<ExitStatus, ClientError> {
        let closed = timeout(LEAVE_MAX, self.running.close()).await;
        let left = match closed {
            Ok(Ok(_)) => timeout(LEAVE_MAX, self.child.wait()).await,
            _ => return Err(self.failed("leaving", "the connection does not close")),
        };
        match left {
            Ok(Ok(status)) => Ok(status),
            Ok(Err(error)) => Err(self.failed("leaving", &error.to_string())),
            Err(_) => Err(self.failed("leaving", "its process goes on")),
        }
    }

    async fn within<T>(
        &self,
        request: &str,
        answer: impl Future<Output = Result<T, ServiceError>>,
    ) -> Result<T, ClientError> {
        let slow = |_| self.failed(request, &format!("nothing within {} s", ANSWER_MAX.as_secs()));
        timeout(ANSWER_MAX, answer).await.map_err(slow)?.map_err(|it| self.failed(request, &it.to_string()))
    }

    fn failed(&self, request: &str, problem: &str) -> ClientError {
        ClientError::Answer {
            name: self.name.clone(),
            request: request.to_owned(),
            problem: problem.to_owned(),
        }
    }
}

impl Said {
    fn of(result: CallToolResult) -> Said {
        let texts = result.content.iter().filter_map(|it| it.as_text()).map(|it| it.text.as_str());
        let receipt = result.meta.as_ref().and_then(|it| it.0.get("io.bailiwick/receipt")).cloned();
        Said {
            refused: result.is_error == Some(true),
            text: texts.collect::<Vec<_>>().join("\n"),
            structured: result.structured_content.unwrap_or_default(),
            receipt: receipt.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn start(script: &str) -> Result<Client, ClientError> {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let errors = File::create(folder.path().join("errors")).expect("a temporary folder is writable");
        let arguments = ["-c".to_owned(), script.to_owned()];
        let program = Path::new("/bin/sh");
        Client::start(Start { name: "odd", program, arguments: &arguments, variables: &[], errors }).await
    }

    #[tokio::test]
    async fn a_server_that_leaves_at_once_or_talks_nonsense_is_named() {
        for script in ["exit 0", "echo hello; exit 1"] {
            let error = start(script).await.err().expect("no server").to_string();
            assert!(error.starts_with("server `odd` does not start: "), "{script}: {error}");
        }
    }

    #[test]
    fn an_answer_is_text_structure_and_receipt() {
        let result = serde_json::json!({
            "content": [{ "type": "text", "text": "a" }, { "type": "text", "text": "b" }],
            "structuredContent": { "x": 1 },
            "isError": true,
            "_meta": { "io.bailiwick/receipt": { "index": 3 } },
        });
        let said = Said::of(serde_json::from_value(result).expect("a result"));
        assert_eq!((said.refused, said.text.as_str()), (true, "a\nb"));
        assert_eq!((&said.structured["x"], &said.receipt["index"]), (&1.into(), &3.into()));
    }
}
