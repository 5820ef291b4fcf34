//! The value below which a share of some values lies, found by counting: values are counted in ranges, and only
//! those in the range of the wanted one are compared.

use multiversion::multiversion;

const RANGES: usize = 256;

/// Values counted in ranges, of which percentiles can be asked for.
pub(super) struct Counted<'a> {
    values: &'a [f32],
    least: f32,
    /// Ranges per unit.
    scale: f32,
    counts: [u32; RANGES],
}

impl<'a> Counted<'a> {
    /// None without values. Values are finite.
    pub(super) fn of(values: &'a [f32]) -> Option<Self> {
        let first = *values.first()?;
        let (least, most) = extremes(values, first);
        let scale = (RANGES as f32 - 1.0) / (most - least).max(f32::MIN_POSITIVE);
        let mut counted = Self {
            values,
            least,
            scale: scale.min(1e30),
            counts: [0; RANGES],
        };
        let mut ranges = [0; 256];
        for values in values.chunks(ranges.len()) {
            find_ranges(values, (least, counted.scale), &mut ranges);
            for &range in &ranges[..values.len()] {
                counted.counts[usize::from(range)] += 1;
            }
        }
        Some(counted)
    }

    /// The value that `share` of the others lie below.
    pub(super) fn percentile(&self, share: f32) -> f32 {
        let mut rank = ((self.values.len() - 1) as f32 * share) as usize;
        let mut wanted = 0;
        for (range, &count) in self.counts.iter().enumerate() {
            wanted = range;
            match rank.checked_sub(count as usize) {
                Some(beyond) => rank = beyond,
                None => break,
            }
        }
        let is_wanted = |value: f32| range_of(value, (self.least, self.scale)) == wanted as u8;
        let within = self.values.iter().copied();
        let mut within: Vec<f32> = within.filter(|&value| is_wanted(value)).collect();
        *within.select_nth_unstable_by(rank, f32::total_cmp).1
    }
}

/// The value that `share` of the others lie below; 0 without values.
pub(super) fn percentile(values: &[f32], share: f32) -> f32 {
    Counted::of(values).map_or(0.0, |counted| counted.percentile(share))
}

#[inline(always)]
fn range_of(value: f32, (least, scale): (f32, f32)) -> u8 {
    ((value - least) * scale) as i32 as u8
}

#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn find_ranges(values: &[f32], least_and_scale: (f32, f32), ranges: &mut [u8]) {
    for (range, value) in ranges.iter_mut().zip(values) {
        *range = range_of(*value, least_and_scale);
    }
}

#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn extremes(values: &[f32], first: f32) -> (f32, f32) {
    const LANES: usize = 16;
    let (mut least, mut most) = ([first; LANES], [first; LANES]);
    let (groups, rest) = values.as_chunks::<LANES>();
    for group in groups {
        for lane in 0..LANES {
            least[lane] = if group[lane] < least[lane] {
                group[lane]
            } else {
                least[lane]
            };
            most[lane] = if group[lane] > most[lane] {
                group[lane]
            } else {
                most[lane]
            };
        }
    }
    let all = || least.iter().chain(&most).chain(rest).copied();
    (all().fold(first, f32::min), all().fold(first, f32::max))
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn percentiles_are_those_of_sorted_values() {
        let noise = |number: u32| (number.wrapping_mul(2_654_435_761) >> 8) as f32 / 65_536.0;
        for count in [1, 2, 5, 60, 1000, 2867] {
            let skewed: Vec<f32> = (0..count)
                .map(|number| noise(number).powi(3) - 99.5)
                .collect();
            let level = vec![7.25; count as usize];
            for values in [skewed, level] {
                let mut sorted = values.clone();
                sorted.sort_by(f32::total_cmp);
                for share in [0.0, 0.14, 0.4, 0.5, 0.95, 1.0] {
                    let expected = sorted[((sorted.len() - 1) as f32 * share) as usize];
                    assert_eq!(percentile(&values, share), expected, "{share} of {count}");
                }
            }
        }
        assert_eq!(percentile(&[], 0.5), 0.0);
    }
}
