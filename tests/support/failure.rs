//! How a scenario on real parts fails: with what the part said, readable.

/// The result of a scenario; an error is told as it says itself.
pub(crate) type Outcome = Result<(), Failure>;

/// A failure that shows its text and not the shape of its type.
pub(crate) struct Failure(Box<dyn std::error::Error + Send + Sync>);

impl std::fmt::Debug for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl<E: Into<Box<dyn std::error::Error + Send + Sync>>> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure(error.into())
    }
}
