//! Mounted disks for fault injection: a small tmpfs that can be filled up or made read-only, and an ext4
//! image on a loop device that can be made to fail with EIO. Mounting needs root on Linux; elsewhere these
//! faults are skipped.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

/// A mounted tmpfs. Dropping it unmounts it.
#[derive(Debug)]
pub(crate) struct TmpfsDisk {
    path: PathBuf,
}

/// An ext4 file system in an image file behind a loop device. To make writes fail with EIO, the image file
/// is made immutable. Dropping it unmounts it.
#[derive(Debug)]
pub(super) struct IoErrorDisk {
    path: PathBuf,
    image: PathBuf,
}

pub(crate) fn can_be_mounted() -> bool {
    let folder = tempfile::tempdir();
    folder.is_ok_and(|folder| TmpfsDisk::mount(&folder.path().join("disk"), 1).is_ok())
}

/// Mounts an [`IoErrorDisk`] and checks that writes do fail while they should.
pub(super) fn can_fail() -> bool {
    tempfile::tempdir().is_ok_and(|folder| try_failing(folder.path()).unwrap_or(false))
}

fn try_failing(folder: &Path) -> anyhow::Result<bool> {
    let path = folder.join("disk");
    let disk = IoErrorDisk::mount(&path, &folder.join("image"), 8)?;
    let write = |name: &str| -> std::io::Result<()> {
        let mut file = std::fs::File::create(path.join(name))?;
        file.write_all(&[1; 8192])?;
        file.sync_all()
    };
    disk.begin_failing()?;
    let failed = write("failing").is_err_and(|error| error.raw_os_error() == Some(EIO));
    disk.end_failing()?;
    Ok(failed && write("working").is_ok())
}

const EIO: i32 = 5;

impl TmpfsDisk {
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

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Fills the disk to the last byte.
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

impl Drop for TmpfsDisk {
    fn drop(&mut self) {
        // Lazy unmount: a process that is just ending may still have files open.
        let _ = run(Command::new("umount").arg("-l").arg(&self.path));
    }
}

impl IoErrorDisk {
    /// Creates `image`, which must be on a file system with immutable files (`chattr +i`).
    pub(super) fn mount(path: &Path, image: &Path, megabytes: usize) -> anyhow::Result<Self> {
        std::fs::create_dir_all(path).with_context(|| path.display().to_string())?;
        let file = std::fs::File::create(image).context("an image")?;
        file.set_len((megabytes as u64) << 20).context("an image")?;
        // No journal: a failed write to the journal would leave the file system read-only.
        let layout = ["-q", "-b", "4096", "-O", "^has_journal", "-m", "0"];
        run(Command::new("mkfs.ext4")
            .args(layout)
            .args(["-E", "nodiscard,lazy_itable_init=0"])
            .arg(image))
        .context("making a file system")?;
        run(Command::new("mount")
            .args(["-o", "loop,nodiscard"])
            .args([image, path]))
        .context("mounting a disk takes root on Linux")?;
        Ok(Self {
            path: path.to_owned(),
            image: image.to_owned(),
        })
    }

    pub(super) fn begin_failing(&self) -> anyhow::Result<()> {
        run(Command::new("chattr").arg("+i").arg(&self.image))
    }

    pub(super) fn end_failing(&self) -> anyhow::Result<()> {
        run(Command::new("chattr").arg("-i").arg(&self.image))
    }
}

impl Drop for IoErrorDisk {
    fn drop(&mut self) {
        let _ = self.end_failing();
        // Lazy unmount: a process that is just ending may still have files open.
        let _ = run(Command::new("umount").arg("-l").arg(&self.path));
    }
}

pub(super) fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().context("starting it")?;
    if output.status.success() {
        return Ok(());
    }
    bail!(
        "{}",
        String::from_utf8_lossy(&output.stderr).trim().to_owned()
    )
}
