//! Pains of too few agents, too many, and those that are taken away.

use super::{
    Kept::{By, Later, Partly, Suite},
    Pain, Part, pain,
};

pub(super) const AGENTS_KILLED_WHILE_A_JOB_RUNS: &[Pain] = &[
    pain(
        1,
        "Busy agents are not in the metric, so they are scaled away",
        &["kedacore/keda#8185"],
        By("tests/pains/agents_killed.rs::a_busy_agent_is_in_the_number_though_the_queue_is_empty"),
    ),
    pain(
        2,
        "A ScaledJob of the strategy `default` starts nothing while others run",
        &["kedacore/keda#7878"],
        By("tests/pains/too_few_agents.rs::three_waves_that_overlap_make_one_agent_for_each_job"),
    ),
    pain(
        3,
        "Every poll makes one more agent until the first job ends",
        &["kedacore/keda#7747", "kedacore/keda#7757"],
        By("tests/pains/too_many_agents.rs::polls_before_the_first_job_ends_make_no_second_agent"),
    ),
    pain(
        4,
        "Deployments and ScaledJobs need different flags for the same number",
        &["kedacore/keda#7905", "kedacore/keda-docs#1881"],
        By("src/domain/trigger/tests.rs::how_jobs_are_counted"),
    ),
    pain(
        5,
        "Agents die after an hour: «we stopped hearing from agent»",
        &["kedacore/keda#5053"],
        Suite(
            "charts/azp-agent/tests/profile_test.yaml::makes the grace of the longest job and the time to leave",
        ),
    ),
    pain(
        6,
        "Nobody can choose which pod is removed",
        &["kedacore/keda#6124", "kubernetes/kubernetes#107598"],
        Later(Part::Guard),
    ),
    pain(
        7,
        "The cost of deleting a pod is not set",
        &["kedacore/keda#3680"],
        Later(Part::Guard),
    ),
    pain(
        8,
        "On SIGTERM the agent cancels its job at once, in spite of the grace period",
        &["microsoft/azure-pipelines-agent#2745"],
        By("tests/agent/draining.rs::a_job_that_runs_is_finished_and_no_other_is_taken"),
    ),
    pain(
        9,
        "`config.sh remove` fails while a job runs, and the container is deleted",
        &["MicrosoftDocs/azure-devops-docs#10586"],
        By("tests/agent/storm.rs::two_hundred_lives_end_at_random_instants_without_a_loss"),
    ),
    pain(
        10,
        "Azure DevOps does not know that an agent is leaving",
        &["microsoft/azure-pipelines-agent#3994"],
        By("tests/agent/draining.rs::a_job_that_runs_is_finished_and_no_other_is_taken"),
    ),
    pain(
        11,
        "An agent with `--once` is given a second job while it leaves",
        &["microsoft/azure-pipelines-agent#2332"],
        By("tests/agent/once.rs::a_second_job_that_is_handed_over_while_leaving_is_finished"),
    ),
    pain(
        12,
        "With autoscaling off, agents are cleaned away after a minute",
        &["clemlesne/blue-agent#361"],
        By(
            "tests/agent/once.rs::an_agent_that_gets_no_job_leaves_after_its_time_and_never_in_a_job",
        ),
    ),
    pain(
        13,
        "Editing a ScaledJob kills its running Jobs",
        &[
            "kedacore/keda#2098",
            "kedacore/keda#6440",
            "kedacore/keda#1021",
        ],
        By("tests/installed/main.rs::both_charts_live_a_whole_life_on_a_real_cluster"),
    ),
    pain(
        14,
        "Jobs are deleted when KEDA restarts",
        &["kedacore/keda#6233"],
        By("tests/installed/main.rs::both_charts_live_a_whole_life_on_a_real_cluster"),
    ),
    pain(
        15,
        "Node autoscalers evict busy agents",
        &[
            "kubernetes-sigs/karpenter#701",
            "kubernetes/autoscaler#8196",
        ],
        Suite(
            "charts/azp-agent/tests/pod_test.yaml::is left alone by those who remove nodes, unless it was told otherwise",
        ),
    ),
    pain(
        16,
        "Agents no longer drain on SIGTERM",
        &["buildkite/agent-stack-k8s#903"],
        By("tests/agent/storm.rs::two_hundred_lives_end_at_random_instants_without_a_loss"),
    ),
    pain(
        17,
        "Agents are removed just before they get a job",
        &[
            "actions/actions-runner-controller#1534",
            "actions/actions-runner-controller#911",
            "actions/actions-runner-controller#4000",
        ],
        By("tests/pains/agents_killed.rs::an_agent_that_is_about_to_get_a_job_is_wanted"),
    ),
    pain(
        18,
        "Replicas fall while a pod is still starting",
        &[
            "actions/actions-runner-controller#3581",
            "actions/actions-runner-controller#3816",
        ],
        By("tests/pains/agents_killed.rs::the_number_does_not_fall_while_a_pod_starts"),
    ),
];

