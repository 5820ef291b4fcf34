//! The consent text and its version. The operator may configure both.

use sha2::{Digest as _, Sha256};

const MAX_TEXT_BYTES: usize = 32 * 1024;
pub(super) const MAX_VERSION_CHARS: usize = 100;

const DEFAULT_TEXT: &str = "\
The pattern of your iris is biometric data: it can tell you apart from everybody else. That is why we ask \
before we take a photo of it.

What it is for: from the photos that you give us we find your iris and make a clean, enlarged picture of it \
for you. We use them for nothing else. They are not sold and not used to recognise anybody.

What is kept: your photos and the pictures made from them, until you delete them or your account, or until \
the time is up that this service keeps them for.

Your rights: you can withdraw this consent at any time; after that no photo is taken in and nothing more is \
made. You can delete single photos, single pictures, or your account with everything in it at any time.

By agreeing you say that you have read this, and that the eye is yours or that you may decide for the person \
whose eye it is.";

/// The text that users are shown before they consent, with its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsentText {
    text: String,
    version: String,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConsentTextError {
    #[error("the consent text is empty")]
    Empty,
    #[error("the consent text has {bytes} bytes; the limit is {MAX_TEXT_BYTES}")]
    TooLong { bytes: usize },
    #[error("the version of the consent text must have 1 to {MAX_VERSION_CHARS} characters")]
    Version,
}

impl ConsentText {
    /// Without a version, one is derived from the text, so that each text has its own version.
    ///
    /// # Errors
    /// The text or the version is empty or too long.
    pub fn new(text: &str, version: Option<&str>) -> Result<Self, ConsentTextError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(ConsentTextError::Empty);
        }
        if text.len() > MAX_TEXT_BYTES {
            return Err(ConsentTextError::TooLong { bytes: text.len() });
        }
        let version = version.map_or_else(|| version_of(text), |version| version.trim().to_owned());
        if !(1..=MAX_VERSION_CHARS).contains(&version.chars().count()) {
            return Err(ConsentTextError::Version);
        }
        Ok(Self {
            text: text.to_owned(),
            version,
        })
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn version(&self) -> &str {
        &self.version
    }
}

impl Default for ConsentText {
    fn default() -> Self {
        Self {
            text: DEFAULT_TEXT.to_owned(),
            version: version_of(DEFAULT_TEXT),
        }
    }
}

/// The first 12 hexadecimal digits of the SHA-256 of the text.
fn version_of(text: &str) -> String {
    let hash = Sha256::digest(text.as_bytes());
    hash.iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_text_has_another_version_unless_one_is_set() {
        let version = |text: &str, version: Option<&str>| {
            let text = ConsentText::new(text, version).expect("a text");
            text.version().to_owned()
        };
        assert_eq!(version("one", None), version(" one\n", None));
        assert_ne!(version("one", None), version("two", None));
        assert_eq!(version("one", Some("2026-11")), "2026-11");
    }

    #[test]
    fn a_text_or_version_outside_the_limits_is_rejected() {
        assert_eq!(ConsentText::new(" ", None), Err(ConsentTextError::Empty));
        let long = "x".repeat(MAX_TEXT_BYTES + 1);
        assert!(matches!(
            ConsentText::new(&long, None),
            Err(ConsentTextError::TooLong { .. })
        ));
        for version in ["", &"x".repeat(101)] {
            assert_eq!(
                ConsentText::new("text", Some(version)),
                Err(ConsentTextError::Version)
            );
        }
    }

    #[test]
    fn the_default_text_is_within_the_limits() {
        let default = ConsentText::default();
        let read_again = ConsentText::new(default.text(), None);
        assert_eq!(read_again, Ok(default));
    }
}
