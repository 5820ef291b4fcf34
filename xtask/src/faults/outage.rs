//! Temporary outages of the machine (disk, file descriptors, clock), begun and ended from outside the
//! process by the kernel's own means.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::fake_clock::FakeClock;
use super::fault::{Fault, InjectionPoint};
use super::faulty_disk::{IoErrorDisk, TmpfsDisk, run};
use super::matrix_cell::MatrixCell;
use super::server_process::Server;

/// An outage with the resources that are prepared before the service starts.
#[derive(Debug)]
pub(super) enum Outage {
    FullDisk(TmpfsDisk),
    ReadOnlyDisk(TmpfsDisk),
    IoErrors {
        disk: IoErrorDisk,
        /// The folder of the service's objects.
        objects: PathBuf,
    },
    NoDescriptors {
        /// The soft limit before, during the outage.
        before: Option<u64>,
    },
    FakeClock(FakeClock),
}

const BUSY_PAUSE: Duration = Duration::from_millis(5);

impl Outage {
    /// `None` for faults other than outages of the machine.
    pub(super) fn prepare(
        cell: MatrixCell,
        folder: &Path,
        jobs: usize,
    ) -> anyhow::Result<Option<Self>> {
        let data = folder.join("data");
        let megabytes = 48 + jobs * 8;
        let disk = match cell.point {
            InjectionPoint::BacklogOfFiles => data.join("files"),
            _ => data.clone(),
        };
        let outage = match cell.fault {
            Fault::FullDisk => Self::FullDisk(TmpfsDisk::mount(&disk, megabytes)?),
            Fault::ReadOnlyDisk => {
                Self::ReadOnlyDisk(TmpfsDisk::mount(&data.join("files"), megabytes)?)
            }
            Fault::IoErrors => Self::IoErrors {
                disk: IoErrorDisk::mount(&disk, &folder.join("image"), megabytes)?,
                objects: data.join("files/objects"),
            },
            Fault::NoDescriptors => Self::NoDescriptors { before: None },
            Fault::ClockBack => Self::FakeClock(FakeClock::new(folder, "-10m")?),
            Fault::ClockForward => Self::FakeClock(FakeClock::new(folder, "+60m")?),
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
            Self::FakeClock(clock) => clock.settings(),
            _ => Vec::new(),
        }
    }

    pub(super) async fn begin(&mut self, server: &Server) -> anyhow::Result<()> {
        match self {
            Self::FullDisk(disk) => disk.fill(),
            Self::ReadOnlyDisk(disk) => make_read_only(disk, server).await,
            Self::IoErrors { disk, objects } => {
                make_originals_unreadable(objects)?;
                disk.begin_failing()
            }
            Self::NoDescriptors { before } => {
                *before = Some(server.descriptor_limit()?);
                // Every process already exceeds this limit, so that freed descriptors cannot be reused.
                set_descriptor_limit(server, 1)
            }
            Self::FakeClock(clock) => clock.step(),
        }
    }

    /// Ends the outage. A stepped clock stays stepped.
    pub(super) fn end(&mut self, server: &Server) -> anyhow::Result<()> {
        match self {
            Self::FullDisk(disk) => disk.empty(),
            Self::ReadOnlyDisk(disk) => disk.make_writable(),
            Self::IoErrors { disk, objects } => {
                disk.end_failing()?;
                restore_originals(objects)
            }
            Self::NoDescriptors { before } => {
                let before = before.take().context("an outage that has begun")?;
                set_descriptor_limit(server, before)
            }
            Self::FakeClock(_) => Ok(()),
        }
    }
}

pub(super) fn can_limit_descriptors() -> bool {
    run(Command::new("prlimit").args(["--nofile=64:", "true"])).is_ok()
}

/// A disk cannot be made read-only while a file is open for writing; until then the suspended service is
/// resumed for a moment, again and again.
async fn make_read_only(disk: &TmpfsDisk, server: &Server) -> anyhow::Result<()> {
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
    // With the trailing colon prlimit sets the soft limit only.
    let limit = format!("--nofile={limit}:");
    run(Command::new("prlimit").args(["--pid", &server.id()?, &limit]))
}

/// Reading this file from the start gives an I/O error, on any disk.
const UNREADABLE: &str = "/proc/self/mem";
const ASIDE: &str = "aside";

/// Replaces every original by a link to an unreadable file, so that reads fail with an I/O error.
fn make_originals_unreadable(objects: &Path) -> anyhow::Result<()> {
    for original in originals(objects)? {
        let aside = original.with_added_extension(ASIDE);
        std::fs::rename(&original, &aside).context("setting an original aside")?;
        std::os::unix::fs::symlink(UNREADABLE, &original).context("an unreadable original")?;
    }
    Ok(())
}

fn restore_originals(objects: &Path) -> anyhow::Result<()> {
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
