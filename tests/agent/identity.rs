//! Registering with an identity of Entra ID in place of a personal access token.

use azp_scaler::domain::job::{JobResult, JobState};

use crate::stage::{POOL, Stage, Start};

#[tokio::test(flavor = "multi_thread")]
async fn an_application_registers_and_takes_its_agent_out_again() {
    for way in ["client secret", "workload identity"] {
        let stage = Stage::new().await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("federated");
        std::fs::write(&file, "head.body.signature").unwrap();
        let start = Start::default()
            .variable("AZP_TOKEN", "")
            .variable("AZURE_AUTHORITY_HOST", &stage.url());
        let start = if way == "client secret" {
            // The emulator's authority knows the organization's token as its secret.
            start
                .variable("AZP_CLIENTID", "c11e")
                .variable("AZP_CLIENTSECRET", &stage.token)
                .variable("AZP_TENANTID", "7e11")
        } else {
            start
                .variable("AZURE_CLIENT_ID", "c11e")
                .variable("AZURE_TENANT_ID", "7e11")
                .variable("AZURE_FEDERATED_TOKEN_FILE", file.to_str().unwrap())
        };
        let mut pod = stage.pod("agent-1", &start);
        stage.until_online("agent-1").await;
        let job = stage.queue(&["env"]);
        let done = JobState::Finished(JobResult::Succeeded);
        stage.until_state(job, done).await;
        let log = stage.organization.log(POOL, job).unwrap();
        assert!(!log.contains(&stage.token), "{way}: {log}");
        pod.terminate();
        pod.ends_with(0).await;
        assert_eq!(stage.organization.agents(POOL).unwrap(), [], "{way}");
        assert!(stage.organization.exchanges().asked > 0, "{way}");
    }
}
