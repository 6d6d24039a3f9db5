// The TypeScript SDK, version 1: the protocol with a handshake.

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";

import { converse, server } from "./conversation.ts";

const client = new Client({ name: "typescript-v1", version: "1.0.0" });
const transport = new StdioClientTransport(server());
let version: string | undefined;
// The SDK tells the version that was agreed on to its transport, and to nobody else.
Object.assign(transport, { setProtocolVersion: (agreed: string) => (version = agreed) });
await client.connect(transport);
await converse(client, version, client.getInstructions());
