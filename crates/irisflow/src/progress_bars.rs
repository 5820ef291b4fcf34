//! Progress of photos on a server: one progress bar per photo on a terminal, plain lines otherwise. A bar
//! never moves back, except between upload and processing.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use irisflow_client::Frame;
use irisflow_messages::{Language, Text, text};

/// All bars of a run.
#[derive(Debug)]
pub(crate) struct Bars {
    /// `None` when stderr is not a terminal.
    multi: Option<MultiProgress>,
}

/// One photo's bar.
#[derive(Debug)]
pub(crate) struct PhotoBar {
    name: String,
    /// The bar and the group it belongs to; `None` when stderr is not a terminal.
    bar: Option<(ProgressBar, MultiProgress)>,
    last: Mutex<LastMessage>,
}

/// The message shown last, so that repeated ones are not printed again.
#[derive(Debug, Default)]
struct LastMessage {
    text: String,
    attempt: u32,
}

impl Bars {
    pub(crate) fn new() -> Self {
        Self {
            multi: io::stderr().is_terminal().then(MultiProgress::new),
        }
    }

    pub(crate) fn photo(&self, name: &str) -> PhotoBar {
        let bar = self.multi.as_ref().map(|multi| {
            let bar = multi.add(ProgressBar::new(100));
            let style = ProgressStyle::with_template("{prefix:24!} {bar:20} {pos:>3} % {wide_msg}");
            if let Ok(style) = style {
                bar.set_style(style);
            }
            bar.set_prefix(name.to_owned());
            (bar, multi.clone())
        });
        PhotoBar {
            name: name.to_owned(),
            bar,
            last: Mutex::default(),
        }
    }

    /// Prints the path of a result to stdout, one per line. A closed pipe is ignored.
    pub(crate) fn print_result(&self, result: &Path) {
        let print = || {
            let _ = writeln!(io::stdout(), "{}", result.display());
        };
        match &self.multi {
            Some(multi) => multi.suspend(print),
            None => print(),
        }
    }

    /// Prints a line to stderr, above the bars.
    pub(crate) fn print_line(&self, text: &Text) {
        print_to(self.multi.as_ref(), &localized(text));
    }
}

impl PhotoBar {
    /// Shows the progress of the upload, in bytes.
    pub(crate) fn show_upload(&self, sent: u64, total: u64) {
        self.show(&localized(&text!("cli-uploading")));
        if let Some((bar, _)) = &self.bar {
            bar.set_position(sent * 100 / total.max(1));
        }
    }

    /// Resets the bar for the processing.
    pub(crate) fn show_uploaded(&self) {
        if let Some((bar, _)) = &self.bar {
            bar.set_position(0);
        }
        self.show(&localized(&text!("cli-waiting-for-turn")));
    }

    pub(crate) fn show_frame(&self, frame: &Frame) {
        if let Some((bar, _)) = &self.bar {
            bar.set_position(bar.position().max(u64::from(frame.progress)));
        }
        if frame.status.is_final() {
            return;
        }
        if self.is_new_attempt(frame.attempt_count) {
            let attempt = frame.attempt_count + 1;
            self.show(&localized(&text!("cli-retrying", attempt = attempt)));
        } else if let Some(waiting) = &frame.waiting_because {
            self.show(&waiting.message);
        } else {
            self.show(&frame.step);
        }
        self.show_estimate(frame);
    }

    pub(crate) fn show_step(&self, step: &str, progress: u8) {
        if let Some((bar, _)) = &self.bar {
            bar.set_position(bar.position().max(u64::from(progress)));
        }
        self.show(step);
    }

    /// Shows why the job waits.
    pub(crate) fn show_waiting(&self, reason: &str) {
        self.show(reason);
    }

    /// Appends the estimated time to the message; on a terminal only, because it changes too often for lines.
    fn show_estimate(&self, frame: &Frame) {
        if let (Some((bar, _)), Some(eta)) = (&self.bar, frame.eta_ms) {
            let (low, high) = (eta.low / 1000, eta.high.div_ceil(1000));
            let words = self.last_message().text.clone();
            let text = if frame.slower_than_usual {
                text!("cli-eta-slow", words = words, low = low, high = high)
            } else {
                text!("cli-eta", words = words, low = low, high = high)
            };
            bar.set_message(localized(&text));
        }
    }

    pub(crate) fn show_reconnecting(&self, reason: &str, wait: Duration) {
        self.show(&localized(&text!(
            "cli-connection-lost",
            reason = reason.to_owned(),
            seconds = format!("{:.1}", wait.as_secs_f32()),
        )));
    }

    /// Ends with an error message.
    pub(crate) fn fail(&self, error: String) {
        self.end(&localized(&text!("cli-error", error = error)));
    }

    /// Removes the bar and prints the final message as a line.
    pub(crate) fn end(&self, text: &str) {
        if let Some((bar, multi)) = &self.bar {
            bar.finish_and_clear();
            multi.remove(bar);
        }
        let multi = self.bar.as_ref().map(|(_, multi)| multi);
        print_to(multi, &format!("{}: {text}", self.name));
    }

    fn is_new_attempt(&self, attempt: u32) -> bool {
        let mut last = self.last_message();
        let is_new = attempt > last.attempt;
        last.attempt = last.attempt.max(attempt);
        is_new
    }

    fn show(&self, text: &str) {
        let mut last = self.last_message();
        if last.text == text {
            return;
        }
        text.clone_into(&mut last.text);
        match &self.bar {
            Some((bar, _)) => bar.set_message(text.to_owned()),
            None => print_to(None, &format!("{}: {text}", self.name)),
        }
    }

    fn last_message(&self) -> std::sync::MutexGuard<'_, LastMessage> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn localized(text: &Text) -> String {
    text.in_language(Language::PROGRAM)
}

/// Write errors are ignored: a closed stderr must not stop the work.
fn print_to(multi: Option<&MultiProgress>, text: &str) {
    let _ = match multi {
        Some(multi) => multi.println(text),
        None => writeln!(io::stderr(), "{text}"),
    };
}
