//! One gate behind the protocol's handler, on standard input and output or over HTTP.

use std::{
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use gate::{Gate, Refusal, Reply, Request};
use identity::Scopes;
use policy::{Caller, Channel};
use rmcp::{
    ErrorData, RoleServer, ServerHandler, ServiceExt,
    model::{
        CacheScope, CallToolRequestMethod, CallToolRequestParams, CallToolResponse, CompleteRequestMethod,
        CompleteRequestParams, CompleteResult, ConstString, CustomRequest, CustomResult, ErrorCode,
        Implementation, ListPromptsRequestMethod, ListPromptsResult, ListResourceTemplatesRequestMethod,
        ListResourceTemplatesResult, ListResourcesRequestMethod, ListResourcesResult, ListToolsRequestMethod,
        ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
    },
    service::RequestContext,
};
use telemetry::{Failure, Operation, Telemetry, Transport};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{SetOnce, watch},
};
use tokio_util::sync::CancellationToken;

use crate::{
    Metrics, Site, Starter,
    ask::Incoming,
    describe::reads,
    http::{Who, nobody},
    observed,
    wire::Wire,
};

/// A gate that may still be opening: policy and log load beside the handshake, and the first call waits.
pub type Opening = Arc<SetOnce<Result<Opened, String>>>;

/// What calls need.
#[derive(Clone)]
pub struct Opened {
    /// Policy, tools and log.
    pub gate: Arc<Gate>,
    /// Whoever started the process, as a token, or the configuration and the operating system say now.
    pub caller: watch::Receiver<Starter>,
    /// Who hears of what is served.
    pub telemetry: Telemetry,
}

/// Serves one gate over MCP.
#[derive(Clone)]
pub struct Server {
    about: Arc<About>,
    opening: Opening,
    /// Where calls come in over HTTP; none on standard input.
    over_http: Option<OverHttp>,
    transport: Transport,
}

/// What clients are told.
struct About {
    name: String,
    instructions: String,
    tools: LazyLock<Vec<Tool>, Describing>,
}

/// Makes the list of tools. A handshake needs none, and describing all takes longer than answering it.
type Describing = Box<dyn FnOnce() -> Vec<Tool> + Send>;

#[derive(Clone)]
struct OverHttp {
    /// Server word, for what is counted.
    word: Arc<str>,
    metrics: Arc<Metrics>,
}

/// How long a client may keep the list of tools: policy may change.
const LIST_KEPT_MS: u64 = 60_000;
/// How long calls in flight may go on once the client has left.
const DRAIN: Duration = Duration::from_secs(30);

/// Runs a server on standard input and output until the client leaves or `stop` fires, then waits for writes in flight.
pub async fn serve_stdio(server: Server, stop: CancellationToken) -> Result<(), rmcp::RmcpError> {
    let opening = server.opening.clone();
    let (input, output) = rmcp::transport::io::stdio_pipes();
    let served = serve_lines(server, input, output, stop).await;
    if let Ok(opened) = opening.wait().await {
        opened.gate.drain(DRAIN).await;
    }
    served
}

/// Serves one client, a message a line, until it leaves or `stop` fires.
pub(crate) async fn serve_lines<R, W>(
    server: Server,
    input: R,
    output: W,
    stop: CancellationToken,
) -> Result<(), rmcp::RmcpError>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let (opening, transport, begun) = (server.opening.clone(), server.transport, Instant::now());
    let wire = Wire::new(input, output, opening.clone(), stop);
    let served = server.serve(wire).await;
    let served = match served {
        Ok(running) => running.waiting().await.map(drop).map_err(Into::into),
        // The client left before it said anything: nothing was asked, nothing is lost.
        Err(rmcp::service::ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
        Err(error) => Err(error.into()),
    };
    if let Some(Ok(opened)) = opening.get() {
        opened.telemetry.session_ended(transport, begun.elapsed());
    }
    served
}

impl Server {
    /// A server called `name` that offers `tools` once `opening` is there; they are described when first asked for.
    pub fn new(
        name: String,
        instructions: String,
        tools: impl FnOnce() -> Vec<Tool> + Send + 'static,
        opening: Opening,
    ) -> Server {
        let about = About { name, instructions, tools: LazyLock::new(Box::new(tools)) };
        Server { about: Arc::new(about), opening, over_http: None, transport: Transport::Pipe }
    }

    /// A server of many callers, each established before their request arrives here.
    pub(crate) fn over_http(site: &Site, metrics: Arc<Metrics>, transport: Transport) -> Server {
        let over_http = Some(OverHttp { word: site.word.as_str().into(), metrics });
        Server { over_http, transport, ..Server::of(site) }
    }

    /// A server of nobody yet, on a socket.
    pub(crate) fn of(site: &Site) -> Server {
        let opened = Opened {
            gate: site.gate.clone(),
            caller: Starter::unproven(nobody()).fixed(),
            telemetry: site.telemetry.clone(),
        };
        let opening = Arc::new(SetOnce::new_with(Some(Ok(opened))));
        let tools = site.tools.clone();
        let server = Server::new(site.name.clone(), site.instructions.clone(), || tools, opening);
        Server { transport: Transport::Socket, ..server }
    }

    /// The same server for one caller, on lines of their own.
    pub(crate) fn with(&self, opened: Opened) -> Server {
        let opening = Arc::new(SetOnce::new_with(Some(Ok(opened))));
        Server { opening, ..self.clone() }
    }

