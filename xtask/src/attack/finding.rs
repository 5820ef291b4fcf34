//! A figure that an attack measured, and the bound it is held against.

use std::fmt::Display;

#[derive(Debug)]
pub(super) struct Finding {
    what: String,
    bound: String,
    measured: String,
    holds: Option<bool>,
}

impl Finding {
    pub(super) const HEAD: &str = "| attack | measured | bound | figure | |\n|---|---|---|---|---|";

    pub(super) fn at_most(what: impl Into<String>, measured: f64, bound: f64) -> Self {
        Self {
            what: what.into(),
            bound: format!("<= {}", figure(bound)),
            measured: figure(measured),
            holds: Some(measured <= bound),
        }
    }

    pub(super) fn at_least(what: impl Into<String>, measured: f64, bound: f64) -> Self {
        Self {
            what: what.into(),
            bound: format!(">= {}", figure(bound)),
            measured: figure(measured),
            holds: Some(measured >= bound),
        }
    }

    /// A count of harm: none is allowed.
    pub(super) fn none(what: impl Into<String>, count: usize) -> Self {
        Self {
            what: what.into(),
            bound: "0".to_owned(),
            measured: count.to_string(),
            holds: Some(count == 0),
        }
    }

    pub(super) fn is(
        what: impl Into<String>,
        measured: impl Display,
        wanted: impl Display,
    ) -> Self {
        let (measured, wanted) = (measured.to_string(), wanted.to_string());
        Self {
            what: what.into(),
            holds: Some(measured == wanted),
            bound: wanted,
            measured,
        }
    }

    pub(super) fn that(what: impl Into<String>, holds: bool) -> Self {
        Self::is(what, if holds { "yes" } else { "no" }, "yes")
    }

    /// A figure without a bound, which explains others.
    pub(super) fn note(what: impl Into<String>, measured: impl Display) -> Self {
        Self {
            what: what.into(),
            bound: String::new(),
            measured: measured.to_string(),
            holds: None,
        }
    }

    pub(super) fn broken_off(reason: String) -> Self {
        Self {
            what: "the attack was carried out".to_owned(),
            bound: "yes".to_owned(),
            measured: reason.replace('|', "/").replace('\n', " "),
            holds: Some(false),
        }
    }

    pub(super) fn holds(&self) -> bool {
        self.holds != Some(false)
    }

    pub(super) fn row(&self, attack: &str) -> String {
        let verdict = match self.holds {
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
