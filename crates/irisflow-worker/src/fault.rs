//! Failures planned by name: which point of an attempt, what happens there, how often. Without the
//! feature `faults` a plan is always empty and costs nothing.

use irisflow_jobs::Failure;

/// Where a fault can strike: the begin of a step, or just after an object was written.
pub(crate) mod point {
    pub(crate) const LOADING: &str = "loading";
    pub(crate) const SEGMENTING: &str = "segmenting";
    pub(crate) const REMOVING_REFLECTIONS: &str = "removing_reflections";
    pub(crate) const ENHANCING: &str = "enhancing";
    pub(crate) const SAVING: &str = "saving";
    pub(crate) const AFTER_RESULT: &str = "after_result";
    pub(crate) const AFTER_MASK: &str = "after_mask";
    pub(crate) const AFTER_BEFORE: &str = "after_before";
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultPlanError(pub String);

impl std::fmt::Display for FaultPlanError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:?} is not a fault; write point:kind:count, as in segmenting:transient:1",
            self.0
        )
    }
}

impl std::error::Error for FaultPlanError {}

pub use planned::FaultPlan;

#[cfg(not(feature = "faults"))]
mod planned {
    use super::{Failure, FaultPlanError};

    /// Without the feature: nothing ever fails on purpose.
    #[derive(Debug, Default)]
    pub struct FaultPlan;

    impl FaultPlan {
        /// # Errors
        /// For any plan: this build cannot carry one out.
        pub fn parse(text: &str) -> Result<Self, FaultPlanError> {
            if text.is_empty() {
                Ok(Self)
            } else {
                Err(FaultPlanError(text.to_owned()))
            }
        }

        #[expect(
            clippy::unused_self,
            clippy::unnecessary_wraps,
            reason = "as with the feature"
        )]
        pub(crate) fn strike(&self, _point: &str) -> Result<(), Failure> {
            Ok(())
        }
    }
}

#[cfg(feature = "faults")]
mod planned {
    use std::sync::{Mutex, PoisonError};
    use std::time::Duration;

    use super::{Failure, FaultPlanError};

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Kind {
        Transient,
        Server,
        Panic,
        /// The process ends as by SIGKILL.
        Abort,
        /// The step takes this long.
        Hang(Duration),
    }

    #[derive(Debug)]
    struct Fault {
        point: String,
        kind: Kind,
        left: u32,
    }

    /// The faults that are still to strike.
    #[derive(Debug, Default)]
    pub struct FaultPlan {
        faults: Mutex<Vec<Fault>>,
    }

    impl FaultPlan {
        /// Reads `point:kind:count` entries, separated by commas. Kinds: `transient`, `server`,
        /// `panic`, `abort`, `hang500` (milliseconds).
        ///
        /// # Errors
        /// Names the entry that is not one.
        pub fn parse(text: &str) -> Result<Self, FaultPlanError> {
            let faults = text
                .split(',')
                .filter(|entry| !entry.is_empty())
                .map(|entry| parse_fault(entry).ok_or_else(|| FaultPlanError(entry.to_owned())))
                .collect::<Result<_, _>>()?;
            Ok(Self {
                faults: Mutex::new(faults),
            })
        }

        pub(crate) fn strike(&self, point: &str) -> Result<(), Failure> {
            let Some(kind) = self.take(point) else {
                return Ok(());
            };
            match kind {
                Kind::Transient => Err(Failure::storage_unavailable()),
                Kind::Server => Err(Failure::step_failed()),
                Kind::Panic => std::panic::panic_any(format!("planned panic at {point}")),
                Kind::Abort => std::process::abort(),
                Kind::Hang(time) => {
                    std::thread::park_timeout(time);
                    Ok(())
                }
            }
        }

        fn take(&self, point: &str) -> Option<Kind> {
            let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
            let fault = faults
                .iter_mut()
                .find(|fault| fault.point == point && fault.left > 0)?;
            fault.left -= 1;
            Some(fault.kind)
        }
    }

    fn parse_fault(entry: &str) -> Option<Fault> {
        let mut parts = entry.split(':');
        let (point, kind, count) = (parts.next()?, parts.next()?, parts.next()?);
        let kind = match kind {
            "transient" => Kind::Transient,
            "server" => Kind::Server,
            "panic" => Kind::Panic,
            "abort" => Kind::Abort,
            _ => Kind::Hang(Duration::from_millis(
                kind.strip_prefix("hang")?.parse().ok()?,
            )),
        };
        Some(Fault {
            point: point.to_owned(),
            kind,
            left: count.parse().ok()?,
        })
    }
}
