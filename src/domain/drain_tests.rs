//! The laws of draining, over every sight that there can be: there are few
//! enough to try them all.

use super::*;

const STANDINGS: [Standing; 5] = [
    Standing::GivesJobs,
    Standing::GivesNoMore,
    Standing::HasJob,
    Standing::Gone,
    Standing::Refuses,
];

/// Every sight.
fn sights() -> impl Iterator<Item = Sight> {
    STANDINGS.into_iter().flat_map(|server| {
        (0..32u8).map(move |bits| Sight {
            worker: bits & 1 != 0,
            listener: bits & 2 != 0,
            updating: bits & 4 != 0,
            time_left: bits & 8 != 0,
            restarts_left: bits & 16 != 0,
            server,
        })
    })
}

#[test]
fn while_a_worker_lives_it_is_waited_for_and_nothing_is_stopped_or_removed() {
    for sight in sights().filter(|sight| sight.worker) {
        let step = next(&sight);
        let harmless = matches!(step, Step::DisableBesideJob | Step::Wait);
        assert!(harmless, "{sight:?} leads to {step:?}");
    }
}

#[test]
fn a_listener_is_stopped_only_when_no_job_can_come_or_nobody_can_help() {
    for sight in sights() {
        if next(&sight) == Step::StopListener {
            let out_of_hands = sight.server == Standing::Refuses || !sight.time_left;
            assert!(
                sight.server == Standing::Gone || out_of_hands,
                "{sight:?}: the server may still have a job for this agent"
            );
        }
    }
}

#[test]
fn it_is_removed_only_once_the_server_gives_no_more_jobs() {
    for sight in sights() {
        if matches!(next(&sight), Step::Remove | Step::RemoveAgain) {
            let disabled = matches!(sight.server, Standing::GivesNoMore | Standing::HasJob);
            assert!(disabled, "{sight:?}");
        }
    }
}

#[test]
fn only_a_job_that_runs_here_outlives_the_time_of_a_silent_server() {
    for sight in sights().filter(|sight| !sight.time_left) {
        let step = next(&sight);
        let ends = matches!(step, Step::StopListener | Step::Done(_));
        assert_eq!(ends, !sight.worker, "{sight:?} leads to {step:?}");
    }
}

#[test]
fn it_is_done_only_when_nothing_lives_and_says_truly_what_it_leaves() {
    for sight in sights() {
        if let Step::Done(parting) = next(&sight) {
            assert!(!sight.worker && !sight.listener, "{sight:?}");
            let gone = sight.server == Standing::Gone;
            assert_eq!(parting == Parting::Removed, gone, "{sight:?}");
        }
    }
}

/// Every way ends: a server that answers leads to the removal, within few steps.
#[test]
fn with_a_server_that_answers_every_sight_ends_in_the_removal() {
    for start in sights().filter(|sight| sight.server != Standing::Refuses) {
        let mut sight = Sight {
            time_left: true,
            restarts_left: true,
            ..start
        };
        let mut steps = Vec::new();
        loop {
            let step = next(&sight);
            steps.push(step);
            assert!(steps.len() < 12, "{start:?} does not end: {steps:?}");
            match step {
                Step::Done(parting) => {
                    assert_eq!(parting, Parting::Removed, "{start:?}");
                    break;
                }
                Step::Disable | Step::DisableBesideJob => sight.server = Standing::GivesNoMore,
                // The job ends; the server then knows of none.
                Step::Wait => {
                    sight.worker = false;
                    if sight.server == Standing::HasJob {
                        sight.server = Standing::GivesNoMore;
                    }
                }
                Step::StartListener => (sight.listener, sight.worker) = (true, true),
                Step::Remove | Step::RemoveAgain => sight.server = Standing::Gone,
                Step::StopListener => sight.listener = false,
            }
        }
    }
}
