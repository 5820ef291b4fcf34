//! Atomic file writes: the bytes go to a temporary file beside the target, which is flushed and renamed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Atomic write with default permissions.
pub(crate) fn write_atomically(target: &Path, bytes: &[u8]) -> io::Result<()> {
    write_beside(target, bytes, &mut OpenOptions::new())
}

/// Atomic write of a file that is readable by its owner only (0600), from the start.
pub(crate) fn write_private(target: &Path, bytes: &[u8]) -> io::Result<()> {
    write_beside(target, bytes, &mut private())
}

/// Creates an empty file that is readable by its owner only (0600).
pub(crate) fn create_private(path: &Path) -> io::Result<File> {
    private().write(true).create(true).truncate(true).open(path)
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options
}

/// Creates a folder that only its owner can access (0700).
pub(crate) fn make_private_folder(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

fn write_beside(target: &Path, bytes: &[u8], options: &mut OpenOptions) -> io::Result<()> {
    let mut partial = target.as_os_str().to_owned();
    partial.push(format!(".{}.part", std::process::id()));
    let partial = PathBuf::from(partial);
    // A leftover of a crash may have other permissions.
    match fs::remove_file(&partial) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let create = |options: &mut OpenOptions| -> io::Result<File> {
        options.write(true).create_new(true).open(&partial)
    };
    let written = create(options)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&partial, target));
    if written.is_err() {
        // Best effort: the write error is the one to report.
        let _ = fs::remove_file(&partial);
    }
    written
}
