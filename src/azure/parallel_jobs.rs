//! Parallel jobs: how many the organization has on agents of its own, and who
//! uses them.
//!
//! May import: its siblings, ports, domain. Invariants: an answer about another
//! kind of parallel job is an error; that there is no limit is read only where
//! the answer speaks of a limit.

use serde::Deserialize;

use super::{Client, record::Record, stream::shape, wire::Text};
use crate::{
    domain::{
        job::RequestId,
        parallel_jobs::{Holder, Usage},
        pool::PoolId,
    },
    ports::{ReadError, Reading},
};

/// Some thousand jobs that run at once are below it; in bytes.
const USAGE_CAP: u64 = 32 << 20;

/// Azure DevOps: the two kinds are "Private" and "Public", by the project; the
/// jobs of public projects are not limited on agents of one's own.
const QUERY: [(&str, &str); 3] = [
    ("parallelismTag", TAG),
    ("poolIsHosted", "false"),
    // ASSUMPTION(parallel-jobs-running): these are the jobs that use a parallel
    // job, each with the pool that it is of, all of them.
    ("includeRunningRequests", "true"),
];

const TAG: &str = "Private";

/// ASSUMPTION(parallel-jobs-unlimited): a total of ten thousand and more, one that
/// is below nothing and one that is not there mean that there is no limit.
const UNLIMITED: i64 = 10_000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UsageRow<'a> {
    #[serde(borrow)]
    resource_limit: LimitRow<'a>,
    used_count: Option<u32>,
    running_requests: Option<Vec<RequestRow>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LimitRow<'a> {
    #[serde(borrow)]
    parallelism_tag: Option<Text<'a>>,
    is_hosted: Option<bool>,
    total_count: Option<i64>,
    failed_to_reach_all_providers: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestRow {
    request_id: u64,
    pool_id: Option<u32>,
}

// === impl Client ===

impl Client {
    /// ASSUMPTION(parallel-jobs-scope): the scope Agent Pools (Read) is enough.
    async fn read_usage(&self, record: &mut Record) -> Result<Usage, ReadError> {
        let answer = self
            .requests
            .get("resourceusage", &QUERY, None, record)
            .await?;
        read(&answer.whole(USAGE_CAP).await?)
    }

    /// Reads it. What comes of it says nothing of the credential: it may be good
    /// for pools and not for this.
    pub(super) async fn usage(&self) -> Reading<Usage> {
        let mut record = Record::default();
        let outcome = self.read_usage(&mut record).await;
        self.told_in_passing(outcome, &record)
    }
}

fn read(body: &[u8]) -> Result<Usage, ReadError> {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    let row: UsageRow<'_> = serde_json::from_slice(body).map_err(|error| {
        if error.is_eof() {
            let cause = "it ends within the use of parallel jobs".into();
            return ReadError::Cut { cause };
        }
        shape(&format!("it tells no use of parallel jobs ({error})"))
    })?;
    let LimitRow {
        parallelism_tag,
        is_hosted,
        total_count,
        failed_to_reach_all_providers,
    } = row.resource_limit;
    let tag = parallelism_tag.as_deref().unwrap_or(TAG);
    if !tag.eq_ignore_ascii_case(TAG) || is_hosted == Some(true) {
        let hosted = is_hosted.unwrap_or(false);
        return Err(shape(&format!(
            "parallel jobs of private projects on agents of one's own were asked for, and {tag:?} \
             (hosted: {hosted}) came"
        )));
    }
    // ASSUMPTION(parallel-jobs-partial): the total is then too small, and no limit.
    if failed_to_reach_all_providers == Some(true) {
        return Err(shape(
            "the service could not add up all parallel jobs (failedToReachAllProviders)",
        ));
    }
    let requests = row.running_requests.unwrap_or_default();
    let told = u32::try_from(requests.len()).unwrap_or(u32::MAX);
    let mut holders: Vec<Holder> = requests
        .into_iter()
        .map(|request| Holder {
            job: RequestId(request.request_id),
            pool: request.pool_id.map(PoolId),
        })
        .collect();
    holders.sort_unstable();
    holders.dedup_by_key(|holder| holder.job);
    let limited = total_count.filter(|total| (0..UNLIMITED).contains(total));
    Ok(Usage {
        limit: limited.and_then(|total| u32::try_from(total).ok()),
        used: row.used_count.unwrap_or(told),
        holders,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: Result<(Option<u32>, u32, usize), &str>) {
        match (read(body.as_bytes()), expected) {
            (Ok(usage), Ok(expected)) => {
                let told = (usage.limit, usage.used, usage.holders.len());
                assert_eq!(told, expected, "{body}");
            }
            (Err(error), Err(kind)) => assert_eq!(error.kind(), kind, "{error}"),
            (got, expected) => panic!("{body}: {got:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn only_what_speaks_of_these_parallel_jobs_is_read() {
        let limit = |members: &str, rest: &str| {
            format!(r#"{{"resourceLimit":{{"hostId":"x",{members}}}{rest}}}"#)
        };
        let own = r#""parallelismTag":"Private","isHosted":false,"#;
        let total = |total: &str| limit(&format!(r#"{own}"totalCount":{total}"#), "");
        let used = r#","usedCount":7,"runningRequests":[{"requestId":3,"poolId":27,"demands":["a"]},{"requestId":1}]"#;
        check(
            &limit(&format!(r#"{own}"totalCount":10"#), used),
            Ok((Some(10), 7, 2)),
        );
        check(&total("10"), Ok((Some(10), 0, 0)));
        check(&total("0"), Ok((Some(0), 0, 0)));
        for unlimited in ["null", "10000", "2147483647", "-1"] {
            check(&total(unlimited), Ok((None, 0, 0)));
        }
        check(&limit(r#""isPremium":true"#, ""), Ok((None, 0, 0)));
        let other = "unknown-shape";
        check(&total(r#""ten""#), Err(other));
        check(&total("1.5"), Err(other));
        check(
            &limit(r#""parallelismTag":"Public","totalCount":3"#, ""),
            Err(other),
        );
        check(&limit(r#""isHosted":true,"totalCount":3"#, ""), Err(other));
        let partial = |failed| format!(r#""totalCount":3,"failedToReachAllProviders":{failed}"#);
        check(&limit(&partial(true), ""), Err(other));
        check(&limit(&partial(false), ""), Ok((Some(3), 0, 0)));
        let bad = r#","usedCount":-1"#;
        check(&limit(r#""totalCount":3"#, bad), Err(other));
        let bad = r#","runningRequests":{"requestId":1}"#;
        check(&limit(r#""totalCount":3"#, bad), Err(other));
        for body in ["[]", "{}", "null", r#"{"count":0,"value":[]}"#, "<html>"] {
            check(body, Err(other));
        }
        check(r#"{"resourceLimit":{"totalCount":1"#, Err("cut"));
    }

    #[test]
    fn a_job_that_comes_twice_is_one() {
        let body = br#"{"resourceLimit":{"totalCount":3},"runningRequests":[
            {"requestId":5,"poolId":2},{"requestId":4,"poolId":null},{"requestId":5,"poolId":2}]}"#;
        let holder = |job, pool: Option<u32>| Holder {
            job: RequestId(job),
            pool: pool.map(PoolId),
        };
        let usage = read(body).unwrap();
        assert_eq!(usage.holders, [holder(4, None), holder(5, Some(2))]);
        assert_eq!(
            usage.used, 3,
            "where no count is told, it is that of the rows"
        );
    }
}
