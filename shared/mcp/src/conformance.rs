//! What does the official conformance suite call? A server of its own, with fixtures instead of tools, behind the same door.
//!
//! Only in builds with the feature `conformance`, which no release has: it has prompts, resources and tools that no gate
//! stands before, and reaches nothing.

mod fixtures;
mod required;
mod tasks;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, CancelTaskParams, ClientCapabilities,
        CompleteRequestParams, CompleteResult, CompletionInfo, ContentBlock, CreateMessageRequestParams,
        ElicitRequestParams, GetPromptRequestParams, GetPromptResponse, GetPromptResult, GetTaskParams,
        GetTaskResult, Implementation, ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult,
        ListToolsResult, LoggingLevel, LoggingMessageNotificationParam, PaginatedRequestParams,
        ProgressNotificationParam, ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult,
        RequestStateCodec, SamplingMessage, ServerCapabilities, ServerConfig, SetLevelRequestParams,
        SubscribeRequestParams, SubscriptionFilter, Tool, UnsubscribeRequestParams, UpdateTaskParams,
    },
    service::{RequestContext, SubscriptionContext, SubscriptionSink},
};
use serde_json::{Value, json};

use fixtures::Fixtures;
use tasks::Tasks;

/// Server word of the fixtures.
pub const CONFORMANCE: &str = "conformance";
/// Server word of the same fixtures where each answer is a stream.
pub const STREAMED: &str = "conformance-streamed";

/// Serves the fixtures.
#[derive(Clone)]
pub(crate) struct Conformance {
    fixtures: Arc<Fixtures>,
    /// Who wants to hear of changes.
    listening: Arc<Mutex<HashMap<u64, SubscriptionSink>>>,
    next: Arc<AtomicU64>,
    codec: RequestStateCodec,
    tasks: Arc<Tasks>,
}

/// How long a client may keep a list.
const KEPT_MS: u64 = 60_000;
/// Between two messages of one call.
const PAUSE: Duration = Duration::from_millis(50);

impl Conformance {
    pub(crate) fn new() -> Conformance {
        Conformance {
            fixtures: Arc::new(Fixtures::read()),
            listening: Arc::default(),
            next: Arc::default(),
            // Nothing that it seals is worth forging.
            codec: RequestStateCodec::new_unchecked(
                b"the fixtures of a conformance suite hold no secret".as_slice(),
            ),
            tasks: Arc::default(),
        }
    }

    fn listening(&self) -> MutexGuard<'_, HashMap<u64, SubscriptionSink>> {
        self.listening.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tools that say something while they run.
    async fn speak(&self, name: &str, context: &RequestContext<RoleServer>) -> Option<String> {
        let peer = &context.peer;
        let log = |level, text: &str| {
            LoggingMessageNotificationParam::new(level, json!(text)).with_logger(CONFORMANCE)
        };
        match name {
            "test_tool_with_logging" => {
                for text in ["Tool execution started", "Tool processing data", "Tool execution completed"] {
                    let _ = peer.notify_logging_message(log(LoggingLevel::Info, text)).await;
                    tokio::time::sleep(PAUSE).await;
                }
            }
            "test_tool_with_progress" => {
                let token = context.meta.get_progress_token()?;
                for progress in [0.0, 50.0, 100.0] {
                    let told = ProgressNotificationParam::new(token.clone(), progress).with_total(100.0);
                    let _ = peer.notify_progress(told.with_message("under way")).await;
                    tokio::time::sleep(PAUSE).await;
                }
            }
            "test_logging_tool" => {
                if let Some(level) = context.meta.log_level() {
                    let _ = peer.notify_logging_message(log(level, "a level was asked for")).await;
                }
            }
            "test_reconnection" => tokio::time::sleep(2 * PAUSE).await,
            "test_trigger_tool_change" | "test_trigger_prompt_change" => {
                let listening: Vec<SubscriptionSink> = self.listening().values().cloned().collect();
                for sink in listening {
                    let _ = match name {
                        "test_trigger_tool_change" => sink.notify_tool_list_changed().await,
                        _ => sink.notify_prompt_list_changed().await,
                    };
                }
            }
            _ => return None,
        }
        Some(format!("{name} is done"))
    }

