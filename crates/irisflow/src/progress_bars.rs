//! What a person sees of photos on a server: one bar each on a terminal, plain lines elsewhere. A bar
//! never moves back.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use irisflow_client::Frame;

/// All bars of a run.
#[derive(Debug)]
pub(crate) struct Bars {
    /// None when standard error is not a terminal.
    screen: Option<MultiProgress>,
}

/// One photo's bar.
#[derive(Debug)]
pub(crate) struct PhotoBar {
    name: String,
    /// The bar and the screen it is part of.
    shown: Option<(ProgressBar, MultiProgress)>,
    said: Mutex<Said>,
}

/// What was said last, so that nothing is said twice.
#[derive(Debug, Default)]
struct Said {
    words: String,
    attempt: u32,
}

impl Bars {
    pub(crate) fn new() -> Self {
        Self {
            screen: io::stderr().is_terminal().then(MultiProgress::new),
        }
    }

    pub(crate) fn photo(&self, name: &str) -> PhotoBar {
        let shown = self.screen.as_ref().map(|screen| {
            let bar = screen.add(ProgressBar::new(100));
            let style = ProgressStyle::with_template("{prefix:24!} {bar:20} {pos:>3} % {wide_msg}");
            if let Ok(style) = style {
                bar.set_style(style);
            }
            bar.set_prefix(name.to_owned());
            (bar, screen.clone())
        });
        PhotoBar {
            name: name.to_owned(),
            shown,
            said: Mutex::default(),
        }
    }

    /// Results go to standard output, one path a line; a closed pipe is not our failure.
    pub(crate) fn announce(&self, result: &Path) {
        let say = || {
            let _ = writeln!(io::stdout(), "{}", result.display());
        };
        match &self.screen {
            Some(screen) => screen.suspend(say),
            None => say(),
        }
    }

    /// Words for the person, between the bars.
    pub(crate) fn say(&self, words: &str) {
        say_on(self.screen.as_ref(), words);
    }
}

impl PhotoBar {
    /// The share of the photo that is on its way.
    pub(crate) fn uploading(&self, sent: u64, total: u64) {
        self.words("Uploading...");
        if let Some((bar, _)) = &self.shown {
            bar.set_position(sent * 100 / total.max(1));
        }
    }

    pub(crate) fn uploaded(&self) {
        if let Some((bar, _)) = &self.shown {
            bar.set_position(0);
        }
        self.words("Waiting for its turn...");
    }

    pub(crate) fn frame(&self, frame: &Frame) {
        if let Some((bar, _)) = &self.shown {
            bar.set_position(bar.position().max(u64::from(frame.progress)));
        }
        if frame.status.is_final() {
            return;
        }
        if self.is_new_attempt(frame.attempt_count) {
            let attempt = frame.attempt_count + 1;
            self.words(&format!("Trying again, attempt {attempt}..."));
        } else if let Some(waiting) = &frame.waiting_because {
            self.words(&waiting.message);
        } else {
            self.words(&frame.step);
        }
        self.estimate(frame);
    }

    /// Beside the words, on a terminal only: it changes too often for lines.
    fn estimate(&self, frame: &Frame) {
        if let (Some((bar, _)), Some(eta)) = (&self.shown, frame.eta_ms) {
            let (low, high) = (eta.low / 1000, eta.high.div_ceil(1000));
            let words = self.said().words.clone();
            let slow = if frame.slower_than_usual {
                ", slower than usual"
            } else {
                ""
            };
            bar.set_message(format!("{words} {low} to {high} s{slow}"));
        }
    }

    pub(crate) fn lost(&self, reason: &str, wait: Duration) {
        let seconds = wait.as_secs_f32();
        self.words(&format!(
            "{reason}; the job goes on, connecting again in {seconds:.1} s..."
        ));
    }

    /// The last word: the bar goes, its line stays.
    pub(crate) fn end(&self, words: &str) {
        if let Some((bar, screen)) = &self.shown {
            bar.finish_and_clear();
            screen.remove(bar);
        }
        let screen = self.shown.as_ref().map(|(_, screen)| screen);
        say_on(screen, &format!("{}: {words}", self.name));
    }

    fn is_new_attempt(&self, attempt: u32) -> bool {
        let mut said = self.said();
        let is_new = attempt > said.attempt;
        said.attempt = said.attempt.max(attempt);
        is_new
    }

    fn words(&self, words: &str) {
        let mut said = self.said();
        if said.words == words {
            return;
        }
        words.clone_into(&mut said.words);
        match &self.shown {
            Some((bar, _)) => bar.set_message(words.to_owned()),
            None => say_on(None, &format!("{}: {words}", self.name)),
        }
    }

    fn said(&self) -> std::sync::MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A standard error that is closed must not stop the work.
fn say_on(screen: Option<&MultiProgress>, words: &str) {
    let _ = match screen {
        Some(screen) => screen.println(words),
        None => writeln!(io::stderr(), "{words}"),
    };
}
