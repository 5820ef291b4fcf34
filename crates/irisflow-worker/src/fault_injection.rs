//! Failures planned by name: which point of an attempt, what happens there, how often. Without the
//! feature `faults` a plan is always empty and costs nothing.

use irisflow_jobs::{Failure, Job};

/// Where a fault can strike: between the claim and the attempt, at the begin of a step, or just after
/// an object was written.
pub(crate) mod point {
    pub(crate) const CLAIMED: &str = "claimed";
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
            "{:?} is not a fault; write point:kind:count, as in segmenting:transient:1 or saving:kill:3/first",
            self.0
        )
    }
}

impl std::error::Error for FaultPlanError {}

pub use planned::FaultPlan;
#[cfg(feature = "faults")]
pub use planned::HeldPoint;

#[cfg(not(feature = "faults"))]
mod planned {
    use super::{Failure, FaultPlanError, Job};

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
        pub(crate) fn strike(&self, _point: &str, _job: &Job) -> Result<(), Failure> {
            Ok(())
        }
    }
}

#[cfg(feature = "faults")]
mod planned {
    use std::process::Command;
    use std::sync::{Arc, Condvar, Mutex, PoisonError};
    use std::time::{Duration, Instant};

    use irisflow_messages::failures;

    use super::{Failure, FaultPlanError, Job};

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Kind {
        Transient,
        Server,
        Panic,
        /// The process aborts.
        Abort,
        /// The process is killed, by a real signal.
        Kill,
        /// The process is suspended until it receives SIGCONT.
        Stop,
        /// The process is asked to end, and the step takes this long.
        Terminate(Duration),
        /// The step takes this long.
        Hang(Duration),
    }

    #[derive(Debug)]
    struct Fault {
        point: String,
        kind: Kind,
        left: u32,
        /// Only jobs that were never claimed before are struck.
        first_claim_only: bool,
    }

    /// The faults that are still to strike.
    #[derive(Debug, Default)]
    pub struct FaultPlan {
        faults: Mutex<Vec<Fault>>,
        held: Option<(String, HeldPoint)>,
    }

    /// A break point: the first attempt that comes there waits until it is released. For tests in the process
    /// of the worker.
    #[derive(Debug, Clone, Default)]
    pub struct HeldPoint {
        state: Arc<(Mutex<Passage>, Condvar)>,
    }

