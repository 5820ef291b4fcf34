//! User-facing texts: message keys with parameters, and the texts in each language.
//!
//! `texts/en.ftl` holds every sentence in English, in the syntax of Project Fluent. The other crates
//! return codes and figures; the modules here turn those of the imaging core and of jobs into messages,
//! and the server and the command line name theirs with [`text!`]. A key or parameter that the English
//! file lacks is a compile error.
//!
//! A second language is one more file in `texts/` and one more [`Language`].

pub mod compile_check;
pub mod failures;
mod language;
pub mod photos;
pub mod progress;
mod text;

pub use language::Language;
pub use text::{Advice, Argument, Text};
