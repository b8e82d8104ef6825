//! Pains of demands, of the way from zero, and of credentials.

use super::{
    Kept::{By, Later, Suite},
    Pain, Part, pain,
};

pub(super) const DEMANDS_AND_CAPABILITIES: &[Pain] = &[
    pain(
        41,
        "No demands at all",
        &["kedacore/keda#2328"],
        By("tests/matching.rs::demands_and_capabilities"),
    ),
    pain(
        42,
        "Without `Agent.Version` among its demands, a job is counted wrong",
        &["kedacore/keda#4404"],
        By("tests/pains/demands.rs::a_job_is_matched_with_and_without_a_version_demand"),
    ),
    pain(
        43,
        "A job without demands starts agents of every kind",
        &["kedacore/keda#4138"],
        By("tests/pains/demands.rs::a_job_without_demands_starts_one_agent"),
    ),
    pain(
        44,
        "What is required and what is tolerated cannot be told apart",
        &["kedacore/keda#5303", "kedacore/keda#5579"],
        By("tests/pains/demands.rs::what_is_required_and_what_is_tolerated_are_told_apart"),
    ),
    pain(
        45,
        "A demand in another case wakes nobody",
        &["kedacore/keda#7111"],
        By("tests/pains/demands.rs::a_demand_in_another_case_wakes_its_agent"),
    ),
    pain(
        46,
        "The documentation says subset, the code does equality",
        &["kedacore/keda#4195"],
        By("tests/matching.rs::kedas_comparisons_of_text"),
    ),
    pain(
        47,
        "Nobody knows what `parent` expects",
        &["kedacore/keda-docs#685"],
        Suite(
            "charts/azp-agent/tests/parent_test.yaml::is made of the profile, and the trigger needs no parent",
        ),
    ),
    pain(
        48,
        "Agents of several kinds, chosen by demands",
        &["Simplifi-ED/azdo-kube-operator#41"],
        By("src/domain/claim/tests/mod.rs::the_most_specific_profile_gets_the_job"),
    ),
    pain(
        49,
        "Pods start, and the job picks another architecture",
        &["https://github.com/clemlesne/blue-agent"],
        Suite(
            "charts/azp-agent/tests/profile_test.yaml::says the architecture to the nodes, the agent and the trigger",
        ),
    ),
    pain(
        50,
        "A demand for an agent by its name can never be met by a new one",
        &["veertuinc/anklet#50"],
        By("src/domain/capability.rs::agents_have_what_every_agent_has"),
    ),
];

pub(super) const FROM_ZERO: &[Pain] = &[
    pain(
        51,
        "At zero replicas a run fails at once: no agent found",
        &["kedacore/keda#5988", "kedacore/keda#6371"],
        By("tests/agent/placeholder.rs::with_a_placeholder_a_job_waits_instead_of_failing"),
    ),
    pain(
        52,
        "The placeholder was cleaned away, and nothing ever runs again",
        &["clemlesne/blue-agent#294"],
        By("tests/azure_client/agents.rs::a_pool_is_cleaned_of_what_killed_pods_left"),
    ),
    pain(
        53,
        "The template's pod logs errors at its first run",
        &["clemlesne/blue-agent#392"],
        By("tests/agent/placeholder.rs::with_a_placeholder_a_job_waits_instead_of_failing"),
    ),
    pain(
        54,
        "Placeholders are explained in one old blog post",
        &["kedacore/keda-docs#431"],
        By("tests/docs/agent.rs::the_page_about_placeholders_has_every_flag_and_every_exit_code"),
    ),
    pain(
        55,
        "From 0 to 1 is pushed, from 1 to many waits",
        &["https://keda.sh/docs/latest/concepts/external-scalers/"],
        By("tests/pains/from_zero.rs::the_push_comes_with_the_whole_number"),
    ),
    pain(
        56,
        "One chart for fixed and scaled agents",
        &[
            "ganrad/Az-DevOps-Agent-On-AKS#10",
            "Azure/helm-vsts-agent#23",
        ],
        Suite(
            "charts/azp-agent/tests/deployment_test.yaml::may be a fixed number beside one that follows the queue",
        ),
    ),
    pain(
        57,
        "A project's queue id is taken for the pool's",
        &[
            "microsoft/azure-container-apps#895",
            "microsoft/azure-container-apps#913",
            "microsoft/azure-container-apps#31",
        ],
        By("tests/azure_client/identity.rs::the_number_of_a_queue_is_told_with_the_pools_own"),
    ),
];

pub(super) const CREDENTIALS: &[Pain] = &[
    pain(
        58,
        "401, for a line break at the end of the token",
        &["kedacore/keda#2874"],
        By("src/azure/credential/pat.rs::a_token_is_read_as_files_and_variables_hold_it"),
    ),
    pain(
        59,
        "An expired token gives an obscure error",
        &["microsoft/azure-pipelines-agent#1559"],
        By("tests/pains/credentials.rs::an_expired_token_is_named_and_the_number_holds"),
    ),
    pain(
        60,
        "A service principal instead of a token",
        &[
            "kedacore/keda#4569",
            "kedacore/keda#7660",
            "kedacore/keda#3933",
            "kedacore/keda#7931",
        ],
        By(
            "tests/azure_client/identity.rs::each_kind_of_identity_has_one_token_for_all_its_readings",
        ),
    ),
    pain(
        61,
        "Workload identity when the agent registers",
        &[
            "microsoft/azure-pipelines-agent#4802",
            "microsoft/azure-pipelines-agent#5654",
        ],
        By("tests/azure_client/identity.rs::the_token_itself_is_had_from_each_kind_of_credential"),
    ),
    pain(
        62,
        "Builds can read the agent's token",
        &["MicrosoftDocs/azure-devops-docs#5405"],
        By("tests/agent/secrets.rs::no_job_finds_the_token"),
    ),
    pain(
        63,
        "The environment is published as capabilities, secrets included",
        &[
            "microsoft/azure-pipelines-agent#867",
            "microsoft/azure-pipelines-agent#686",
        ],
        By("src/agent/environment.rs::only_declared_variables_stay_capabilities"),
    ),
    pain(
        64,
        "Which scopes does the token need?",
        &[
            "MicrosoftDocs/azure-devops-docs#11373",
            "microsoft/azure-pipelines-agent#2552",
        ],
        By("tests/azure_client/main.rs::every_odd_answer_has_its_kind"),
    ),
    pain(
        65,
        "TF401444: sign in at least once",
        &["kedacore/keda#4867", "kedacore/keda#7578"],
        By("tests/azure_client/main.rs::every_odd_answer_has_its_kind"),
    ),
    pain(
        66,
        "Identities of another tenant",
        &["kedacore/keda#5517", "microsoft/azure-container-apps#1773"],
        By("src/config/tenancy/tests.rs::all_of_it_is_read"),
    ),
    pain(
        67,
        "Tokens for all organizations end",
        &[
            "https://devblogs.microsoft.com/devops/retirement-of-global-personal-access-tokens-in-azure-devops",
        ],
        By("src/domain/tenancy_tests.rs::a_credential_goes_to_its_organizations_and_to_no_other"),
    ),
    pain(
        68,
        "A service connection in the agent meets the pod's own identity",
        &["microsoft/azure-pipelines-agent#5199"],
        Later(Part::Agent),
    ),
    pain(
        69,
        "An external scaler is given no TriggerAuthentication",
        &["kedacore/keda#2571", "kedacore/keda#5250"],
        By("src/domain/tenancy_tests.rs::a_namespace_uses_its_own_credential_and_no_other"),
    ),
];
