//! A YAML file as a tree with line numbers, and how it is walked: the tenancy file,
//! the file of placeholders.
//!
//! May import: the configuration's problems, domain. Invariants: every problem is noted
//! and the walk goes on; a key that nobody knows is a problem; what stands where
//! a secret may have been written by mistake is never repeated.

use std::{collections::BTreeSet, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::{Options, Spanned};

use super::ConfigError;
use crate::domain::trigger::keys::nearest_of;

/// What stands at one place.
pub(super) enum Value {
    /// Nothing, or `null`.
    Nothing,
    Text(String),
    Number(u64),
    /// Anything else that is no list and no map, by what it is.
    Odd(&'static str),
    List(Vec<Spanned<Value>>),
    Map(Vec<(Spanned<String>, Spanned<Value>)>),
}

/// A place in the file.
pub(super) struct Place<'t> {
    /// Such as `credentials[0].pools`; empty for the whole.
    key: String,
    line: u64,
    value: &'t Value,
}

/// A map, all of whose keys are known.
pub(super) struct Fields<'t> {
    /// Where the map stands.
    pub(super) place: Place<'t>,
    entries: &'t [(Spanned<String>, Spanned<Value>)],
}

/// The problems of one file.
pub(super) struct Notes<'p> {
    file: &'p str,
    problems: &'p mut ConfigError,
}

/// Reads a file into a tree.
pub(super) fn parse(text: &str, notes: &mut Notes<'_>) -> Option<Spanned<Value>> {
    // A piece of the file might hold what should never have stood there.
    let mut options = Options::default();
    options.with_snippet = false;
    match serde_saphyr::from_str_with_options::<Spanned<Value>>(text, options) {
        Ok(tree) => Some(tree),
        Err(error) => {
            let line = error.location().map_or(1, |location| location.line());
            let error = error.to_string();
            let words = error.lines().next().unwrap_or_default();
            notes.at(line, "", format!("is no YAML that can be read ({words})"));
            None
        }
    }
}

// === impl Notes ===

impl<'p> Notes<'p> {
    pub(super) fn new(file: &'p str, problems: &'p mut ConfigError) -> Self {
        Self { file, problems }
    }

    /// Notes a problem of the whole file.
    pub(super) fn whole(&mut self, what: impl fmt::Display) {
        self.problems.add(self.file, what);
    }

    /// How many problems there are, of other files too.
    pub(super) fn count(&self) -> usize {
        self.problems.problems.len()
    }

    fn at(&mut self, line: u64, key: &str, what: impl fmt::Display) {
        let file = self.file;
        let name = format!("{file}:{line}");
        if key.is_empty() {
            self.problems.add(&name, what);
        } else {
            self.problems.add(&name, format_args!("{key}: {what}"));
        }
    }
}

// === impl Place ===

impl<'t> Place<'t> {
    /// The whole file.
    pub(super) fn whole(tree: &'t Spanned<Value>) -> Self {
        Self {
            key: String::new(),
            line: tree.referenced.line().max(1),
            value: &tree.value,
        }
    }

