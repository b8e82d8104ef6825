//! From answers to messages, and from what is unanswered to a status.
//!
//! May import: scaler's answers, ports' errors, telemetry's labels. Invariant: pure, and an
//! error's message goes out as it is: it was written for the user.

use tonic::{Code, Status};

use super::proto::{
    GetMetricSpecResponse, GetMetricsResponse, IsActiveResponse, MetricSpec, MetricValue,
    ScaledObjectRef,
};
use crate::{
    ports::ReadError,
    scaler::{
        answer::{self, Answer, Unanswered},
        answers::Call,
    },
    telemetry::metrics::GrpcCode,
};

/// The question that a message asks.
pub(super) fn call(object: &ScaledObjectRef, encrypted: bool) -> Call<'_> {
    Call {
        namespace: &object.namespace,
        name: &object.name,
        metadata: &object.scaler_metadata,
        encrypted,
    }
}

/// The code of what is unanswered.
pub(super) const fn code(unanswered: &Unanswered) -> GrpcCode {
    match unanswered {
        // Following it would carry the credential to where no rule allows it.
        Unanswered::Unreadable {
            cause: ReadError::Redirected { .. },
            ..
        } => GrpcCode::PermissionDenied,
        Unanswered::Trigger(_) | Unanswered::ScalingObject(_) | Unanswered::OneName => {
            GrpcCode::InvalidArgument
        }
        Unanswered::Denied(_) | Unanswered::NoCluster => GrpcCode::PermissionDenied,
        Unanswered::TooMany { .. } | Unanswered::Crowded(_) => GrpcCode::ResourceExhausted,
        Unanswered::Learning { .. }
        | Unanswered::Blind
        | Unanswered::NotReadYet { .. }
        | Unanswered::Unreadable { .. }
        | Unanswered::Credential(_)
        | Unanswered::Late { .. } => GrpcCode::Unavailable,
    }
}

/// The status for a code.
pub(super) fn status(code: GrpcCode, message: impl Into<String>) -> Status {
    let code = match code {
        GrpcCode::Ok => Code::Ok,
        GrpcCode::Cancelled => Code::Cancelled,
        GrpcCode::InvalidArgument => Code::InvalidArgument,
        GrpcCode::PermissionDenied => Code::PermissionDenied,
        GrpcCode::ResourceExhausted => Code::ResourceExhausted,
        GrpcCode::Unavailable => Code::Unavailable,
    };
    Status::new(code, message)
}

/// One metric.
///
/// KEDA 2.21: takes the float when it is above 0, else the integer, which
/// older ones know alone.
pub(super) fn specs(spec: answer::MetricSpec) -> GetMetricSpecResponse {
    GetMetricSpecResponse {
        metric_specs: vec![MetricSpec {
            metric_name: spec.name,
            target_size: i64::from(spec.target),
            target_size_float: f64::from(spec.target),
        }],
    }
}

/// One value, under the name that was asked for. KEDA 2.21: takes its own
/// prefix off before it asks, and looks for the same name in the answer.
pub(super) fn values(metric_name: String, answer: &Answer) -> GetMetricsResponse {
    let value = answer.number.value();
    GetMetricsResponse {
        metric_values: vec![MetricValue {
            metric_name,
            metric_value: i64::try_from(value).unwrap_or(i64::MAX),
            metric_value_float: float(value),
        }],
    }
}

pub(super) const fn activity(active: bool) -> IsActiveResponse {
    IsActiveResponse { result: active }
}

/// Exact up to 2^53, which is more jobs than there are.
#[expect(clippy::cast_precision_loss, reason = "see above")]
const fn float(count: u64) -> f64 {
    count as f64
}
