//! The table. Invariant: a row says all that may be seen of its fault from
//! outside; nothing here knows how it is brought about.

use azp_scaler::emulator::{AuthorityFault, FaultKind};

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Breaks {
    /// Azure DevOps, or what lies before it, answers wrongly.
    Service(FaultKind),
    /// The authority gives no token.
    Authority(AuthorityFault),
    /// Nobody listens at the address any more.
    DeadPort,
    /// The address has a name that no server knows.
    NoSuchHost,
    /// The trigger names a pool that is not there.
    NoSuchPool,
    /// The trigger names a project's queue in the place of a pool.
    QueueId,
    /// The Secret that the trigger names is deleted.
    SecretVanishes,
    /// The kube-apiserver goes away.
    NoApiserver,
}

/// A fault and what comes of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    /// As the page names it.
    pub(crate) name: &'static str,
    pub(crate) breaks: Breaks,
    /// What it is to the scaler; `None` where it is no failure.
    pub(crate) kind: Option<&'static str>,
    pub(crate) keda: Told,
    /// What `azp_credential_valid` says; `None` where it is absent.
    pub(crate) valid: Option<bool>,
    pub(crate) spends: Spends,
}

/// What KEDA is told of three queued jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// 3 while the last reading is fresh, then an error with these words.
    Three(&'static str),
    /// An error with these words from the first call on.
    Never(&'static str),
    /// 0: the service says so.
    Zero,
    /// The truth, as it changes.
    Truth,
}

/// How many requests go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spends {
    /// So many for each attempt, which are further and further apart.
    BackOff(u64),
    /// One, then none until the pause is over that the service asked for, in
    /// seconds.
    Pause(u32),
    /// None to Azure DevOps.
    None,
    /// One an interval, as ever.
    Usual,
}

/// Every row.
pub(crate) fn rows() -> Vec<Row> {
    use {Breaks as B, Spends as S, Told as T};
    let service = FaultKind::ALL.map(|(name, kind)| of_service(name, kind));
    let authority = AuthorityFault::ALL.map(|(name, fault)| of_authority(name, fault));
    let back_off = S::BackOff(1);
    #[rustfmt::skip]
    let others = [
        ("the port is dead", B::DeadPort, Some("unreachable"), T::Three("cannot reach Azure DevOps"), Some(true), back_off),
        ("the host has no address", B::NoSuchHost, Some("unreachable"), T::Never("cannot reach Azure DevOps"), None, back_off),
        ("the pool is not there", B::NoSuchPool, Some("pool-not-found"), T::Never("is not there or not visible to this credential"), Some(true), back_off),
        // Two requests for each attempt: the pool's number, then the queue's.
        ("`poolID` is a queue's number", B::QueueId, Some("queue-id"), T::Never("the pool's id is 27 (linux): write poolID \"27\""), Some(true), S::BackOff(2)),
        ("the Secret is deleted", B::SecretVanishes, Some("credential-missing"), T::Three("the credential is missing: the Secret ci/azp is not there"), Some(false), S::None),
        ("the kube-apiserver is gone", B::NoApiserver, None, T::Truth, Some(true), S::Usual),
    ];
    let others = others.map(|(name, breaks, kind, keda, valid, spends)| Row {
        name,
        breaks,
        kind,
        keda,
        valid,
        spends,
    });
    service.into_iter().chain(authority).chain(others).collect()
}

/// A fault of the emulator; a new one does not compile before it has its row.
fn of_service(name: &'static str, fault: FaultKind) -> Row {
    use FaultKind as F;
    use Spends::{BackOff, Pause, Usual};
    let three = Told::Three;
    #[rustfmt::skip]
    let (kind, keda, valid, spends) = match fault {
        F::Unauthorized => (Some("credential-rejected"), three("rejected the credential (status 401; use a valid token"), false, BackOff(1)),
        F::ExpiredToken => (Some("credential-expired"), three("the personal access token has expired"), false, BackOff(1)),
        F::Forbidden => (Some("forbidden"), three("the credential may not read this (Access denied."), true, BackOff(1)),
        F::SignInPage => (Some("credential-rejected"), three("rejected the credential (203 and a sign-in page)"), false, BackOff(1)),
        F::Redirect => (Some("credential-rejected"), three("rejected the credential (302 and the sign-in page)"), false, BackOff(1)),
        F::TooManyRequests => (Some("throttled"), three("limits the rate of requests"), true, Pause(2)),
        F::SlowDown => (None, three("Azure DevOps wants no request for"), true, Pause(6)),
        F::ServerError => (Some("server"), three("failed with status 500"), true, BackOff(1)),
        F::Unavailable => (Some("server"), three("failed with status 503"), true, BackOff(1)),
        F::Hang | F::SlowBody => (Some("timed-out"), three("did not answer within"), true, BackOff(1)),
        F::CutBody => (Some("cut"), three("was cut off"), true, BackOff(1)),
        F::HugeBody => (Some("too-large"), three("is larger than 1048576 bytes"), true, BackOff(1)),
        F::Html => (Some("not-json"), three("answered with text/html; charset=utf-8 instead of JSON"), true, BackOff(1)),
        F::UnknownShape => (Some("unknown-shape"), three("has an unknown shape: it has no member value"), true, BackOff(1)),
        F::EmptyList => (None, Told::Zero, true, Usual),
        F::Elsewhere => (Some("redirected"), three("redirects to elsewhere.example"), true, BackOff(1)),
        F::NoOrganization => (Some("status"), three("answered with status 404"), true, BackOff(1)),
        // Each failed reading has the pool looked up again.
        F::PoolGone => (Some("pool-not-found"), three("is not there or not visible to this credential"), true, BackOff(2)),
    };
    Row {
        name,
        breaks: Breaks::Service(fault),
        kind,
        keda,
        valid: Some(valid),
        spends,
    }
}

fn of_authority(name: &'static str, fault: AuthorityFault) -> Row {
    let words = match fault {
        AuthorityFault::Refuse => "status 401, invalid_client: AADSTS700016",
        AuthorityFault::Garbage => "its answer is no token, though its status is 200",
        AuthorityFault::Hang => "127.0.0.9: no answer in time",
        AuthorityFault::Unavailable => "127.0.0.9: status 503",
    };
    Row {
        name,
        breaks: Breaks::Authority(fault),
        kind: Some("authority-failed"),
        keda: Told::Three(words),
        valid: Some(false),
        spends: Spends::None,
    }
}
