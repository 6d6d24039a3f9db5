//! One gate behind the protocol's handler, on standard input and output.

use std::{sync::Arc, time::Duration};

use gate::{Gate, Request};
use policy::{Caller, Channel};
use rmcp::{
    ErrorData, RoleServer, ServerHandler, ServiceExt,
    model::{
        CallToolRequestMethod, CallToolRequestParams, CallToolResponse, CompleteRequestMethod,
        CompleteRequestParams, CompleteResult, ConstString, CustomRequest, CustomResult, ErrorCode,
        Implementation, ListPromptsRequestMethod, ListPromptsResult, ListResourceTemplatesRequestMethod,
        ListResourceTemplatesResult, ListResourcesRequestMethod, ListResourcesResult, ListToolsResult,
        PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
    },
    service::RequestContext,
};
use tokio::sync::SetOnce;
use tokio_util::sync::CancellationToken;

use crate::{describe::respond, wire::Wire};

/// A gate that may still be opening: policy and log load beside the handshake, and the first call waits.
pub type Opening = Arc<SetOnce<Result<Opened, String>>>;

/// What calls need.
#[derive(Clone)]
pub struct Opened {
    /// Policy, tools and log.
    pub gate: Arc<Gate>,
    /// Whoever started the process, as the configuration and the operating system say.
    pub caller: Caller,
}

/// Serves one gate over MCP.
#[derive(Clone)]
pub struct Server {
    name: String,
    instructions: String,
    tools: Arc<Vec<Tool>>,
    opening: Opening,
}

/// How long calls in flight may go on once the client has left.
const DRAIN: Duration = Duration::from_secs(30);

/// Runs a server on standard input and output until the client leaves or `stop` fires, then waits for writes in flight.
pub async fn serve_stdio(server: Server, stop: CancellationToken) -> Result<(), rmcp::RmcpError> {
    let opening = server.opening.clone();
    let (input, output) = rmcp::transport::io::stdio_pipes();
    let wire = Wire::new(input, output, opening.clone(), stop);
    let served = match server.serve(wire).await {
        Ok(running) => running.waiting().await.map(drop).map_err(Into::into),
        // The client left before it said anything: nothing was asked, nothing is lost.
        Err(rmcp::service::ServerInitializeError::ConnectionClosed(_)) => Ok(()),
        Err(error) => Err(error.into()),
    };
    if let Ok(opened) = opening.wait().await {
        opened.gate.drain(DRAIN).await;
    }
    served
}

impl Server {
    /// A server called `name` that offers `tools` once `opening` is there.
    pub fn new(name: String, instructions: String, tools: Vec<Tool>, opening: Opening) -> Server {
        Server { name, instructions, tools: Arc::new(tools), opening }
    }

    /// The gate, once it is open. A server whose policy or log cannot be loaded answers every call with why.
    async fn opened(&self) -> Result<&Opened, ErrorData> {
        let unusable = |why: &String| ErrorData::internal_error(format!("server unusable: {why}"), None);
        self.opening.wait().await.as_ref().map_err(unusable)
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let implementation = Implementation::new(self.name.clone(), env!("CARGO_PKG_VERSION"));
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(implementation)
            .with_instructions(self.instructions.clone())
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.tools.to_vec()))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.tools.iter().find(|it| it.name == name).cloned()
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Opened { gate, caller } = self.opened().await?;
        let request = Request {
            caller: caller.clone(),
            channel: Channel::Stdio,
            client: context.client_info().map(|it| format!("{} {}", it.name, it.version)),
            tool: request.name.into_owned(),
            arguments: request.arguments.unwrap_or_default(),
            cancelled: context.ct,
        };
        respond(gate.call(request).await)
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
        _context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        if request.method != CallToolRequestMethod::VALUE {
            return Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, request.method, None));
        }
        let problem = "tools/call: expected params {\"name\": text, \"arguments\": object}";
        let Opened { gate, caller } = self.opened().await?;
        gate.reject(caller, Channel::Stdio, problem).await;
        Err(ErrorData::invalid_params(problem, None))
    }
}
