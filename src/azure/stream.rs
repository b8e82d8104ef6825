//! Lists as Azure DevOps writes them, `{"count":N,"value":[…]}`, read while
//! they arrive.
//!
//! May import: ports. Invariants: memory is bounded by one element, however
//! long the list; the result does not depend on where the network cut the
//! body into chunks; and only a list that is whole, with its closing bracket
//! and nothing after it, is a result.
//!
//! An element that lies wholly within a chunk is decoded where it lies. What a
//! chunk leaves over is carried to the next. Nothing here recurses, nor does
//! the skipping of unknown members, so depth costs no stack.

use serde::{Deserialize, de::IgnoredAny};

use super::wire::{Text, decode_one};
use crate::ports::ReadError;

/// One element, or one member beside the list, may be this long in bytes.
pub(super) const ELEMENT_CAP: usize = 4 << 20;

/// Smaller chunks are gathered up to this many bytes before decoding, since
/// each try ends in an element that is not whole yet.
const GATHER: usize = 32 << 10;

/// What is carried over is tried again when it has doubled and this much more
/// has come: one try per doubling keeps the work linear.
const BRIDGE: usize = 2 << 10;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Takes the elements of a list, one by one.
pub(super) trait Elements {
    /// Decodes the element at the start of `text` and returns its length;
    /// `None` when the text ends before the element does.
    fn take(&mut self, text: &[u8]) -> Result<Option<usize>, ReadError>;
}

/// Reads one list from chunks.
pub(super) struct ListReader<E> {
    elements: E,
    place: Place,
    /// Started with `[`: there is no envelope to close.
    bare: bool,
    taken: u64,
    count: Option<u64>,
    has_list: bool,
    carry: Vec<u8>,
    /// Length of `carry` from which another try may succeed.
    retry: usize,
    /// [`GATHER`] and [`BRIDGE`], or less in tests.
    gather: usize,
    bridge: usize,
}

/// What may come next, white space aside.
enum Place {
    /// Nothing was read; a byte order mark may come.
    Start,
    /// `{`, or `[` for a list without an envelope.
    Top,
    /// A member's name or `}`.
    MemberOrEnd,
    /// A member's name.
    Member,
    /// The colon after this name.
    Colon(Name),
    /// The value of this member.
    Value(Name),
    /// `,` or `}`.
    AfterMember,
    /// An element or `]`.
    ElementOrEnd,
    /// An element.
    Element,
    /// `,` or `]`.
    AfterElement,
    /// Nothing.
    End,
}

#[derive(Clone, Copy)]
enum Name {
    Count,
    List,
    Other,
}

// === impl ListReader ===

impl<E: Elements> ListReader<E> {
    pub(super) fn new(elements: E) -> Self {
        Self::with_sizes(elements, GATHER, BRIDGE)
    }

    /// A reader that gathers and bridges other lengths than the usual.
    pub(super) fn with_sizes(elements: E, gather: usize, bridge: usize) -> Self {
        Self {
            elements,
            place: Place::Start,
            bare: false,
            taken: 0,
            count: None,
            has_list: false,
            carry: Vec::new(),
            retry: 0,
            gather,
            bridge,
        }
    }

    /// Takes the next chunk of the body.
    pub(super) fn feed(&mut self, mut chunk: &[u8]) -> Result<(), ReadError> {
        while !chunk.is_empty() {
            let large = chunk.len() >= self.gather;
            if large && self.carry.is_empty() {
                let used = self.read(chunk)?;
                return self.keep(&chunk[used..]);
            }
            // A large chunk lends only what completes the carried element.
            let goal = if large {
                self.retry
            } else {
                self.retry.max(self.gather)
            };
            let before = self.carry.len();
            let lent = goal.saturating_sub(before).min(chunk.len());
            self.carry.extend_from_slice(&chunk[..lent]);
            if self.carry.len() < goal {
                return Ok(());
            }
            let mut carry = std::mem::take(&mut self.carry);
            let used = self.read(&carry)?;
            if used >= before {
                // All that is left lies in the chunk: go on there.
                chunk = &chunk[used - before..];
                carry.clear();
                self.carry = carry;
                self.retry = self.bridge;
            } else {
                chunk = &chunk[lent..];
                carry.drain(..used);
                self.carry = carry;
                self.plan()?;
            }
        }
        Ok(())
    }

    /// The body has ended: hands the elements back, if the list is whole.
    pub(super) fn finish(mut self) -> Result<E, ReadError> {
        let carry = std::mem::take(&mut self.carry);
        self.read(&carry)?;
        match self.place {
            Place::End if !self.has_list => Err(shape("it has no member value")),
            Place::End => match self.count {
                Some(count) if count != self.taken => Err(shape(&format!(
                    "count is {count}, but value has {} elements",
                    self.taken
                ))),
                _ => Ok(self.elements),
            },
            _ => Err(ReadError::Cut {
                cause: format!("it ends within the list, after {} elements", self.taken).into(),
            }),
        }
    }

    fn keep(&mut self, rest: &[u8]) -> Result<(), ReadError> {
        self.carry.extend_from_slice(rest);
        self.plan()
    }

