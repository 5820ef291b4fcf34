//! Reads a photo from a path, or from standard input (`-`).

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use anyhow::Context as _;
use irisflow_image::load::Limits;

/// Reads at most one byte more than the limit, which is enough for the photo to be rejected as too large.
pub(crate) fn read_photo(photo: &Path, limits: &Limits) -> anyhow::Result<Vec<u8>> {
    read_up_to(photo, limits.max_bytes as u64 + 1)
        .with_context(|| format!("cannot read {}", photo.display()))
}

fn read_up_to(photo: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if photo == Path::new("-") {
        io::stdin().lock().take(limit).read_to_end(&mut bytes)?;
    } else {
        File::open(photo)?.take(limit).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}