    #[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    enum Passage {
        #[default]
        NotReached,
        Held,
        Released,
    }

    impl HeldPoint {
        /// Blocks until an attempt waits there. `false` when none has come within `limit`.
        pub fn wait_until_reached(&self, limit: Duration) -> bool {
            self.wait_for(Passage::Held, limit)
        }

        /// Lets the attempt go on, and all later ones pass.
        pub fn release(&self) {
            self.set(Passage::Released);
        }

        fn pass(&self) {
            const LONGEST: Duration = Duration::from_secs(600);
            let (passage, _) = &*self.state;
            let is_first =
                *passage.lock().unwrap_or_else(PoisonError::into_inner) == Passage::NotReached;
            if is_first {
                self.set(Passage::Held);
                self.wait_for(Passage::Released, LONGEST);
            }
        }

        fn set(&self, to: Passage) {
            let (passage, changed) = &*self.state;
            *passage.lock().unwrap_or_else(PoisonError::into_inner) = to;
            changed.notify_all();
        }

        fn wait_for(&self, wanted: Passage, limit: Duration) -> bool {
            let (passage, changed) = &*self.state;
            let guard = passage.lock().unwrap_or_else(PoisonError::into_inner);
            let waited = changed.wait_timeout_while(guard, limit, |passage| *passage < wanted);
            let (passage, _) = waited.unwrap_or_else(PoisonError::into_inner);
            *passage >= wanted
        }
    }

    impl FaultPlan {
        /// Reads `point:kind:count` entries, separated by commas. Kinds: `transient`, `server`,
        /// `panic`, `abort`, `kill`, `stop`, `terminate500` and `hang500` (milliseconds). A count as in
        /// `3/first` strikes each job in its first claim only, also across restarts.
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
                held: None,
            })
        }

        /// A plan with one break point, as in `saving`.
        pub fn holding_at(point: &str) -> (Self, HeldPoint) {
            let held = HeldPoint::default();
            let plan = Self {
                faults: Mutex::default(),
                held: Some((point.to_owned(), held.clone())),
            };
            (plan, held)
        }

        pub(crate) fn strike(&self, point: &str, job: &Job) -> Result<(), Failure> {
            if let Some((_, held)) = self.held.iter().find(|(at, _)| at == point) {
                held.pass();
            }
            let Some(kind) = self.take(point, job.epoch) else {
                return Ok(());
            };
            tracing::info!(job_id = %job.id, point, ?kind, "a planned fault strikes");
            match kind {
                Kind::Transient => return Err(failures::storage_unavailable()),
                Kind::Server => return Err(failures::step_failed()),
                Kind::Panic => std::panic::panic_any(format!("planned panic at {point}")),
                Kind::Abort => std::process::abort(),
                Kind::Kill => signal_self("-KILL"),
                Kind::Stop => signal_self("-STOP"),
                Kind::Terminate(time) => {
                    signal_self("-TERM");
                    hang(time);
                }
                Kind::Hang(time) => hang(time),
            }
            Ok(())
        }

        fn take(&self, point: &str, epoch: i64) -> Option<Kind> {
            let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
            let fault = faults.iter_mut().find(|fault| {
                let concerned = epoch == 1 || !fault.first_claim_only;
                fault.point == point && fault.left > 0 && concerned
            })?;
            fault.left -= 1;
            Some(fault.kind)
        }
    }

    /// Parks until the time is over. One call would not do: a scoped thread that ended before has left its
    /// wake-up, which a later park takes.
    fn hang(time: Duration) {
        let end = Instant::now() + time;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            std::thread::park_timeout(left);
        }
    }

    /// By the system's own command: a real signal, without unsafe code.
    fn signal_self(signal: &str) {
        let sent = Command::new("kill")
            .args([signal, &std::process::id().to_string()])
            .status();
        if !sent.as_ref().is_ok_and(std::process::ExitStatus::success) {
            tracing::error!(?sent, signal, "could not send a planned signal");
        }
    }

    fn parse_fault(entry: &str) -> Option<Fault> {
        let mut parts = entry.split(':');
        let (point, kind, count) = (parts.next()?, parts.next()?, parts.next()?);
        let (count, first_claim_only) = match count.strip_suffix("/first") {
            Some(count) => (count, true),
            None => (count, false),
        };
        Some(Fault {
            point: point.to_owned(),
            kind: parse_kind(kind)?,
            left: count.parse().ok()?,
            first_claim_only,
        })
    }

    fn parse_kind(kind: &str) -> Option<Kind> {
        let lasting = |name: &str| -> Option<Duration> {
            let time = kind.strip_prefix(name)?.parse().ok()?;
            Some(Duration::from_millis(time))
        };
        match kind {
            "transient" => Some(Kind::Transient),
            "server" => Some(Kind::Server),
            "panic" => Some(Kind::Panic),
            "abort" => Some(Kind::Abort),
            "kill" => Some(Kind::Kill),
            "stop" => Some(Kind::Stop),
            _ => lasting("hang")
                .map(Kind::Hang)
                .or_else(|| lasting("terminate").map(Kind::Terminate)),
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_fault_for_first_claims_spares_later_ones() {
            let plan =
                FaultPlan::parse("saving:transient:2/first,saving:server:1").expect("a plan");
            assert_eq!(plan.take("saving", 1), Some(Kind::Transient));
            assert_eq!(plan.take("saving", 2), Some(Kind::Server));
            assert_eq!(plan.take("saving", 2), None);
            assert_eq!(plan.take("loading", 1), None);
            assert_eq!(plan.take("saving", 1), Some(Kind::Transient));
        }

        #[test]
        fn what_is_no_fault_is_named() {
            let refused = FaultPlan::parse("saving:hang500:1,saving:flood:1");
            assert_eq!(
                refused.err().map(|error| error.0).as_deref(),
                Some("saving:flood:1")
            );
        }
    }
}
