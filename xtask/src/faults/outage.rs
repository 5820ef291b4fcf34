//! Trouble of the machine that comes and goes. It is begun and ended from outside, by the kernel's own
//! means: nothing in the service plays along.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::cell::Cell;
use super::clock::Clock;
use super::disk::{Disk, FailingDisk, run};
use super::fault::{Fault, Point};
use super::server::Server;

/// What is made ready before the service starts.
#[derive(Debug)]
pub(super) enum Outage {
    FullDisk(Disk),
    ReadOnlyDisk(Disk),
    IoErrors {
        disk: FailingDisk,
        /// The folder of the service's objects.
        objects: PathBuf,
    },
    NoDescriptors {
        /// The soft limit before, during the outage.
        before: Option<u64>,
    },
    Clock(Clock),
}

const BUSY_PAUSE: Duration = Duration::from_millis(5);

impl Outage {
    /// `None` for faults that are no outage of the machine.
    pub(super) fn prepare(cell: Cell, folder: &Path, jobs: usize) -> anyhow::Result<Option<Self>> {
        let data = folder.join("data");
        let megabytes = 48 + jobs * 8;
        let disk = match cell.point {
            Point::BacklogOfFiles => data.join("files"),
            _ => data.clone(),
        };
        let outage = match cell.fault {
            Fault::FullDisk => Self::FullDisk(Disk::mount(&disk, megabytes)?),
            Fault::ReadOnlyDisk => Self::ReadOnlyDisk(Disk::mount(&data.join("files"), megabytes)?),
            Fault::IoErrors => Self::IoErrors {
                disk: FailingDisk::mount(&disk, &folder.join("image"), megabytes)?,
                objects: data.join("files/objects"),
            },
            Fault::NoDescriptors => Self::NoDescriptors { before: None },
            Fault::ClockBack => Self::Clock(Clock::new(folder, "-10m")?),
            Fault::ClockForward => Self::Clock(Clock::new(folder, "+60m")?),
            Fault::Transient
            | Fault::Server
            | Fault::Panic
            | Fault::Hang
            | Fault::Kill
            | Fault::Suspend
            | Fault::Terminate
            | Fault::HangUp => return Ok(None),
        };
        Ok(Some(outage))
    }

    /// Settings with which the service must be started.
    pub(super) fn settings(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Clock(clock) => clock.settings(),
            _ => Vec::new(),
        }
    }

    pub(super) async fn begin(&mut self, server: &Server) -> anyhow::Result<()> {
        match self {
            Self::FullDisk(disk) => disk.fill(),
            Self::ReadOnlyDisk(disk) => make_read_only(disk, server).await,
            Self::IoErrors { disk, objects } => {
                set_originals_aside(objects)?;
                disk.begin_failing()
            }
            Self::NoDescriptors { before } => {
                *before = Some(server.descriptor_limit()?);
                // One that every process has exceeded: whatever is freed is not to be had again.
                set_descriptor_limit(server, 1)
            }
            Self::Clock(clock) => clock.step(),
        }
    }

    /// A stepped clock stays as it is.
    pub(super) fn end(&mut self, server: &Server) -> anyhow::Result<()> {
        match self {
            Self::FullDisk(disk) => disk.empty(),
            Self::ReadOnlyDisk(disk) => disk.make_writable(),
            Self::IoErrors { disk, objects } => {
                disk.end_failing()?;
                bring_originals_back(objects)
            }
            Self::NoDescriptors { before } => {
                let before = before.take().context("an outage that has begun")?;
                set_descriptor_limit(server, before)
            }
            Self::Clock(_) => Ok(()),
        }
    }
}

pub(super) fn can_limit_descriptors() -> bool {
    run(Command::new("prlimit").args(["--nofile=64:", "true"])).is_ok()
}

/// A disk cannot be made read-only while a file is open for writing: then the service runs for a moment
/// longer.
async fn make_read_only(disk: &Disk, server: &Server) -> anyhow::Result<()> {
    for _ in 0..400 {
        let Err(_busy) = disk.make_read_only() else {
            return Ok(());
        };
        server.resume()?;
        tokio::time::sleep(BUSY_PAUSE).await;
    }
    bail!("the disk is always being written")
}

fn set_descriptor_limit(server: &Server, limit: u64) -> anyhow::Result<()> {
    // A soft limit alone: the colon leaves the hard one.
    let limit = format!("--nofile={limit}:");
    run(Command::new("prlimit").args(["--pid", &server.id()?, &limit]))
}

/// Reading this gives an I/O error, on any disk.
const UNREADABLE: &str = "/proc/self/mem";
const ASIDE: &str = "aside";

/// Puts something unreadable into the place of every original.
fn set_originals_aside(objects: &Path) -> anyhow::Result<()> {
    for original in originals(objects)? {
        let aside = original.with_added_extension(ASIDE);
        std::fs::rename(&original, &aside).context("setting an original aside")?;
        std::os::unix::fs::symlink(UNREADABLE, &original).context("an unreadable original")?;
    }
    Ok(())
}

fn bring_originals_back(objects: &Path) -> anyhow::Result<()> {
    for aside in originals(objects)? {
        if aside
            .extension()
            .is_some_and(|extension| extension == ASIDE)
        {
            std::fs::rename(&aside, aside.with_extension("")).context("an original again")?;
        }
    }
    Ok(())
}

fn originals(objects: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let users = std::fs::read_dir(objects.join("iris")).context("the folder of originals")?;
    for user in users {
        for original in std::fs::read_dir(user?.path())? {
            files.push(original?.path());
        }
    }
    Ok(files)
}
