"""The official Python client against `bailiwick serve`: argv is the binary and its arguments; prints one JSON object."""

import asyncio
import json
import os
import sys

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client


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
    dump = {name: it.model_dump(mode="json", by_alias=True) for name, it in results.items()}
    print(json.dumps({"tools": [it.name for it in tools], **dump}))


asyncio.run(main())
