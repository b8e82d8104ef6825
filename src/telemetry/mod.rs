//! stub
pub mod metrics {
    //! stub
    use std::time::Duration;
    /// stub
    #[derive(Debug, Default)]
    pub struct Metrics;
    /// stub
    #[derive(Clone, Copy, Debug)]
    pub enum AzureRoute {
        /// a
        Pool,
        /// b
        UnfinishedJobs,
    }
    impl Metrics {
        /// stub
        pub fn azure_request(
            &self,
            _r: AzureRoute,
            _e: Option<&crate::ports::ReadError>,
            _d: Duration,
        ) {
        }
    }
}
