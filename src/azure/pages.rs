//! Lists that may come in pages, read to their end.
//!
//! May import: its siblings, ports. Invariant: what is returned is the whole
//! list; half of one is an error.

use std::{collections::HashSet, time::Duration};

use tokio::time::sleep;

use super::{
    record::Record,
    request::{Budget, Requests},
    stream::{Elements, ListReader, shape},
};
use crate::ports::ReadError;

/// Between two pages of one list no more time than this may be asked for.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A list may come in this many pages.
const MOST_PAGES: usize = 1000;

/// A list of a pool.
#[derive(Clone, Copy)]
pub(super) struct List<'a> {
    pub(super) path: &'a str,
    pub(super) query: &'a [(&'a str, &'a str)],
    /// The pool, as it is shown.
    pub(super) pool: &'a str,
    /// How many bytes its pages may have together.
    pub(super) cap: u64,
}

// === impl Requests ===

impl Requests {
    /// Reads a list, whose elements `rows` takes.
    pub(super) async fn list<E: Elements>(
        &self,
        list: List<'_>,
        mut rows: E,
        record: &mut Record,
    ) -> Result<E, ReadError> {
        let mut budget = Budget::new(list.cap);
        let mut tokens: HashSet<Box<str>> = HashSet::new();
        let mut token: Option<Box<str>> = None;
        loop {
            let mut query = list.query.to_vec();
            query.extend(token.as_deref().map(|token| ("continuationToken", token)));
            let asked = self.get(list.path, &query, Some(list.pool), record);
            let mut answer = asked.await?;
            let mut reader = ListReader::new(rows);
            while let Some(chunk) = answer.chunk(&mut budget).await? {
                reader.feed(&chunk)?;
            }
            rows = reader.finish()?;
            let Some(next) = answer.continuation.take() else {
                return Ok(rows);
            };
            if tokens.len() + 1 >= MOST_PAGES {
                return Err(shape(&format!("it has more than {MOST_PAGES} pages")));
            }
            if !tokens.insert(next.clone()) {
                return Err(shape("its pages come round to one that was read before"));
            }
            token = Some(next);
            match record.pause {
                // Nobody above sees a page, so what it asks for is heeded here.
                Some(short) if short <= LONGEST_PAUSE => sleep(short).await,
                // Too long to keep half a list: it is begun anew after it.
                Some(_) => return Err(ReadError::Throttled),
                None => {}
            }
        }
    }
}
