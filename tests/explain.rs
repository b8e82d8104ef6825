//! `azp-scaler explain`, as somebody uses it: an emulator, a scaler, questions.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking"
)]

mod support;

use std::collections::HashMap;

use azp_scaler::grpc::proto::{
    GetMetricsRequest, ScaledObjectRef, external_scaler_client::ExternalScalerClient,
};
use support::{
    http::ask,
    program::{Program, command},
};
use tonic::transport::{Channel, Endpoint};

/// The exit code, standard output and standard error of `explain`.
fn explain(server: &str, arguments: &[&str]) -> (i32, String, String) {
    let output = command(
        &[&["explain"], arguments].concat(),
        &[("AZP_STATUS_URL", server)],
    )
    .output()
    .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

async fn call(
    client: &mut ExternalScalerClient<Channel>,
    name: &str,
    trigger: &[(&str, &str)],
) -> bool {
    let pairs = trigger
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let request = GetMetricsRequest {
        scaled_object_ref: Some(ScaledObjectRef {
            namespace: "ci".to_owned(),
            name: name.to_owned(),
            scaler_metadata: pairs.collect::<HashMap<_, _>>(),
        }),
        metric_name: "m".to_owned(),
    };
    client.get_metrics(request).await.is_ok()
}

/// Without what is another at each run: ages, times, the port and the run.
fn steady(text: &str, organization: &str) -> String {
    let text = text.replace(organization, "ORGANIZATION");
    let mut steady = String::new();
    for line in text.lines() {
        let words = line.split(' ').map(|word| {
            let is_time = word.starts_with("20") && word.contains('-') && word.contains(':');
            let is_run = word.starts_with("20") && word.contains('.');
            if is_time {
                "TIME,".to_owned()
            } else if is_run {
                format!(
                    "RUN{}",
                    word.trim_start_matches(|c: char| c != ':' && c != ',')
                )
            } else {
                word.to_owned()
            }
        });
        let line = words.collect::<Vec<_>>().join(" ");
        let (before, after) = line.split_once("read ").unwrap_or((&line, ""));
        match after.split_once(" s ago") {
            Some((age, rest)) if age.parse::<u64>().is_ok() => {
                steady.push_str(&format!("{before}read AGE ago{rest}\n"));
            }
            _ => steady.push_str(&format!("{line}\n")),
        }
    }
    steady
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scaler_is_asked_and_explains() {
    let mut emulator = Program::start(&["emulator", "--listen=127.0.0.1:0", "--pool=k8s"], &[]);
    let emulated = emulator.address("emulator listening on http://");
    let organization = format!("http://{}/contoso", emulated);
    for job in [
        r#"{"count":2,"pipeline":"shop","demands":["java"]}"#,
        r#"{"pipeline":"billing","demands":["java -equals 21"]}"#,
    ] {
        let queued = ask(
            emulated,
            "POST /_emulator/pools/k8s/jobs",
            &[],
            job.as_bytes(),
        )
        .await;
        assert!(queued.status < 300, "{queued:?}");
    }
    let listen = ["--grpc-listen=127.0.0.1:0", "--http-listen=127.0.0.1:0"];
    let serve = [&["serve"], &listen[..], &["--learn=0s", "--log=error"]].concat();
    let environment = [("AZP_URL", organization.as_str()), ("AZP_TOKEN", "x")];
    let mut scaler = Program::start(&serve, &environment);
    let at = scaler.address("grpc listening on ");
    let server = format!("http://{}", scaler.address("http listening on "));

    let (code, told, _) = explain(&server, &[]);
    assert_eq!(
        (code, &*told),
        (
            0,
            "no scaling object asks for a pool yet: KEDA calls once in each pollingInterval\n"
        )
    );

    let at = format!("http://{at}");
    let endpoint = Endpoint::from_shared(at).unwrap().connect().await.unwrap();
    let mut keda = ExternalScalerClient::new(endpoint);
    let java = [("poolName", "k8s"), ("capabilities", "java=17")];
    let two = [
        java[0],
        java[1],
        ("requires", "java"),
        ("targetPipelinesQueueLength", "2"),
        ("priority", "1"),
    ];
    assert!(call(&mut keda, "linux", &java).await);
    assert!(call(&mut keda, "two", &two).await);
    assert!(!call(&mut keda, "typo", &[("poolname", "k8s")]).await);

    let check = |arguments: &[&str], code: i32, expected: &str| {
        let (got, told, errors) = explain(&server, arguments);
        let told = steady(&told, &organization);
        assert_eq!(
            (got, &*told, &*errors),
            (code, expected, ""),
            "{arguments:?}"
        );
    };
    check(
        &[],
        0,
        r#"pool k8s (ORGANIZATION): 3 queued, 0 assigned, 0 running; read AGE ago
  ci/linux: 0 = 0 queued + 0 assigned + 0 running
  ci/two: 1 agent for 2 = 2 queued + 0 assigned + 0 running (2 jobs for each agent)
  nobody counts 1:
    job 90403, queued since TIME, pipeline billing, run RUN, asks for: java -equals 21
      no profile takes it, so no agent is started for it
      ci/linux does not take it: demand "java -equals 21" is not met: the agent has "17"
      ci/two does not take it: demand "java -equals 21" is not met: the agent has "17"
ci/typo gets no answer: the trigger metadata cannot be used: poolName: is missing; name the agent pool here, or give its poolID; poolname: is no known key; did you mean poolName?
"#,
    );
    check(
        &["90401"],
        0,
        r#"job 90401 of pool k8s (ORGANIZATION) is queued since TIME, pipeline shop, run RUN
  asks for: java
  ci/two counts it:
    ci/two has it: by limits, specificity, priority and name it comes before ci/linux
  read AGE ago
"#,
    );
    check(
        &["90403"],
        0,
        r#"job 90403 of pool k8s (ORGANIZATION) is queued since TIME, pipeline billing, run RUN
  asks for: java -equals 21
  nobody counts it:
    no profile takes it, so no agent is started for it
    ci/linux does not take it: demand "java -equals 21" is not met: the agent has "17"
    ci/two does not take it: demand "java -equals 21" is not met: the agent has "17"
  change what the job asks for, or give agents what it asks for and say so in the capabilities of their trigger
  read AGE ago
"#,
    );
    check(
        &["7"],
        1,
        r#"no pool that the scaler reads has an unfinished job 7: it is finished, or waits for an approval, a check or an earlier stage, or its pool is asked for by no scaling object
  the number is that of the job request, not of the run
  pool k8s (ORGANIZATION): read AGE ago
"#,
    );
    check(
        &["ci/two"],
        0,
        r#"ci/two on pool k8s (ORGANIZATION): 1 agent for 2 = 2 queued + 0 assigned + 0 running (2 jobs for each agent)
  read AGE ago
  takes a job whose demands are met by Agent.ComputerName, Agent.HomeDirectory, Agent.Name, Agent.OS=Linux, Agent.OSArchitecture=X64, Agent.Version, InteractiveSession=False, java=17, if it asks for java
  counts these jobs:
    job 90401, queued since TIME, pipeline shop, run RUN: ci/two has it: by limits, specificity, priority and name it comes before ci/linux
    job 90402, queued since TIME, pipeline shop, run RUN: ci/two has it: by limits, specificity, priority and name it comes before ci/linux
"#,
    );
    check(
        &["ci/linux"],
        0,
        r#"ci/linux on pool k8s (ORGANIZATION): 0 = 0 queued + 0 assigned + 0 running
  read AGE ago
  takes a job whose demands are met by Agent.ComputerName, Agent.HomeDirectory, Agent.Name, Agent.OS=Linux, Agent.OSArchitecture=X64, Agent.Version, InteractiveSession=False, java=17
"#,
    );
    check(
        &["ci/typo"],
        0,
        r#"ci/typo gets no answer: the trigger metadata cannot be used: poolName: is missing; name the agent pool here, or give its poolID; poolname: is no known key; did you mean poolName?
"#,
    );
    check(
        &["ci/other"],
        1,
        r#"the scaler knows no ci/other: KEDA has not called for it, or no trigger of it has this scaler's address; look at its conditions (kubectl describe) and at KEDA's log
"#,
    );

    let (code, told, _) = explain(&server, &["90403", "--json"]);
    let page: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        (code, page["pools"][0]["jobs"][0]["id"].as_u64()),
        (0, Some(90_403))
    );
    assert_eq!(page["pools"][0]["jobs"].as_array().unwrap().len(), 1);
    assert_eq!(explain(&server, &["7", "--json"]).0, 1);

    // Whatever else listens there.
    let (code, _, errors) = explain(&organization, &[]);
    assert!(
        code == 2 && errors.contains("name it by --server URL"),
        "{errors}"
    );
}

/// Through KEDA's own call and the words that people get: both have the cap.
#[tokio::test(flavor = "multi_thread")]
async fn a_cap_is_named_with_its_reason() {
    let mut emulator = Program::start(&["emulator", "--listen=127.0.0.1:0", "--pool=k8s"], &[]);
    let emulated = emulator.address("emulator listening on http://");
    let organization = format!("http://{emulated}/contoso");
    for (path, body) in [
        ("limit", r#"{"parallelJobs":2}"#),
        ("pools/k8s/agents", r#"{"name":"static-1"}"#),
        ("pools/k8s/jobs", r#"{"count":4,"pipeline":"shop"}"#),
    ] {
        let route = format!("POST /_emulator/{path}");
        let done = ask(emulated, &route, &[], body.as_bytes()).await;
        assert!(done.status < 300, "{done:?}");
    }
    let listen = ["--grpc-listen=127.0.0.1:0", "--http-listen=127.0.0.1:0"];
    let serve = [
        &["serve", "--parallel-jobs=cap"],
        &listen[..],
        &["--learn=0s", "--log=error"],
    ]
    .concat();
    let environment = [("AZP_URL", organization.as_str()), ("AZP_TOKEN", "x")];
    let mut scaler = Program::start(&serve, &environment);
    let at = format!("http://{}", scaler.address("grpc listening on "));
    let server = format!("http://{}", scaler.address("http listening on "));
    let endpoint = Endpoint::from_shared(at).unwrap().connect().await.unwrap();
    let mut keda = ExternalScalerClient::new(endpoint);
    let pool = HashMap::from([("poolName".to_owned(), "k8s".to_owned())]);
    let request = GetMetricsRequest {
        scaled_object_ref: Some(ScaledObjectRef {
            namespace: "ci".to_owned(),
            name: "linux".to_owned(),
            scaler_metadata: pool,
        }),
        metric_name: "m".to_owned(),
    };
    let told = keda.get_metrics(request).await.unwrap().into_inner();
    assert_eq!(told.metric_values[0].metric_value_float, 2.0, "{told:?}");

    let (code, told, _) = explain(&server, &["ci/linux"]);
    let steadied = steady(&told, &organization);
    let lines: Vec<&str> = steadied.lines().collect();
    let sum = " = 1 queued + 1 assigned + 0 running; 2 more queued wait for a parallel job: the \
               organization has 2, of which 1 is in use";
    assert_eq!(code, 0);
    assert!(lines[0].ends_with(sum), "{told}");
    assert!(
        lines[2].starts_with(
            "  parallel jobs of the organization: 2, of which 1 in use (0 by pools that are not \
             read here); 2 jobs without one"
        ),
        "{told}"
    );
    let (_, told, _) = explain(&server, &["90404"]);
    let reason = "    it waits for a parallel job, and gets an agent when there is one for it: the \
                  organization has 2, of which 1 is in use\n";
    assert!(told.contains(reason), "{told}");
}

#[test]
fn who_cannot_be_asked_is_told_with_a_remedy() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = nobody.local_addr().unwrap();
    drop(nobody);
    let (code, told, errors) = explain(&format!("http://{at}"), &[]);
    assert_eq!((code, &*told), (2, ""));
    let start = format!("azp-scaler: cannot connect to {at}: ");
    assert!(errors.starts_with(&start), "{errors}");
    assert!(errors.contains("kubectl port-forward"), "{errors}");
    assert_eq!(explain("http://x", &["linux"]).0, 64);
    assert_eq!(explain("https://x", &[]).0, 78);
}
