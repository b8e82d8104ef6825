//! What holds for any list, wherever the network cuts it.
//!
//! May import: the module above. Invariant: the oracle is `serde_json` on the
//! whole body, which knows nothing of chunks.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// Reads a body in chunks of these lengths, over and over.
fn read_in(
    body: &[u8],
    chunks: &[usize],
    (gather, bridge): (usize, usize),
) -> Result<Vec<JobRequest>, ReadError> {
    let mut reader = ListReader::with_sizes(JobRows::default(), gather, bridge);
    let mut rest = body;
    for length in chunks.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (chunk, after) = rest.split_at((*length).clamp(1, rest.len()));
        reader.feed(chunk)?;
        rest = after;
    }
    reader.finish().map(JobRows::into_jobs)
}

/// Any JSON, for members that this program does not know.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e6..1e6).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[a-z\"\\\\é]{0,4}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn row() -> impl Strategy<Value = Value> {
    let demands = prop::collection::vec(".{0,8}", 0..3);
    let agent = prop::option::of(".{0,8}");
    (any::<u64>(), demands, agent, anything(), any::<bool>()).prop_map(
        |(id, demands, agent, unknown, taken)| {
            let mut row =
                json!({"aa": unknown, "requestId": id, "demands": demands, "zz": unknown});
            if let Some(agent) = agent {
                row["reservedAgent"] = json!({"_links": unknown, "name": agent});
            }
            if taken {
                row["receiveTime"] = "2026-06-01T09:15:02Z".into();
            }
            row
        },
    )
}

fn body() -> impl Strategy<Value = (Value, String)> {
    let rows = prop::collection::vec(row(), 0..6);
    (rows, anything(), any::<bool>(), any::<bool>()).prop_map(|(rows, unknown, pretty, bare)| {
        let value = if bare {
            Value::from(rows)
        } else {
            json!({"aa": unknown, "count": rows.len(), "value": rows, "zz": unknown})
        };
        let text = if pretty {
            serde_json::to_string_pretty(&value).unwrap()
        } else {
            value.to_string()
        };
        (value, text)
    })
}

/// The same reading by a program that keeps the whole in memory.
fn oracle(value: &Value) -> Vec<(u64, Vec<String>, Option<String>, bool)> {
    let rows = value.get("value").unwrap_or(value).as_array().unwrap();
    let row = |row: &Value| {
        let demands = row["demands"].as_array().unwrap();
        let demands = demands.iter().map(|demand| demand.as_str().unwrap().into());
        (
            row["requestId"].as_u64().unwrap(),
            demands.collect(),
            row["reservedAgent"]["name"].as_str().map(Into::into),
            row.get("receiveTime").is_some(),
        )
    };
    rows.iter().map(row).collect()
}

fn seen(jobs: &[JobRequest]) -> Vec<(u64, Vec<String>, Option<String>, bool)> {
    let job = |job: &JobRequest| {
        // `texts` gives the readable ones first; the oracle has the row's order.
        let mut demands: Vec<String> = job.demands.texts().map(Into::into).collect();
        demands.sort();
        let agent = job.agent.as_deref().map(Into::into);
        (job.id.0, demands, agent, job.state == JobState::Running)
    };
    jobs.iter().map(job).collect()
}

proptest! {
    #[test]
    fn chunks_change_nothing(
        (value, text) in body(),
        chunks in prop::collection::vec(1usize..200, 1..8),
        gather in 1usize..100,
        bridge in 0usize..50,
    ) {
        let mut expected = oracle(&value);
        expected.iter_mut().for_each(|row| row.1.sort());
        let jobs = read_in(text.as_bytes(), &chunks, (gather, bridge)).unwrap();
        prop_assert_eq!(seen(&jobs), expected);
        prop_assert_eq!(read_in(text.as_bytes(), &[1], (1, 0)).unwrap(), jobs.clone());
        prop_assert_eq!(decode_jobs(text.as_bytes()).unwrap(), jobs);
    }

    #[test]
    fn a_part_is_never_a_queue((_, text) in body(), share in 0.0..1.0f64, gather in 1usize..100) {
        let end = ((text.len() as f64) * share) as usize;
        let got = read_in(&text.as_bytes()[..end], &[7, 31], (gather, 3));
        let kind = got.map(|jobs| jobs.len()).map_err(|error| error.kind());
        prop_assert_eq!(kind, Err("cut"));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read_in(&bytes, &[1, 3], (1, 0));
        let mut listed = br#"{"value":["#.to_vec();
        listed.extend(bytes);
let closed = listed.ends_with(b"}");
        prop_assert!(closed || read_in(&listed, &[5], (1, 0)).is_err());
    }
}
