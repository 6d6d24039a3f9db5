//! What is drawn of the estate before a seed decides the rest?

/// A service before its numbers are drawn.
pub(super) struct Blueprint {
    pub(super) name: &'static str,
    pub(super) team: &'static str,
    pub(super) tier: u8,
    pub(super) purpose: &'static str,
    pub(super) pods: usize,
    /// Milliseconds of its own for a request, without waiting for anybody.
    pub(super) own_ms: f64,
    /// Part of them that holds a database connection; 0 without a database.
    pub(super) database_share: f64,
    /// Memory after its start, in MiB.
    pub(super) memory_mib: f64,
    /// Whether work waits in a queue rather than in a connection.
    pub(super) queue: bool,
    /// Whom it calls.
    pub(super) calls: &'static [Wire],
}

/// A call before its numbers are drawn.
pub(super) struct Wire {
    pub(super) upstream: &'static str,
    pub(super) per_request: f64,
    pub(super) timeout_ms: u32,
    pub(super) retries: u32,
    pub(super) needed: bool,
}

/// Systems outside of the estate, with the milliseconds of a call.
pub(super) const PROVIDERS: [(&str, f64); 3] =
    [("card-network", 140.0), ("carrier-api", 180.0), ("mail-relay", 90.0)];

/// A web shop. Callers stand before whom they call.
pub(super) const BLUEPRINTS: [Blueprint; 12] = [
    Blueprint {
        name: "gateway",
        team: "edge",
        tier: 1,
        purpose: "takes every request of a customer and passes it on",
        pods: 3,
        own_ms: 4.0,
        database_share: 0.0,
        memory_mib: 140.0,
        queue: false,
        calls: &[
            wire("accounts", 0.35, 1_000, 1, true),
            wire("catalog", 0.45, 1_500, 1, true),
            wire("search", 0.25, 1_500, 0, true),
            wire("cart", 0.30, 1_500, 1, true),
            wire("checkout", 0.18, 4_000, 0, true),
        ],
    },
    Blueprint {
        name: "checkout",
        team: "payments",
        tier: 1,
        purpose: "turns a cart into a paid order",
        pods: 3,
        own_ms: 26.0,
        database_share: 0.5,
        memory_mib: 260.0,
        queue: false,
        calls: &[
            wire("cart", 0.80, 1_000, 1, true),
            wire("payments", 0.70, 2_500, 0, true),
            wire("shipping", 0.50, 1_500, 1, true),
            wire("notifications", 0.60, 500, 0, false),
        ],
    },
    Blueprint {
        name: "payments",
        team: "payments",
        tier: 1,
        purpose: "charges and refunds cards",
        pods: 3,
        own_ms: 18.0,
        database_share: 0.6,
        memory_mib: 300.0,
        queue: false,
        calls: &[wire("fraud", 0.90, 800, 1, false), wire("card-network", 0.85, 2_000, 0, true)],
    },
    Blueprint {
        name: "search",
        team: "shop",
        tier: 2,
        purpose: "finds products by words",
        pods: 3,
        own_ms: 32.0,
        database_share: 0.0,
        memory_mib: 620.0,
        queue: false,
        calls: &[wire("pricing", 0.40, 600, 1, false)],
    },
    Blueprint {
        name: "catalog",
        team: "shop",
        tier: 2,
        purpose: "knows what is for sale",
        pods: 3,
        own_ms: 14.0,
        database_share: 0.5,
        memory_mib: 340.0,
        queue: false,
        calls: &[wire("pricing", 0.60, 600, 1, true), wire("inventory", 0.35, 800, 1, false)],
    },
    Blueprint {
        name: "cart",
        team: "shop",
        tier: 1,
        purpose: "keeps what a customer means to buy",
        pods: 3,
        own_ms: 11.0,
        database_share: 0.6,
        memory_mib: 210.0,
        queue: false,
        calls: &[wire("pricing", 0.70, 600, 1, true), wire("inventory", 0.50, 800, 1, true)],
    },
    Blueprint {
        name: "accounts",
        team: "edge",
        tier: 1,
        purpose: "signs customers in and knows their addresses",
        pods: 2,
        own_ms: 16.0,
        database_share: 0.6,
        memory_mib: 240.0,
        queue: false,
        calls: &[],
    },
    Blueprint {
        name: "fraud",
        team: "payments",
        tier: 2,
        purpose: "says how likely a payment is not what it seems",
        pods: 2,
        own_ms: 38.0,
        database_share: 0.0,
        memory_mib: 720.0,
        queue: false,
        calls: &[],
    },
    Blueprint {
        name: "pricing",
        team: "shop",
        tier: 2,
        purpose: "says what a product costs this customer today",
        pods: 2,
        own_ms: 8.0,
        database_share: 0.0,
        memory_mib: 180.0,
        queue: false,
        calls: &[],
    },
    Blueprint {
        name: "inventory",
        team: "logistics",
        tier: 2,
        purpose: "counts what lies in which warehouse",
        pods: 2,
        own_ms: 13.0,
        database_share: 0.7,
        memory_mib: 230.0,
        queue: false,
        calls: &[],
    },
    Blueprint {
        name: "shipping",
        team: "logistics",
        tier: 2,
        purpose: "chooses a carrier and prints its label",
        pods: 2,
        own_ms: 20.0,
        database_share: 0.5,
        memory_mib: 220.0,
        queue: false,
        calls: &[wire("carrier-api", 0.60, 1_200, 1, true)],
    },
    Blueprint {
        name: "notifications",
        team: "logistics",
        tier: 3,
        purpose: "sends mail about orders",
        pods: 2,
        own_ms: 9.0,
        database_share: 0.0,
        memory_mib: 160.0,
        queue: true,
        calls: &[wire("mail-relay", 0.95, 1_500, 2, false)],
    },
];

const fn wire(upstream: &'static str, per_request: f64, timeout_ms: u32, retries: u32, needed: bool) -> Wire {
    Wire { upstream, per_request, timeout_ms, retries, needed }
}
