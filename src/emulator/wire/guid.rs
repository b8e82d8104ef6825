//! Guids that tell a thing's number, so that none of them need be remembered.
//!
//! May import: nothing of ours. Invariant: the same thing has always the same
//! guid, and two things never share one.

/// What a guid is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(in crate::emulator) enum Family {
    Client = 0xa6e7,
    Host = 0x4057,
    Job = 0x1f11,
    Lock = 0x10c4,
    Organization = 0x0a61,
    Person = 0xad31,
    Plan = 0x91a0,
    Project = 0x5c0e,
    Session = 0x5e55,
}

/// The guid of a number below 2^48.
pub(in crate::emulator) fn guid(family: Family, number: u64) -> String {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let (high, low) = (mixed >> 32, number & 0xffff_ffff_ffff);
    let family = family as u16;
    format!("{high:08x}-{family:04x}-4000-8000-{low:012x}")
}

/// The number of a guid, in any case; `None` where it is none of this family.
pub(in crate::emulator) fn number(family: Family, text: &str) -> Option<u64> {
    let (_, low) = text.rsplit_once('-')?;
    let number = u64::from_str_radix(low, 16).ok()?;
    guid(family, number)
        .eq_ignore_ascii_case(text)
        .then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guid_tells_its_number_and_only_to_its_family() {
        for tried in [0, 1, 90_401, 310 << 16 | 1, (1 << 48) - 1] {
            let text = guid(Family::Session, tried);
            assert_eq!(text.len(), 36, "{text}");
            assert_eq!(number(Family::Session, &text), Some(tried));
            assert_eq!(number(Family::Session, &text.to_uppercase()), Some(tried));
            assert_eq!(number(Family::Lock, &text), None);
        }
        for wrong in ["", "-", "1", "00000000-5e55-4000-8000-000000000001", "é-é"] {
            assert_eq!(number(Family::Session, wrong), None, "{wrong}");
        }
    }
}
