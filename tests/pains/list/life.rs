//! Pains of an agent's life, and of its image.

use super::{
    Kept::{By, Partly, Pending, Suite},
    Pain, Part, pain,
};

pub(super) const LIFE_OF_AN_AGENT: &[Pain] = &[
    pain(
        70,
        "Tons of offline agents are left in the pool",
        &["kedacore/keda#3335", "kedacore/keda#3648"],
        By("tests/agent/killed.rs::what_a_killed_agent_leaves_behind_is_repaired"),
    ),
    pain(
        71,
        "`--once` does not take the agent out of its pool",
        &[
            "microsoft/azure-pipelines-agent#2220",
            "microsoft/azure-pipelines-agent#3898",
            "microsoft/azure-pipelines-agent#3078",
        ],
        By("tests/agent/once.rs::it_leaves_after_its_job_with_the_outcome_as_exit_code_when_asked"),
    ),
    pain(
        72,
        "Nobody knows whether an agent may be deleted by the API",
        &["microsoft/azure-pipelines-agent#2887"],
        By("src/domain/leftover_tests.rs::only_what_is_surely_dead_is_left_over"),
    ),
    pain(
        73,
        "Cleaning up by oneself is not safe",
        &["Simplifi-ED/azdo-kube-operator#47"],
        By("src/agent/clean_tests.rs::the_dead_go_and_the_others_stay"),
    ),
    pain(
        74,
        "No commands to delete, enable or disable agents",
        &[
            "Azure/azure-devops-cli-extension#853",
            "Azure/azure-devops-cli-extension#955",
        ],
        Pending("enabling and disabling; `azp-agent clean` lists and removes"),
    ),
    pain(
        75,
        "Removing fails on a server of one's own, since the address lacks the collection",
        &[
            "microsoft/azure-pipelines-agent#3308",
            "microsoft/azure-pipelines-agent#4426",
            "microsoft/azure-pipelines-agent#5234",
            "microsoft/azure-pipelines-agent#5107",
        ],
        By("src/domain/organization.rs::every_form_of_services_and_server_is_read"),
    ),
    pain(
        76,
        "Removing is tried for ever, whatever the server says",
        &["https://github.com/clemlesne/blue-agent"],
        By(
            "tests/agent/draining.rs::a_refusal_for_want_of_rights_is_said_and_ends_it_after_the_job",
        ),
    ),
    pain(
        77,
        "An update of the agent eats its only run",
        &[
            "microsoft/azure-pipelines-agent#2311",
            "microsoft/azure-pipelines-agent#410",
            "microsoft/azure-pipelines-agent#3093",
        ],
        By("tests/agent/life.rs::it_follows_an_update_of_its_software"),
    ),
    pain(
        78,
        "A session for this agent already exists",
        &[
            "MicrosoftDocs/azure-devops-docs#12215",
            "ganrad/Az-DevOps-Agent-On-AKS#2",
            "microsoft/azure-pipelines-agent#720",
        ],
        By("tests/agent/life.rs::a_listener_that_crashes_or_is_killed_starts_again"),
    ),
    pain(
        79,
        "A failed job leaves the exit code 0",
        &["microsoft/azure-pipelines-agent#3776"],
        By("tests/agent/once.rs::it_leaves_after_its_job_with_the_outcome_as_exit_code_when_asked"),
    ),
    pain(
        80,
        "A listener without processor time looks dead",
        &["microsoft/azure-pipelines-agent#3541"],
        Partly(
            Part::Chart,
            "no probe ends an agent in a job, and `resources` reserves what a profile says; by itself the chart reserves nothing",
        ),
    ),
];

pub(super) const IMAGES: &[Pain] = &[
    pain(
        81,
        "Tools need root, or permission is denied",
        &[
            "clemlesne/blue-agent#23",
            "btungut/azure-devops-agent-on-kubernetes#3",
        ],
        By("tests/images/agent.rs::every_tool_answers_as_the_images_user"),
    ),
    pain(
        82,
        "Pools of arm64 and amd64",
        &["microsoft/azure-pipelines-agent#3935"],
        By("tests/image_rules.rs::both_architectures_are_built_from_the_same_lines"),
    ),
    pain(
        83,
        "Without a Docker socket, nobody knows how to build images",
        &[
            "clemlesne/blue-agent#285",
            "microsoft/azure-pipelines-agent#3138",
            "microsoft/azure-pipelines-agent#3310",
        ],
        Suite(
            "charts/azp-agent/tests/kaniko_test.yaml::are built by pods with an account and registries of their own, which agents may start",
        ),
    ),
    pain(
        84,
        "Agents on Windows",
        &[
            "clemlesne/blue-agent#7",
            "microsoft/azure-pipelines-agent#4058",
        ],
        Pending("Windows; azp-agent and its image are for Linux"),
    ),
];
