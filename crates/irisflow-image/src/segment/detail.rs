//! How fine the detail is that a photo really has of an iris: an enlarged, blurred or over-compressed photo
//! has many pixels and little in them.
//!
//! The iris is split into octave bands (a Laplacian pyramid: Burt and Adelson, 1983). In a photo that is sharp
//! to its pixels neighbouring bands of an iris are about equally strong; blur takes the finest ones. Noise is
//! in the finest band, too, but everywhere; texture is where the next coarser band has it. Their difference
//! does not see the noise.

use super::PhotoPixels;
use super::edges::point_on_ray;
use super::float_image::{FloatImage, percentile};
use super::labels::is_visible_iris;
use crate::geometry::{Ellipse, PixelRect};
use crate::plane::Plane;

/// Bands whose amplitude is this share of the next coarser one's, or more, are as sharp as a photo gets; with
/// less than the other share they are empty. Blurred by one pixel the finest band of the test photos is left
/// with 0.40 to 0.56, enlarged four times it has 0.26 to 0.36.
const FULL_BAND: f32 = 0.78;
const EMPTY_BAND: f32 = 0.4;
/// With fewer octaves empty, a reduced copy is as sharp as its pixels allow.
const FEW_OCTAVES: f32 = 0.5;
/// Longer side of the copy of the whole iris, in pixels.
const OVERVIEW_SIDE: f32 = 384.0;
/// Side and number of the squares that are looked at in full resolution, where the photo has more.
const SQUARE_SIDE: u32 = 128;
const SQUARES: usize = 16;
/// A band is judged by this many pixels or more.
const LEAST_PIXELS: usize = 150;
/// Coarser bands hold the shading of the iris rather than its texture.
const MOST_BANDS: usize = 5;

/// The iris whose texture is looked at.
#[derive(Clone, Copy)]
pub(super) struct Texture<'a> {
    pub(super) iris: &'a Ellipse,
    pub(super) pupil: &'a Ellipse,
    pub(super) labels: (&'a Plane, PixelRect),
}

impl Texture<'_> {
    /// Whether a point of the photo is open iris, apart from pupil and limbus.
    fn holds(&self, x: f32, y: f32) -> bool {
        is_visible_iris(self.labels, (x, y))
            && self.iris.normalised_distance(x, y) < 0.88
            && self.pupil.normalised_distance(x, y) > 1.15
    }
}

/// The number of pixels that would show all detail which the photo has across the iris, at most those it has.
pub(super) fn detail_across(photo: &dyn PhotoPixels, texture: Texture<'_>) -> f32 {
    let across = 2.0 * texture.iris.mean_radius();
    let Some(overview) = Part::overview(photo, texture) else {
        return across;
    };
    let scale = overview.scale;
    let octaves = empty_octaves(&Bands::of(&overview)).unwrap_or(0.0);
    let mut finest = scale * octaves.exp2();
    if octaves < FEW_OCTAVES && scale > 1.5 {
        // The photo may have more than the copy shows. Not less.
        let closest = empty_octaves(&bands_of_squares(photo, texture)).unwrap_or(0.0);
        finest = finest.min(closest.exp2());
    }
    across / finest.max(1.0)
}

/// How many octaves at the fine end hold nothing. None when too little of the iris shows to say.
fn empty_octaves(bands: &Bands) -> Option<f32> {
    let amplitudes = bands.amplitudes();
    let shares: Vec<f32> = amplitudes
        .windows(2)
        .map(|pair| pair[0] / pair[1].max(1e-3))
        .collect();
    let emptiness = shares
        .iter()
        .map(|share| (FULL_BAND - share) / (FULL_BAND - EMPTY_BAND));
    let of_blur = emptiness.take_while(|&emptiness| emptiness > 0.0);
    (!shares.is_empty()).then(|| of_blur.map(|emptiness| emptiness.min(1.0)).sum())
}

fn bands_of_squares(photo: &dyn PhotoPixels, texture: Texture<'_>) -> Bands {
    let mut bands = Bands::default();
    for number in 0..SQUARES {
        let theta = number as f32 * std::f32::consts::TAU / SQUARES as f32;
        let pupil = texture.pupil.mean_radius() / texture.iris.mean_radius();
        let middle = point_on_ray(texture.iris, theta, (0.9 + pupil) / 2.0);
        if let Some(square) = Part::square(photo, texture, middle) {
            bands.add(&square);
        }
    }
    bands
}

/// A part of the photo, with the pixels of it that are texture.
struct Part {
    luma: FloatImage,
    is_texture: Vec<bool>,
    /// Pixels of the photo per pixel.
    scale: f32,
}

impl Part {
    fn overview(photo: &dyn PhotoPixels, texture: Texture<'_>) -> Option<Self> {
        let (_, rect) = texture.labels;
        if rect.width == 0 || rect.height == 0 {
            return None;
        }
        let scale = (rect.width.max(rect.height) as f32 / OVERVIEW_SIDE).max(1.0);
        let luma = if scale > 1.0 {
            let shrink = |side: u32| ((side as f32 / scale).round() as u32).max(1);
            photo
                .scaled(rect, (shrink(rect.width), shrink(rect.height)))
                .y
        } else {
            photo.crop(rect).y
        };
        Some(Self::new(&luma, rect, scale, texture))
    }

