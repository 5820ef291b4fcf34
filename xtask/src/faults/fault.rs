//! What can go wrong, and where.

use std::fmt;

use rand::RngExt as _;
use rand::rngs::StdRng;

/// A way to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The step reports a transient error.
    Transient,
    /// The step reports an error of ours.
    Server,
    /// The step panics.
    Panic,
    /// The step takes longer than an attempt may.
    Hang,
    /// The process is killed: SIGKILL.
    Kill,
    /// The process is suspended for longer than its leases: SIGSTOP, SIGCONT.
    Suspend,
    /// The process is asked to end: SIGTERM.
    Terminate,
    /// The disk of the data folder is full for a while.
    FullDisk,
    /// The disk of the photos and results is read-only for a while.
    ReadOnlyDisk,
    /// Writes to the disk of the data folder, and reads of originals, give I/O errors for a while.
    IoErrors,
    /// The process gets no further file descriptor for a while.
    NoDescriptors,
    /// The wall clock steps ten minutes back, and at the next strike forward again.
    ClockBack,
    /// The wall clock steps an hour forward, and at the next strike back again.
    ClockForward,
    /// Clients send a request and hang up.
    HangUp,
}

/// Where it strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Point {
    /// Between the transaction of the claim and the begin of the attempt.
    Claimed,
    /// At the begin of a step.
    Loading,
    Segmenting,
    RemovingReflections,
    Enhancing,
    Saving,
    /// Just after an object was written.
    AfterResult,
    AfterMask,
    AfterBefore,
    /// While some jobs run and many wait, for longer than leases and retries.
    Backlog,
    /// The same, of the disk of photos and results alone: the database goes on.
    BacklogOfFiles,
    /// While the server pauses in the commit of a request.
    BeforeCommit,
    DuringCommit,
    AfterCommit,
}

/// What an attempt may take in the runs with [`Fault::Hang`].
pub(super) const HANG_LIMIT_MS: u64 = 6_000;
/// The lease in all other runs: short, but not so short that a busy machine cannot keep it.
pub(super) const LEASE_MS: u64 = 2_000;
/// The lease in the runs with [`Fault::Terminate`], where none may run out.
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

    /// Trouble of the machine, of its operator or of a client: no job may fail by it.
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

    /// Where it can strike.
    pub(super) fn points(self) -> Vec<Point> {
        let with = |point: Point| -> Vec<Point> { [&Point::STEPS[..], &[point]].concat() };
        match self {
            Self::Transient | Self::Server | Self::Panic | Self::Hang | Self::Suspend => {
                Point::STEPS.to_vec()
            }
            Self::Kill | Self::Terminate => with(Point::Claimed),
            Self::FullDisk | Self::IoErrors => {
                let mut points = with(Point::Backlog);
                points.push(Point::BacklogOfFiles);
                points
            }
            Self::ReadOnlyDisk => with(Point::BacklogOfFiles),
            Self::NoDescriptors | Self::ClockBack | Self::ClockForward => with(Point::Backlog),
            Self::HangUp => vec![Point::BeforeCommit, Point::DuringCommit, Point::AfterCommit],
        }
    }

    /// The plan for a life of the server: as many first claims as there are jobs are struck, at most once
    /// a life of the process where it ends by it.
    pub(super) fn plan(self, point: Point, jobs: usize, random: &mut StdRng) -> String {
        let some = jobs.div_ceil(3);
        match self {
            _ if point.is_backlog() => String::new(),
            // Some jobs fail again when they are tried again, and so fail by design.
            Self::Transient => format!("{point}:transient:{jobs}/first,{point}:transient:{some}"),
            Self::Server => format!("{point}:server:{jobs}/first,{point}:server:{some}"),
            Self::Panic => format!("{point}:panic:{jobs}/first,{point}:panic:{some}"),
            Self::Hang => {
                // Some come back late, some so late that their thread was given up.
                let late = HANG_LIMIT_MS + LEASE_MS / 4;
                let too_late = HANG_LIMIT_MS + LEASE_MS * 2;
                let rest = jobs - some;
                format!("{point}:hang{late}:{some}/first,{point}:hang{too_late}:{rest}/first")
            }
            Self::Kill => format!("{point}:kill:1/first"),
            Self::Terminate if point == Point::Claimed => {
                // The same job again and again: it is the first in the queue of the next life, too.
                let time = [0, 30, 300][random.random_range(0..3)];
                format!("{point}:terminate{time}:1")
            }
            Self::Terminate => {
                // Shorter and longer than a worker waits for its threads at the end.
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

    /// Settings beside those of all runs.
    pub(super) fn settings(self, point: Point) -> Vec<(&'static str, String)> {
        let pause = |at: &str| vec![("IRISFLOW_COMMIT_PAUSE", format!("{at}:{COMMIT_PAUSE_MS}"))];
        match (self, point) {
            (Self::Hang, _) => vec![
                ("IRISFLOW_MAX_RUNTIME_MS", HANG_LIMIT_MS.to_string()),
                ("IRISFLOW_WORKERS", "4".to_owned()),
            ],
            // A lease that a busy machine could not keep would count as a crash, as a bad stop does.
            (Self::Terminate, _) => vec![("IRISFLOW_LEASE_MS", LONG_LEASE_MS.to_string())],
            (_, Point::BeforeCommit) => pause("before"),
            (_, Point::DuringCommit) => pause("during"),
            (_, Point::AfterCommit) => pause("after"),
            _ => Vec::new(),
        }
    }

    /// The codes with which a job may end by design.
    pub(super) fn allowed_failures(self) -> &'static [&'static str] {
        match self {
            Self::Transient => &["storage_unavailable"],
            Self::Server | Self::Panic => &["step_failed"],
            // A job that loses three workers is taken for their killer.
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

impl Point {
    const STEPS: [Self; 8] = [
        Self::Loading,
        Self::Segmenting,
        Self::RemovingReflections,
        Self::Enhancing,
        Self::Saving,
        Self::AfterResult,
        Self::AfterMask,
        Self::AfterBefore,
    ];

    /// Whether the outage is a long one, from outside.
    pub(super) fn is_backlog(self) -> bool {
        matches!(self, Self::Backlog | Self::BacklogOfFiles)
    }

    /// Whether it is a place within an attempt.
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

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
