//! A setting that is not shown.

use std::convert::Infallible;
use std::str::FromStr;

/// Its text is not in `Debug`. Every text is one, since an error of the command line would quote it.
#[derive(Clone)]
pub(crate) struct SecretArg(String);

impl SecretArg {
    /// An empty variable is how a compose file leaves a setting out.
    pub(crate) fn text(setting: Option<&Self>) -> Option<&str> {
        let text = setting.map(|secret| secret.0.trim());
        text.filter(|text| !text.is_empty())
    }
}

impl FromStr for SecretArg {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl std::fmt::Debug for SecretArg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}