    /// None where the square reaches beyond the photo or shows little texture.
    fn square(photo: &dyn PhotoPixels, texture: Texture<'_>, middle: (f32, f32)) -> Option<Self> {
        let half = SQUARE_SIDE as f32 / 2.0;
        let (left, top) = (middle.0 - half, middle.1 - half);
        let (width, height) = photo.size();
        let reach = |from: f32, side: u32| from >= 0.0 && from + 2.0 * half <= side as f32;
        if !reach(left, width) || !reach(top, height) {
            return None;
        }
        let rect = PixelRect {
            x: left as u32,
            y: top as u32,
            width: SQUARE_SIDE,
            height: SQUARE_SIDE,
        };
        let part = Self::new(&photo.crop(rect).y, rect, 1.0, texture);
        let seen = part.is_texture.iter().filter(|&&is| is).count();
        (2 * seen > part.is_texture.len()).then_some(part)
    }

    fn new(luma: &Plane, rect: PixelRect, scale: f32, texture: Texture<'_>) -> Self {
        let columns = 0..luma.width;
        let is_texture = (0..luma.height).flat_map(|row| {
            let y = rect.y as f32 + (row as f32 + 0.5) * scale;
            columns
                .clone()
                .map(move |column| (rect.x as f32 + (column as f32 + 0.5) * scale, y))
        });
        Self {
            luma: FloatImage::from_plane(luma),
            is_texture: is_texture.map(|(x, y)| texture.holds(x, y)).collect(),
            scale,
        }
    }
}

/// Per octave, from the finest: sums of the energy of texture, and over how many parts.
#[derive(Default)]
struct Bands {
    octaves: Vec<(f32, usize)>,
}

impl Bands {
    fn of(part: &Part) -> Self {
        let mut bands = Self::default();
        bands.add(part);
        bands
    }

    fn add(&mut self, part: &Part) {
        let mut mask = (part.is_texture.clone(), part.luma.width);
        let (mut fine, mut next) = split(&part.luma);
        for octave in 0..MOST_BANDS {
            let (coarse, after) = split(&next);
            let Some(energy) = energy_of_texture(&fine, &coarse, (&mask.0, mask.1)) else {
                break;
            };
            if octave == self.octaves.len() {
                self.octaves.push((0.0, 0));
            }
            self.octaves[octave].0 += energy;
            self.octaves[octave].1 += 1;
            mask = (halved_mask(&mask.0, mask.1), mask.1 / 2);
            (fine, next) = (coarse, after);
        }
    }

    /// Root mean square of each band.
    fn amplitudes(&self) -> Vec<f32> {
        let mean = |&(sum, count): &(f32, usize)| sum / count as f32;
        self.octaves
            .iter()
            .map(|octave| mean(octave).max(0.0).sqrt())
            .collect()
    }
}

/// A picture's finest band, and the rest at half the size. An odd last row or column is dropped.
fn split(picture: &FloatImage) -> (FloatImage, FloatImage) {
    let (width, height) = (picture.width / 2, picture.height / 2);
    let mut half = FloatImage::filled(width, height, 0.0);
    for (y, means) in half.samples.chunks_exact_mut(width.max(1)).enumerate() {
        let row = |y: usize| {
            picture.samples[y * picture.width..][..2 * width]
                .as_chunks::<2>()
                .0
        };
        let pairs = row(2 * y).iter().zip(row(2 * y + 1));
        for (mean, (top, bottom)) in means.iter_mut().zip(pairs) {
            *mean = (top[0] + top[1] + (bottom[0] + bottom[1])) / 4.0;
        }
    }
    let mut band = half.doubled();
    let rows = band.samples.chunks_exact_mut(2 * width.max(1));
    for (row, seen) in rows.zip(picture.samples.chunks_exact(picture.width.max(1))) {
        for (smooth, seen) in row.iter_mut().zip(seen) {
            *smooth = seen - *smooth;
        }
    }
    (band, half)
}

/// Mean energy of `fine` where `coarse` is strong, less that where it is weak: noise is in both. None where
/// too little is texture.
fn energy_of_texture(
    fine: &FloatImage,
    coarse: &FloatImage,
    (is_texture, width): (&[bool], usize),
) -> Option<f32> {
    let mut strength = coarse.clone();
    strength
        .samples
        .iter_mut()
        .for_each(|value| *value *= *value);
    let strength = strength.box_mean(1);
    let mut pixels = Vec::new();
    for y in 0..fine.height {
        for x in (0..fine.width).filter(|&x| is_texture[y * width + x]) {
            // At an odd edge the coarser band is a pixel shorter.
            let around = strength.sample((x as f32 + 0.5) / 2.0, (y as f32 + 0.5) / 2.0);
            pixels.extend(around.map(|around| (around, fine.at(x, y) * fine.at(x, y))));
        }
    }
    if pixels.len() < LEAST_PIXELS {
        return None;
    }
    let mut strengths: Vec<f32> = pixels.iter().map(|pixel| pixel.0).collect();
    let (weak, strong) = (
        percentile(&mut strengths, 0.25)?,
        percentile(&mut strengths, 0.75)?,
    );
    let mean = |wanted: &dyn Fn(f32) -> bool| {
        let wanted = pixels.iter().filter(|pixel| wanted(pixel.0));
        let (sum, count) = wanted.fold((0.0, 0), |(sum, count), pixel| (sum + pixel.1, count + 1));
        sum / count.max(1) as f32
    };
    Some(mean(&|strength| strength >= strong) - mean(&|strength| strength <= weak))
}

/// Of four pixels all are texture.
fn halved_mask(mask: &[bool], width: usize) -> Vec<bool> {
    let rows: Vec<&[bool]> = mask.chunks_exact(width.max(1)).collect();
    let pairs = rows.as_chunks::<2>().0.iter();
    pairs
        .flat_map(|[top, bottom]| {
            let columns = top.as_chunks::<2>().0.iter().zip(bottom.as_chunks::<2>().0);
            columns.map(|(a, b)| a[0] && a[1] && b[0] && b[1])
        })
        .collect()
}
