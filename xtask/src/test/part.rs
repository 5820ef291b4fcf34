//! The parts of a test run: each is timed, its output is kept together and printed when it ends.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

/// What was run, how long it took, and what was not.
#[derive(Debug)]
pub(super) struct Report {
    begun: Instant,
    /// Where the output of each part is kept while it runs.
    logs: PathBuf,
    parts: Mutex<Vec<Part>>,
    skipped: Mutex<Vec<String>>,
}

#[derive(Debug)]
struct Part {
    name: String,
    begun: Duration,
    took: Duration,
    passed: bool,
}

impl Report {
    pub(super) fn new(logs: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(logs).with_context(|| logs.display().to_string())?;
        Ok(Self {
            begun: Instant::now(),
            logs: logs.to_owned(),
            parts: Mutex::default(),
            skipped: Mutex::default(),
        })
    }

    /// Runs a command as a part. What it prints appears when it has ended, in one piece.
    pub(super) fn run(&self, name: &str, mut command: Command) -> anyhow::Result<()> {
        let log = self.logs.join(format!("{}.log", file_name(name)));
        let output = File::create(&log).with_context(|| log.display().to_string())?;
        println!("== {name}: begins");
        self.measure(name, || {
            let status = command
                .stdout(output.try_clone()?)
                .stderr(output)
                .status()
                .with_context(|| format!("starting: {name}"))?;
            let text = std::fs::read(&log)?;
            let mut stdout = std::io::stdout().lock();
            stdout.write_all(&text)?;
            writeln!(stdout, "== {name}: {status}")?;
            if !status.success() {
                bail!("{name} failed");
            }
            Ok(())
        })
    }

    /// Runs something of our own as a part.
    pub(super) fn measure<T>(
        &self,
        name: &str,
        work: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let begun = self.begun.elapsed();
        let done = work();
        let part = Part {
            name: name.to_owned(),
            begun,
            took: self.begun.elapsed().saturating_sub(begun),
            passed: done.is_ok(),
        };
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.push(part);
        done
    }

    pub(super) fn skip(&self, what: &str) {
        let mut skipped = self.skipped.lock().unwrap_or_else(PoisonError::into_inner);
        skipped.push(what.to_owned());
    }

    pub(super) fn print_table(&self) {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.sort_by_key(|part| part.begun);
        println!("\n| part | began after, s | took, s | |\n|---|---|---|---|");
        for part in parts.iter() {
            println!(
                "| {} | {} | {} | {} |",
                part.name,
                part.begun.as_secs(),
                part.took.as_secs(),
                if part.passed { "passed" } else { "FAILED" }
            );
        }
        println!("| all | | {} | |", self.begun.elapsed().as_secs());
        if parts.iter().all(|part| part.passed) {
            println!("== everything that was run has passed");
        }
        let skipped = self.skipped.lock().unwrap_or_else(PoisonError::into_inner);
        for what in skipped.iter() {
            println!("== SKIPPED: {what}");
        }
    }
}

fn file_name(part: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    part.chars().map(plain).collect()
}
