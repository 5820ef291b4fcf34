//! Where eyes are: the detection network runs on the whole photo, then on a crop around each region it
//! found; the measurement network runs on a closer crop of each eye. What cannot become an eye is given up as soon
//! as that is known.

use super::PhotoPixels;
use super::ellipse_fit::FitPrior;
use super::inference::{BegunInference, Inference, Region, Square};
use super::verdict::LEAST_PRESENCE;
use crate::geometry::Ellipse;
use crate::network::NetworkKind;

/// An eye that a network found in a crop of the photo.
#[derive(Debug)]
pub(super) struct Detection {
    /// The whole disc of the iris, pixels of the photo.
    pub(super) disc: Ellipse,
    /// Of the crop.
    pub(super) inference: Inference,
}

/// The side of the detection crop, in radii of the iris: the middle of what the network was trained on.
const CLOSE_SIDE_RADII: f32 = 4.0;
/// The side of the measurement crop: as close as leaves some sclera beside the iris.
const NEAR_SIDE_RADII: f32 = 3.0;
/// At most this many regions get a crop of their own: two eyes, and two mistakes.
const MOST_PLACES: usize = 4;
/// A region with a lower peak than this gets no crop.
const LEAST_PEAK: f32 = 0.1;
/// After a first inference with a peak of at least this, parts of the photo are not searched.
const SURE_PEAK: f32 = 0.5;
/// With this presence an eye is surely in a square.
const SURE_PRESENCE: f32 = 0.8;
/// Nor does one with a smaller share of the best region's weight.
const LEAST_SHARE_OF_BEST: f32 = 0.1;
/// So many small parts of the photo are searched: those in which an iris is likeliest, seen from further away. Of 44
/// eyes of renders and photos that are only found there, none was further back than fifth.
const MOST_PARTS: usize = 8;
/// So many of them are looked at closely: those in which an eye is likeliest present. 43 of the same eyes were among
/// the first six; the other was larger than a part.
const MOST_LIKELY_PARTS: usize = 6;
/// A first crop around a region, which may be framed badly, shows an eye with at least this presence (the same eyes
/// with 0.62 or more).
const LEAST_PRESENCE_IN_CROP: f32 = 0.2;

/// The network's map is this far off, as shares of the radius, and gaze makes a disc an ellipse.
const DISC_PRIOR: FitPrior = FitPrior {
    scatter: 0.03,
    elongation: 0.06,
    start: 0.2,
};

/// In the measurement crop, where the map shows its shape, the disc may be as elongated as a strong gaze
/// makes it.
const NEAR_DISC_PRIOR: FitPrior = FitPrior {
    elongation: 0.12,
    ..DISC_PRIOR
};

/// What the detection network sees in the photo from afar.
#[derive(Debug)]
pub(super) struct Overview {
    whole: Inference,
    /// Of large parts; none where the whole shows an iris surely.
    parts: Vec<Inference>,
}

impl Overview {
    pub(super) fn of(photo: &dyn PhotoPixels) -> Option<Self> {
        let infer = |square| Inference::of(photo, square, NetworkKind::Detection);
        let whole = infer(Square::around_photo(photo.size()))?;
        let best = regions_of(&whole).into_iter().next();
        let is_sure = best.is_some_and(|best| best.peak >= SURE_PEAK);
        let parts = if is_sure {
            Vec::new()
        } else {
            LARGE_PARTS.of(photo.size())
        };
        Some(Self {
            whole,
            parts: parts.into_iter().filter_map(infer).collect(),
        })
    }

    /// Regions of irises: by weight in the whole photo, or by peak in it and its parts.
    fn places(&self) -> Vec<Region> {
        let regions = regions_of(&self.whole);
        if regions.first().is_some_and(|best| best.peak >= SURE_PEAK) {
            return regions;
        }
        let mut all = distinct(self.parts.iter().flat_map(regions_of).collect());
        all.extend(regions);
        all.sort_by(|a, b| b.peak.total_cmp(&a.peak));
        all
    }

    /// The likeliest iris, be it one of an eye or not: a circle in pixels of the photo.
    pub(super) fn likeliest_iris(&self) -> Option<Ellipse> {
        let mut places = self.places().into_iter();
        let place = places.find(|region| region.peak >= LEAST_PEAK)?;
        Some(Ellipse::circle(
            place.centre.0,
            place.centre.1,
            place.radius,
        ))
    }

