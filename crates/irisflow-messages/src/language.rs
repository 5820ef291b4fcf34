//! The languages, and the texts of each.

use std::sync::LazyLock;

use fluent_bundle::FluentResource;
use fluent_bundle::concurrent::FluentBundle;
use unic_langid::LanguageIdentifier;

pub(crate) const ENGLISH: &str = include_str!("../texts/en.ftl");

/// A language of the texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    #[default]
    English,
}

impl Language {
    pub const ALL: [Self; 1] = [Self::English];

    /// The language of the program, as long as nothing asks for another. Each use is a place that a
    /// negotiation of languages replaces.
    pub const PROGRAM: Self = Self::English;

    /// The content of the language's file.
    fn texts(self) -> &'static str {
        match self {
            Self::English => ENGLISH,
        }
    }

    pub(crate) fn bundle(self) -> &'static FluentBundle<FluentResource> {
        static ENGLISH_BUNDLE: LazyLock<FluentBundle<FluentResource>> =
            LazyLock::new(|| bundle("en", Language::English.texts()));
        match self {
            Self::English => &ENGLISH_BUNDLE,
        }
    }
}

/// Skips messages that cannot be parsed; a test ensures that there are none.
fn bundle(language: &str, texts: &str) -> FluentBundle<FluentResource> {
    let language: LanguageIdentifier = language.parse().unwrap_or_default();
    let mut bundle = FluentBundle::new_concurrent(vec![language]);
    // The marks around parameters are for mixed writing directions; they would show up in JSON.
    bundle.set_use_isolating(false);
    let resource =
        FluentResource::try_new(texts.to_owned()).unwrap_or_else(|(resource, _errors)| resource);
    bundle.add_resource_overriding(resource);
    bundle
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_texts_are_well_formed_and_each_key_stands_once() {
        for language in Language::ALL {
            let texts = language.texts().to_owned();
            let resource = FluentResource::try_new(texts).expect("well-formed texts");
            let mut bundle = FluentBundle::new_concurrent(vec![LanguageIdentifier::default()]);
            bundle.add_resource(resource).expect("no key twice");
        }
    }
}
