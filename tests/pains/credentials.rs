//! Credentials that are refused.

use azp_scaler::emulator::FaultKind;

use super::set::Set;

/// agent#1559: an expired token gives an obscure error, or a page to sign in.
#[tokio::test]
async fn an_expired_token_is_named_and_the_number_holds() {
    let faults = [
        (FaultKind::ExpiredToken, "credential-expired"),
        (FaultKind::SignInPage, "credential-rejected"),
        (FaultKind::Redirect, "credential-rejected"),
    ];
    let set = Set::start().await;
    set.queue(4, "");
    assert_eq!(set.number("agents", "").await, 4);
    for (fault, kind) in faults {
        set.fault(fault);
        let failing = set.until(|pool| pool.failure.as_ref().is_some_and(|f| f.kind == kind));
        failing.await;
        let held = set.ask("agents", "").await.unwrap();
        assert_eq!(held.number.value(), 4, "{kind}");
        set.organization.clear_faults();
        set.read_again().await;
    }
}
