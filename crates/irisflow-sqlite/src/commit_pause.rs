//! A pause at a named point of every commit, for tests of clients that hang up in the middle of one.
//! Without the feature `faults` there is none.

/// Where a commit can pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CommitPoint {
    /// Everything is written and the commit not requested.
    Before,
    /// The commit is queued, possibly in a group, and has not begun.
    During,
    /// It is on the disk; no notification or answer was sent.
    After,
}

#[cfg(feature = "faults")]
pub use planned::{CommitPause, CommitPauseError};

#[cfg(feature = "faults")]
pub(crate) use planned::pause;

/// Without the feature: no pause.
#[cfg(not(feature = "faults"))]
pub(crate) fn pause(_: CommitPoint) -> std::future::Ready<()> {
    std::future::ready(())
}

#[cfg(feature = "faults")]
mod planned {
    use std::str::FromStr;
    use std::sync::OnceLock;
    use std::time::Duration;

    use super::CommitPoint;

    /// The pause that all commits of this process make.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct CommitPause {
        point: CommitPoint,
        time: Duration,
    }

    #[derive(Debug, thiserror::Error)]
    #[error("{0:?} is not a pause; write before:80, during:80 or after:80 (milliseconds)")]
    pub struct CommitPauseError(String);

    static PLANNED: OnceLock<CommitPause> = OnceLock::new();

    impl CommitPause {
        /// Puts it into effect for the rest of the process. The first one stands.
        pub fn plan(self) {
            let _ = PLANNED.set(self);
        }
    }

    impl FromStr for CommitPause {
        type Err = CommitPauseError;

        fn from_str(text: &str) -> Result<Self, Self::Err> {
            let refused = || CommitPauseError(text.to_owned());
            let (point, time) = text.split_once(':').ok_or_else(refused)?;
            let point = match point {
                "before" => CommitPoint::Before,
                "during" => CommitPoint::During,
                "after" => CommitPoint::After,
                _ => return Err(refused()),
            };
            let time = Duration::from_millis(time.parse().map_err(|_| refused())?);
            Ok(Self { point, time })
        }
    }

    pub(crate) async fn pause(point: CommitPoint) {
        if let Some(planned) = PLANNED.get()
            && planned.point == point
        {
            tokio::time::sleep(planned.time).await;
        }
    }
}
