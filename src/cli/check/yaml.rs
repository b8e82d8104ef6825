//! YAML with places: each value and each key knows its line and column.
//!
//! May import: nothing of ours. Invariant: what a plain scalar means is decided
//! as Kubernetes decides it (YAML 1.1: `yes` is a boolean), since that is who
//! refuses it; depth, aliases and size are bounded.

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::{Location, Spanned};

/// Where something is in a file; both count from 1, the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) line: u64,
    pub(super) column: u64,
}

/// A value and where it begins.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) at: Place,
    pub(super) value: Value,
}

/// A value, as far as a check tells them apart.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number,
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key and where it begins.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) at: Place,
    pub(super) name: String,
}

/// Why a document is no YAML.
#[derive(Clone, Debug)]
pub(super) struct Broken {
    pub(super) at: Place,
    pub(super) what: String,
}

/// Nobody nests manifests deeper; each level takes room on the stack.
const DEEPEST: usize = 128;

/// The documents of a file, and at last why it could not be read further.
pub(super) fn documents(text: &str) -> (Vec<Node>, Option<Broken>) {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: DEEPEST },
        with_snippet: false,
        strict_booleans: false,
    };
    let mut bytes = text.as_bytes();
    let mut documents = Vec::new();
    for document in serde_saphyr::read_with_options::<_, Node>(&mut bytes, options) {
        match document {
            Ok(document) => documents.push(document),
            Err(error) => return (documents, Some(Broken::new(&error))),
        }
    }
    (documents, None)
}

// === impl Place ===

impl Place {
    /// Where a file begins.
    pub(super) const START: Self = Self { line: 1, column: 1 };

    /// The plain scalar that begins here, as it is written.
    pub(super) fn scalar(self, text: &str) -> &str {
        let rest = self.rest_of_line(text);
        let ends = [" #", ", ", "}", "]"].map(|end| rest.find(end).unwrap_or(rest.len()));
        let end = ends.into_iter().min().unwrap_or(rest.len());
        rest[..end].trim_end().trim_end_matches(',')
    }

    /// The line from here on.
    pub(super) fn rest_of_line(self, text: &str) -> &str {
        let line = usize::try_from(self.line.saturating_sub(1)).unwrap_or(usize::MAX);
        let column = usize::try_from(self.column.saturating_sub(1)).unwrap_or(usize::MAX);
        let line = text.lines().nth(line).unwrap_or_default();
        let start = line.char_indices().nth(column);
        start.map_or("", |(start, _)| &line[start..])
    }
}

impl From<Location> for Place {
    fn from(location: Location) -> Self {
        Self {
            line: location.line().max(1),
            column: location.column().max(1),
        }
    }
}

// === impl Broken ===

impl Broken {
    fn new(error: &serde_saphyr::Error) -> Self {
        let error = error.without_snippet();
        let at = error.location().map_or(Place::START, Place::from);
        let text = error.to_string();
        let first = text.lines().next().unwrap_or_default();
        // The place is told beside it.
        let (what, _) = first.split_once(" at line ").unwrap_or((first, ""));
        let what = what.to_owned();
        Self { at, what }
    }
}

// === impl Node ===

impl Node {
    /// The value of a key; `None` where this is no map or has no such key.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        self.entry(name).map(|(_, value)| value)
    }

    /// The same with the key.
    pub(super) fn entry(&self, name: &str) -> Option<(&Key, &Self)> {
        let entry = self.map()?.iter().find(|(key, _)| key.name == name)?;
        Some((&entry.0, &entry.1))
    }

    /// The value at the end of these keys.
    pub(super) fn path(&self, names: &[&str]) -> Option<&Self> {
        names.iter().try_fold(self, |node, name| node.get(name))
    }

    pub(super) fn map(&self) -> Option<&[(Key, Self)]> {
        match &self.value {
            Value::Map(entries) => Some(entries),
            _ => None,
        }
    }

    pub(super) fn list(&self) -> Option<&[Self]> {
        match &self.value {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self {
            at: spanned.referenced.into(),
            value: spanned.value,
        })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("any YAML")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Value, E> {
        Ok(Value::Number)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Value, E> {
        Ok(Value::Number)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Value, E> {
        Ok(Value::Number)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Value, E> {
        Ok(Value::Number)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Number)
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = entries.next_key::<Spanned<String>>()? {
            let key = Key {
                at: key.referenced.into(),
                name: key.value,
            };
            map.push((key, entries.next_value()?));
        }
        Ok(Value::Map(map))
    }
}
