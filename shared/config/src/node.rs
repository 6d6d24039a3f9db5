//! How does TOML become our tables? A deserializer whose errors keep place and path, and never a value.

use std::{fmt, ops::Range};

use serde::{
    Deserializer,
    de::{
        self, DeserializeSeed, EnumAccess, Expected, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
        VariantAccess, Visitor, value::StrDeserializer,
    },
    forward_to_deserialize_any,
};
use toml::{
    Spanned,
    de::{DeString, DeTable, DeValue},
};

use crate::words;

/// A value and where it stands.
pub(crate) type Value<'i> = Spanned<DeValue<'i>>;
type Key<'i> = Spanned<DeString<'i>>;

/// What is wrong, without the value that is wrong.
#[derive(Debug)]
pub(crate) struct Fault {
    /// Keys and positions that lead there.
    pub path: Vec<String>,
    /// Bytes of the text.
    pub span: Option<Range<usize>>,
    /// In words.
    pub problem: String,
}

impl Fault {
    fn new(problem: String) -> Fault {
        Fault { path: Vec::new(), span: None, problem }
    }

    /// The innermost place wins.
    fn at(mut self, span: Range<usize>) -> Fault {
        self.span.get_or_insert(span);
        self
    }

    fn under(mut self, step: impl ToString) -> Fault {
        self.path.insert(0, step.to_string());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem)
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Fault {
        Fault::new(message.to_string())
    }

    // Serde's own words would repeat the value, and a value in the wrong place may be a secret.
    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Fault {
        Fault::new(format!("expected {}, found {}", expectation(expected), sort(found)))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Fault {
        Fault::new(format!("expected {}", expectation(expected)))
    }

    fn unknown_field(name: &str, known: &'static [&'static str]) -> Fault {
        Fault::new(words::unknown("key", name, known))
    }

    fn unknown_variant(name: &str, known: &'static [&'static str]) -> Fault {
        Fault::new(words::unknown("key", name, known))
    }

    fn missing_field(name: &'static str) -> Fault {
        Fault::new(format!("missing key \"{name}\""))
    }
}

fn expectation(expected: &dyn Expected) -> String {
    match expected.to_string().as_str() {
        "a sequence" => "an array".to_owned(),
        "a map" => "a table".to_owned(),
        "u64" => "a whole number".to_owned(),
        "u8" => "a whole number from 0 to 255".to_owned(),
        "path string" => "a path in quotes".to_owned(),
        other => other.to_owned(),
    }
}

fn sort(found: Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "true or false",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "a number",
        Unexpected::Float(_) => "a number with a fraction",
        Unexpected::Str(_) => "a string",
        Unexpected::Seq => "an array",
        Unexpected::Map => "a table",
        _ => "something else",
    }
}

/// One value to be read.
pub(crate) struct Node<'a, 'i>(pub &'a Value<'i>);

impl<'de> Deserializer<'de> for Node<'_, '_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let read = match self.0.get_ref() {
            DeValue::String(text) => visitor.visit_str(text),
            DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => visitor.visit_i64(number),
                Err(_) => Err(Fault::new("this number is too large".to_owned())),
            },
            DeValue::Float(number) => match number.as_str().parse() {
                Ok(number) => visitor.visit_f64(number),
                Err(_) => Err(Fault::new("this number cannot be read".to_owned())),
            },
            DeValue::Boolean(truth) => visitor.visit_bool(*truth),
            DeValue::Datetime(_) => {
                Err(Fault::new("a date is not expected here; write it in quotes".to_owned()))
            }
            DeValue::Array(items) => visitor.visit_seq(Items { items: items.iter(), next: 0 }),
            DeValue::Table(table) => visitor.visit_map(Entries::new(table, None)),
        };
        read.map_err(|fault| fault.at(self.0.span()))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    /// An enum is a table with one key, its variant; one that is named `kind` is a table that holds its variant there.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let span = self.0.span();
        let DeValue::Table(table) = self.0.get_ref() else {
            let found = unexpected(self.0.get_ref());
            return Err(<Fault as de::Error>::invalid_type(found, &visitor).at(span));
        };
        let read = match name {
            "kind" => Kind::of(table, variants).and_then(|kind| visitor.visit_enum(kind)),
            _ => match table.iter().next() {
                Some((key, value)) if table.len() == 1 => visitor.visit_enum(Variant { key, value }),
                _ => {
                    let expected = expectation(&visitor);
                    Err(Fault::new(format!("expected {expected}, found {} keys", table.len())))
                }
            },
        };
        read.map_err(|fault| fault.at(span))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq
        tuple tuple_struct map struct identifier ignored_any
    }
}

