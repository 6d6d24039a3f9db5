// A certified OpenID provider for tests: argv is its port, and how many seconds a device's code lasts. Clients get tokens for
// themselves, people log in from a device or in a browser, with the claims below.

import Provider from "oidc-provider";

const issuer = `http://127.0.0.1:${process.argv[2]}`;
const scope = "bailiwick:read bailiwick:act bailiwick:approve";

/** What the tokens of each client say beyond what every token says. */
const claims = {
  "alices-agent": { act: { sub: "claude-code" }, person: "alice", groups: ["sre", "everybody"] },
  "bobs-agent": { act: { sub: "claude-code" }, person: "bob", groups: ["everybody"] },
  "alices-phone": { person: "alice", groups: ["sre"] },
  "carols-phone": { person: "carol", groups: ["sre"] },
  "carols-laptop": { person: "Carol", groups: ["sre"] },
  "daves-phone": { person: "dave", groups: ["sre"] },
  "eves-phone": { person: "eve", groups: ["everybody"] },
  "deployer": {},
  "impostor": { person: "аlice@example.com", groups: "sre" },
};

/** People by the name that they log in with, and what their tokens say. */
const people = {
  alice: { person: "alice", groups: ["sre", "everybody"] },
  bob: { person: "bob", groups: ["everybody"] },
  carol: { person: "carol", groups: ["sre"] },
  dave: { person: "dave", groups: ["sre"] },
  nobody: { groups: ["sre"] },
};

const provider = new Provider(issuer, {
  clients: [
    ...Object.keys(claims).map((client_id) => ({
      client_id,
      client_secret: "for-tests-only",
      grant_types: ["client_credentials"],
      redirect_uris: [],
      response_types: [],
      token_endpoint_auth_method: "client_secret_post",
      scope,
    })),
    {
      client_id: "laptop",
      grant_types: ["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"],
      redirect_uris: [],
      response_types: [],
      token_endpoint_auth_method: "none",
      scope: `openid offline_access ${scope}`,
    },
    // Pages on which people decide, wherever on this machine they are served: one without a secret, one with.
    ...["none", "client_secret_basic"].map((token_endpoint_auth_method, index) => ({
      client_id: ["page", "page-with-a-secret"][index],
      client_secret: index ? "for tests: 100% +" : undefined,
      application_type: "native",
      grant_types: ["authorization_code"],
      redirect_uris: ["http://127.0.0.1/decide/callback"],
      response_types: ["code"],
      token_endpoint_auth_method,
      scope: `openid ${scope}`,
    })),
  ],
  scopes: ["openid", "offline_access", ...scope.split(" ")],
  features: {
    devInteractions: { enabled: true },
    clientCredentials: { enabled: true },
    deviceFlow: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_context, resource) => ({
        scope,
        audience: resource,
        accessTokenTTL: 300,
        accessTokenFormat: "jwt",
        jwt: { sign: { alg: "RS256" } },
      }),
    },
  },
  ttl: { DeviceCode: Number(process.argv[3] ?? 600) },
  extraTokenClaims: (_context, token) => (token.accountId ? people[token.accountId] : claims[token.clientId]),
  findAccount: (_context, accountId) => people[accountId] && { accountId, claims: () => ({ sub: accountId }) },
});

// POST /clock?behind=3600 puts its clock back, so that what it gives has ended.
const now = Date.now;
provider.use((context, next) => {
  if (context.path !== "/clock") return next();
  const behind = Number(context.query.behind);
  Date.now = () => now() - behind * 1000;
  context.body = "ok";
});
provider.listen(Number(process.argv[2]), "127.0.0.1", () => console.log("ready"));
