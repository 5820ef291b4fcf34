//! Arguments of `serve` about consent: whether it is required, and its text.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use irisflow_server::ConsentText;

#[derive(Debug, Clone, Args)]
pub(crate) struct ConsentArgs {
    /// Take uploads and jobs only of people who have given the consent `biometric_capture`.
    #[arg(long, env = "IRISFLOW_CONSENT_REQUIRED")]
    pub(crate) consent_required: bool,
    /// What people are asked to agree to, up to 32 KiB. Default: a built-in text.
    #[arg(
        long,
        env = "IRISFLOW_CONSENT_TEXT",
        conflicts_with = "consent_text_file",
        value_name = "TEXT"
    )]
    consent_text: Option<String>,
    /// The same from a file, read once at the start.
    #[arg(long, env = "IRISFLOW_CONSENT_TEXT_FILE", value_name = "FILE")]
    consent_text_file: Option<PathBuf>,
    /// Which wording it is, up to 100 characters. Derived from the text when left out.
    #[arg(long, env = "IRISFLOW_CONSENT_TEXT_VERSION", value_name = "VERSION")]
    consent_text_version: Option<String>,
}

impl ConsentArgs {
    /// # Errors
    /// When the file cannot be read, or the text is empty or too long.
    pub(crate) fn text(&self) -> anyhow::Result<ConsentText> {
        let own = match (&self.consent_text, &self.consent_text_file) {
            (Some(text), _) => Some(text.clone()),
            (None, Some(file)) => Some(
                fs::read_to_string(file)
                    .with_context(|| format!("reading the consent text {}", file.display()))?,
            ),
            (None, None) => None,
        };
        let text = own.unwrap_or_else(|| ConsentText::default().text().to_owned());
        let version = self.consent_text_version.as_deref();
        ConsentText::new(&text, version).context("the settings of consent")
    }
}
