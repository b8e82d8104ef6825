//! What a day came to, told at its end.
//!
//! May import: its siblings. Invariant: pure; a job that was lost or left behind
//! is an error, and nothing else is.

use std::time::Duration;

use super::{day, keda::Rhythm, stage::View, words};

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The day was over.
    Evening,
    /// Somebody had seen enough.
    Interrupted,
}

/// What there is to tell.
pub(super) fn summary(view: &View, rhythm: Rhythm, length: Duration, end: End) -> String {
    let counts = view.pool.counts;
    let end = match end {
        End::Evening => "The day is over.".to_owned(),
        End::Interrupted => format!("Stopped at {}.", day::time(view.now)),
    };
    let mut text = format!("\n{end}\n");
    let mut row = |what: &str, told: String| text.push_str(&format!("  {what:13} {told}\n"));
    row("jobs", words::jobs(&counts));
    for job in view
        .status
        .jobs
        .iter()
        .filter(|job| job.counted_by.is_empty())
    {
        row("still waits", words::reason(job));
    }
    let wait = longest_wait(view, length);
    row(
        "longest wait",
        format!(
            "{:.1} s from queue to agent, of the jobs that ran",
            wait.as_secs_f64()
        ),
    );
    row("pace", pace(rhythm));
    row(
        "Azure DevOps",
        format!(
            "{} requests; KEDA's own trigger, asked as often, would have sent {}",
            view.requests, view.built_in
        ),
    );
    text.push_str(NEXT);
    text
}

const NEXT: &str = "
Next:
  azp-scaler serve --help      what it needs for your own organization
  README.md                    the ScaledObject that asks it, and every trigger key
  azp-scaler emulator --help   the same organization, to try your own set-up against
";

fn pace(rhythm: Rhythm) -> String {
    let faster = match rhythm.haste {
        1.0 => "as in a cluster".to_owned(),
        haste => format!("{haste:.0} times as fast as in a cluster"),
    };
    format!(
        "polling every {:.1} s, autoscaler every {:.1} s: {faster}",
        rhythm.polling.as_secs_f64(),
        rhythm.autoscaler.as_secs_f64()
    )
}

/// From queueing to an agent, in the demo's own time.
fn longest_wait(view: &View, length: Duration) -> Duration {
    let waits = view.pool.jobs.iter().filter_map(|job| {
        let wait = job.receive_time?.duration_since(job.queue_time);
        Duration::try_from(wait).ok()
    });
    waits.max().unwrap_or_default().div_f64(day::factor(length))
}

/// What went wrong, if anything did.
///
/// # Errors
/// Where jobs were lost, or could have run and did not.
pub(super) fn verdict(view: &View, end: End) -> anyhow::Result<()> {
    let counts = view.pool.counts;
    anyhow::ensure!(counts.lost == 0, "{} jobs were lost", counts.lost);
    let left = (counts.queued + counts.assigned + counts.running).saturating_sub(day::never_run());
    anyhow::ensure!(
        end == End::Interrupted || left == 0,
        "{left} jobs that an agent could run were left when the day was over"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{
        demo::pages::{Counts, Pool},
        status_page::PoolStatus,
    };

    #[test]
    fn only_a_lost_job_or_one_left_behind_is_an_error() {
        for (queued, lost, end, expected) in [
            (1, 0, End::Evening, None),
            (3, 0, End::Evening, Some("2 jobs that an agent could run")),
            (3, 0, End::Interrupted, None),
            (1, 1, End::Evening, Some("1 jobs were lost")),
            (1, 1, End::Interrupted, Some("1 jobs were lost")),
        ] {
            let counts = Counts {
                queued,
                lost,
                ..Counts::default()
            };
            let view = View {
                now: 0,
                pool: Pool {
                    counts,
                    ..Pool::default()
                },
                status: PoolStatus::default(),
                requests: 0,
                built_in: 0,
            };
            let error = verdict(&view, end).err().map(|error| error.to_string());
            match (error, expected) {
                (None, None) => {}
                (Some(error), Some(part)) if error.contains(part) => {}
                (error, expected) => panic!("{error:?} instead of {expected:?}"),
            }
        }
    }
}
