//! A scrape of `/metrics`, by name and labels.

/// What a scrape held.
pub(crate) struct Scrape(pub(crate) String);

impl Scrape {
    /// The sum of the series with these labels; `None` where there is none.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let values = self.0.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?.strip_prefix('{')?;
            let (found, value) = rest.rsplit_once("} ")?;
            let has = |(key, value): &(&str, &str)| found.contains(&format!("{key}=\"{value}\""));
            labels
                .iter()
                .all(has)
                .then(|| value.parse::<f64>().unwrap())
        });
        values.reduce(|sum, value| sum + value)
    }

    /// Requests to Azure DevOps that ended so.
    pub(crate) fn outcome(&self, kind: &str) -> f64 {
        let labels = [("outcome", kind)];
        self.value("azp_azure_requests_total", &labels).unwrap()
    }

    /// All of them.
    pub(crate) fn requests(&self) -> f64 {
        self.value("azp_azure_requests_total", &[]).unwrap()
    }

    /// Readings that failed in a row.
    pub(crate) fn failures(&self) -> f64 {
        self.value("azp_pool_failures_in_a_row", &[]).unwrap_or(0.0)
    }
}