    /// How likely an iris is in or near a part of the photo.
    fn peak_around(&self, part: &Square) -> f32 {
        const MARGIN: f32 = 0.1;
        let around = part.widened(MARGIN * part.side);
        let inferences = std::iter::once(&self.whole).chain(&self.parts);
        let peaks = inferences.map(|inference| inference.iris_peak_in(&around));
        peaks.fold(0.0, f32::max)
    }
}

/// Whether an eye is surely present in the photo from afar or around this iris. As it is decided without the maps of
/// the network, it costs half of an inference each.
pub(super) fn shows_eye(photo: &dyn PhotoPixels, iris: Option<&Ellipse>) -> bool {
    let around = |iris: &Ellipse| {
        let side = CLOSE_SIDE_RADII * iris.mean_radius();
        framing(photo, (iris.cx, iris.cy), side)
    };
    let is_present = |square| {
        BegunInference::of(photo, square, NetworkKind::Detection)
            .is_some_and(|begun| begun.presence() >= SURE_PRESENCE)
    };
    is_present(Square::around_photo(photo.size())) || iris.map(around).is_some_and(is_present)
}

/// All detections in the photo, by weight.
pub(super) fn detect(photo: &dyn PhotoPixels, overview: &Overview) -> Vec<Detection> {
    detect_at(photo, overview, overview.places())
}

/// The same in small parts of the photo: eyes in a face, or in a person from afar.
pub(super) fn detect_in_small_parts(
    photo: &dyn PhotoPixels,
    overview: &Overview,
) -> Vec<Detection> {
    let parts = SMALL_PARTS.of(photo.size()).into_iter();
    let mut parts: Vec<(f32, Square)> = parts
        .map(|part| (overview.peak_around(&part), part))
        .collect();
    parts.sort_by(|a, b| b.0.total_cmp(&a.0));
    parts.truncate(MOST_PARTS);
    let begin = |(_, part)| BegunInference::of(photo, part, NetworkKind::Detection);
    let mut begun: Vec<BegunInference> = parts.into_iter().filter_map(begin).collect();
    begun.sort_by(|a, b| b.presence().total_cmp(&a.presence()));
    begun.truncate(MOST_LIKELY_PARTS);
    let inferences = begun.into_iter().map(BegunInference::finish);
    let regions = inferences.flat_map(|inference| regions_of(&inference));
    detect_at(photo, overview, distinct(regions.collect()))
}

fn detect_at(
    photo: &dyn PhotoPixels,
    overview: &Overview,
    mut places: Vec<Region>,
) -> Vec<Detection> {
    let best = places.first().map_or(0.0, |region| region.weight);
    places
        .retain(|region| region.peak >= LEAST_PEAK && region.weight >= LEAST_SHARE_OF_BEST * best);
    places.truncate(MOST_PLACES);
    let mut found: Vec<Detection> = Vec::new();
    for region in places {
        let Some(detection) = detect_closely(photo, overview, &region) else {
            continue;
        };
        if !found
            .iter()
            .any(|known| is_same(&known.disc, &detection.disc))
        {
            found.push(detection);
        }
    }
    found
}

fn regions_of(inference: &Inference) -> Vec<Region> {
    inference.regions(&inference.maps.iris)
}

/// By peak; a region that two parts show counts once.
fn distinct(mut regions: Vec<Region>) -> Vec<Region> {
    regions.sort_by(|a, b| b.peak.total_cmp(&a.peak));
    let mut places: Vec<Region> = Vec::new();
    for region in regions {
        let is_known = |place: &Region| {
            let (dx, dy) = (
                region.centre.0 - place.centre.0,
                region.centre.1 - place.centre.1,
            );
            dx.hypot(dy) < 0.5 * place.radius
        };
        if !places.iter().any(is_known) {
            places.push(region);
        }
    }
    places
}

/// Overlapping squares that cover a photo.
struct Division {
    /// Side as a share of the photo's shorter side; larger where that would be too many.
    share: f32,
    /// Smaller squares, in pixels, would show no more than the whole.
    least_side: f32,
    most_parts: usize,
}

const LARGE_PARTS: Division = Division {
    share: 0.6,
    least_side: 200.0,
    most_parts: 8,
};
const SMALL_PARTS: Division = Division {
    share: 0.3,
    least_side: 100.0,
    most_parts: 48,
};

