//! The version order of `-gtVersion`: .NET's `System.Version`.
//!
//! May import: nothing of ours. Invariant: the order is that of the service,
//! not of semver; a missing component is smaller than a zero (`2.163` sorts
//! before `2.163.0`).

/// A .NET version: two to four non-negative components.
///
/// A missing component counts as −1, as `System.Version` has it, so the derived
/// order over the array is exactly that of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DotNetVersion([i32; 4]);

// === impl DotNetVersion ===

impl DotNetVersion {
    /// Reads a version as the service does for `-gtVersion`: what follows the
    /// first `-` (not at the very start) is cut, then two to four components
    /// are wanted. `None` for anything else, a single number included.
    ///
    /// Azure DevOps: the demand classes of the distributed-task SDK.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = match text.find('-') {
            Some(at) if at > 0 => &text[..at],
            _ => text,
        };
        let mut components = [-1; 4];
        let mut count = 0;
        for part in text.split('.') {
            // .NET reads each part as an integer with optional white space and
            // sign around it; a negative one is refused.
            let number: i32 = part.trim().parse().ok()?;
            if number < 0 {
                return None;
            }
            *components.get_mut(count)? = number;
            count += 1;
        }
        (count >= 2).then_some(Self(components))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_dotnet() {
        // smaller, larger
        let table = [
            ("2.163", "2.163.0"),
            ("2.163.0", "2.163.0.0"),
            ("2.9", "2.10"),
            ("2.163.1", "2.182.1"),
            ("3.258.0", "4.0"),
            ("2.163.1-beta", "2.163.2"),
        ];
        for (smaller, larger) in table {
            let (a, b) = (DotNetVersion::parse(smaller), DotNetVersion::parse(larger));
            assert!(a.is_some() && b.is_some() && a < b, "{smaller} < {larger}");
        }
        assert_eq!(
            DotNetVersion::parse("2.163.1-beta.7"),
            DotNetVersion::parse("2.163.1")
        );
    }

    #[test]
    fn what_dotnet_refuses_is_no_version() {
        for text in [
            "",
            "4",
            "a.b",
            "1.2.3.4.5",
            "1..2",
            "1.-2",
            "-1.2",
            "1.99999999999",
        ] {
            assert_eq!(DotNetVersion::parse(text), None, "{text:?}");
        }
    }
}
