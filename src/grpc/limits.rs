//! What a call may hold.
//!
//! May import: its siblings, domain. Invariant: pure. What is beyond a limit is refused
//! before anybody parses or remembers it, and the message names the limit: a
//! caller can be anybody, and what he sends is kept for each scaling object.

use super::proto::ScaledObjectRef;
use crate::domain::trigger::MOST_KEYS;

/// In bytes. The longest key that means something has 36.
const LONGEST_KEY: usize = 256;

/// In bytes: more demands and capabilities than an agent has.
const LONGEST_VALUE: usize = 16 * 1024;

/// In bytes. Kubernetes: a metric's name is a part of a path; ours have a pool's
/// name in them.
const LONGEST_METRIC_NAME: usize = 1024;

/// A limit that a call is beyond.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Excess {
    #[error("the trigger's metadata have {0} keys; at most {MOST_KEYS} are read")]
    Keys(usize),
    #[error(
        "a key of the trigger's metadata has {0} bytes, beginning with {1:?}; at most {LONGEST_KEY} are read"
    )]
    Key(usize, String),
    #[error("{0}: the value has {1} bytes; at most {LONGEST_VALUE} are read")]
    Value(String, usize),
    #[error("metricName has {0} bytes; at most {LONGEST_METRIC_NAME} are read")]
    MetricName(usize),
}

/// Is the trigger within the limits?
pub(super) fn check_trigger(object: &ScaledObjectRef) -> Result<(), Excess> {
    let metadata = &object.scaler_metadata;
    if metadata.len() > MOST_KEYS {
        return Err(Excess::Keys(metadata.len()));
    }
    for (key, value) in metadata {
        if key.len() > LONGEST_KEY {
            let begin = key.chars().take(40).collect();
            return Err(Excess::Key(key.len(), begin));
        }
        if value.len() > LONGEST_VALUE {
            return Err(Excess::Value(key.clone(), value.len()));
        }
    }
    Ok(())
}

/// Is the metric's name within the limit?
pub(super) const fn check_metric_name(name: &str) -> Result<(), Excess> {
    if name.len() > LONGEST_METRIC_NAME {
        return Err(Excess::MetricName(name.len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trigger_at_each_limit_is_read_and_one_beyond_is_not() {
        let check = |keys: usize, key: usize, value: usize, expected: Option<Excess>| {
            let pair = |n: usize| (format!("{n:0>key$}"), "v".repeat(value));
            let object = ScaledObjectRef {
                scaler_metadata: (0..keys).map(pair).collect(),
                ..ScaledObjectRef::default()
            };
            assert_eq!(check_trigger(&object).err(), expected);
        };
        let key = |length: usize| "0".repeat(length);
        check(0, 1, 0, None);
        check(128, 3, 1, None);
        check(129, 3, 1, Some(Excess::Keys(129)));
        check(1, 256, 1, None);
        check(1, 257, 1, Some(Excess::Key(257, key(40))));
        check(1, 3, 16_384, None);
        check(1, 3, 16_385, Some(Excess::Value(key(3), 16_385)));
        assert_eq!(check_metric_name(&key(1024)), Ok(()));
        let long = Err(Excess::MetricName(1025));
        assert_eq!(check_metric_name(&key(1025)), long);
    }
}
