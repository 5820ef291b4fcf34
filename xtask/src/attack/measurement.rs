//! [`Measurement`]: a figure that an attack measured, the bound for it, and its table row.

use std::fmt::Display;

#[derive(Debug)]
pub(super) struct Measurement {
    what: String,
    bound: String,
    measured: String,
    /// `None` for a figure without a bound.
    is_within_bound: Option<bool>,
}

impl Measurement {
    pub(super) const HEAD: &str = "| attack | measured | bound | figure | |\n|---|---|---|---|---|";

    pub(super) fn at_most(what: impl Into<String>, measured: f64, bound: f64) -> Self {
        Self {
            what: what.into(),
            bound: format!("<= {}", figure(bound)),
            measured: figure(measured),
            is_within_bound: Some(measured <= bound),
        }
    }

    pub(super) fn at_least(what: impl Into<String>, measured: f64, bound: f64) -> Self {
        Self {
            what: what.into(),
            bound: format!(">= {}", figure(bound)),
            measured: figure(measured),
            is_within_bound: Some(measured >= bound),
        }
    }

    /// A count that must be zero.
    pub(super) fn zero(what: impl Into<String>, count: usize) -> Self {
        Self {
            what: what.into(),
            bound: "0".to_owned(),
            measured: count.to_string(),
            is_within_bound: Some(count == 0),
        }
    }

    pub(super) fn equals(
        what: impl Into<String>,
        measured: impl Display,
        expected: impl Display,
    ) -> Self {
        let (measured, expected) = (measured.to_string(), expected.to_string());
        Self {
            what: what.into(),
            is_within_bound: Some(measured == expected),
            bound: expected,
            measured,
        }
    }

    pub(super) fn is_true(what: impl Into<String>, is_within_bound: bool) -> Self {
        Self::equals(what, if is_within_bound { "yes" } else { "no" }, "yes")
    }

    /// A figure without a bound, for information.
    pub(super) fn info(what: impl Into<String>, measured: impl Display) -> Self {
        Self {
            what: what.into(),
            bound: String::new(),
            measured: measured.to_string(),
            is_within_bound: None,
        }
    }

    /// An attack that ended with an error or a timeout.
    pub(super) fn failed(reason: String) -> Self {
        Self {
            what: "the attack completed".to_owned(),
            bound: "yes".to_owned(),
            measured: reason.replace('|', "/").replace('\n', " "),
            is_within_bound: Some(false),
        }
    }

    pub(super) fn is_within_bound(&self) -> bool {
        self.is_within_bound != Some(false)
    }

    pub(super) fn row(&self, attack: &str) -> String {
        let verdict = match self.is_within_bound {
            None => "",
            Some(true) => "ok",
            Some(false) => "FAILED",
        };
        format!(
            "| {attack} | {} | {} | {} | {verdict} |",
            self.what, self.bound, self.measured
        )
    }
}

fn figure(value: f64) -> String {
    if value.fract() == 0.0 || value >= 1000.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    }
}
