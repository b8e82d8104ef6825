//! Until when a certificate may be shown.
//!
//! May import: nothing of ours. Invariant: pure; whatever the bytes are, the
//! answer is a time or none. Only the few fields on the way to the end of the
//! validity are read (RFC 5280, 4.1: `Certificate`, `TBSCertificate`, `Validity`): the
//! TLS library checks certificates, but tells their end to nobody.

use jiff::{SignedDuration, Timestamp, civil, tz::Offset};

/// An end that is nearer than this is told. An issuer that renews by itself
/// does so long before.
const SHORT: SignedDuration = SignedDuration::from_hours(14 * 24);

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// `[0]`, constructed: the version, which the oldest certificates lack.
const VERSION: u8 = 0xa0;

/// How far away the end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Validity {
    /// Nobody has to do anything yet.
    Long,
    /// Less than 14 days.
    Short,
    /// It has come.
    Over,
}

// === impl Validity ===

impl Validity {
    pub(super) fn of(ends: Timestamp, now: Timestamp) -> Self {
        match ends.duration_since(now) {
            left if left <= SignedDuration::ZERO => Self::Over,
            left if left < SHORT => Self::Short,
            _ => Self::Long,
        }
    }
}

/// The end of a certificate's validity, from its DER.
pub(super) fn not_after(certificate: &[u8]) -> Option<Timestamp> {
    let (certificate, _) = element(certificate, SEQUENCE)?;
    let (signed, _) = element(certificate, SEQUENCE)?;
    let rest = element(signed, VERSION).map_or(signed, |(_, rest)| rest);
    let (_serial, rest) = element(rest, INTEGER)?;
    let (_algorithm, rest) = element(rest, SEQUENCE)?;
    let (_issuer, rest) = element(rest, SEQUENCE)?;
    let (validity, _) = element(rest, SEQUENCE)?;
    let (_, _not_before, rest) = any(validity)?;
    match any(rest)? {
        (UTC_TIME, text, _) => {
            let (year, rest) = number(text, 2)?;
            // RFC 5280, 4.1.2.5.1: two digits are of 1950 to 2049.
            time(if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        (GENERALIZED_TIME, text, _) => {
            let (year, rest) = number(text, 4)?;
            time(year, rest)
        }
        _ => None,
    }
}

/// `MMDDHHMMSSZ`, the only form that RFC 5280 allows.
fn time(year: i16, text: &[u8]) -> Option<Timestamp> {
    let mut rest = text;
    let mut next = || -> Option<i8> {
        let (two, after) = number(rest, 2)?;
        rest = after;
        i8::try_from(two).ok()
    };
    let (month, day) = (next()?, next()?);
    let (hour, minute, second) = (next()?, next()?, next()?);
    if rest != b"Z" {
        return None;
    }
    let time = civil::DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
    Offset::UTC.to_timestamp(time).ok()
}

/// So many digits, and what comes after.
fn number(text: &[u8], digits: usize) -> Option<(i16, &[u8])> {
    let (digits, rest) = text.split_at_checked(digits)?;
    let number = digits.iter().try_fold(0_i16, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| i16::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    });
    Some((number?, rest))
}

/// An element of this kind: its content, and what comes after.
fn element(bytes: &[u8], kind: u8) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = any(bytes)?;
    (found == kind).then_some((content, rest))
}

/// The next element: its kind, its content, and what comes after.
fn any(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[kind, length], rest) = bytes.split_first_chunk::<2>()?;
    let (length, rest) = match length {
        // One byte tells the length, or how many bytes do.
        short @ ..0x80 => (usize::from(short), rest),
        long => {
            let (length, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            let length = length.iter().try_fold(0_usize, |length, byte| {
                Some(length.checked_mul(256)? + usize::from(*byte))
            });
            (length?, rest)
        }
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((kind, content, rest))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn certificate(year: i32, month: u8, day: u8) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["scaler".to_owned()]).unwrap();
        params.not_before = date_time_ymd(1970, 1, 1);
        params.not_after = date_time_ymd(year, month, day);
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn the_end_is_read_in_both_of_its_forms() {
        for (year, month, day, expected) in [
            (1999, 12, 31, "1999-12-31T00:00:00Z"),
            (2027, 3, 1, "2027-03-01T00:00:00Z"),
            (2049, 1, 31, "2049-01-31T00:00:00Z"),
            (2050, 2, 28, "2050-02-28T00:00:00Z"),
        ] {
            let der = certificate(year, month, day);
            let expected: Timestamp = expected.parse().unwrap();
            assert_eq!(not_after(&der), Some(expected));
        }
    }

    #[test]
    fn no_bytes_make_it_fail() {
        let der = certificate(2049, 12, 31);
        let whole = not_after(&der);
        for end in 0..der.len() {
            assert_eq!(not_after(&der[..end]), None, "cut at {end}");
        }
        for at in 0..der.len() {
            for byte in [0x00, 0x7f, 0x80, 0x84, 0x88, 0xff] {
                let mut der = der.clone();
                der[at] = byte;
                not_after(&der);
            }
        }
        assert!(whole.is_some());
    }

    #[test]
    fn the_end_is_told_in_time() {
        let ends: Timestamp = "2027-03-15T00:00:00Z".parse().unwrap();
        for (now, expected) in [
            ("2026-03-15T00:00:00Z", Validity::Long),
            ("2027-03-01T00:00:00Z", Validity::Long),
            ("2027-03-01T00:00:01Z", Validity::Short),
            ("2027-03-14T23:59:59Z", Validity::Short),
            ("2027-03-15T00:00:00Z", Validity::Over),
            ("2028-01-01T00:00:00Z", Validity::Over),
        ] {
            assert_eq!(Validity::of(ends, now.parse().unwrap()), expected, "{now}");
        }
    }
}
