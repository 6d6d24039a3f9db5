// A certified OpenID provider for tests: argv is its port. Clients get tokens for themselves, with the claims below.

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

const provider = new Provider(issuer, {
  clients: Object.keys(claims).map((client_id) => ({
    client_id,
    client_secret: "for-tests-only",
    grant_types: ["client_credentials"],
    redirect_uris: [],
    response_types: [],
    token_endpoint_auth_method: "client_secret_post",
    scope,
  })),
  scopes: scope.split(" "),
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
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
  extraTokenClaims: (_context, token) => claims[token.clientId],
});
provider.listen(Number(process.argv[2]), "127.0.0.1", () => console.log("ready"));
