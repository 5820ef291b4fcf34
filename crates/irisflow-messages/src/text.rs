//! A message: its key and its parameters, and how it becomes a sentence.

use std::borrow::Cow;

use fluent_bundle::{FluentArgs, FluentValue};

use crate::Language;

/// A message: the key of a text in `texts/`, with its parameters. Made by [`text!`](crate::text).
#[derive(Debug, Clone, PartialEq)]
pub struct Text {
    key: &'static str,
    arguments: Vec<(&'static str, Argument)>,
}

/// The value of a parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Argument {
    /// A name, or a word that texts choose by: `{ $side -> [left] ... }`.
    Word(Cow<'static, str>),
    /// A count: texts may choose by its plural.
    Count(u64),
    /// A part that several texts share.
    Text(Text),
}

/// What happened, and one thing to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Advice {
    pub message: Text,
    pub suggestion: Text,
}

/// The text with this key: `text!("error-rate-limited", whose = "one-address", per_second = 5_u32)`;
/// `"a-key.suggestion"` names an attribute. A key that `texts/en.ftl` does not have, or a parameter that it
/// uses and that is not given, is a compile error.
#[macro_export]
macro_rules! text {
    ($key:expr $(, $name:ident = $value:expr)* $(,)?) => {{
        const _: () = $crate::compile_check::require($key, &[$(stringify!($name)),*]);
        $crate::Text::new($key, vec![$((stringify!($name), $crate::Argument::from($value))),*])
    }};
}

/// The text with this key and its attribute `suggestion`, each as [`text!`] makes it.
#[macro_export]
macro_rules! advice {
    ($key:expr $(, $name:ident = $value:expr)* $(,)?) => {
        $crate::Advice {
            message: $crate::text!($key $(, $name = $value)*),
            suggestion: $crate::text!(concat!($key, ".suggestion") $(, $name = $value)*),
        }
    };
}

impl Text {
    /// Use [`text!`](crate::text), which checks the key.
    #[doc(hidden)]
    pub fn new(key: &'static str, arguments: Vec<(&'static str, Argument)>) -> Self {
        Self { key, arguments }
    }

    pub fn in_language(&self, language: Language) -> String {
        let (id, attribute) = match self.key.split_once('.') {
            Some((id, attribute)) => (id, Some(attribute)),
            None => (self.key, None),
        };
        let bundle = language.bundle();
        let message = bundle.get_message(id);
        let pattern = message.and_then(|message| match attribute {
            Some(attribute) => Some(message.get_attribute(attribute)?.value()),
            None => message.value(),
        });
        // Unreachable for English: `text!` has checked the key.
        let Some(pattern) = pattern else {
            return self.key.to_owned();
        };
        let arguments: FluentArgs<'_> = self
            .arguments
            .iter()
            .map(|(name, argument)| (*name, argument.in_language(language)))
            .collect();
        let mut errors = Vec::new();
        let said = bundle.format_pattern(pattern, Some(&arguments), &mut errors);
        debug_assert!(errors.is_empty(), "{}: {errors:?}", self.key);
        said.into_owned()
    }
}

impl Argument {
    fn in_language(&self, language: Language) -> FluentValue<'_> {
        match self {
            Self::Word(word) => FluentValue::from(word.as_ref()),
            Self::Count(count) => FluentValue::from(*count),
            Self::Text(text) => FluentValue::from(text.in_language(language)),
        }
    }
}

impl From<&'static str> for Argument {
    fn from(word: &'static str) -> Self {
        Self::Word(Cow::Borrowed(word))
    }
}

impl From<String> for Argument {
    fn from(word: String) -> Self {
        Self::Word(Cow::Owned(word))
    }
}

impl From<u32> for Argument {
    fn from(count: u32) -> Self {
        Self::Count(count.into())
    }
}

impl From<u64> for Argument {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<usize> for Argument {
    fn from(count: usize) -> Self {
        Self::Count(u64::try_from(count).unwrap_or(u64::MAX))
    }
}

impl From<Text> for Argument {
    fn from(text: Text) -> Self {
        Self::Text(text)
    }
}

/// With so many digits behind the point.
pub(crate) fn decimal(value: f64, digits: usize) -> String {
    format!("{value:.digits$}")
}
