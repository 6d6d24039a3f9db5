//! The floor: the protocol library with one tool and nothing around it.

use rmcp::{
    ErrorData, RoleServer, ServerHandler, ServiceExt,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ListToolsResult,
        PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
    },
    service::RequestContext,
};
use serde_json::Value;

use crate::echo::EchoText;

#[derive(Clone)]
pub(crate) struct Bare {
    tools: Vec<Tool>,
}

/// Serves until the client leaves.
pub(crate) fn serve() -> anyhow::Result<()> {
    // As many workers as the real program has.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let served = runtime.block_on(async {
        let running = Bare::new().serve(rmcp::transport::io::stdio_pipes()).await?;
        running.waiting().await?;
        Ok(())
    });
    runtime.shutdown_background();
    served
}

impl Bare {
    pub(crate) fn new() -> Bare {
        let definition = tool::define::<EchoText>().definition;
        let described = Tool::new(definition.name, definition.description, definition.input)
            .with_raw_output_schema(definition.output);
        Bare { tools: vec![described] }
    }
}

impl ServerHandler for Bare {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.tools.clone()))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.tools.iter().find(|it| it.name == name).cloned()
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let wrong = |error: serde_json::Error| ErrorData::invalid_params(error.to_string(), None);
        let arguments = Value::Object(request.arguments.unwrap_or_default());
        let echo: EchoText = serde_json::from_value(arguments).map_err(wrong)?;
        let facts = serde_json::to_value(echo.echoed()).map_err(wrong)?;
        let mut result = CallToolResult::success(vec![ContentBlock::text(facts.to_string())]);
        result.structured_content = Some(facts);
        Ok(result.into())
    }
}
