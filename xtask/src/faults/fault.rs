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
}

/// Where it strikes: at the begin of a step, or just after an object was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Point {
    Loading,
    Segmenting,
    RemovingReflections,
    Enhancing,
    Saving,
    AfterResult,
    AfterMask,
    AfterBefore,
}

/// What an attempt may take in the runs with [`Fault::Hang`].
pub(super) const HANG_LIMIT_MS: u64 = 6_000;
/// The lease in all runs: short, but not so short that a busy machine cannot keep it.
pub(super) const LEASE_MS: u64 = 2_000;

impl Fault {
    pub(super) const ALL: [Self; 9] = [
        Self::Transient,
        Self::Server,
        Self::Panic,
        Self::Hang,
        Self::Kill,
        Self::Suspend,
        Self::Terminate,
        Self::FullDisk,
        Self::ReadOnlyDisk,
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
        }
    }

    /// The plan for a server: as many first claims as there are jobs are struck, at most once a life of
    /// the process where it ends by it.
    pub(super) fn plan(self, point: Point, jobs: usize, random: &mut StdRng) -> String {
        let some = jobs.div_ceil(3);
        match self {
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
            Self::Terminate => {
                // Shorter and longer than a worker waits for its threads at the end.
                let time = if random.random() { 500 } else { 2_500 };
                format!("{point}:terminate{time}:1/first")
            }
            Self::Suspend | Self::FullDisk | Self::ReadOnlyDisk => {
                format!("{point}:stop:{jobs}/first")
            }
        }
    }

    /// Settings beside those of all runs.
    pub(super) fn settings(self) -> Vec<(&'static str, String)> {
        match self {
            Self::Hang => vec![
                ("IRISFLOW_MAX_RUNTIME_MS", HANG_LIMIT_MS.to_string()),
                ("IRISFLOW_WORKERS", "4".to_owned()),
            ],
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
            Self::Terminate => &[],
            Self::FullDisk | Self::ReadOnlyDisk => &["storage_unavailable", "worker_lost"],
        }
    }
}

impl Point {
    pub(super) const ALL: [Self; 8] = [
        Self::Loading,
        Self::Segmenting,
        Self::RemovingReflections,
        Self::Enhancing,
        Self::Saving,
        Self::AfterResult,
        Self::AfterMask,
        Self::AfterBefore,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Loading => "loading",
            Self::Segmenting => "segmenting",
            Self::RemovingReflections => "removing_reflections",
            Self::Enhancing => "enhancing",
            Self::Saving => "saving",
            Self::AfterResult => "after_result",
            Self::AfterMask => "after_mask",
            Self::AfterBefore => "after_before",
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
