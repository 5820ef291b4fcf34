//! Names of the output files of each photo, chosen so that none overwrites another output or an input.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use irisflow_image::coverage::Outline;
use irisflow_image::finish::Background;

/// The output paths of one photo.
#[derive(Debug)]
pub(crate) struct OutputNames {
    folder: PathBuf,
    name: String,
}

const ENDINGS: [&str; 13] = [
    ".jpg",
    ".png",
    "_round.jpg",
    "_round.png",
    "_round_mask.png",
    "_visible.jpg",
    "_visible.png",
    "_visible_mask.png",
    "_mask.png",
    "_before.jpg",
    ".json",
    "_labels.png",
    "_overlay.jpg",
];

impl OutputNames {
    pub(crate) fn result_on(&self, background: Background) -> PathBuf {
        self.path(ending_on(background))
    }

    /// The picture with the other outline.
    pub(crate) fn result_of(&self, outline: Outline, background: Background) -> PathBuf {
        self.path(&format!("_{}{}", outline.as_str(), ending_on(background)))
    }

    pub(crate) fn mask_of(&self, outline: Outline) -> PathBuf {
        self.path(&format!("_{}_mask.png", outline.as_str()))
    }

    pub(crate) fn mask(&self) -> PathBuf {
        self.path("_mask.png")
    }

    pub(crate) fn before(&self) -> PathBuf {
        self.path("_before.jpg")
    }

    pub(crate) fn report(&self) -> PathBuf {
        self.path(".json")
    }

    pub(crate) fn labels(&self) -> PathBuf {
        self.path("_labels.png")
    }

    pub(crate) fn overlay(&self) -> PathBuf {
        self.path("_overlay.jpg")
    }

    fn path(&self, ending: &str) -> PathBuf {
        self.folder.join(format!("{}{ending}", self.name))
    }
}

fn ending_on(background: Background) -> &'static str {
    match background {
        Background::Transparent => ".png",
        Background::Black | Background::White | Background::Photo => ".jpg",
    }
}

/// Assigns unique names, in the order of the photos on the command line.
#[derive(Debug)]
pub(crate) struct OutputNaming {
    folder: PathBuf,
    /// Names in the folder that are in use, in lower case, because some file systems are case-insensitive.
    taken: HashSet<String>,
}

impl OutputNaming {
    /// The names of `photos` that are in `folder` themselves count as taken.
    pub(crate) fn new(folder: &Path, photos: &[PathBuf]) -> Self {
        let real_folder = folder.canonicalize().ok();
        let is_in_folder = |photo: &&PathBuf| {
            let real = photo.canonicalize().ok();
            real.as_deref().and_then(Path::parent) == real_folder.as_deref()
        };
        let taken = photos.iter().filter(is_in_folder).filter_map(|photo| {
            let real = photo.canonicalize().ok()?;
            Some(lower(real.file_name()?.to_owned()))
        });
        Self {
            taken: taken.collect(),
            folder: folder.to_owned(),
        }
    }

    pub(crate) fn names_for(&mut self, photo: &Path) -> OutputNames {
        let stem = if photo == Path::new("-") {
            "stdin".into()
        } else {
            photo
                .file_stem()
                .unwrap_or(photo.as_os_str())
                .to_string_lossy()
        };
        let numbered = (2..).map(|number| format!("{stem}-{number}"));
        let free = std::iter::once(stem.to_string())
            .chain(numbered)
            .find(|name| files_of(name).all(|file| !self.taken.contains(&file)));
        let name = free.unwrap_or_else(|| stem.to_string());
        self.taken.extend(files_of(&name));
        OutputNames {
            folder: self.folder.clone(),
            name,
        }
    }
}

fn files_of(name: &str) -> impl Iterator<Item = String> {
    ENDINGS
        .iter()
        .map(move |ending| format!("{name}{ending}").to_lowercase())
}

fn lower(name: OsString) -> String {
    name.to_string_lossy().to_lowercase()
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::OutputNaming;

    fn reports(photos: &[&str]) -> Vec<String> {
        let photos: Vec<PathBuf> = photos.iter().map(PathBuf::from).collect();
        let mut naming = OutputNaming::new(Path::new("out"), &photos);
        let name = |photo: &PathBuf| naming.names_for(photo).report().display().to_string();
        photos.iter().map(name).collect()
    }

    #[test]
    fn a_photo_names_its_files() {
        assert_eq!(
            reports(&["left/eye.jpg", "-"]),
            ["out/eye.json", "out/stdin.json"]
        );
    }

    #[test]
    fn equal_names_are_numbered_also_when_only_their_case_differs() {
        assert_eq!(
            reports(&["left/eye.jpg", "right/eye.png", "EYE.webp"]),
            ["out/eye.json", "out/eye-2.json", "out/EYE-3.json"]
        );
    }

    #[test]
    fn a_number_that_is_a_photos_own_name_is_passed_over() {
        assert_eq!(
            reports(&["eye-2.jpg", "a/eye.jpg", "b/eye.jpg"]),
            ["out/eye-2.json", "out/eye.json", "out/eye-3.json"]
        );
    }

    #[test]
    fn a_photo_named_like_anothers_result_gets_a_number() {
        assert_eq!(
            reports(&["eye.jpg", "eye_before.jpg"]),
            ["out/eye.json", "out/eye_before-2.json"]
        );
    }
}
