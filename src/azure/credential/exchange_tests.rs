//! What an authority may answer, and what becomes of it.
//!
//! May import: the module that it tests. Invariant: answers are as Entra ID or a
//! machine's metadata service words them.

use super::*;

#[test]
fn a_life_is_a_number_or_a_text_or_an_end() {
    let now = Timestamp::from_second(1_780_000_000).unwrap();
    let check = |rest: &str, expected: Result<u64, &str>| {
        let body = format!(r#"{{"token_type":"Bearer","access_token":"eyJ0"{rest}}}"#);
        match (given(body.as_bytes(), now), expected) {
            (Ok(given), Ok(lives)) => assert_eq!(given.lives.as_secs(), lives, "{rest}"),
            (Err(what), Err(part)) => assert!(what.contains(part), "{rest}: {what}"),
            (got, expected) => panic!("{rest}: {got:?} instead of {expected:?}"),
        }
    };
    check(r#","expires_in":3599,"ext_expires_in":3599"#, Ok(3599));
    check(r#","expires_in":"86399","expires_on":"7""#, Ok(86399));
    check(r#","expires_on":"1780000060""#, Ok(60));
    check(r#","expires_in":1e300"#, Err("ended"));
    check(r#","expires_in":99999999"#, Ok(48 * 3600));
    check(r#","expires_in":0"#, Err("ended"));
    check(r#","expires_on":1779999999"#, Err("ended"));
    check(r#","expires_in":"soon""#, Err("no token"));
    check("", Err("how long"));
}

#[test]
fn what_the_authority_repeats_is_hidden() {
    let secret = SecretString::from("s3cr3t");
    let told = shown("invalid: s3cr3t, S3CR3T\u{1b}", &[Hidden::plain(&secret)]);
    assert_eq!(&*told, "invalid: ***, ***");
}

#[test]
fn of_a_refusal_the_code_and_the_first_words_are_told() {
    let check = |body: &str, expected: &str| assert_eq!(words(body.as_bytes()), expected);
    check(
        r#"{"error":"invalid_client","error_description":"AADSTS700016: Not found. Trace ID: 1 Correlation ID: 2"}"#,
        ", invalid_client: AADSTS700016: Not found.",
    );
    check(
        r#"{"error_description":"AADSTS1: A.\r\nTrace ID: 1"}"#,
        ", AADSTS1: A.",
    );
    check(
        r#"{"statusCode":400,"message":"No identity"}"#,
        ", No identity",
    );
    check(r#"{"error":{"code":"x"}}"#, "");
    check("<html>", "");
}