    pub(super) fn value(&self) -> &'t Value {
        self.value
    }

    /// Notes what is wrong here.
    pub(super) fn note(&self, what: impl fmt::Display, notes: &mut Notes<'_>) {
        notes.at(self.line, &self.key, what);
    }

    /// The value, or the problem noted.
    pub(super) fn take<T, E: fmt::Display>(
        &self,
        value: Result<T, E>,
        notes: &mut Notes<'_>,
    ) -> Option<T> {
        value.map_err(|error| self.note(error, notes)).ok()
    }

    /// A text that is not empty.
    pub(super) fn text(&self, notes: &mut Notes<'_>) -> Option<&'t str> {
        let what = match self.value {
            Value::Text(text) if !text.trim().is_empty() => return Some(text.trim()),
            Value::Text(_) | Value::Nothing => "is empty; write its value, or leave the key out",
            Value::Number(_) => "is a number and no text; put it in quotes",
            Value::Odd(kind) => {
                let what = format!("is {kind} and no text; put it in quotes");
                self.note(what, notes);
                return None;
            }
            Value::List(_) | Value::Map(_) => "is a list or a map; write one text",
        };
        self.note(what, notes);
        None
    }

    /// A list that is not empty: an empty one is a slip more often than meant.
    pub(super) fn list(&self, notes: &mut Notes<'_>) -> Option<Vec<Place<'t>>> {
        let what = match self.value {
            Value::List(list) if !list.is_empty() => {
                let place = |(index, item): (usize, &'t Spanned<Value>)| Self {
                    key: format!("{}[{index}]", self.key),
                    line: item.referenced.line(),
                    value: &item.value,
                };
                return Some(list.iter().enumerate().map(place).collect());
            }
            Value::List(_) | Value::Nothing => "is empty; name some, or leave the key out",
            _ => "is no list; write [ONE, ANOTHER]",
        };
        self.note(what, notes);
        None
    }

    /// A map with these keys and no others.
    pub(super) fn fields(&self, known: &[&str], notes: &mut Notes<'_>) -> Option<Fields<'t>> {
        let Value::Map(entries) = self.value else {
            let what = format!("is no map; it may have: {}", known.join(", "));
            self.note(what, notes);
            return None;
        };
        for (key, _) in entries {
            if !known.contains(&&*key.value) {
                let name = self.below(&key.value);
                let what = match nearest_of(&key.value, BTreeSet::from_iter(known.iter().copied()))
                {
                    Some(nearest) => format!("is unknown; did you mean {nearest}?"),
                    None => format!("is unknown; there may be: {}", known.join(", ")),
                };
                notes.at(key.referenced.line(), &name, what);
            }
        }
        Some(Fields {
            place: self.again(),
            entries,
        })
    }

    fn below(&self, key: &str) -> String {
        if self.key.is_empty() {
            return key.to_owned();
        }
        format!("{}.{key}", self.key)
    }

    fn again(&self) -> Self {
        Self {
            key: self.key.clone(),
            ..*self
        }
    }
}

// === impl Fields ===

impl<'t> Fields<'t> {
    /// What stands under this key.
    pub(super) fn get(&self, key: &str) -> Option<Place<'t>> {
        let (name, value) = self.entries.iter().find(|(name, _)| name.value == key)?;
        Some(Place {
            key: self.place.below(key),
            line: name.referenced.line(),
            value: &value.value,
        })
    }

    /// What must stand under this key.
    pub(super) fn require(&self, key: &str, notes: &mut Notes<'_>) -> Option<Place<'t>> {
        let found = self.get(key);
        if found.is_none() {
            self.place.note(format_args!("{key} is missing"), notes);
        }
        found
    }

    /// The text under this key, where there is one.
    pub(super) fn text(&self, key: &str, notes: &mut Notes<'_>) -> Option<(Place<'t>, &'t str)> {
        let place = self.get(key)?;
        let text = place.text(notes)?;
        Some((place, text))
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Nothing)
            }

            fn visit_none<E>(self) -> Result<Value, E> {
                Ok(Value::Nothing)
            }

            fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Value, D::Error> {
                inner.deserialize_any(self)
            }

            fn visit_str<E>(self, text: &str) -> Result<Value, E> {
                Ok(Value::Text(text.to_owned()))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
                Ok(Value::Number(number))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
                let number = u64::try_from(number);
                Ok(number.map_or(Value::Odd("a negative number"), Value::Number))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
                Ok(Value::Odd("a fraction"))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Value, E> {
                Ok(Value::Odd("a truth value"))
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
                while let Some(entry) = entries.next_entry()? {
                    map.push(entry);
                }
                Ok(Value::Map(map))
            }
        }

        deserializer.deserialize_any(Reader)
    }
}
