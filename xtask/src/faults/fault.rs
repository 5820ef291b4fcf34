//! The kinds of fault and their injection points, with the plan and settings that each combination
//! needs.

use std::fmt;

use rand::RngExt as _;
use rand::rngs::StdRng;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The step reports a transient error.
    Transient,
    /// The step reports an internal error.
    Server,
    /// The step panics.
    Panic,
    /// The step exceeds the time limit of an attempt.
    Hang,
    /// The process is killed: SIGKILL.
    Kill,
    /// The process is suspended for longer than its leases last: SIGSTOP, SIGCONT.
    Suspend,
    /// Graceful shutdown: SIGTERM.
    Terminate,
    /// The disk of the data folder is full for a while.
    FullDisk,
    /// The disk of the photos and results is read-only for a while.
    ReadOnlyDisk,
    /// Writes to the disk of the data folder, and reads of originals, give I/O errors for a while.
    IoErrors,
    /// The process cannot open further file descriptors for a while.
    NoDescriptors,
    /// The wall clock steps ten minutes back, and at the next injection forward again.
    ClockBack,
    /// The wall clock steps an hour forward, and at the next injection back again.
    ClockForward,
    /// Clients send a request and disconnect.
    HangUp,
}

/// Where a fault is injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InjectionPoint {
    /// Between the transaction of the claim and the start of the attempt.
    Claimed,
    /// At the start of a step.
    Loading,
    Segmenting,
    RemovingReflections,
    Enhancing,
    Saving,
    /// Just after an object was written.
    AfterResult,
    AfterMask,
    AfterBefore,
    /// While some jobs run and many wait, for longer than leases and retries last.
    Backlog,
    /// Like `Backlog`, but only the disk of photos and results: the database stays available.
    BacklogOfFiles,
    /// While the server pauses in the commit of a request.
    BeforeCommit,
    DuringCommit,
    AfterCommit,
}

/// Time limit of an attempt in the runs with [`Fault::Hang`].
pub(super) const HANG_LIMIT_MS: u64 = 6_000;
/// The lease in all other runs: short, but long enough that a busy machine can renew it in time.
pub(super) const LEASE_MS: u64 = 2_000;
/// The lease in the runs with [`Fault::Terminate`], in which no lease may expire.
const LONG_LEASE_MS: u64 = 30_000;
/// How long commits pause in the runs with [`Fault::HangUp`].
const COMMIT_PAUSE_MS: u64 = 80;

