//! KEDA's side of the protocol: the five calls, with plain types.
//!
//! May import: the generated client. Invariant: it calls as KEDA does and decides
//! nothing; what tonic says does not leave this module. For the demo, tests and
//! benches; the scaler itself never calls anybody by gRPC.

use std::net::SocketAddr;

use futures::stream::{BoxStream, StreamExt as _};
use tonic::{Status, transport};

use super::proto::{
    GetMetricSpecResponse, GetMetricsRequest, GetMetricsResponse, ScaledObjectRef,
    external_scaler_client::ExternalScalerClient,
};

/// A metric of a trigger, as the horizontal pod autoscaler gets it.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Its name, without the prefix that KEDA puts before it.
    pub name: String,
    /// The value that each replica stands for.
    pub target: f64,
}

/// Why a call brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nobody listens.
    #[error("cannot connect: {0}")]
    Connect(#[from] transport::Error),
    /// The scaler answered with an error, or the connection broke.
    #[error("{:?}: {}", .0.code(), .0.message())]
    Refused(#[from] Status),
    /// An answer that holds no metric.
    #[error("the answer holds no metric")]
    NoMetric,
}

/// A connection to a scaler. Clones share it.
#[derive(Clone, Debug)]
pub struct Client(ExternalScalerClient<transport::Channel>);

// === impl Client ===

impl Client {
    /// Connects without TLS.
    ///
    /// # Errors
    /// Where nobody listens.
    pub async fn connect(address: SocketAddr) -> Result<Self, CallError> {
        let scaler = transport::Endpoint::from_shared(format!("http://{address}"))?;
        Ok(Self(ExternalScalerClient::new(scaler.connect().await?)))
    }

    /// `IsActive`: any replica at all?
    ///
    /// # Errors
    /// The scaler's own, and those of the connection.
    pub async fn is_active(&self, object: &ScaledObjectRef) -> Result<bool, CallError> {
        let answer = self.0.clone().is_active(object.clone()).await?;
        Ok(answer.into_inner().result)
    }

    /// `StreamIsActive`: the same, pushed. Ends when the scaler drains.
    ///
    /// # Errors
    /// As [`Self::is_active`].
    pub async fn stream_is_active(
        &self,
        object: &ScaledObjectRef,
    ) -> Result<BoxStream<'static, Result<bool, CallError>>, CallError> {
        let answer = self.0.clone().stream_is_active(object.clone()).await?;
        let told = answer.into_inner();
        Ok(told.map(|told| Ok(told?.result)).boxed())
    }

    /// `GetMetricSpec`: the metric's name and target.
    ///
    /// # Errors
    /// As [`Self::is_active`].
    pub async fn metric_spec(&self, object: &ScaledObjectRef) -> Result<Metric, CallError> {
        let answer = self.0.clone().get_metric_spec(object.clone()).await?;
        metric(answer.into_inner())
    }

    /// `StreamMetricSpec`: the same, whenever it changes.
    ///
    /// # Errors
    /// As [`Self::is_active`].
    pub async fn stream_metric_spec(
        &self,
        object: &ScaledObjectRef,
    ) -> Result<BoxStream<'static, Result<Metric, CallError>>, CallError> {
        let answer = self.0.clone().stream_metric_spec(object.clone()).await?;
        let specs = answer.into_inner();
        Ok(specs.map(|specs| metric(specs?)).boxed())
    }

    /// `GetMetrics`: the value of a metric.
    ///
    /// # Errors
    /// As [`Self::is_active`].
    pub async fn metric_value(
        &self,
        object: &ScaledObjectRef,
        metric_name: &str,
    ) -> Result<f64, CallError> {
        let request = GetMetricsRequest {
            scaled_object_ref: Some(object.clone()),
            metric_name: metric_name.to_owned(),
        };
        let answer = self.0.clone().get_metrics(request).await?;
        value(&answer.into_inner(), metric_name)
    }
}

/// KEDA 2.21: the float counts when it is above 0, else the integer.
fn metric(specs: GetMetricSpecResponse) -> Result<Metric, CallError> {
    let spec = specs.metric_specs.into_iter().next();
    let spec = spec.ok_or(CallError::NoMetric)?;
    Ok(Metric {
        name: spec.metric_name,
        target: either(spec.target_size_float, spec.target_size),
    })
}

fn value(values: &GetMetricsResponse, name: &str) -> Result<f64, CallError> {
    let mut values = values.metric_values.iter();
    let value = values.find(|value| value.metric_name == name);
    let value = value.ok_or(CallError::NoMetric)?;
    Ok(either(value.metric_value_float, value.metric_value))
}

/// Exact up to 2^53, which is more jobs than there are.
#[expect(clippy::cast_precision_loss, reason = "see above")]
fn either(float: f64, integer: i64) -> f64 {
    if float > 0.0 { float } else { integer as f64 }
}
