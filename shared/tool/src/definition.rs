//! A tool with its types erased, so that tools of one server fit in one list and servers in one gate.

use std::{future::Future, marker::PhantomData, pin::Pin, sync::Arc};

use policy::{Effect, Target};
use serde_json::{Map, Value};

use crate::{Answer, Body, Context, Plot, Profile, Tool, ToolError, Undo, schema};

/// Everything known about a tool before it is called.
#[derive(Clone, Debug)]
pub struct Definition {
    /// What the model calls it.
    pub name: &'static str,
    /// What the model reads.
    pub description: String,
    /// The worst that a call can do.
    pub effect: Effect,
    /// How it can be undone.
    pub undo: Option<Undo>,
    /// The smallest profile that offers it.
    pub profile: Profile,
    /// See [`Tool::SEARCH`].
    pub search: &'static str,
    /// JSON Schema of the arguments. Shared with whoever tells clients of it.
    pub input: Arc<Map<String, Value>>,
    /// JSON Schema of the answer.
    pub output: Arc<Map<String, Value>>,
    /// What each fact of an answer means. For people: clients are not sent it, who would pay for it on every request.
    pub facts: Vec<(String, String)>,
    /// Arguments worth showing.
    pub examples: Vec<Value>,
    /// See [`Tool::UNTRUSTED_FACTS`].
    pub untrusted_facts: &'static [&'static str],
}

/// A tool in its server's list, not yet bound to the systems behind it.
pub struct Listing<B> {
    /// What is known about it.
    pub definition: Definition,
    bind: fn(Arc<B>) -> Box<dyn Parse>,
}

/// A tool that can be called.
pub struct Bound {
    /// What is known about it.
    pub definition: Definition,
    parse: Box<dyn Parse>,
}

/// One call whose arguments are parsed.
pub trait Call: Send + Sync {
    /// The arguments after defaults, without nulls.
    fn input(&self) -> Map<String, Value>;
    /// See [`Tool::targets`].
    fn targets(&self) -> Result<Vec<Target>, ToolError>;
    /// See [`Tool::resolve`].
    fn resolve(&self) -> Later<'_, Option<Vec<Target>>>;
    /// See [`Tool::before`].
    fn before(&self) -> Later<'_, Option<String>>;
    /// See [`Tool::dry_run`].
    fn dry_run(&self) -> bool;
    /// See [`Tool::max_tokens`].
    fn max_tokens(&self) -> u64;
    /// See [`Tool::run`]. Called in one place, the gate's `perform`.
    fn run<'a>(&'a self, context: &'a Context) -> Later<'a, RawAnswer>;
}

/// An answer with its types erased.
pub struct RawAnswer {
    /// See [`Answer::facts`].
    pub facts: Map<String, Value>,
    /// See [`Answer::body`].
    pub body: Body,
    /// See [`Answer::not_looked_at`].
    pub not_looked_at: Vec<String>,
    /// See [`Answer::plot`].
    pub plot: Option<Plot>,
}

/// Work whose result comes later.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = Result<T, ToolError>> + Send + 'a>>;

/// Which argument is at fault, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{argument}: {problem}")]
pub struct ArgumentError {
    /// Path of the argument, e.g. `window`; the tool's name when the arguments as a whole are.
    pub argument: String,
    /// What is wrong and what would be right.
    pub problem: String,
}

/// Lists a tool. The order of a server's list is the order clients see.
pub fn define<T: Tool>() -> Listing<T::Backends> {
    let (description, input) = schema::input::<T>();
    let definition = Definition {
        name: T::NAME,
        description,
        effect: T::EFFECT,
        undo: T::UNDO,
        profile: T::PROFILE,
        search: T::SEARCH,
        input: Arc::new(input),
        output: Arc::new(schema::output::<T::Facts>()),
        facts: schema::meanings::<T::Facts>(),
        examples: T::examples(),
        untrusted_facts: T::UNTRUSTED_FACTS,
    };
    Listing { definition, bind: |backends| Box::new(Parser::<T> { backends, tool: PhantomData }) }
}

impl<B> Listing<B> {
    /// Puts the systems behind it.
    pub fn bind(self, backends: Arc<B>) -> Bound {
        Bound { definition: self.definition, parse: (self.bind)(backends) }
    }
}

impl Bound {
    /// Parses arguments: typed, defaults applied, nothing unknown.
    pub fn parse(&self, arguments: Map<String, Value>) -> Result<Box<dyn Call>, ArgumentError> {
        schema::refuse_unknown(&self.definition.input, &arguments)?;
        self.parse.parse(arguments)
    }
}

trait Parse: Send + Sync {
    fn parse(&self, arguments: Map<String, Value>) -> Result<Box<dyn Call>, ArgumentError>;
}

struct Parser<T: Tool> {
    backends: Arc<T::Backends>,
    tool: PhantomData<fn() -> T>,
}

struct Parsed<T: Tool> {
    arguments: T,
    backends: Arc<T::Backends>,
}

impl<T: Tool> Parse for Parser<T> {
    fn parse(&self, arguments: Map<String, Value>) -> Result<Box<dyn Call>, ArgumentError> {
        match serde_path_to_error::deserialize::<_, T>(Value::Object(arguments)) {
            Ok(arguments) => Ok(Box::new(Parsed { arguments, backends: self.backends.clone() })),
            Err(error) => {
                let path = error.path().to_string();
                let argument = if path == "." { T::NAME.to_owned() } else { path };
                Err(ArgumentError { argument, problem: error.into_inner().to_string() })
            }
        }
    }
}

impl<T: Tool> Call for Parsed<T> {
    fn input(&self) -> Map<String, Value> {
        let value = serde_json::to_value(&self.arguments).expect("arguments are plain data");
        let Value::Object(mut input) = value else { return Map::new() };
        input.retain(|_, value| !value.is_null());
        input
    }

    fn targets(&self) -> Result<Vec<Target>, ToolError> {
        self.arguments.targets(&self.backends)
    }

    fn resolve(&self) -> Later<'_, Option<Vec<Target>>> {
        Box::pin(self.arguments.resolve(&self.backends))
    }

    fn before(&self) -> Later<'_, Option<String>> {
        Box::pin(self.arguments.before(&self.backends))
    }

    fn dry_run(&self) -> bool {
        self.arguments.dry_run()
    }

    fn max_tokens(&self) -> u64 {
        self.arguments.max_tokens()
    }

    fn run<'a>(&'a self, context: &'a Context) -> Later<'a, RawAnswer> {
        Box::pin(async move {
            let answer: Answer<T::Facts> = Tool::run(&self.arguments, &self.backends, context).await?;
            let facts = match serde_json::to_value(answer.facts).expect("facts are plain data") {
                Value::Object(facts) => facts,
                _ => Map::new(),
            };
            let Answer { body, not_looked_at, plot, .. } = answer;
            Ok(RawAnswer { facts, body, not_looked_at, plot })
        })
    }
}
