//! The five calls.
//!
//! May import: its siblings, scaler's questions, telemetry, shutdown. Invariant:
//! every call is counted once with the code that it ends with, and `GetMetrics`
//! does nothing beyond the question and two messages: KEDA and the horizontal
//! pod autoscaler ask it all day.

use std::sync::Arc;

use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};
use tonic::{Request, Response, Status};

use super::{
    convert,
    limits::{self, Excess},
    proto::{
        GetMetricSpecResponse, GetMetricsRequest, GetMetricsResponse, IsActiveResponse,
        ScaledObjectRef, external_scaler_server::ExternalScaler,
    },
    streams::{self, Messages},
};
use crate::{
    scaler::{
        answer::Unanswered,
        answers::{self, Answers},
    },
    shutdown::Shutdown,
    telemetry::metrics::{Call, GrpcCode, Metrics, Rpc},
};

/// KEDA's service, answered by `A`.
#[derive(Debug)]
pub(super) struct Service<A> {
    pub(super) answers: Arc<A>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) shutdown: Shutdown,
    /// Do all calls come over TLS? The port takes nothing else then.
    pub(super) encrypted: bool,
    /// Calls that are not answered yet, and streams that are not open yet.
    pub(super) under_way: TaskTracker,
}

impl<A> Service<A> {
    /// Counts a call until it is over, for metrics and for the way down.
    fn begin(&self, rpc: Rpc) -> (Call<'_>, TaskTrackerToken) {
        (self.metrics.call(rpc), self.under_way.token())
    }

    fn asked<'a>(
        &self,
        call: &mut Call<'_>,
        object: &'a ScaledObjectRef,
    ) -> Result<answers::Call<'a>, Status> {
        within(call, limits::check_trigger(object))?;
        Ok(convert::call(object, self.encrypted))
    }
}

#[tonic::async_trait]
impl<A: Answers> ExternalScaler for Service<A> {
    type StreamIsActiveStream = Messages<IsActiveResponse>;
    type StreamMetricSpecStream = Messages<GetMetricSpecResponse>;

    async fn is_active(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<IsActiveResponse>, Status> {
        let (mut call, _under_way) = self.begin(Rpc::IsActive);
        let asked = self.asked(&mut call, request.get_ref())?;
        let answer = self.answers.answer(&asked).await;
        let answer = ended(&mut call, answer)?;
        Ok(Response::new(convert::activity(answer.active)))
    }

    async fn stream_is_active(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<Self::StreamIsActiveStream>, Status> {
        let (mut call, _under_way) = self.begin(Rpc::StreamIsActive);
        let asked = self.asked(&mut call, request.get_ref())?;
        let states = self.answers.activity(&asked);
        let states = ended(&mut call, states)?;
        let open = self.metrics.stream(Rpc::StreamIsActive);
        Ok(Response::new(streams::activity(
            states,
            open,
            &self.shutdown,
        )))
    }

    async fn get_metric_spec(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<GetMetricSpecResponse>, Status> {
        let (mut call, _under_way) = self.begin(Rpc::GetMetricSpec);
        let asked = self.asked(&mut call, request.get_ref())?;
        let spec = self.answers.spec(&asked);
        Ok(Response::new(convert::specs(ended(&mut call, spec)?)))
    }

    async fn get_metrics(
        &self,
        request: Request<GetMetricsRequest>,
    ) -> Result<Response<GetMetricsResponse>, Status> {
        let (mut call, _under_way) = self.begin(Rpc::GetMetrics);
        let GetMetricsRequest {
            scaled_object_ref,
            metric_name,
        } = request.into_inner();
        let Some(object) = scaled_object_ref else {
            call.answered(GrpcCode::InvalidArgument);
            return Err(no_scaling_object());
        };
        within(&mut call, limits::check_metric_name(&metric_name))?;
        let asked = self.asked(&mut call, &object)?;
        let answer = self.answers.answer(&asked).await;
        let answer = ended(&mut call, answer)?;
        Ok(Response::new(convert::values(metric_name, &answer)))
    }

    async fn stream_metric_spec(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<Self::StreamMetricSpecStream>, Status> {
        let (mut call, _under_way) = self.begin(Rpc::StreamMetricSpec);
        let asked = self.asked(&mut call, request.get_ref())?;
        let spec = self.answers.spec(&asked);
        let specs = convert::specs(ended(&mut call, spec)?);
        let open = self.metrics.stream(Rpc::StreamMetricSpec);
        Ok(Response::new(streams::specs(specs, open, &self.shutdown)))
    }
}

/// Counts the end of a call.
fn ended<T>(call: &mut Call<'_>, result: Result<T, Unanswered>) -> Result<T, Status> {
    match result {
        Ok(answer) => {
            call.answered(GrpcCode::Ok);
            Ok(answer)
        }
        Err(unanswered) => {
            let code = convert::code(&unanswered);
            call.answered(code);
            Err(convert::status(code, unanswered.to_string()))
        }
    }
}

/// Counts a call that is beyond a limit.
fn within(call: &mut Call<'_>, checked: Result<(), Excess>) -> Result<(), Status> {
    checked.map_err(|excess| {
        call.answered(GrpcCode::InvalidArgument);
        convert::status(GrpcCode::InvalidArgument, excess.to_string())
    })
}

fn no_scaling_object() -> Status {
    let message = "scaledObjectRef is missing; it holds the scaling object's name and namespace \
        and the trigger's metadata";
    convert::status(GrpcCode::InvalidArgument, message)
}
