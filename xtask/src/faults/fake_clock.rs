//! A fake wall clock that can be stepped while the service runs: libfaketime, loaded with `LD_PRELOAD`,
//! reads the offset from a file each time the process reads the clock. The monotonic clock is not affected.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

/// The wall clock of one service.
#[derive(Debug)]
pub(super) struct FakeClock {
    library: PathBuf,
    file: PathBuf,
    step: &'static str,
    is_stepped: bool,
}

impl FakeClock {
    /// A clock without an offset. `step` is an offset in libfaketime's format, such as `-10m`.
    pub(super) fn new(folder: &Path, step: &'static str) -> anyhow::Result<Self> {
        let clock = Self {
            library: find_library().context("libfaketime is not installed")?,
            file: folder.join("clock"),
            step,
            is_stepped: false,
        };
        clock.write("+0")?;
        Ok(clock)
    }

    pub(super) fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("LD_PRELOAD", self.library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("NO_FAKE_STAT", "1".to_owned()),
        ]
    }

    /// Steps away from the right time, or back to it.
    pub(super) fn step(&mut self) -> anyhow::Result<()> {
        self.is_stepped = !self.is_stepped;
        self.write(if self.is_stepped { self.step } else { "+0" })
    }

    fn write(&self, offset: &str) -> anyhow::Result<()> {
        // Atomic write: libfaketime may read the file at any moment.
        let beside = self.file.with_extension("next");
        std::fs::write(&beside, offset)
            .and_then(|()| std::fs::rename(&beside, &self.file))
            .context("setting the clock")
    }
}

/// Whether libfaketime is available; tries to install it when it is missing.
pub(super) fn can_be_set() -> bool {
    find_library().is_some() || (install() && find_library().is_some())
}

fn install() -> bool {
    println!("libfaketime is missing; installing it with apt-get");
    let apt = |arguments: &[&str]| {
        let output = Command::new("apt-get").args(arguments).output();
        output.is_ok_and(|output| output.status.success())
    };
    apt(&["update", "-q"]) && apt(&["install", "-y", "-q", "--no-install-recommends", "faketime"])
}

fn find_library() -> Option<PathBuf> {
    let places = std::fs::read_dir("/usr/lib").ok()?;
    places
        .flatten()
        .map(|place| place.path().join("faketime/libfaketimeMT.so.1"))
        .find(|library| library.exists())
}
