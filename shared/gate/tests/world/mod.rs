//! Tools that do as they are told, behind a real gate.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use approval::{Event, Subscriber};
use audit::Log;
use gate::{Approvals, Gate, InForce, Reply, Request, Terms};
use policy::{
    Assurance, Caller, Channel, Effect, ListEntry, Lists, Policy, Scope, Setup, Source, Target, ToolShape,
    Vocabulary,
};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tool::{Answer, Column, Context, Next, Row, Table, Tool, ToolError, Undo, args::Text, define};

/// What the tools leave behind.
#[derive(Default)]
pub(crate) struct Things {
    reads: AtomicU64,
    restarts: AtomicU64,
    dropped: AtomicBool,
    started: Notify,
    go_on: Notify,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Mood {
    Fine,
    Panic,
    PanicInParse,
    PanicInTargets,
    PanicInResolve,
    PanicInAnswer,
    StuckInResolve,
    Stuck,
    Fails,
}

/// Show a thing.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ShowThing {
    /// How it behaves.
    #[serde(deserialize_with = "parsed")]
    mood: Mood,
}

/// Restart a thing.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RestartThing {
    /// How it behaves.
    #[serde(deserialize_with = "parsed")]
    mood: Mood,
    /// Where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    environment: Option<Text<1, 20>>,
    /// Only say what would happen.
    #[serde(default)]
    dry_run: bool,
}

/// What happened.
#[derive(Serialize, JsonSchema)]
struct Happened {
    /// Whether anything was changed.
    acted: bool,
}

fn target(environment: &str) -> Target {
    Target {
        kind: "thing".into(),
        id: "thing".to_owned(),
        connection: "things".to_owned(),
        environment: environment.to_owned(),
        region: "unknown".to_owned(),
        team: "unknown".to_owned(),
        tier: "unknown".to_owned(),
    }
}

/// Says whether its work was stopped.
struct Dropped<'a>(&'a Things);

impl Drop for Dropped<'_> {
    fn drop(&mut self) {
        self.0.dropped.store(true, Ordering::SeqCst);
    }
}

fn parsed<'de, D: Deserializer<'de>>(input: D) -> Result<Mood, D::Error> {
    let mood = Mood::deserialize(input)?;
    assert!(mood != Mood::PanicInParse, "told to");
    Ok(mood)
}

impl Mood {
    fn target(self, environment: &str) -> Vec<Target> {
        assert!(self != Mood::PanicInTargets, "told to");
        vec![target(environment)]
    }

    /// An answer that cannot be shaped, if that is its mood.
    fn answer(self, acted: bool) -> Answer<Happened> {
        let facts = Happened { acted };
        if self != Mood::PanicInAnswer {
            return Answer::facts(facts);
        }
        let rows = vec![Row { cells: vec![json!(1)], target: None }];
        let next: Option<Next> = Some(Box::new(|_| panic!("told to")));
        Answer::table(facts, Table { columns: vec![Column::new("n")], rows, seen: 9, noun: "rows", next })
    }

    async fn resolve(self, things: &Things) -> Result<Option<Vec<Target>>, ToolError> {
        assert!(self != Mood::PanicInResolve, "told to");
        if self == Mood::StuckInResolve {
            things.started.notify_one();
            things.go_on.notified().await;
        }
        Ok(None)
    }

