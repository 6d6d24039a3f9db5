"""The official Python client against `bailiwick serve`: argv is the binary and its arguments, or `URL` and perhaps `TOKEN` in
the environment say where it listens; prints one JSON object. With `ANSWER` there is a person who says that, as JSON, to every
form; with `PIN` it speaks that revision of the protocol."""

import asyncio
import json
import os
import sys
from contextlib import AsyncExitStack

from mcp import Client, ClientSession, StdioServerParameters, types
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import create_mcp_http_client, streamable_http_client

CALLS = {
    "done": ("list_commits", {"window": "2026-01-01T00:00:00Z/2026-03-01T00:00:00Z"}),
    "denied": ("read_file", {"path": "checkout/pay.rs"}),
    "asked": (
        "silence_alert",
        {"matchers": ['alertname="Noise"'], "duration_minutes": 60, "reason": "the test needs quiet"},
    ),
    "wrong": ("list_commits", {"windw": "7d"}),
}
ANSWER = os.environ.get("ANSWER")
forms: list[str] = []


async def person(_context, params) -> types.ElicitResult:
    forms.append(params.message)
    return types.ElicitResult(**json.loads(ANSWER))


async def reach(stack: AsyncExitStack):
    """A transport that is not open yet."""
    url, token = os.environ.get("URL"), os.environ.get("TOKEN")
    if url is None:
        return stdio_client(StdioServerParameters(command=sys.argv[1], args=sys.argv[2:], env=dict(os.environ)))
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    http = await stack.enter_async_context(create_mcp_http_client(headers=headers))
    return streamable_http_client(url, http_client=http)


async def main() -> None:
    async with AsyncExitStack() as stack:
        transport, asks = await reach(stack), None if ANSWER is None else person
        if pin := os.environ.get("PIN"):
            client = await stack.enter_async_context(Client(transport, mode=pin, elicitation_callback=asks))
        else:
            streams = await stack.enter_async_context(transport)
            client = ClientSession(streams[0], streams[1], elicitation_callback=asks)
            client = await stack.enter_async_context(client)
            await client.initialize()
        tools = [it.name for it in (await client.list_tools()).tools]
        said = {"tools": tools, "forms": forms}
        only = os.environ.get("CALLS", ",".join(CALLS)).split(",")
        for name in only:
            result = await client.call_tool(*CALLS[name])
            said[name] = result.model_dump(mode="json", by_alias=True)
    print(json.dumps(said))


asyncio.run(main())
