//! Fixtures that may take their time and then answer with a task: <https://modelcontextprotocol.io/seps/2663-tasks-extension>.
//!
//! Whom a task is unknown to hears invalid parameters, whoever declares no tasks that the capability is missing; a task that
//! ended is cancelled again without an error, and input that nobody waits for is ignored. So the extension wants it.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures::future::try_join_all;
use rmcp::{
    ErrorData,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ContentBlock,
        CreateTaskResult, InputRequests, Task,
    },
    task_manager::{TaskContext, TaskExit, TaskManager, TaskOptions},
};
use serde_json::Value;

use super::{fixtures::Fixtures, required};

/// Tools of which a call may become a task, and `greet`, of which none does.
pub(crate) const TOOLS: [&str; 7] = [
    "greet",
    "slow_compute",
    "protocol_error_job",
    "failing_job",
    "confirm_delete",
    "multi_input",
    "test_tool_with_task",
];
/// Those that have no answer but a task.
const ONLY_AS_TASK: [&str; 4] = ["failing_job", "confirm_delete", "multi_input", "test_tool_with_task"];

/// How long a task may live, and how long its outcome is kept.
const LIFE: Duration = Duration::from_secs(120);
/// How often a client had better ask.
const POLL: Duration = Duration::from_millis(200);
/// How long one may compute, in seconds: well within a task's life.
const LONGEST: f64 = 60.0;
/// Until a job fails.
const FAILS_AFTER: Duration = Duration::from_millis(200);
/// How many tasks are kept at once, those that ended among them.
const MOST: usize = 256;

/// Owns every task: they end with it.
#[derive(Default)]
pub(crate) struct Tasks {
    kept: TaskManager,
    /// Tasks that may still be kept, by their ids.
    ids: Mutex<Vec<String>>,
}

/// What a task does.
enum Job {
    Compute {
        takes: Duration,
        says: String,
    },
    /// The tool says that it failed.
    Fail,
    /// The call itself fails.
    Break,
    /// Waits until every input is there.
    Gather(InputRequests),
}

impl Tasks {
    /// What answers `tasks/*`.
    pub(crate) fn kept(&self) -> &TaskManager {
        &self.kept
    }

    /// Calls one of [`TOOLS`].
    pub(crate) async fn call(
        &self,
        fixtures: &Fixtures,
        request: &CallToolRequestParams,
        takes_tasks: bool,
    ) -> Result<CallToolResponse, ErrorData> {
        let name = &*request.name;
        if ONLY_AS_TASK.contains(&name) && !takes_tasks {
            let needed = ClientCapabilities::builder().enable_tasks().build();
            return Err(ErrorData::missing_required_client_capability(needed));
        }
        let argument = |name: &str| request.arguments.as_ref()?.get(name);
        let said = |name: &str| argument(name).and_then(Value::as_str).unwrap_or("nobody");
        let job = match name {
            "greet" => return Ok(says(format!("Hello, {}!", said("name"))).into()),
            "slow_compute" => {
                let seconds = argument("seconds").and_then(Value::as_f64);
                let seconds = seconds.filter(|it| (0.0..=LONGEST).contains(it)).ok_or_else(|| {
                    let right = format!("seconds must be a number from 0 to {LONGEST}");
                    ErrorData::invalid_params(right, None)
                })?;
                let takes = Duration::from_secs_f64(seconds);
                Job::Compute { takes, says: format!("computed for {seconds} s") }
            }
            "protocol_error_job" => Job::Break,
            "failing_job" => Job::Fail,
            "confirm_delete" => Job::Gather(fixtures.inputs(&["deletion"])),
            "multi_input" => Job::Gather(fixtures.inputs(&["step1", "step2"])),
            "test_tool_with_task" => match required::given(request.input_responses.as_ref(), "user_name") {
                None => return Ok(fixtures.require(&["user_name"], None).into()),
                Some(given) => {
                    let name = given.pointer("/content/name").and_then(Value::as_str);
                    let says = format!("Hello, {}!", name.unwrap_or("nobody"));
                    Job::Compute { takes: FAILS_AFTER, says }
                }
            },
            name => return Err(ErrorData::invalid_params(format!("Unknown tool: {name}"), None)),
        };
        match takes_tasks {
            true => Ok(CreateTaskResult::new(self.begin(job)?).into()),
            false => Ok(job.work().await?.into()),
        }
    }

    /// Begins a task, where there is room for one.
    fn begin(&self, job: Job) -> Result<Task, ErrorData> {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        ids.retain(|it| self.kept.get_task(it).is_ok());
        if ids.len() >= MOST {
            let full = format!("{MOST} tasks are kept already, each for {} s after its end", LIFE.as_secs());
            return Err(ErrorData::internal_error(full, None));
        }
        let options = TaskOptions::new()
            .with_ttl_ms(milliseconds(LIFE))
            .with_poll_interval_ms(milliseconds(POLL))
            .with_status_message("under way");
        let task = self.kept.spawn(options, move |context| Box::pin(job.within(context)));
        ids.push(task.task_id.clone());
        Ok(task)
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.kept.shutdown();
    }
}