    /// Who sent this request: over HTTP whom the door established, and nobody else.
    fn who(&self, opened: &Opened, context: &RequestContext<RoleServer>) -> Result<Who, ErrorData> {
        if self.over_http.is_none() {
            let Starter { caller, scopes } = opened.caller.borrow().clone();
            return Ok(Who { caller, scopes });
        }
        let parts = context.extensions.get::<axum::http::request::Parts>();
        let who = parts.and_then(|it| it.extensions.get::<Who>());
        let unknown =
            || ErrorData::internal_error("server unusable: a request came in without its caller", None);
        who.cloned().ok_or_else(unknown)
    }

    /// Runs a call, and counts how it ended under a tool's name.
    pub(crate) async fn carry_out(
        &self,
        gate: &Arc<Gate>,
        request: Request,
        tool: &str,
        operation: &Operation,
    ) -> Reply {
        let begun = Instant::now();
        let reply = gate.call(request).await;
        operation.called(|| observed::called(&reply));
        if let Some(OverHttp { word, metrics }) = &self.over_http {
            metrics.called(word, tool, reply.refusal.as_ref().map_or("ok", Refusal::code), begun.elapsed());
        }
        reply
    }

    /// Begins what telemetry is told of a request.
    fn asked(
        &self,
        opened: &Opened,
        method: &'static str,
        tool: Option<&str>,
        caller: &Caller,
        context: &RequestContext<RoleServer>,
    ) -> Operation {
        opened.telemetry.asked(|| observed::asked(method, tool, caller, self.transport, context))
    }

    fn channel(&self) -> Channel {
        match self.over_http {
            None => Channel::Stdio,
            Some(_) => Channel::Http,
        }
    }

    /// The gate, once it is open. A server whose policy or log cannot be loaded answers every call with why.
    async fn opened(&self) -> Result<&Opened, ErrorData> {
        let unusable = |why: &String| ErrorData::internal_error(format!("server unusable: {why}"), None);
        self.opening.wait().await.as_ref().map_err(unusable)
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let implementation = Implementation::new(self.about.name.clone(), env!("CARGO_PKG_VERSION"));
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(implementation)
            .with_instructions(self.about.instructions.clone())
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        // A server that cannot be used shows all it has: each call says why it is not.
        let Ok(opened) = self.opened().await else {
            return Ok(ListToolsResult::with_all_items(self.about.tools.clone()));
        };
        let caller = self.who(opened, &context)?.caller;
        let operation = self.asked(opened, ListToolsRequestMethod::VALUE, None, &caller, &context);
        let shown = self.about.tools.iter().filter(|it| opened.gate.offers(&caller, &it.name)).cloned();
        let mut listed = ListToolsResult::with_all_items(shown.collect());
        // Another caller may see another list.
        listed.cache_scope = Some(CacheScope::Private);
        listed.ttl_ms = Some(LIST_KEPT_MS);
        operation.end(None);
        Ok(listed)
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.about.tools.iter().find(|it| it.name == name).cloned()
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let opened = self.opened().await?;
        let who = self.who(opened, &context)?;
        let shown = |it: &&Tool| it.name == request.name && !opened.gate.hides(&who.caller, &it.name);
        let found = self.about.tools.iter().find(shown);
        let tool = found.map_or("(unknown)", |it| &it.name);
        let operation = self.asked(opened, CallToolRequestMethod::VALUE, Some(tool), &who.caller, &context);
        let answer = operation.around(async {
            if found.is_some_and(|it| !reads(it)) && !who.scopes.act {
                let problem = format!("the token lacks a scope; needed: {} {}", Scopes::READ, Scopes::ACT);
                opened.gate.reject(&who.caller, self.channel(), &problem).await;
                return Err(ErrorData::invalid_request(problem, None));
            }
            Incoming {
                server: self,
                gate: &opened.gate,
                caller: who.caller,
                channel: self.channel(),
                context: &context,
                tool,
                operation: &operation,
            }
            .answer(request)
            .await
        });
        let answer = answer.await;
        operation.end(observed::failure(&answer));
        answer
    }

    /// The protocol completes arguments of prompts and of resource templates: a reference to a tool does not exist, and
    /// there are no prompts here. What an argument can hold stands in its schema, and a wrong name is answered with those
    /// that there are.
    async fn complete(
        &self,
        _request: CompleteRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        Err(ErrorData::method_not_found::<CompleteRequestMethod>())
    }

    async fn list_prompts(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Err(ErrorData::method_not_found::<ListPromptsRequestMethod>())
    }

    async fn list_resources(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Err(ErrorData::method_not_found::<ListResourcesRequestMethod>())
    }

    async fn list_resource_templates(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Err(ErrorData::method_not_found::<ListResourceTemplatesRequestMethod>())
    }

    /// A known method whose parameters did not fit arrives here too: it is told so, and the attempt is recorded.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        if request.method != CallToolRequestMethod::VALUE {
            return Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, request.method, None));
        }
        let problem = "tools/call: expected params {\"name\": text, \"arguments\": object}";
        let opened = self.opened().await?;
        let caller = self.who(opened, &context)?.caller;
        let operation = self.asked(opened, CallToolRequestMethod::VALUE, None, &caller, &context);
        opened.gate.reject(&caller, self.channel(), problem).await;
        operation.end(Some(Failure::Protocol(ErrorCode::INVALID_PARAMS.0)));
        Err(ErrorData::invalid_params(problem, None))
    }
}
