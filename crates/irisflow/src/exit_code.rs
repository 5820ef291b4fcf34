//! Exit codes, decided in one place.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | everything is done |
//! | 1 | some photos were rejected: a better photo helps |
//! | 2 | wrong usage (said by the parser of arguments) |
//! | 3 | something failed that is not a photo's fault |
//! | 4 | a backup is made, but some objects were damaged or missing already; it names them |
//! | 130 | interrupted with Ctrl-C; what was submitted goes on |

use std::process::ExitCode;

/// What became of a photo, or of all of them: the worst decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    Completed,
    Rejected,
    /// What could be done is done; what could not is named.
    Incomplete,
    Failed,
    Interrupted,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(match outcome {
            Outcome::Completed => 0,
            Outcome::Rejected => 1,
            Outcome::Failed => 3,
            Outcome::Incomplete => 4,
            Outcome::Interrupted => 130,
        })
    }
}
