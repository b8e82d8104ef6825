//! KEDA's own rule for the trigger key `demands`.
//!
//! May import: demands. Invariant: the answer is that of KEDA 2.21's
//! `azure-pipelines` trigger, its oddities included: a demand that the trigger
//! names twice counts twice, text is not trimmed, operators mean nothing.

use super::demand::Demands;

/// The demands of a trigger and how KEDA compares them with a job's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DemandsRule {
    demands: Box<[Box<str>]>,
    compare: Compare,
    ignore_case: bool,
}

/// Which of the two lists has to be whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// Each demand of the job is one of the trigger's (KEDA's default).
    JobWithinTrigger,
    /// Both lists are the same (`requireAllDemands`).
    Same,
    /// Each demand of the trigger is one of the job's
    /// (`requireAllDemandsAndIgnoreOthers`).
    TriggerWithinJob,
}

// === impl DemandsRule ===

impl DemandsRule {
    /// Reads the trigger's value as KEDA does: split at commas, not trimmed,
    /// without what begins with `Agent.Version`.
    #[must_use]
    pub fn new(demands: &str, compare: Compare, ignore_case: bool) -> Self {
        let demands = demands.split(',').filter(|demand| counts(demand));
        Self {
            demands: demands.map(Into::into).collect(),
            compare,
            ignore_case,
        }
    }

    /// The demands of the trigger that are compared.
    #[must_use]
    pub fn demands(&self) -> &[Box<str>] {
        &self.demands
    }

    /// Would KEDA count a job with these demands?
    #[must_use]
    pub fn fits(&self, job: &Demands) -> bool {
        let job: Vec<&str> = job.texts().filter(|demand| counts(demand)).collect();
        let matches: usize = job.iter().map(|demand| self.occurrences(demand)).sum();
        match self.compare {
            Compare::JobWithinTrigger => matches == job.len(),
            Compare::Same => matches == job.len() && matches == self.demands.len(),
            Compare::TriggerWithinJob => matches == self.demands.len(),
        }
    }

    fn occurrences(&self, wanted: &str) -> usize {
        let same = |own: &str| {
            if self.ignore_case {
                own.chars().map(fold).eq(wanted.chars().map(fold))
            } else {
                own == wanted
            }
        };
        self.demands.iter().filter(|own| same(own)).count()
    }
}

fn counts(demand: &str) -> bool {
    !demand.starts_with("Agent.Version")
}

/// What a character has in common with those that Go's `strings.EqualFold`,
/// KEDA's comparison, takes for the same: Unicode's simple folding, character by
/// character. So `ſ` is `s` and the Kelvin sign is `k`, but `ß` is not `ss`.
fn fold(c: char) -> char {
    // The two dotted and dotless ones of Turkish are equal to nothing else.
    if matches!(c, 'İ' | 'ı') {
        return c;
    }
    let upper = single(c.to_uppercase()).unwrap_or(c);
    single(upper.to_lowercase()).unwrap_or(upper)
}

fn single(mut chars: impl ExactSizeIterator<Item = char>) -> Option<char> {
    (chars.len() == 1).then(|| chars.next()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(trigger: &str, job: &[&str], expected: [bool; 3]) {
        let job = Demands::read(job);
        let rules = [
            Compare::JobWithinTrigger,
            Compare::Same,
            Compare::TriggerWithinJob,
        ];
        let fits = rules.map(|compare| DemandsRule::new(trigger, compare, false).fits(&job));
        assert_eq!(fits, expected, "trigger {trigger:?}, job {job:?}");
    }

    #[test]
    fn text_is_compared_as_keda_does() {
        // trigger, job: job within trigger, same, trigger within job
        check("java,docker", &["java"], [true, false, false]);
        check("java,docker", &["java", "docker"], [true, true, true]);
        check("java", &["java", "docker"], [false, false, true]);
        check("java", &[], [true, false, false]);
        check(
            "java",
            &["Agent.Version -gtVersion 2.1"],
            [true, false, false],
        );
        check("Agent.Version,java", &["java"], [true, true, true]);
        // not trimmed
        check("java, docker", &["java", "docker"], [false, false, false]);
        // a demand that is named twice counts twice
        check("java,java", &["java"], [false, false, true]);
        check("java", &["Java"], [false, false, false]);
        // operators mean nothing
        check("java", &["java -equals 17"], [false, false, false]);
        check("java -equals 17", &["java -equals 17"], [true, true, true]);
    }

    #[test]
    fn case_is_ignored_on_request() {
        let check = |trigger: &str, job: &str, expected: bool| {
            let rule = DemandsRule::new(trigger, Compare::Same, true);
            assert_eq!(
                rule.fits(&Demands::read(&[job])),
                expected,
                "{trigger} {job}"
            );
        };
        check("JAVA", "java", true);
        check("BÜRO", "büro", true);
        // Go folds each character by itself
        check("ΑΣ", "ας", true);
        check("ſdk", "SDK", true);
        check("\u{212a}8s", "k8s", true);
        check("straße", "STRAẞE", true);
        check("straße", "STRASSE", false);
        check("İ", "i\u{307}", false);
        check("ı", "i", false);
    }
}
