//! Disks that fail, mounted for a run: small file systems in memory that are filled up or made read-only,
//! and one in an image file to which the kernel cannot write for a while. That takes root on Linux;
//! elsewhere these faults cannot be played.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

/// A mounted file system in memory. Dropping it unmounts it.
#[derive(Debug)]
pub(crate) struct Disk {
    path: PathBuf,
}

/// A file system in an image file, behind a loop device. While it fails, every write that reaches the
/// device gives EIO: its image is made immutable beneath it. Dropping it unmounts it.
#[derive(Debug)]
pub(super) struct FailingDisk {
    path: PathBuf,
    image: PathBuf,
}

pub(crate) fn can_be_mounted() -> bool {
    let folder = tempfile::tempdir();
    folder.is_ok_and(|folder| Disk::mount(&folder.path().join("disk"), 1).is_ok())
}

/// Mounts one, and looks whether it does fail.
pub(super) fn can_fail() -> bool {
    tempfile::tempdir().is_ok_and(|folder| fails_on_purpose(folder.path()).unwrap_or(false))
}

fn fails_on_purpose(folder: &Path) -> anyhow::Result<bool> {
    let path = folder.join("disk");
    let disk = FailingDisk::mount(&path, &folder.join("image"), 8)?;
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

impl FailingDisk {
    /// `image` is a file that is made for it, on a file system that knows immutable files.
    pub(super) fn mount(path: &Path, image: &Path, megabytes: usize) -> anyhow::Result<Self> {
        std::fs::create_dir_all(path).with_context(|| path.display().to_string())?;
        let file = std::fs::File::create(image).context("an image")?;
        file.set_len((megabytes as u64) << 20).context("an image")?;
        // Without a journal: one that could not be written would be read-only for good.
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

impl Drop for FailingDisk {
    fn drop(&mut self) {
        let _ = self.end_failing();
        // Lazily: a process that is just ending may still hold it.
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