impl Job {
    /// In a task.
    async fn within(self, context: TaskContext) -> Result<CallToolResult, TaskExit> {
        let done = async {
            let Job::Gather(inputs) = self else { return self.work().await.map_err(TaskExit::Error) };
            let asked = inputs.into_iter().map(|(key, input)| context.request_input(key, input));
            let given = try_join_all(asked).await?;
            Ok(says(format!("{} inputs received", given.len())))
        };
        let ended = tokio::select! {
            // Whoever cancels before anything was asked is heard too.
            () = context.cancelled() => Err(TaskExit::Cancelled),
            ended = done => ended,
        };
        if let Err(TaskExit::Error(error)) = &ended {
            context.set_status_message(error.message.clone());
        }
        ended
    }

    /// Without anybody to ask.
    async fn work(self) -> Result<CallToolResult, ErrorData> {
        match self {
            Job::Compute { takes, says: text } => {
                tokio::time::sleep(takes).await;
                Ok(says(text))
            }
            Job::Fail => {
                tokio::time::sleep(FAILS_AFTER).await;
                let failed = ContentBlock::text("the job failed, as it always does");
                Ok(CallToolResult::error(vec![failed]))
            }
            Job::Break => {
                tokio::time::sleep(FAILS_AFTER).await;
                Err(ErrorData::internal_error("the job broke, as it always does", None))
            }
            Job::Gather(_) => Err(ErrorData::internal_error("input can be gathered in a task only", None)),
        }
    }
}

fn says(text: String) -> CallToolResult {
    CallToolResult::success(vec![ContentBlock::text(text)])
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use rmcp::model::{ErrorCode, TaskStatus};
    use serde_json::json;

    use super::*;

    fn waits() -> Job {
        Job::Gather(Fixtures::read().inputs(&["step1", "step2"]))
    }

    /// Lets tasks run until one is as expected.
    async fn until(what: impl Fn() -> bool) {
        let met = async {
            while !what() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), met).await.expect("it comes about in time");
    }

    #[tokio::test]
    async fn no_more_tasks_are_kept_than_there_is_room_for() {
        let tasks = Tasks::default();
        let begun: Vec<Task> = (0..MOST).map(|_| tasks.begin(waits()).expect("there is room")).collect();
        let refused = tasks.begin(waits()).expect_err("there is none");
        assert_eq!(refused.code, ErrorCode::INTERNAL_ERROR);
        assert!(refused.message.contains("256 tasks are kept"), "{}", refused.message);
        // An outcome takes as much room.
        tasks.kept().cancel_task(&begun[0].task_id).expect("it is kept");
        let status = || tasks.kept().get_task(&begun[0].task_id).map(|it| it.status());
        until(|| status() == Ok(TaskStatus::Cancelled)).await;
        tasks.begin(waits()).expect_err("a cancelled one is kept too");
    }

    #[tokio::test]
    async fn tasks_end_with_their_owner() {
        let alive = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
        let before = alive();
        let tasks = Tasks::default();
        tasks.begin(waits()).expect("there is room");
        assert_eq!(alive(), before + 1);
        drop(tasks);
        until(|| alive() == before).await;
    }

    #[tokio::test]
    async fn a_message_at_the_wrong_time_gets_what_the_extension_names() {
        let tasks = Tasks::default();
        let unknown = tasks.kept().get_task("nobody's").expect_err("nobody began it");
        assert_eq!(unknown.code, ErrorCode::INVALID_PARAMS);
        assert_eq!(tasks.kept().cancel_task("nobody's"), Err(unknown.clone()));
        assert_eq!(tasks.kept().update_task("nobody's", []), Err(unknown));
        let id = tasks.begin(waits()).expect("there is room").task_id;
        let status = || tasks.kept().get_task(&id).map(|it| it.status());
        until(|| status() == Ok(TaskStatus::InputRequired)).await;
        let answer = |key: &str| tasks.kept().update_task(&id, [(key.to_owned(), json!({}))]);
        assert_eq!(answer("nobody asked"), Ok(()));
        assert_eq!(answer("step1"), Ok(()));
        assert_eq!(answer("step1"), Ok(()));
        assert_eq!(status(), Ok(TaskStatus::InputRequired), "one is still waited for");
        assert_eq!(tasks.kept().cancel_task(&id), Ok(()));
        until(|| status() == Ok(TaskStatus::Cancelled)).await;
        assert_eq!(tasks.kept().cancel_task(&id), Ok(()));
        assert_eq!(answer("step2"), Ok(()));
        assert_eq!(status(), Ok(TaskStatus::Cancelled), "it stays what it ended as");
    }

    #[tokio::test]
    async fn a_call_names_what_it_lacks() {
        let (tasks, fixtures) = (Tasks::default(), Fixtures::read());
        let call = |name: &'static str, arguments: Value| {
            let arguments = arguments.as_object().cloned().unwrap_or_default();
            CallToolRequestParams::new(name).with_arguments(arguments)
        };
        for seconds in [json!(-1), json!(61), json!("1")] {
            let call = call("slow_compute", json!({ "seconds": seconds }));
            let refused = tasks.call(&fixtures, &call, true).await.expect_err("that is no such number");
            assert_eq!(refused.message, "seconds must be a number from 0 to 60");
        }
        for name in ONLY_AS_TASK {
            let refused = tasks.call(&fixtures, &call(name, json!({})), false).await;
            let refused = refused.expect_err("the client takes no tasks");
            assert_eq!(refused.code, ErrorCode(-32021), "{name}");
        }
    }
}
