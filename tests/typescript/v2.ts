// The TypeScript SDK, version 2, as it comes and (with `PIN`) at one revision of the protocol.

import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";

import { capabilities, converse, endpoint, person, server } from "./conversation.ts";

const pin = process.env.PIN;
const versionNegotiation = { mode: pin === undefined ? ("legacy" as const) : { pin } };
const client = new Client({ name: "typescript-v2", version: "1.0.0" }, { capabilities, versionNegotiation });
if ("elicitation" in capabilities) client.setRequestHandler("elicitation/create", person);
const remote = endpoint();
await client.connect(
  remote ? new StreamableHTTPClientTransport(remote.url, remote.options) : new StdioClientTransport(server()),
);
await converse(client, client.getNegotiatedProtocolVersion(), client.getInstructions());