fn unexpected<'a>(value: &'a DeValue<'_>) -> Unexpected<'a> {
    match value {
        DeValue::String(text) => Unexpected::Str(text),
        DeValue::Integer(_) => Unexpected::Signed(0),
        DeValue::Float(_) => Unexpected::Float(0.0),
        DeValue::Boolean(truth) => Unexpected::Bool(*truth),
        DeValue::Datetime(_) => Unexpected::Other("date"),
        DeValue::Array(_) => Unexpected::Seq,
        DeValue::Table(_) => Unexpected::Map,
    }
}

struct Items<'a, 'i> {
    items: std::slice::Iter<'a, Value<'i>>,
    next: usize,
}

impl<'de> SeqAccess<'de> for Items<'_, '_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let Some(item) = self.items.next() else { return Ok(None) };
        let index = self.next;
        self.next += 1;
        seed.deserialize(Node(item)).map(Some).map_err(|fault| fault.under(index))
    }
}

/// Entries of a table, but for the key that told its kind.
struct Entries<'a, 'i> {
    entries: Box<dyn Iterator<Item = (&'a Key<'i>, &'a Value<'i>)> + 'a>,
    current: Option<(&'a Key<'i>, &'a Value<'i>)>,
}

impl<'a, 'i> Entries<'a, 'i> {
    fn new(table: &'a DeTable<'i>, except: Option<&'static str>) -> Entries<'a, 'i> {
        let entries = table.iter().filter(move |(key, _)| Some(key.get_ref().as_ref()) != except);
        Entries { entries: Box::new(entries), current: None }
    }
}

impl<'de> MapAccess<'de> for Entries<'_, '_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        self.current = self.entries.next();
        self.current.map(|(key, _)| read_key(seed, key)).transpose()
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Fault> {
        let (key, value) = self.current.take().expect("serde asks for a value after its key");
        seed.deserialize(Node(value)).map_err(|fault| fault.under(key.get_ref()))
    }
}

fn read_key<'de, K: DeserializeSeed<'de>>(seed: K, key: &Key<'_>) -> Result<K::Value, Fault> {
    let text: StrDeserializer<'_, Fault> = key.get_ref().as_ref().into_deserializer();
    seed.deserialize(text).map_err(|fault| fault.at(key.span()).under(key.get_ref()))
}

/// `{ variant = content }`.
struct Variant<'a, 'i> {
    key: &'a Key<'i>,
    value: &'a Value<'i>,
}

impl<'de> EnumAccess<'de> for Variant<'_, '_> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self), Fault> {
        read_key(seed, self.key).map(|variant| (variant, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, '_> {
    type Error = Fault;

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        seed.deserialize(Node(self.value)).map_err(|fault| fault.under(self.key.get_ref()))
    }

    fn unit_variant(self) -> Result<(), Fault> {
        Err(only_newtypes())
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Fault> {
        Err(only_newtypes())
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Fault> {
        Err(only_newtypes())
    }
}

/// `{ kind = "variant", … }`.
struct Kind<'a, 'i> {
    table: &'a DeTable<'i>,
    variant: &'static str,
}

impl<'a, 'i> Kind<'a, 'i> {
    fn of(table: &'a DeTable<'i>, variants: &'static [&'static str]) -> Result<Kind<'a, 'i>, Fault> {
        let Some(kind) = table.get("kind") else {
            let known = words::list(variants);
            return Err(Fault::new(format!("missing key \"kind\"; it is one of {known}")));
        };
        let fault = |problem: String| Fault::new(problem).at(kind.span()).under("kind");
        let DeValue::String(text) = kind.get_ref() else {
            return Err(fault(format!("expected one of {}", words::list(variants))));
        };
        match variants.iter().find(|it| **it == text.as_ref()) {
            Some(variant) => Ok(Kind { table, variant }),
            None => Err(fault(words::unknown("kind", text, variants))),
        }
    }
}

impl<'de> EnumAccess<'de> for Kind<'_, '_> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self), Fault> {
        let text: StrDeserializer<'_, Fault> = self.variant.into_deserializer();
        seed.deserialize(text).map(|variant| (variant, self))
    }
}

impl<'de> VariantAccess<'de> for Kind<'_, '_> {
    type Error = Fault;

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        seed.deserialize(de::value::MapAccessDeserializer::new(Entries::new(self.table, Some("kind"))))
    }

    fn unit_variant(self) -> Result<(), Fault> {
        Err(only_newtypes())
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Fault> {
        Err(only_newtypes())
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Fault> {
        Err(only_newtypes())
    }
}

fn only_newtypes() -> Fault {
    Fault::new("this variant holds one value".to_owned())
}
