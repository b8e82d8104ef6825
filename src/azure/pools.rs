//! Agent pools: looked up by name or by number.
//!
//! May import: ports, domain. Invariant: the pool that is returned bears the
//! name or the number that was asked for, whatever the service's filter means
//! by equal.

use serde::Deserialize;

use super::{stream::shape, wire::Text};
use crate::{
    domain::pool::{Pool, PoolId, same_name},
    ports::ReadError,
};

/// A list of pools may be this many bytes long.
pub(super) const POOLS_CAP: u64 = 8 << 20;

#[derive(Deserialize)]
struct PoolList<'a> {
    #[serde(borrow)]
    value: Vec<PoolRow<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PoolRow<'a> {
    id: u32,
    #[serde(borrow)]
    name: Text<'a>,
    is_hosted: Option<bool>,
}

#[derive(Deserialize)]
struct QueueRow<'a> {
    id: u32,
    #[serde(borrow)]
    pool: PoolRow<'a>,
}

/// Picks the pool of this name from a list. Azure DevOps: an unknown name and
/// a pool that the credential may not see are both an empty list, status 200.
pub(super) fn by_name(body: &[u8], name: &str) -> Result<Pool, ReadError> {
    let list: PoolList<'_> = read(body)?;
    let named = |pool: &&PoolRow<'_>| same_name(&pool.name, name);
    let found: Vec<_> = list.value.iter().filter(named).collect();
    let exact = found.iter().find(|pool| &*pool.name == name);
    match (&*found, exact) {
        ([], _) => Err(ReadError::PoolNotFound { pool: name.into() }),
        ([only], _) => Ok(only.pool()),
        (_, Some(exact)) => Ok(exact.pool()),
        (several, None) => Err(shape(&format!(
            "{} pools have the name {name:?} in other letters; write the one that is meant in its own",
            several.len()
        ))),
    }
}

/// Reads the pool of this number.
pub(super) fn by_id(body: &[u8], id: PoolId) -> Result<Pool, ReadError> {
    let row: PoolRow<'_> = read(body)?;
    if row.id != id.0 {
        let detail = format!("pool {id} was asked for, and pool {} came", row.id);
        return Err(shape(&detail));
    }
    Ok(row.pool())
}

/// The pool that a project's queue of this number leads to, where that is what
/// the service has sent.
pub(super) fn of_queue(body: &[u8], number: PoolId) -> Option<ReadError> {
    let row: QueueRow<'_> = read(body).ok()?;
    (row.id == number.0).then(|| ReadError::QueueId {
        queue: row.id,
        pool: row.pool.id,
        name: (*row.pool.name).into(),
    })
}

impl PoolRow<'_> {
    fn pool(&self) -> Pool {
        Pool {
            id: PoolId(self.id),
            name: (*self.name).into(),
            is_hosted: self.is_hosted.unwrap_or(false),
        }
    }
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ReadError> {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    serde_json::from_slice(body).map_err(|error| {
        if error.is_eof() {
            let cause = "it ends within a pool".into();
            return ReadError::Cut { cause };
        }
        shape(&format!("it describes no agent pool ({error})"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, name: &str, expected: Result<u32, &str>) {
        match (by_name(body.as_bytes(), name), expected) {
            (Ok(pool), Ok(id)) => assert_eq!(pool.id, PoolId(id), "{name} in {body}"),
            (Err(error), Err(kind)) => assert_eq!(error.kind(), kind, "{error}"),
            (got, expected) => panic!("{body}: {got:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn the_name_is_checked_whatever_the_filter_does() {
        let two =
            r#"{"count":2,"value":[{"id":1,"name":"K8s"},{"id":2,"name":"k8s","isLegacy":null}]}"#;
        check(two, "k8s", Ok(2));
        check(two, "K8s", Ok(1));
        check(two, "K8S", Err("unknown-shape"));
        check(two, "k8", Err("pool-not-found"));
        let one = r#"{"count":1,"value":[{"id":27,"name":"Büro","isHosted":false}]}"#;
        check(one, "BÜRO", Ok(27));
        check(&format!("\u{feff}{one}"), "büro", Ok(27));
        check(r#"{"count":0,"value":[]}"#, "k8s", Err("pool-not-found"));
        check(r#"{"count":0}"#, "k8s", Err("unknown-shape"));
        check(r#"{"value":null}"#, "k8s", Err("unknown-shape"));
        check(
            r#"{"value":[{"id":"1","name":"k8s"}]}"#,
            "k8s",
            Err("unknown-shape"),
        );
        check(r#"{"count":1,"value":[{"id":1"#, "k8s", Err("cut"));
        check("[]", "k8s", Err("unknown-shape"));
    }

    #[test]
    fn the_number_is_checked() {
        let body = br#"{"id":27,"name":"k8s","isHosted":true}"#;
        let pool = by_id(body, PoolId(27)).unwrap();
        assert_eq!((&*pool.name, pool.is_hosted), ("k8s", true));
        assert_eq!(by_id(body, PoolId(28)).unwrap_err().kind(), "unknown-shape");
    }
}
