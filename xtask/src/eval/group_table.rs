//! Statistics of a group of renders (means, quantiles, shares) as a row of a Markdown table.

use std::collections::BTreeMap;

use irisflow_synth::Usability;

use super::render_eval::RenderOutcome;
use super::scoring::Accuracy;

/// Values in ascending order.
#[derive(Debug, Default)]
pub(super) struct Sorted(Vec<f64>);

impl FromIterator<f64> for Sorted {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Self(values)
    }
}

impl Sorted {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn mean(&self) -> Option<f64> {
        (!self.0.is_empty()).then(|| self.0.iter().sum::<f64>() / self.0.len() as f64)
    }

    /// The quantile at `share` (0 to 1); `None` without values.
    pub(super) fn quantile(&self, share: f64) -> Option<f64> {
        let last = self.0.len().checked_sub(1)?;
        self.0.get((share * last as f64).round() as usize).copied()
    }

    pub(super) fn share_below(&self, limit: f64) -> f64 {
        let below = self.0.iter().filter(|&&value| value < limit).count();
        below as f64 / self.0.len().max(1) as f64
    }
}

/// A number with `digits` decimals, or a dash.
pub(super) fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".into(), |value| format!("{value:.digits$}"))
}

/// `part of whole` and its percentage.
pub(super) fn share(part: usize, whole: usize) -> String {
    if whole == 0 {
        return "-".into();
    }
    format!(
        "{part} of {whole} ({:.1} %)",
        100.0 * part as f64 / whole as f64
    )
}

pub(super) const GROUP_HEAD: &str = "| group | eyes | usable: rejected | unusable: accepted | overlap mean | median | 10th percentile | limbus centre | limbus radius | pupil |\n|---|---|---|---|---|---|---|---|---|---|\n";

/// One row with the results of a group of renders with an eye.
pub(super) fn group_row(name: &str, group: &[&RenderOutcome]) -> String {
    let of = |wanted: fn(&Usability) -> bool| {
        group
            .iter()
            .filter(move |outcome| outcome.usability().as_ref().is_some_and(wanted))
    };
    let usable = of(|usability| *usability == Usability::Usable);
    let unusable = of(|usability| matches!(usability, Usability::Unusable(_)));
    let false_rejections = usable
        .clone()
        .filter(|outcome| outcome.found.is_err())
        .count();
    let false_acceptances = unusable
        .clone()
        .filter(|outcome| outcome.found.is_ok())
        .count();
    let accepted: Vec<Accuracy> = group
        .iter()
        .filter_map(|outcome| *outcome.found.as_ref().ok()?)
        .collect();
    let overlap: Sorted = accepted.iter().map(|a| a.overlap).collect();
    let middle = |values: Sorted| number(values.quantile(0.5), 1);
    format!(
        "| {name} | {} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
        group.len(),
        share(false_rejections, usable.count()),
        share(false_acceptances, unusable.count()),
        number(overlap.mean(), 3),
        number(overlap.quantile(0.5), 3),
        number(overlap.quantile(0.1), 3),
        middle(accepted.iter().map(|a| a.centre_error).collect()),
        middle(accepted.iter().map(|a| a.radius_error.abs()).collect()),
        middle(accepted.iter().filter_map(|a| a.pupil_error).collect()),
    )
}

/// The number of occurrences of each key, most frequent first, as `key 12, other 3`.
pub(super) fn counted<'a>(keys: impl Iterator<Item = &'a str>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for key in keys {
        *counts.entry(key).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    let parts: Vec<String> = counts
        .iter()
        .map(|(key, count)| format!("{key} {count}"))
        .collect();
    if parts.is_empty() {
        "none".into()
    } else {
        parts.join(", ")
    }
}
