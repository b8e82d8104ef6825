//! How the server goes down.

use tokio::time;

use super::*;

#[tokio::test]
async fn a_shutdown_fails_no_call() {
    let mut served = serve(Ok(3)).await;
    let states = served.client.stream_is_active(object()).await.unwrap();
    let mut states = states.into_inner();
    let specs = served.client.stream_metric_spec(object()).await.unwrap();
    let mut specs = specs.into_inner();
    assert!(next(&mut states).await.is_some() && next(&mut specs).await.is_some());
    let mut health = HealthClient::new(served.channel.clone());
    let watched = HealthCheckRequest::default();
    let mut watched = health.watch(watched).await.unwrap().into_inner();
    assert_eq!(
        next(&mut watched).await.unwrap().status(),
        ServingStatus::Serving
    );

    served.answers.close_gate();
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let mut client = served.client.clone();
            tokio::spawn(async move { client.get_metrics(question()).await })
        })
        .collect();
    let mut asked = served.answers.asked.subscribe();
    asked.wait_for(|asked| *asked == 20).await.unwrap();

    // draining: streams end, calls go on
    served.shutdown.begin_draining();
    assert_eq!(next(&mut states).await, None);
    assert_eq!(next(&mut specs).await, None);
    assert_eq!(
        next(&mut watched).await.unwrap().status(),
        ServingStatus::NotServing
    );
    assert_eq!(served.health("").await, ServingStatus::NotServing);
    assert_eq!(served.health(SERVICE).await, ServingStatus::NotServing);
    assert!(served.client.get_metric_spec(object()).await.is_ok());
    let late = served.client.stream_is_active(object()).await.unwrap();
    assert_eq!(next(&mut late.into_inner()).await, None);
    assert!(!served.server.is_finished());

    // stop: what is under way ends well, nothing new comes in
    served.shutdown.begin_stop();
    assert_eq!(next(&mut watched).await, None);
    served.answers.gate.add_permits(20);
    for call in calls {
        let metrics = call.await.unwrap().expect("a call under way is answered");
        assert_eq!(metrics.get_ref().metric_values[0].metric_value, 3);
    }
    served.server.await.unwrap().unwrap();
    assert!(TcpStream::connect(served.address).await.is_err());
    let text = served.metrics.scrape().text();
    assert!(
        text.contains(r#"azp_grpc_streams{rpc="StreamIsActive"} 0"#),
        "{text}"
    );
    assert!(
        text.contains(r#"azp_grpc_streams{rpc="StreamMetricSpec"} 0"#),
        "{text}"
    );
    assert!(
        text.contains(r#"{code="CANCELLED",rpc="GetMetrics"} 0"#),
        "{text}"
    );
}

#[tokio::test]
async fn a_call_that_never_ends_cannot_hold_the_shutdown() {
    let served = serve(Ok(3)).await;
    served.answers.close_gate();
    let mut client = served.client.clone();
    let call = tokio::spawn(async move { client.get_metrics(question()).await });
    let mut asked = served.answers.asked.subscribe();
    asked.wait_for(|asked| *asked == 1).await.unwrap();
    served.shutdown.cut_now();
    served.server.await.unwrap().unwrap();
    assert!(!call.is_finished());
}

/// Callers who keep a stream of their own open, or do not read, hold it no
/// longer than the last answers take.
#[tokio::test]
async fn a_peer_that_hangs_cannot_hold_the_shutdown() {
    let mut served = serve(Ok(3)).await;
    let mut reflection = ServerReflectionClient::new(served.channel.clone());
    let never = reflection.server_reflection_info(futures::stream::pending());
    let never = never.await.unwrap();
    served.answers.close_gate();
    let mut client = served.client.clone();
    let call = tokio::spawn(async move { client.get_metrics(question()).await });
    let mut asked = served.answers.asked.subscribe();
    asked.wait_for(|asked| *asked == 1).await.unwrap();

    let settled = async || {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    };
    served.shutdown.begin_stop();
    settled().await;
    // A call is under way: nothing is cut, however long it takes.
    time::pause();
    time::advance(Duration::from_secs(20)).await;
    time::resume();
    settled().await;
    assert!(!served.server.is_finished());
    served.answers.gate.add_permits(1);
    assert!(call.await.unwrap().is_ok(), "it is answered");
    time::pause();
    let began = Instant::now();
    let ended = time::timeout(Duration::from_secs(60), &mut served.server).await;
    ended.expect("it ends").unwrap().unwrap();
    assert!(began.elapsed().as_secs() <= 2);
    drop(never);
}
