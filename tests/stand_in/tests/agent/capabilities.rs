//! What the server is told of the agent.

use serde_json::Value;

use crate::stage::{AGENT, POOL, Stage};

async fn capabilities(stage: &Stage) -> Value {
    // Where it is set already, it is the same one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let (server, _) = stage.url.rsplit_once('/').unwrap();
    let url = format!("{server}/_emulator/pools/{POOL}");
    let mut answer = reqwest::get(url).await.unwrap();
    let body = answer.chunk().await.unwrap().unwrap();
    let report: Value = serde_json::from_slice(&body).unwrap();
    report["agents"][0]["capabilities"].clone()
}

#[tokio::test]
async fn variables_are_told_but_for_the_ignored_ones() {
    let mut stage = Stage::start().await;
    stage.set("JAVA_HOME", "/opt/java");
    stage.set("AZP_TOKEN", "hush");
    stage.set("VSO_AGENT_IGNORE", "AZP_TOKEN,PATH");
    std::fs::write(
        stage.file(".capabilities"),
        "java=17\nJAVA_HOME=/else\n=odd\n",
    )
    .unwrap();
    stage.configure().await;
    let told = capabilities(&stage).await;
    for (name, value) in [
        ("JAVA_HOME", "/else"),
        ("java", "17"),
        ("Agent.Name", AGENT),
        ("Agent.Version", azp_stand_in::VERSION),
        ("Agent.OS", "Linux"),
        ("Agent.HomeDirectory", stage.folder().to_str().unwrap()),
        ("VSO_AGENT_IGNORE", "AZP_TOKEN,PATH"),
    ] {
        assert_eq!(told[name], value, "{name}: {told}");
    }
    let text = told.to_string();
    for hidden in ["AZP_TOKEN\":", "\"PATH\"", "hush", "VSTS_AGENT_INPUT"] {
        assert!(!text.contains(hidden), "{hidden}: {text}");
    }
}

#[tokio::test]
async fn a_session_tells_them_anew() {
    let mut stage = Stage::configured().await;
    stage.set("TEAM", "payments");
    let _listener = stage.listening(&[]).await;
    assert_eq!(capabilities(&stage).await["TEAM"], "payments");
}
