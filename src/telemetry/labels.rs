//! Label values: closed lists, so that the number of time series is known.
//!
//! May import: nothing of ours. Invariant: `ALL` holds every value at the index
//! that `as usize` gives.

macro_rules! label {
    ($(#[$doc:meta])* $name:ident { $($(#[$value_doc:meta])* $value:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$value_doc])* $value,)* }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$value),*];

            /// The label's value.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$value => $text,)* }
            }
        }
    };
}

label! {
    /// The calls of KEDA's protocol.
    Rpc {
        /// Any agents at all?
        IsActive = "IsActive",
        /// The same, pushed.
        StreamIsActive = "StreamIsActive",
        /// The metric's name and target.
        GetMetricSpec = "GetMetricSpec",
        /// How many agents?
        GetMetrics = "GetMetrics",
        /// Name and target, pushed.
        StreamMetricSpec = "StreamMetricSpec",
    }
}

label! {
    /// The gRPC codes that the scaler answers with.
    GrpcCode {
        /// Answered.
        Ok = "OK",
        /// The caller went away before the answer.
        Cancelled = "CANCELLED",
        /// The trigger cannot be used as it is.
        InvalidArgument = "INVALID_ARGUMENT",
        /// No credential for what the trigger asks for.
        PermissionDenied = "PERMISSION_DENIED",
        /// More pools or scaling objects than the scaler was made for.
        ResourceExhausted = "RESOURCE_EXHAUSTED",
        /// Nothing to tell at the moment.
        Unavailable = "UNAVAILABLE",
    }
}

label! {
    /// What is asked of Azure DevOps.
    AzureRoute {
        /// A pool, by name or number.
        Pool = "pool",
        /// The unfinished job requests of a pool.
        UnfinishedJobs = "unfinished-jobs",
        /// The parallel jobs of an organization.
        ParallelJobs = "parallel-jobs",
    }
}

label! {
    /// How a delivery of a service hook was answered.
    HookOutcome {
        /// Pools were woken.
        Accepted = "accepted",
        /// No secret, or a wrong one.
        Unauthorized = "unauthorized",
        /// The body is larger than Azure DevOps sends.
        TooLarge = "too-large",
        /// The scaler is about to stop.
        Draining = "draining",
        /// Too many deliveries at once.
        Busy = "busy",
        /// The body did not come, or not in time.
        Unfinished = "unfinished",
    }
}

label! {
    /// How a TLS handshake on the gRPC port ended.
    TlsOutcome {
        /// Well.
        Ok = "ok",
        /// The caller does not speak TLS.
        NotTls = "not-tls",
        /// The caller showed no certificate, or one that is not trusted.
        ClientCertificate = "client-certificate",
        /// The caller does not trust our certificate.
        RefusedByClient = "refused-by-client",
        /// The caller was too slow.
        TimedOut = "timed-out",
        /// The caller went away, or something else.
        Broken = "broken",
    }
}

label! {
    /// What writes to the cluster, or to agent pools.
    Writer {
        /// Marks the pods of busy agents.
        BusyMarks = "busy-marks",
        /// Raises the scale of Deployments.
        DirectScaleUp = "direct-scale-up",
        /// Keeps an agent in each pool that holds the place of others.
        Placeholders = "placeholders",
        /// Takes agents out of their pools whose pods are gone.
        Reaper = "reaper",
        /// Tells what keeps scaling objects from scaling.
        Events = "events",
    }
}

label! {
    /// How it stands with what is to hold a profile's place.
    PlaceholderState {
        /// It is there.
        Kept = "kept",
        /// An agent of somebody else's does it.
        Others = "others",
        /// It is not there, or another agent has its name.
        Missing = "missing",
    }
}

label! {
    /// What came of a write to the cluster, or to an agent pool.
    WriteOutcome {
        /// Written.
        Done = "done",
        /// It would have been written.
        DryRun = "dry-run",
        /// Another replica leads, or this one might not any more.
        NotLeader = "not-leader",
        /// A right is missing.
        Forbidden = "forbidden",
        /// Somebody else was faster.
        Conflict = "conflict",
        /// What was to be changed is not there any more.
        Gone = "gone",
        /// No answer in time.
        TimedOut = "timed-out",
        /// Anything else.
        Failed = "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_stands_at_its_index() {
        for (index, value) in Rpc::ALL.iter().enumerate() {
            assert_eq!(*value as usize, index);
        }
        for (index, value) in GrpcCode::ALL.iter().enumerate() {
            assert_eq!(*value as usize, index);
        }
        for (index, value) in AzureRoute::ALL.iter().enumerate() {
            assert_eq!(*value as usize, index);
        }
        for (index, value) in TlsOutcome::ALL.iter().enumerate() {
            assert_eq!(*value as usize, index);
        }
        for (index, value) in HookOutcome::ALL.iter().enumerate() {
            assert_eq!(*value as usize, index);
        }
        for (index, value) in Writer::ALL.iter().enumerate() {
            assert_eq!(*value as usize, index);
        }
        for (index, value) in PlaceholderState::ALL.iter().enumerate() {
            assert_eq!(*value as usize, index);
        }
        for (index, value) in WriteOutcome::ALL.iter().enumerate() {
            assert_eq!(*value as usize, index);
        }
    }
}
