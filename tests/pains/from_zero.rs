//! From zero to the first agents.

use azp_scaler::grpc::proto::{
    GetMetricsRequest, ScaledObjectRef, external_scaler_client::ExternalScalerClient,
};
use futures::StreamExt as _;
use tonic::transport::Endpoint;

use super::set::{Set, metadata};

/// KEDA's design: 0 to 1 is pushed, and 1 to N waits for the autoscaler. So the
/// whole number has to be there when the push comes.
#[tokio::test]
async fn the_push_comes_with_the_whole_number() {
    let set = Set::start().await;
    let address = format!("http://{}", set.at.grpc);
    let channel = Endpoint::from_shared(address).unwrap().connect().await;
    let mut keda = ExternalScalerClient::new(channel.unwrap());
    let object = ScaledObjectRef {
        name: "agents".to_owned(),
        namespace: "ci".to_owned(),
        scaler_metadata: metadata(""),
    };
    let pushes = keda.stream_is_active(object.clone()).await.unwrap();
    let mut pushes = pushes.into_inner();
    assert!(!pushes.next().await.unwrap().unwrap().result);
    set.queue(20, "");
    assert!(pushes.next().await.unwrap().unwrap().result);
    let question = GetMetricsRequest {
        scaled_object_ref: Some(object),
        metric_name: "azure-pipelines-linux".to_owned(),
    };
    let metrics = keda.get_metrics(question).await.unwrap();
    assert_eq!(metrics.get_ref().metric_values[0].metric_value, 20);
}
