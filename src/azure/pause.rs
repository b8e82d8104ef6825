//! Pauses: how long the service wants to be left alone.
//!
//! May import: its siblings. Invariant: everything here is a pure function of an
//! answer's head and the time, and no answer stops the watchers for good.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use reqwest::{
    StatusCode,
    header::{HeaderMap, RETRY_AFTER},
};

use super::answer::text_of;

/// The longest time that a refusal asks the watchers to wait.
const LONGEST_RETRY: Duration = Duration::from_secs(3600);

/// The longest time that a good answer asks them to wait: beyond it the queue
/// would be older than any scaling can use.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Azure DevOps: before it blocks, it delays each request, by up to 30 s.
const USUAL_DELAY: Duration = Duration::from_secs(30);

/// How long the service wants to be left alone, from an answer's head: the
/// longest wait in it, and never more than five minutes after a good answer or
/// an hour after another.
pub(super) fn pause(status: StatusCode, headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let longest = longest_wait(headers, now)?;
    let most = if status.is_success() {
        LONGEST_PAUSE
    } else {
        LONGEST_RETRY
    };
    (!longest.is_zero()).then(|| longest.min(most))
}

/// The longest of the waits that an answer's headers ask for, good or not:
/// - `Retry-After`, as it stands;
/// - `X-RateLimit-Delay`: as long as this request was delayed;
/// - `X-RateLimit-Remaining` at 0: until `X-RateLimit-Reset`, or 30 s where
///   that is missing; below a tenth of `X-RateLimit-Limit`: a tenth of that.
///
/// Azure DevOps: the headers come only near the threshold.
fn longest_wait(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let number = |name| text_of(headers, name).and_then(|text| text.trim().parse::<f64>().ok());
    let delay = number("x-ratelimit-delay").and_then(seconds);
    let until_reset = number("x-ratelimit-reset").and_then(|reset| {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        seconds(reset - now.as_secs_f64())
    });
    let until_reset = until_reset.unwrap_or(USUAL_DELAY);
    let limit = number("x-ratelimit-limit").unwrap_or(0.0);
    let spent = number("x-ratelimit-remaining").and_then(|remaining| {
        if remaining <= 0.0 {
            Some(until_reset)
        } else if remaining < limit / 10.0 {
            Some(until_reset / 10)
        } else {
            None
        }
    });
    let asked = [retry_after(headers, now), delay, spent];
    asked.into_iter().flatten().max()
}

/// What is left of the service's limit, where the answer says so.
pub(super) fn limit_left(headers: &HeaderMap) -> Option<f64> {
    let text = text_of(headers, "x-ratelimit-remaining")?.trim();
    text.parse().ok().filter(|left: &f64| left.is_finite())
}

/// Azure DevOps: `Retry-After` in seconds. ASSUMPTION(retry-after-date): what
/// stands before it may send the other form of HTTP, a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = text_of(headers, RETRY_AFTER.as_str())?.trim();
    if let Ok(number) = text.parse::<f64>() {
        return seconds(number);
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?;
    let now = Timestamp::try_from(now).ok()?;
    Duration::try_from(date.timestamp().duration_since(now)).ok()
}

/// A number of seconds as a duration; a time in the past is none.
fn seconds(number: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_780_000_000;

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        let pair =
            |(name, value): &(&'static str, &str)| (name.parse().unwrap(), value.parse().unwrap());
        list.iter().map(pair).collect()
    }

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(NOW)
    }

    #[test]
    fn a_good_answer_may_ask_for_a_pause() {
        let check = |list: &[(&'static str, &str)], expected: Option<f64>| {
            let got = pause(StatusCode::OK, &headers(list), now());
            let got = got.map(|pause| pause.as_secs_f64());
            assert_eq!(got, expected, "{list:?}");
        };
        let reset = (NOW + 100).to_string();
        let reset = ("x-ratelimit-reset", reset.as_str());
        let later = (NOW + 9000).to_string();
        check(&[], None);
        check(&[("retry-after", "7")], Some(7.0));
        check(&[("Retry-After", "0.5")], Some(0.5));
        check(&[("retry-after", "0")], None);
        check(&[("retry-after", "-3")], None);
        check(&[("retry-after", "soon")], None);
        check(&[("retry-after", "NaN")], None);
        check(&[("retry-after", "1e300")], None);
        check(&[("retry-after", "86400")], Some(300.0));
        check(&[("x-ratelimit-delay", "1.250")], Some(1.25));
        check(&[("x-ratelimit-remaining", "0"), reset], Some(100.0));
        check(&[("x-ratelimit-remaining", "0")], Some(30.0));
        check(
            &[
                ("x-ratelimit-remaining", "0"),
                ("x-ratelimit-reset", &later),
            ],
            Some(300.0),
        );
        let long = headers(&[("retry-after", "86400")]);
        let refused = pause(StatusCode::TOO_MANY_REQUESTS, &long, now());
        assert_eq!(refused, Some(LONGEST_RETRY));
        let limit = ("x-ratelimit-limit", "200");
        check(
            &[("x-ratelimit-remaining", "19.5"), limit, reset],
            Some(10.0),
        );
        check(&[("x-ratelimit-remaining", "20"), limit, reset], None);
        check(
            &[
                ("x-ratelimit-remaining", "0"),
                reset,
                ("retry-after", "200"),
            ],
            Some(200.0),
        );
    }

    #[test]
    fn a_time_to_wait_is_seconds_or_a_date() {
        let check = |text: &str, expected: Option<u64>| {
            let headers = headers(&[("retry-after", text)]);
            let got = retry_after(&headers, now()).map(|wait| wait.as_secs());
            assert_eq!(got, expected, "{text}");
        };
        check("120", Some(120));
        check("120.9", Some(120));
        // 1,780,000,000 is Thu, 28 May 2026 20:26:40 GMT.
        check("Thu, 28 May 2026 20:27:40 GMT", Some(60));
        check("Thu, 28 May 2026 20:25:40 GMT", None);
        check("tomorrow", None);
    }
}
