//! Progress of `irisflow process`: a progress bar on a terminal, plain lines otherwise.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};
use irisflow_image::pipeline::{Stage, StageMark};
use irisflow_image::rejection::Rejection;
use irisflow_messages::{Advice, Language, photos, progress, text};

pub(super) struct Progress {
    name: String,
    bar: Option<ProgressBar>,
}

impl Progress {
    pub(super) fn start(photo: &Path) -> Self {
        let name = photo.display().to_string();
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(Stage::ALL.len() as u64);
            if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:20} {wide_msg}") {
                bar.set_style(style);
            }
            bar.set_prefix(name.clone());
            bar
        });
        Self { name, bar }
    }

    pub(super) fn stage(&mut self, stage: Stage, mark: StageMark) {
        match (mark, &self.bar) {
            (StageMark::Begin, Some(bar)) => bar.set_message(stage_text(stage)),
            (StageMark::Begin, None) => self.line(&stage_text(stage)),
            (StageMark::End, Some(bar)) => bar.inc(1),
            (StageMark::End, None) => {}
        }
    }

    pub(super) fn complete(&self) {
        self.end(&progress::completed().in_language(Language::PROGRAM));
    }

    pub(super) fn reject(&self, rejection: &Rejection) {
        let Advice {
            message,
            suggestion,
        } = photos::rejection(rejection);
        let sentences = [message, suggestion].map(|text| text.in_language(Language::PROGRAM));
        self.end(&sentences.join(" "));
    }

    pub(super) fn fail(&self, error: &str) {
        let text = text!("cli-error", error = error.to_owned());
        self.end(&text.in_language(Language::PROGRAM));
    }

    fn end(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.abandon_with_message(text.to_owned()),
            None => self.line(text),
        }
    }

    fn line(&self, text: &str) {
        // Write errors are ignored: a closed stderr must not stop the work.
        let _ = writeln!(io::stderr(), "{}: {text}", self.name);
    }
}

fn stage_text(stage: Stage) -> String {
    progress::stage(stage).in_language(Language::PROGRAM)
}
