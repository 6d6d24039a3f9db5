// The TypeScript SDK, version 1: the protocol with a handshake.

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { ElicitRequestSchema } from "@modelcontextprotocol/sdk/types.js";

import { capabilities, converse, endpoint, person, server } from "./conversation.ts";

const client = new Client({ name: "typescript-v1", version: "1.0.0" }, { capabilities });
if ("elicitation" in capabilities) client.setRequestHandler(ElicitRequestSchema, person);
const remote = endpoint();
const transport = remote
  ? new StreamableHTTPClientTransport(remote.url, remote.options)
  : new StdioClientTransport(server());
let version: string | undefined;
// The SDK tells the version that was agreed on to its transport, and to nobody else.
const told = (transport as { setProtocolVersion?: (agreed: string) => void }).setProtocolVersion;
Object.assign(transport, {
  setProtocolVersion: (agreed: string) => {
    version = agreed;
    told?.call(transport, agreed);
  },
});
await client.connect(transport);
await converse(client, version, client.getInstructions());