impl Division {
    fn of(&self, (width, height): (u32, u32)) -> Vec<Square> {
        let mut side = self.share * width.min(height) as f32;
        if side < self.least_side {
            return Vec::new();
        }
        loop {
            let (lefts, tops) = (starts(width, side), starts(height, side));
            if lefts.len() * tops.len() > self.most_parts {
                side *= 1.05;
                continue;
            }
            let row = |top: f32| lefts.iter().map(move |&left| Square { left, top, side });
            return tops.iter().flat_map(|&top| row(top)).collect();
        }
    }
}

/// Where intervals of length `side` begin that cover `0..length`, each overlapping the next by a quarter or
/// more. One longer than all of it lies around its middle.
fn starts(length: u32, side: f32) -> Vec<f32> {
    let room = length as f32 - side;
    if room <= 0.0 {
        return vec![0.5 * room];
    }
    let steps = (room / (0.75 * side)).ceil();
    (0..=steps as usize)
        .map(|step| room * step as f32 / steps)
        .collect()
}

/// None where no eye can be.
fn detect_closely(
    photo: &dyn PhotoPixels,
    overview: &Overview,
    region: &Region,
) -> Option<Detection> {
    let square = framing(photo, region.centre, CLOSE_SIDE_RADII * region.radius);
    let first = detect_in(photo, overview, square)?;
    let disc = first.disc;
    let better = framing(
        photo,
        (disc.cx, disc.cy),
        CLOSE_SIDE_RADII * disc.mean_radius(),
    );
    let detection = if square.is_about(&better) {
        first
    } else {
        detect_in(photo, overview, better).unwrap_or(first)
    };
    (detection.inference.maps.presence >= LEAST_PRESENCE).then_some(detection)
}

impl Detection {
    /// Runs the measurement network on a closer crop, in which lashes show. None outside the photo.
    pub(super) fn measure(&self, photo: &dyn PhotoPixels) -> Option<Self> {
        let disc = self.disc;
        let square = framing(
            photo,
            (disc.cx, disc.cy),
            NEAR_SIDE_RADII * disc.mean_radius(),
        );
        let inference = Inference::of(photo, square, NetworkKind::Measurement)?;
        let disc = disc_in(&inference, NEAR_DISC_PRIOR).unwrap_or(disc);
        Some(Self { disc, inference })
    }
}

/// A square of this side, but not more than the whole photo: where the frame cuts the iris, grey around
/// it would say nothing.
fn framing(photo: &dyn PhotoPixels, centre: (f32, f32), side: f32) -> Square {
    let whole = Square::around_photo(photo.size());
    if side < whole.side {
        Square::around(centre, side)
    } else {
        whole
    }
}

fn detect_in(photo: &dyn PhotoPixels, overview: &Overview, square: Square) -> Option<Detection> {
    let inference = if square == overview.whole.square {
        overview.whole.clone()
    } else {
        let begun = BegunInference::of(photo, square, NetworkKind::Detection)?;
        let is_likely = begun.presence() >= LEAST_PRESENCE_IN_CROP;
        is_likely.then(|| begun.finish())?
    };
    let disc = disc_in(&inference, DISC_PRIOR)?;
    Some(Detection { disc, inference })
}

/// The disc of the region with the most weight.
fn disc_in(inference: &Inference, prior: FitPrior) -> Option<Ellipse> {
    let map = &inference.maps.iris;
    let regions = inference.regions(map);
    regions
        .iter()
        .find_map(|region| inference.outline(map, region, prior))
}

/// Whether two detections are of the same eye.
fn is_same(a: &Ellipse, b: &Ellipse) -> bool {
    (a.cx - b.cx).hypot(a.cy - b.cy) < 0.5 * a.mean_radius().max(b.mean_radius())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_every_shape_of_photo_and_are_never_too_many() {
        for division in [LARGE_PARTS, SMALL_PARTS] {
            for aspect in [0.4, 0.45, 0.75, 1.0, 1.5, 16.0 / 9.0, 20.0 / 9.0, 3.0, 13.0] {
                let (width, height) = ((1000.0 * aspect) as u32, 1000);
                let parts = division.of((width, height));
                assert!(
                    !parts.is_empty() && parts.len() <= division.most_parts,
                    "{aspect}"
                );
                for x in (0..width).step_by(20) {
                    for y in (0..height).step_by(20) {
                        let (x, y) = (x as f32, y as f32);
                        let holds = |part: &Square| {
                            (part.left..=part.left + part.side).contains(&x)
                                && (part.top..=part.top + part.side).contains(&y)
                        };
                        assert!(parts.iter().any(holds), "{aspect}: {x}, {y}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_small_photo_is_not_divided() {
        assert!(SMALL_PARTS.of((320, 240)).is_empty());
    }
}