pub(super) const TOO_MANY_AGENTS: &[Pain] = &[
    pain(
        19,
        "A ScaledJob fills up to its maximum with idle pods, over and over",
        &["kedacore/keda#3679"],
        By("tests/pains/too_many_agents.rs::a_scaled_job_is_not_filled_to_its_maximum"),
    ),
    pain(
        20,
        "New Jobs, and nobody knows for which work",
        &["kedacore/keda#4543"],
        By("tests/pains/too_many_agents.rs::the_number_has_the_jobs_behind_it"),
    ),
    pain(
        21,
        "Two scaling objects on one pool both scale",
        &["kedacore/keda#4014"],
        By("tests/pains/too_many_agents.rs::two_scaling_objects_on_one_pool_do_not_both_scale"),
    ),
    pain(
        22,
        "Scalers know nothing of each other",
        &["kedacore/keda#4195"],
        By("tests/pains/too_many_agents.rs::replicas_decide_alike_whoever_asks_them_first"),
    ),
    pain(
        23,
        "Pending pods are not counted unless `pendingPodConditions` is set",
        &["kedacore/keda#6157", "kedacore/keda#6727"],
        By("tests/real_keda/scaled_jobs.rs::a_pod_that_starts_slowly_makes_no_second_job"),
    ),
    pain(
        24,
        "Near the maximum, `accurate` forgets what is pending",
        &["kedacore/keda#7329", "kedacore/keda#1323"],
        By("tests/pains/too_many_agents.rs::near_the_maximum_no_more_than_the_maximum_is_made"),
    ),
    pain(
        25,
        "Agents are left over when the queue is empty",
        &["clemlesne/blue-agent#298"],
        By(
            "tests/agent/once.rs::an_agent_that_gets_no_job_leaves_after_its_time_and_never_in_a_job",
        ),
    ),
    pain(
        26,
        "More agents than the organization may run jobs at once",
        &["kedacore/keda#5573"],
        By("tests/pains/parallel_jobs.rs::agents_are_started_for_no_more_jobs_than_may_run"),
    ),
    pain(
        27,
        "Nobody understands the strategies of a ScaledJob",
        &["kedacore/keda-docs#1463", "kedacore/keda#6416"],
        By("src/scaler/cluster_tests/mod.rs::the_number_fits_the_strategy_of_a_scaled_job"),
    ),
    pain(
        28,
        "Jobs without a pod",
        &["kedacore/keda#1706"],
        By("tests/pains/too_many_agents.rs::polls_before_the_first_job_ends_make_no_second_agent"),
    ),
    pain(
        29,
        "Pods of cancelled runs keep coming",
        &[
            "buildkite/agent-stack-k8s#382",
            "buildkite/agent-stack-k8s#392",
        ],
        By("tests/pains/too_many_agents.rs::a_cancelled_job_makes_no_agent"),
    ),
    pain(
        30,
        "Stuck pods cost money for a week, unseen",
        &["buildkite/agent-stack-k8s#479"],
        Partly(
            Part::Chart,
            "a ScaledJob's agent without a job leaves after `idleTimeout`; nothing tells of a pod that never starts",
        ),
    ),
];

pub(super) const TOO_FEW_AGENTS: &[Pain] = &[
    pain(
        31,
        "A job waits, and the scaler says 0 without a reason",
        &["kedacore/keda#7735"],
        By("tests/pains/too_few_agents.rs::a_job_that_nobody_counts_has_its_reason"),
    ),
    pain(
        32,
        "With `parent`, a second batch is not started while the first runs",
        &["kedacore/keda#3782"],
        By("tests/pains/too_few_agents.rs::a_second_wave_is_started_while_the_first_runs"),
    ),
    pain(
        33,
        "Never more than 200 pods",
        &["kedacore/keda#6819"],
        By("tests/pains/too_few_agents.rs::five_thousand_jobs_are_five_thousand"),
    ),
    pain(
        34,
        "The service takes longer than the time-out, and nothing scales",
        &["kedacore/keda#4324"],
        By("tests/pains/too_few_agents.rs::a_service_that_does_not_answer_keeps_nobody_waiting"),
    ),
    pain(
        35,
        "After 10,000 finished jobs scaling stops",
        &["clemlesne/blue-agent#360"],
        By("tests/pains/too_few_agents.rs::jobs_that_are_over_hide_none_that_wait"),
    ),
    pain(
        36,
        "A job that is added while Jobs run is not picked up",
        &["kedacore/keda#5881"],
        By("tests/pains/too_few_agents.rs::three_waves_that_overlap_make_one_agent_for_each_job"),
    ),
    pain(
        37,
        "The listener stalls, and people restart it by the hour",
        &[
            "actions/actions-runner-controller#3649",
            "actions/actions-runner-controller#3420",
            "actions/actions-runner-controller#4423",
        ],
        By("src/pools/tests/failing.rs::a_service_that_fails_slowly_makes_no_watcher_stuck"),
    ),
    pain(
        38,
        "A count of what runs leaks until nothing runs any more",
        &["buildkite/agent-stack-k8s#302"],
        By("tests/pains/too_few_agents.rs::lost_agents_leave_no_count_behind"),
    ),
    pain(
        39,
        "Work is taken that there is no room for",
        &["actions/actions-runner-controller#3446"],
        By("src/scaler/cluster_tests/mod.rs::a_full_profile_leaves_its_jobs_to_the_next"),
    ),
    pain(
        40,
        "Pods fail to start, and nobody tells the developer",
        &[
            "buildkite/agent-stack-k8s#856",
            "buildkite/agent-stack-k8s#273",
        ],
        Later(Part::Guard),
    ),
];