impl Fault {
    pub(super) const ALL: [Self; 14] = [
        Self::Transient,
        Self::Server,
        Self::Panic,
        Self::Hang,
        Self::Kill,
        Self::Suspend,
        Self::Terminate,
        Self::FullDisk,
        Self::ReadOnlyDisk,
        Self::IoErrors,
        Self::NoDescriptors,
        Self::ClockBack,
        Self::ClockForward,
        Self::HangUp,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Server => "server",
            Self::Panic => "panic",
            Self::Hang => "hang",
            Self::Kill => "kill",
            Self::Suspend => "suspend",
            Self::Terminate => "terminate",
            Self::FullDisk => "full_disk",
            Self::ReadOnlyDisk => "read_only_disk",
            Self::IoErrors => "io_errors",
            Self::NoDescriptors => "no_descriptors",
            Self::ClockBack => "clock_back",
            Self::ClockForward => "clock_forward",
            Self::HangUp => "hang_up",
        }
    }

    /// Whether the cause is the machine, its operator or a client, so that no job may fail because of it.
    pub(super) fn is_outage(self) -> bool {
        match self {
            Self::Transient
            | Self::Server
            | Self::Panic
            | Self::Hang
            | Self::Kill
            | Self::Suspend => false,
            Self::Terminate
            | Self::FullDisk
            | Self::ReadOnlyDisk
            | Self::IoErrors
            | Self::NoDescriptors
            | Self::ClockBack
            | Self::ClockForward
            | Self::HangUp => true,
        }
    }

    /// The injection points at which it is possible.
    pub(super) fn points(self) -> Vec<InjectionPoint> {
        let with = |point: InjectionPoint| -> Vec<InjectionPoint> {
            [&InjectionPoint::STEPS[..], &[point]].concat()
        };
        match self {
            Self::Transient | Self::Server | Self::Panic | Self::Hang | Self::Suspend => {
                InjectionPoint::STEPS.to_vec()
            }
            Self::Kill | Self::Terminate => with(InjectionPoint::Claimed),
            Self::FullDisk | Self::IoErrors => {
                let mut points = with(InjectionPoint::Backlog);
                points.push(InjectionPoint::BacklogOfFiles);
                points
            }
            Self::ReadOnlyDisk => with(InjectionPoint::BacklogOfFiles),
            Self::NoDescriptors | Self::ClockBack | Self::ClockForward => {
                with(InjectionPoint::Backlog)
            }
            Self::HangUp => vec![
                InjectionPoint::BeforeCommit,
                InjectionPoint::DuringCommit,
                InjectionPoint::AfterCommit,
            ],
        }
    }

    /// The value of `IRISFLOW_FAULTS` for one process: the fault is injected into the first attempt of as
    /// many jobs as there are, or once per process where it ends the process.
    pub(super) fn plan(self, point: InjectionPoint, jobs: usize, random: &mut StdRng) -> String {
        let some = jobs.div_ceil(3);
        match self {
            _ if point.is_backlog() => String::new(),
            // Some jobs fail again in their retries, and so fail by design.
            Self::Transient => format!("{point}:transient:{jobs}/first,{point}:transient:{some}"),
            Self::Server => format!("{point}:server:{jobs}/first,{point}:server:{some}"),
            Self::Panic => format!("{point}:panic:{jobs}/first,{point}:panic:{some}"),
            Self::Hang => {
                // Some return after the time limit, some so late that their thread was abandoned.
                let late = HANG_LIMIT_MS + LEASE_MS / 4;
                let too_late = HANG_LIMIT_MS + LEASE_MS * 2;
                let rest = jobs - some;
                format!("{point}:hang{late}:{some}/first,{point}:hang{too_late}:{rest}/first")
            }
            Self::Kill => format!("{point}:kill:1/first"),
            Self::Terminate if point == InjectionPoint::Claimed => {
                // The same job each time: it is the first in the queue of the next process, too.
                let time = [0, 30, 300][random.random_range(0..3)];
                format!("{point}:terminate{time}:1")
            }
            Self::Terminate => {
                // Shorter and longer than a worker waits for its threads at shutdown.
                let time = if random.random() { 500 } else { 2_500 };
                format!("{point}:terminate{time}:1/first")
            }
            Self::Suspend
            | Self::FullDisk
            | Self::ReadOnlyDisk
            | Self::IoErrors
            | Self::NoDescriptors
            | Self::ClockBack
            | Self::ClockForward => format!("{point}:stop:{jobs}/first"),
            Self::HangUp => String::new(),
        }
    }

    /// Settings in addition to those of all runs.
    pub(super) fn settings(self, point: InjectionPoint) -> Vec<(&'static str, String)> {
        let pause = |at: &str| vec![("IRISFLOW_COMMIT_PAUSE", format!("{at}:{COMMIT_PAUSE_MS}"))];
        match (self, point) {
            (Self::Hang, _) => vec![
                ("IRISFLOW_MAX_RUNTIME_MS", HANG_LIMIT_MS.to_string()),
                ("IRISFLOW_WORKERS", "4".to_owned()),
            ],
            // A lease that expired on a busy machine would count as a crash, like a failed shutdown.
            (Self::Terminate, _) => vec![("IRISFLOW_LEASE_MS", LONG_LEASE_MS.to_string())],
            (_, InjectionPoint::BeforeCommit) => pause("before"),
            (_, InjectionPoint::DuringCommit) => pause("during"),
            (_, InjectionPoint::AfterCommit) => pause("after"),
            _ => Vec::new(),
        }
    }

    /// The error codes with which a job may fail by design.
    pub(super) fn allowed_failures(self) -> &'static [&'static str] {
        match self {
            Self::Transient => &["storage_unavailable"],
            Self::Server | Self::Panic => &["step_failed"],
            // After three lost workers a job counts as the cause (poison job) and fails.
            Self::Hang => &["timed_out", "worker_lost"],
            Self::Kill | Self::Suspend => &["worker_lost"],
            Self::Terminate
            | Self::FullDisk
            | Self::ReadOnlyDisk
            | Self::IoErrors
            | Self::NoDescriptors
            | Self::ClockBack
            | Self::ClockForward
            | Self::HangUp => &[],
        }
    }
}

impl InjectionPoint {
    pub(super) const STEPS: [Self; 8] = [
        Self::Loading,
        Self::Segmenting,
        Self::RemovingReflections,
        Self::Enhancing,
        Self::Saving,
        Self::AfterResult,
        Self::AfterMask,
        Self::AfterBefore,
    ];

    /// Whether the fault is a long outage, caused from outside the process.
    pub(super) fn is_backlog(self) -> bool {
        matches!(self, Self::Backlog | Self::BacklogOfFiles)
    }

    /// Whether it is a point within an attempt.
    pub(super) fn is_step(self) -> bool {
        Self::STEPS.contains(&self)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Loading => "loading",
            Self::Segmenting => "segmenting",
            Self::RemovingReflections => "removing_reflections",
            Self::Enhancing => "enhancing",
            Self::Saving => "saving",
            Self::AfterResult => "after_result",
            Self::AfterMask => "after_mask",
            Self::AfterBefore => "after_before",
            Self::Backlog => "backlog",
            Self::BacklogOfFiles => "backlog_of_files",
            Self::BeforeCommit => "before_commit",
            Self::DuringCommit => "during_commit",
            Self::AfterCommit => "after_commit",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for InjectionPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