    /// Tools that ask the client, in revisions where a server may.
    async fn ask(
        &self,
        request: &CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Option<CallToolResult> {
        let argument = |name: &str| request.arguments.as_ref()?.get(name)?.as_str().map(str::to_owned);
        let said = if request.name == "test_sampling" {
            let asked = vec![SamplingMessage::user_text(argument("prompt").unwrap_or_default())];
            let sampled = context.peer.create_message(CreateMessageRequestParams::new(asked, 100)).await;
            sampled.map(|it| {
                let text = it.message.content.first().and_then(|it| it.as_text().map(|it| it.text.clone()));
                format!("LLM response: {}", text.unwrap_or_default())
            })
        } else {
            let requested_schema =
                serde_json::from_value(self.fixtures.asked.get(&*request.name)?.clone()).ok()?;
            let message = argument("message").unwrap_or_else(|| "Please answer".to_owned());
            let asked = ElicitRequestParams::FormElicitationParams { meta: None, message, requested_schema };
            let elicited = context.peer.create_elicitation(asked).await;
            elicited.map(|it| {
                let action = serde_json::to_value(&it.action).unwrap_or_default();
                let content = serde_json::to_string(&it.content).unwrap_or_default();
                format!("User response: action={}, content={content}", action.as_str().unwrap_or_default())
            })
        };
        Some(match said {
            Ok(text) => CallToolResult::success(vec![ContentBlock::text(text)]),
            Err(error) => CallToolResult::error(vec![ContentBlock::text(error.to_string())]),
        })
    }
}

fn text(text: impl Into<String>) -> CallToolResponse {
    CallToolResult::success(vec![ContentBlock::text(text.into())]).into()
}

impl ServerHandler for Conformance {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_prompts()
            .enable_prompts_list_changed()
            .enable_resources()
            .enable_resources_subscribe()
            .enable_resources_list_changed()
            .enable_tools()
            .enable_tool_list_changed()
            .enable_logging()
            .enable_completions()
            .enable_tasks()
            .build();
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("bailiwick-conformance", env!("CARGO_PKG_VERSION")))
            .with_instructions("Fixtures of the conformance suite.")
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.fixtures.tools.iter().find(|it| it.name == name).cloned()
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(requested.supported_by(&self.get_info().capabilities))
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let key = self.next.fetch_add(1, Ordering::Relaxed);
        self.listening().insert(key, context.sink().clone());
        context.cancelled().await;
        self.listening().remove(&key);
        Ok(())
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.fixtures.tools.clone())
            .with_ttl_ms(KEPT_MS)
            .with_cache_scope(rmcp::model::CacheScope::Public))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if let Some(answer) = self.fixtures.answers.get(&*request.name) {
            return Ok(answer.clone().into());
        }
        if let Some(said) = self.speak(&request.name, &context).await {
            return Ok(text(said));
        }
        let argument = |name: &str| request.arguments.as_ref()?.get(name)?.as_str();
        match &*request.name {
            "test_tool_with_progress" => Ok(text("nobody asked for progress")),
            "json_schema_2020_12_tool" => {
                Ok(text(format!("Hello, {}!", argument("name").unwrap_or("world"))))
            }
            "test_custom_header" => match argument("value") {
                Some(value) => Ok(text(value)),
                None => Err(ErrorData::invalid_params("value must be a string", None)),
            },
            "test_missing_capability" => {
                let samples = context.meta.client_capabilities().is_some_and(|it| it.sampling.is_some());
                let needed = || ClientCapabilities::builder().enable_sampling().build();
                match samples {
                    true => Ok(text("the client samples")),
                    false => Err(ErrorData::missing_required_client_capability(needed())),
                }
            }
            name if name == "test_streaming_elicitation"
                || name.starts_with("test_input_required_result_") =>
            {
                required::call(&self.fixtures, &self.codec, request, &context.meta)
            }
            name if tasks::TOOLS.contains(&name) => {
                let takes_tasks = context.client_capabilities().is_some_and(|it| it.supports_tasks());
                self.tasks.call(&self.fixtures, &request, takes_tasks).await
            }
            name => match self.ask(&request, &context).await {
                Some(result) => Ok(result.into()),
                None => Err(ErrorData::invalid_params(format!("Unknown tool: {name}"), None)),
            },
        }
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        self.tasks.kept().get_task(&request.task_id).map(GetTaskResult::new)
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.tasks.kept().update_task(&request.task_id, request.input_responses)
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.tasks.kept().cancel_task(&request.task_id)
    }

    async fn list_resources(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(ListResourcesResult::with_all_items(self.fixtures.resources.clone())
            .with_ttl_ms(KEPT_MS)
            .with_cache_scope(rmcp::model::CacheScope::Public))
    }

    async fn list_resource_templates(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(ListResourceTemplatesResult::with_all_items(self.fixtures.templates.clone())
            .with_ttl_ms(KEPT_MS)
            .with_cache_scope(rmcp::model::CacheScope::Public))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let missing = || {
            let about = Some(json!({ "uri": request.uri }));
            ErrorData::resource_not_found(format!("Resource not found: {}", request.uri), about)
        };
        let contents = self.fixtures.contents(&request.uri).ok_or_else(missing)?;
        let result = ReadResourceResult::new(vec![contents]);
        Ok(result.with_ttl_ms(KEPT_MS).with_cache_scope(rmcp::model::CacheScope::Public).into())
    }

    async fn subscribe(
        &self,
        _request: SubscribeRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        Ok(())
    }

    async fn unsubscribe(
        &self,
        _request: UnsubscribeRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        Ok(())
    }

    async fn list_prompts(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Ok(ListPromptsResult::with_all_items(self.fixtures.prompts.clone())
            .with_ttl_ms(KEPT_MS)
            .with_cache_scope(rmcp::model::CacheScope::Public))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        if let Some(messages) = self.fixtures.messages.get(&*request.name) {
            return Ok(messages.clone().into());
        }
        let said =
            |name: &str| request.arguments.as_ref().and_then(|it| it.get(name)?.as_str()).unwrap_or_default();
        let prompt = |text: String| -> GetPromptResult { fixtures::prompt(&text) };
        match &*request.name {
            "test_prompt_with_arguments" => {
                let text = format!("Prompt with arguments: arg1='{}', arg2='{}'", said("arg1"), said("arg2"));
                Ok(prompt(text).into())
            }
            "test_input_required_result_prompt" => {
                match required::given(request.input_responses.as_ref(), "user_context") {
                    Some(given) => {
                        let context =
                            given.pointer("/content/context").and_then(Value::as_str).unwrap_or_default();
                        Ok(prompt(format!("Prompt with elicited context: {context}")).into())
                    }
                    None => Ok(self.fixtures.require(&["user_context"], None).into()),
                }
            }
            name => Err(ErrorData::invalid_params(format!("Unknown prompt: {name}"), None)),
        }
    }

    async fn complete(
        &self,
        _request: CompleteRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let values = ["one", "two", "three"].map(str::to_owned).to_vec();
        CompletionInfo::new(values).map(CompleteResult::new).map_err(|it| ErrorData::internal_error(it, None))
    }

    async fn set_level(
        &self,
        _request: SetLevelRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        Ok(())
    }
}
