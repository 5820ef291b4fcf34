//! The exit codes of all commands.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | success |
//! | 1 | some photos were rejected; a better photo helps |
//! | 2 | usage error (from clap) |
//! | 3 | a failure other than a rejected photo |
//! | 4 | the backup or move is complete, but some objects in the storage were damaged or missing; they are listed |
//! | 130 | interrupted with Ctrl-C; submitted jobs continue |

use std::process::ExitCode;

/// The outcome of one photo, or of a whole run, which is the maximum over its photos.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    Completed,
    Rejected,
    /// A backup or move without some objects, which it lists.
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
