"""The official Python client against `bailiwick serve`: argv is the binary and its arguments, or `URL` and `TOKEN` in the
environment say where it listens; prints one JSON object."""

import asyncio
import json
import os
import sys

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import create_mcp_http_client, streamable_http_client


async def remote(url: str, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    async with create_mcp_http_client(headers=headers) as http:
        async with streamable_http_client(url, http_client=http) as streams:
            async with ClientSession(streams[0], streams[1]) as session:
                await session.initialize()
                tools = (await session.list_tools()).tools
                done = await session.call_tool("list_commits", {"window": "2026-01-01T00:00:00Z/2026-03-01T00:00:00Z"})
                denied = await session.call_tool("read_file", {"path": "checkout/pay.rs"})
    tell(tools, {"done": done, "denied": denied})


def tell(tools, results) -> None:
    dump = {name: it.model_dump(mode="json", by_alias=True) for name, it in results.items()}
    print(json.dumps({"tools": [it.name for it in tools], **dump}))


async def main() -> None:
    server = StdioServerParameters(command=sys.argv[1], args=sys.argv[2:], env=dict(os.environ))
    async with stdio_client(server) as (read, write), ClientSession(read, write) as session:
        await session.initialize()
        tools = (await session.list_tools()).tools
        done = await session.call_tool("list_commits", {"window": "2026-01-01T00:00:00Z/2026-03-01T00:00:00Z"})
        denied = await session.call_tool("read_file", {"path": "checkout/pay.rs"})
        asked = await session.call_tool(
            "silence_alert",
            {"matchers": ['alertname="Noise"'], "duration_minutes": 60, "reason": "the test needs quiet"},
        )
        wrong = await session.call_tool("list_commits", {"windw": "7d"})
    results = {"done": done, "denied": denied, "asked": asked, "wrong": wrong}
    tell(tools, results)


url = os.environ.get("URL")
asyncio.run(main() if url is None else remote(url, os.environ["TOKEN"]))