    fn plan(&mut self) -> Result<(), ReadError> {
        let length = self.carry.len();
        if length > ELEMENT_CAP {
            let detail = format!("one element is longer than {ELEMENT_CAP} bytes");
            return Err(shape(&detail));
        }
        self.retry = 2 * length + self.bridge;
        Ok(())
    }

    /// Reads as much of `text` as is whole, and returns how much that was.
    fn read(&mut self, text: &[u8]) -> Result<usize, ReadError> {
        let mut at = 0;
        loop {
            at += blanks(&text[at..]);
            let rest = &text[at..];
            let Some(&byte) = rest.first() else {
                return Ok(at);
            };
            match self.step(byte, rest)? {
                Some(used) => at += used,
                None => return Ok(at),
            }
        }
    }

    /// Reads one thing at the start of `rest`, which starts with `byte`.
    fn step(&mut self, byte: u8, rest: &[u8]) -> Result<Option<usize>, ReadError> {
        let (place, used) = match (&self.place, byte) {
            (Place::Element | Place::ElementOrEnd, b'{') => match self.elements.take(rest)? {
                Some(used) => {
                    self.taken += 1;
                    (Place::AfterElement, used)
                }
                None => return Ok(None),
            },
            (Place::AfterElement, b',') => (Place::Element, 1),
            (Place::AfterElement | Place::ElementOrEnd, b']') if self.bare => (Place::End, 1),
            (Place::AfterElement | Place::ElementOrEnd, b']') => (Place::AfterMember, 1),
            (Place::Element | Place::ElementOrEnd, _) => {
                return Err(shape("an element of value is no object"));
            }
            (Place::Start, 0xEF) if BYTE_ORDER_MARK.starts_with(&rest[..rest.len().min(3)]) => {
                if rest.len() < BYTE_ORDER_MARK.len() {
                    return Ok(None);
                }
                (Place::Top, BYTE_ORDER_MARK.len())
            }
            (Place::Start | Place::Top, b'{') => (Place::MemberOrEnd, 1),
            // ASSUMPTION(bare-list): one collector of others accepts a list
            // without its envelope, so a server may send one.
            (Place::Start | Place::Top, b'[') => {
                (self.bare, self.has_list) = (true, true);
                (Place::ElementOrEnd, 1)
            }
            (Place::MemberOrEnd | Place::AfterMember, b'}') => (Place::End, 1),
            (Place::AfterMember, b',') => (Place::Member, 1),
            (Place::Member | Place::MemberOrEnd, b'"') => match decode_one::<Text<'_>>(rest) {
                Ok(Some((name, used))) => (Place::Colon(Name::of(&name)), used),
                Ok(None) => return Ok(None),
                Err(error) => return Err(not_json(&error)),
            },
            (Place::Colon(name), b':') => (Place::Value(*name), 1),
            (Place::Value(Name::List), b'[') if !self.has_list => {
                self.has_list = true;
                (Place::ElementOrEnd, 1)
            }
            (Place::Value(Name::List), _) => {
                return Err(shape("its member value is no list, or comes twice"));
            }
            (Place::Value(name), _) => match self.member(*name, rest)? {
                Some(used) => (Place::AfterMember, used),
                None => return Ok(None),
            },
            (Place::End, _) => return Err(shape("something follows its end")),
            (Place::Start | Place::Top, _) => {
                return Err(shape("it is neither an object nor a list"));
            }
            _ => {
                return Err(shape(&format!(
                    "a {:?} is out of place in it",
                    char::from(byte)
                )));
            }
        };
        self.place = place;
        Ok(Some(used))
    }

    /// Reads the value of a member beside the list.
    fn member(&mut self, name: Name, rest: &[u8]) -> Result<Option<usize>, ReadError> {
        let used = match name {
            Name::Count => whole::<Option<u64>>(rest, "its member count is no whole number")?.map(
                |(count, used)| {
                    self.count = count;
                    used
                },
            ),
            _ => whole::<IgnoredAny>(rest, "it is no JSON")?.map(|(_, used)| used),
        };
        Ok(used)
    }
}

/// A value that something follows: a number at the end of a chunk may go on.
fn whole<'a, T: Deserialize<'a>>(
    rest: &'a [u8],
    otherwise: &str,
) -> Result<Option<(T, usize)>, ReadError> {
    match decode_one::<T>(rest) {
        Ok(decoded) => Ok(decoded.filter(|(_, used)| *used < rest.len())),
        Err(_) => Err(shape(otherwise)),
    }
}

impl Name {
    fn of(name: &str) -> Self {
        match name {
            "count" => Self::Count,
            "value" => Self::List,
            _ => Self::Other,
        }
    }
}

fn blanks(text: &[u8]) -> usize {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
    text.iter().take_while(|byte| blank(byte)).count()
}

fn not_json(error: &serde_json::Error) -> ReadError {
    shape(&format!("it is no JSON ({:?} error)", error.classify()))
}

pub(super) fn shape(detail: &str) -> ReadError {
    ReadError::UnknownShape {
        detail: detail.into(),
    }
}