    async fn act(self, things: &Things) -> Result<(), ToolError> {
        things.started.notify_one();
        match self {
            Mood::Panic => panic!("told to"),
            Mood::Fails => {
                Err(ToolError::Unavailable { backend: "things".to_owned(), problem: "told to".to_owned() })
            }
            Mood::Stuck => {
                let _dropped = Dropped(things);
                things.go_on.notified().await;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Tool for ShowThing {
    const NAME: &'static str = "show_thing";
    const EFFECT: Effect = Effect::Read;
    type Backends = Things;
    type Facts = Happened;

    fn targets(&self, _: &Things) -> Result<Vec<Target>, ToolError> {
        Ok(self.mood.target("open"))
    }

    async fn resolve(&self, things: &Things) -> Result<Option<Vec<Target>>, ToolError> {
        self.mood.resolve(things).await
    }

    fn examples() -> Vec<Value> {
        Vec::new()
    }

    async fn run(&self, things: &Things, context: &Context) -> Result<Answer<Happened>, ToolError> {
        assert!(context.leave().is_none(), "a read has no leave");
        things.reads.fetch_add(1, Ordering::SeqCst);
        self.mood.act(things).await?;
        Ok(self.mood.answer(false))
    }
}

impl Tool for RestartThing {
    const NAME: &'static str = "restart_thing";
    const EFFECT: Effect = Effect::Mitigate;
    const UNDO: Option<Undo> = Some(Undo::None);
    type Backends = Things;
    type Facts = Happened;

    fn targets(&self, _: &Things) -> Result<Vec<Target>, ToolError> {
        Ok(self.mood.target(self.environment.as_deref().unwrap_or("open")))
    }

    async fn resolve(&self, things: &Things) -> Result<Option<Vec<Target>>, ToolError> {
        self.mood.resolve(things).await
    }

    fn dry_run(&self) -> bool {
        self.dry_run
    }

    fn examples() -> Vec<Value> {
        Vec::new()
    }

    async fn run(&self, things: &Things, context: &Context) -> Result<Answer<Happened>, ToolError> {
        let acted = context.leave().is_some();
        assert_eq!(acted, !self.dry_run, "leave to act is what a dry run lacks");
        self.mood.act(things).await?;
        things.restarts.fetch_add(u64::from(acted), Ordering::SeqCst);
        Ok(self.mood.answer(acted))
    }
}

/// A gate, its tools and its log.
pub(crate) struct World {
    pub(crate) gate: Arc<Gate>,
    /// Index of the first record of a call.
    pub(crate) first: u64,
    pub(crate) in_force: InForce,
    shapes: Vec<ToolShape>,
    things: Arc<Things>,
    state: tempfile::TempDir,
}

/// One way to be refused each: the tool, its arguments, the code.
pub(crate) fn expected() -> Vec<(&'static str, Value, &'static str)> {
    let restart = |environment: &str| json!({ "mood": "fine", "environment": environment });
    vec![
        ("no_such_tool", json!({}), "unknown_tool"),
        ("show_thing", json!({ "mud": "fine" }), "invalid_arguments"),
        ("show_thing", json!({ "mood": "grumpy" }), "invalid_arguments"),
        ("show_thing", json!({ "mood": 0.5 }), "invalid_arguments"),
        ("restart_thing", restart("frozen"), "denied"),
        ("restart_thing", restart("asking"), "approval_required"),
        ("restart_thing", restart("production"), "approval_required"),
    ]
}

pub(crate) fn code(reply: &Reply) -> &'static str {
    reply.refusal.as_ref().map_or("ok", gate::Refusal::code)
}

impl World {
    pub(crate) fn open() -> World {
        World::with_deadline(Gate::DEADLINE)
    }

    pub(crate) fn with_deadline(deadline: Duration) -> World {
        let state = tempfile::tempdir().expect("a folder");
        let (log, opened) = Log::open(state.path(), "things", audit::Options::default()).expect("a log");
        let things = Arc::new(Things::default());
        let tools = vec![
            ("things".to_owned(), define::<ShowThing>().bind(things.clone())),
            ("things".to_owned(), define::<RestartThing>().bind(things.clone())),
        ];
        let shapes: Vec<ToolShape> = tools
            .iter()
            .map(|(server, it)| ToolShape {
                name: it.definition.name.to_owned(),
                server: server.clone(),
                effect: it.definition.effect,
                input: serde_json::Map::clone(&it.definition.input),
            })
            .collect();
        let in_force = InForce::from(Arc::new(rules(&shapes, &["show_thing", "restart_thing"])));
        let place = approval::Place::File(state.path().join("a.sqlite"));
        let approvals = Approvals::new(place, Terms::default()).telling(vec![Subscriber {
            name: "all".to_owned(),
            events: Event::ALL.into(),
            teams: [].into(),
            environments: [].into(),
        }]);
        let gate = Gate::new(tools, in_force.clone(), log).with_deadline(deadline);
        let gate = gate.with_approvals(Arc::new(approvals));
        World { gate: Arc::new(gate), first: opened.size, in_force, shapes, things, state }
    }

    pub(crate) async fn call(&self, tool: &str, arguments: Value) -> Reply {
        self.gate.call(self.request(tool, arguments, CancellationToken::new())).await
    }

    pub(crate) fn request(&self, tool: &str, arguments: Value, cancelled: CancellationToken) -> Request {
        let Value::Object(arguments) = arguments else { panic!("an object") };
        let caller = Caller {
            agent: "tester".to_owned(),
            on_behalf_of: None,
            teams: Vec::new(),
            assurance: Assurance::Declared,
        };
        Request { caller, channel: Channel::Cli, client: None, tool: tool.to_owned(), arguments, cancelled }
    }

    /// Waits until a tool is at work.
    pub(crate) async fn started(&self) {
        tokio::time::timeout(Duration::from_secs(10), self.things.started.notified()).await.expect("starts");
    }

    /// Lets a tool that is stuck go on.
    pub(crate) fn let_go(&self) {
        self.things.go_on.notify_one();
    }

    pub(crate) fn reads(&self) -> u64 {
        self.things.reads.load(Ordering::SeqCst)
    }

    pub(crate) fn restarts(&self) -> u64 {
        self.things.restarts.load(Ordering::SeqCst)
    }

    pub(crate) fn was_dropped(&self) -> bool {
        self.things.dropped.load(Ordering::SeqCst)
    }

    /// Puts another policy in force, which allows these tools and no other.
    pub(crate) fn allow(&self, tools: &[&str]) {
        self.in_force.replace(Arc::new(rules(&self.shapes, tools)));
    }

    /// The digest of the policy in force, and that in a record.
    pub(crate) fn digests(&self, index: u64) -> (Value, Value) {
        let digest = hex::encode(self.in_force.policy().digest());
        (digest.into(), self.record(index).leaf["policy"].clone())
    }

    fn record(&self, index: u64) -> audit::Record {
        audit::show(self.state.path(), &format!("things/0:{index}")).expect("a record")
    }

    /// What a record keeps beside the tree.
    pub(crate) fn payload(&self, index: u64) -> Value {
        match self.record(index).payload {
            audit::Payload::Opened(payload) => payload,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn assert_verifies_without_open_intents(&self) {
        let report = audit::verify(self.state.path(), &[]).expect("readable");
        assert_eq!(report.verdict, audit::Verdict::Intact, "{report}");
        assert!(!report.to_string().contains("open intent"), "{report}");
    }
}

/// Any person approves, and breaks the glass.
const PEOPLE: &str = "
    @id(\"people\") permit (principal is User, action in [Action::\"approve\", Action::\"break_glass\"], resource);";

fn rules(shapes: &[ToolShape], allowed: &[&str]) -> Policy {
    let family = policy::emit_schema(shapes).expect("a schema");
    let list = |entries: &[&str]| entries.iter().map(|it| ListEntry::new(*it)).collect();
    let lists = Lists {
        allow: list(allowed),
        ask: list(&["restart_thing environment:asking"]),
        approve: list(&["restart_thing environment:production"]),
        deny: list(&["restart_thing environment:frozen"]),
        ..Lists::default()
    };
    // `environment:X` in ask, approve and deny also matches unknown, so the things are somewhere known.
    let environments = ["asking", "production", "frozen", "open"].map(str::to_owned).into();
    let vocabulary = Vocabulary { environments, ..Vocabulary::default() };
    let setup = Setup {
        family: &family,
        sources: &[Source { name: "people.cedar".to_owned(), text: PEOPLE.to_owned(), scope: Scope::Full }],
        lists: &lists,
        vocabulary: &vocabulary,
        zone: jiff::tz::TimeZone::UTC,
    };
    Policy::load(setup).expect("valid rules")
}
