//! Disks that fail: small file systems in memory, mounted for a run, filled up or made read-only while
//! the service is suspended. That takes root on Linux; elsewhere these faults cannot be played.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

/// A mounted file system in memory. Dropping it unmounts it.
#[derive(Debug)]
pub(crate) struct Disk {
    path: PathBuf,
}

pub(crate) fn can_be_mounted() -> bool {
    let folder = tempfile::tempdir();
    folder.is_ok_and(|folder| Disk::mount(&folder.path().join("disk"), 1).is_ok())
}

impl Disk {
    pub(crate) fn mount(path: &Path, megabytes: usize) -> anyhow::Result<Self> {
        std::fs::create_dir_all(path).with_context(|| path.display().to_string())?;
        let size = format!("size={megabytes}m");
        run(Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(path))
        .context("mounting a disk takes root on Linux")?;
        Ok(Self {
            path: path.to_owned(),
        })
    }

    /// Takes all the space there is.
    pub(crate) fn fill(&self) -> anyhow::Result<()> {
        let mut file = std::fs::File::create(self.filler()).context("filling the disk")?;
        // Large pieces first, then the rest to the last byte.
        for piece in [1 << 20, 4096, 1] {
            let zeros = vec![0; piece];
            while file.write_all(&zeros).is_ok() {}
        }
        Ok(())
    }

    pub(crate) fn empty(&self) -> anyhow::Result<()> {
        std::fs::remove_file(self.filler()).context("making room again")
    }

    /// Fails while a file is open for writing on it.
    pub(crate) fn make_read_only(&self) -> anyhow::Result<()> {
        self.remount("remount,ro")
    }

    pub(crate) fn make_writable(&self) -> anyhow::Result<()> {
        self.remount("remount,rw")
    }

    fn remount(&self, options: &str) -> anyhow::Result<()> {
        run(Command::new("mount").args(["-o", options]).arg(&self.path))
    }

    fn filler(&self) -> PathBuf {
        self.path.join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a process that is just ending may still hold it.
        let _ = run(Command::new("umount").arg("-l").arg(&self.path));
    }
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().context("starting it")?;
    if output.status.success() {
        return Ok(());
    }
    bail!(
        "{}",
        String::from_utf8_lossy(&output.stderr).trim().to_owned()
    )
}
