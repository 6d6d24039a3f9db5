// What every client asks of `bailiwick serve code observability`, or of one of them over HTTP, and how it tells what it got:
// one JSON object.

interface Call {
  name: string;
  arguments: Record<string, unknown>;
}

interface Talking {
  listTools(): Promise<{ tools: { name: string; _meta?: Record<string, unknown> }[] }>;
  callTool(call: Call): Promise<unknown>;
  close(): Promise<void>;
}

const calls: Record<string, Call> = {
  done: { name: "list_commits", arguments: { window: "2026-01-01T00:00:00Z/2026-03-01T00:00:00Z" } },
  denied: { name: "read_file", arguments: { path: "checkout/pay.rs" } },
  asked: {
    name: "silence_alert",
    arguments: { matchers: ['alertname="Noise"'], duration_minutes: 60, reason: "the test needs quiet" },
  },
  wrong: { name: "list_commits", arguments: { windw: "7d" } },
};

/** What the person at this client says to every form, where there is one: `ANSWER`, as JSON. */
const answer = process.env.ANSWER;
const forms: string[] = [];

/** What a client with such a person declares. */
export const capabilities = answer === undefined ? {} : { elicitation: { form: {} } };

/** Shows the person a form, or whatever was sent as one. */
export function person(request: { params: { message: string } }) {
  forms.push(request.params.message);
  return JSON.parse(answer ?? '{"action":"cancel"}');
}

/** Asks everything, one after the other, and leaves. A protocol error is told as such: it is none of the answers here. */
export async function converse(client: Talking, version: string | undefined, instructions: string | undefined) {
  const { tools } = await client.listTools();
  const said: Record<string, unknown> = { tools, version, instructions, forms };
  const only = process.env.CALLS?.split(",");
  for (const [name, call] of Object.entries(calls).filter(([name]) => only?.includes(name) ?? true)) {
    said[name] = await client.callTool(call).catch((error) => ({ thrown: String(error) }));
  }
  await client.close();
  process.stdout.write(JSON.stringify(said) + "\n");
}

/** Where a server is over HTTP, with the token for it; none where it is to be started. */
export function endpoint() {
  const { URL: url, TOKEN: token } = process.env;
  const headers: Record<string, string> = token === undefined ? {} : { Authorization: `Bearer ${token}` };
  return url === undefined ? undefined : { url: new URL(url), options: { requestInit: { headers } } };
}

/** The binary and its arguments, in this process's environment. */
export function server() {
  const [command, ...args] = process.argv.slice(2);
  const env = Object.fromEntries(Object.entries(process.env).filter((it): it is [string, string] => it[1] !== undefined));
  return { command, args, env };
}
