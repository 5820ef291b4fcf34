//! The consent text and its version. The operator may configure both.

use irisflow_messages::{Language, text};
use sha2::{Digest as _, Sha256};

const MAX_TEXT_BYTES: usize = 32 * 1024;
pub(super) const MAX_VERSION_CHARS: usize = 100;

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
        let text = text!("consent-biometric").in_language(Language::PROGRAM);
        Self {
            version: version_of(&text),
            text,
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

    /// Users who agreed to it would be asked again otherwise.
    #[test]
    fn the_default_text_keeps_its_version() {
        assert_eq!(ConsentText::default().version(), "8f68a455390e");
    }

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
