//! Overlays of the segmentation on the photo: one picture per photo, or a contact sheet of renders.

use std::path::Path;

use anyhow::Context as _;
use irisflow_image::geometry::Ellipse;
use irisflow_image::load::EyePhoto;
use irisflow_image::segment::{IrisSegmentation, Label, PhotoPixels as _};

const FOUND: [u8; 3] = [0, 255, 0];
const TRUE: [u8; 3] = [255, 220, 0];
const LIDS: [u8; 3] = [255, 0, 0];
const HIDDEN: [u8; 3] = [255, 0, 255];

/// A picture to draw into, with position and scale of the photo.
#[derive(Clone)]
struct Canvas {
    width: usize,
    height: usize,
    rgb: Vec<[u8; 3]>,
    /// Pixel of the photo at the top left corner.
    corner: (f32, f32),
    /// Photo pixels per canvas pixel.
    scale: f32,
}

impl Canvas {
    fn dot(&mut self, x: f32, y: f32, colour: [u8; 3]) {
        let (x, y) = (
            (x - self.corner.0) / self.scale,
            (y - self.corner.1) / self.scale,
        );
        if x >= 0.0 && y >= 0.0 && x < self.width as f32 && y < self.height as f32 {
            self.rgb[y as usize * self.width + x as usize] = colour;
        }
    }

    /// Draws every `each`-th of two thousand dots along the outline.
    fn outline(&mut self, ellipse: &Ellipse, colour: [u8; 3], each: usize) {
        for step in (0..2000).step_by(each) {
            let (x, y) = ellipse.point_at(step as f32 * std::f32::consts::TAU / 2000.0);
            self.dot(x, y, colour);
        }
    }

    fn found(&mut self, found: &IrisSegmentation) {
        let each = ((4.0 * self.scale).ceil() as usize).max(1);
        for row in (0..found.rect.height).step_by(each) {
            for column in (0..found.rect.width).step_by(each) {
                if found.labels.at(column, row) == Label::Hidden as u8 {
                    let (x, y) = (found.rect.x + column, found.rect.y + row);
                    self.dot(x as f32 + 0.5, y as f32 + 0.5, HIDDEN);
                }
            }
        }
        self.outline(&found.iris, FOUND, 1);
        self.outline(&found.pupil, FOUND, 1);
        let lids = [&found.upper_lid, &found.lower_lid];
        for pair in lids.iter().flat_map(|lid| lid.windows(2)) {
            for step in 0..60 {
                let share = step as f32 / 60.0;
                let mix = |a: f32, b: f32| a + (b - a) * share;
                let (x, y) = (mix(pair[0].0, pair[1].0), mix(pair[0].1, pair[1].1));
                self.dot(x, y, LIDS);
            }
        }
    }
}

/// The photo with limbus and pupil in green, lids in red, and occluded pixels dotted in magenta.
pub(super) fn write_overlay(
    path: &Path,
    photo: &EyePhoto,
    found: Option<&IrisSegmentation>,
) -> anyhow::Result<()> {
    let reduced = photo.reduced(1400);
    let planes = &reduced.planes;
    let chroma = planes.cb.samples.iter().zip(&planes.cr.samples);
    let mut canvas = Canvas {
        width: planes.y.width as usize,
        height: planes.y.height as usize,
        rgb: planes
            .y
            .samples
            .iter()
            .zip(chroma)
            .map(|(&y, (&cb, &cr))| to_rgb(y, cb, cr))
            .collect(),
        corner: (0.0, 0.0),
        scale: reduced.scale,
    };
    if let Some(found) = found {
        canvas.found(found);
    }
    let (width, height) = (canvas.width as u32, canvas.height as u32);
    let mut encoder = png::Encoder::new(std::fs::File::create(path)?, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder
        .write_header()?
        .write_image_data(canvas.rgb.as_flattened())?;
    Ok(())
}

/// Full-range BT.601, as in JFIF.
fn to_rgb(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    let (y, cb, cr) = (f32::from(y), f32::from(cb) - 128.0, f32::from(cr) - 128.0);
    [
        y + 1.402 * cr,
        y - 0.344_136 * cb - 0.714_136 * cr,
        y + 1.772 * cb,
    ]
    .map(|v| v.round().clamp(0.0, 255.0) as u8)
}

const TILE: usize = 240;
const COLUMNS: usize = 5;

/// A small square picture of one eye with its segmentation.
pub(super) struct Tile(Canvas);

/// Crops the photo to the true eyes and the segmentation, if any, and draws the ground truth in yellow and
/// the segmentation in green.
pub(super) fn tile(
    rgb: &[u8],
    width: usize,
    height: usize,
    eyes: &[Ellipse],
    found: Option<&IrisSegmentation>,
) -> Tile {
    let (mut low, mut high) = ((f32::MAX, f32::MAX), (f32::MIN, f32::MIN));
    for ellipse in eyes.iter().chain(found.map(|found| &found.iris)) {
        let reach = 1.7 * ellipse.rx.max(ellipse.ry);
        low = (low.0.min(ellipse.cx - reach), low.1.min(ellipse.cy - reach));
        high = (
            high.0.max(ellipse.cx + reach),
            high.1.max(ellipse.cy + reach),
        );
    }
    let scale = (high.0 - low.0).max(high.1 - low.1) / TILE as f32;
    let at = |x: usize, y: usize| {
        let (px, py) = (low.0 + x as f32 * scale, low.1 + y as f32 * scale);
        if px < 0.0 || py < 0.0 || px >= width as f32 || py >= height as f32 {
            return [60; 3];
        }
        let index = (py as usize * width + px as usize) * 3;
        [rgb[index], rgb[index + 1], rgb[index + 2]]
    };
    let mut canvas = Canvas {
        width: TILE,
        height: TILE,
        rgb: (0..TILE * TILE)
            .map(|index| at(index % TILE, index / TILE))
            .collect(),
        corner: low,
        scale,
    };
    if let Some(found) = found {
        canvas.found(found);
    }
    for eye in eyes {
        canvas.outline(eye, TRUE, 16);
    }
    Tile(canvas)
}

/// Writes all tiles into one JPEG.
pub(super) fn write_contact_sheet(path: &Path, tiles: &[Tile]) -> anyhow::Result<()> {
    if tiles.is_empty() {
        return Ok(());
    }
    let (width, height) = (COLUMNS * TILE, tiles.len().div_ceil(COLUMNS) * TILE);
    let mut rgb = vec![0u8; width * height * 3];
    for (index, Tile(canvas)) in tiles.iter().enumerate() {
        let (left, top) = (index % COLUMNS * TILE, index / COLUMNS * TILE);
        for (y, row) in canvas.rgb.chunks_exact(TILE).enumerate() {
            let start = ((top + y) * width + left) * 3;
            rgb[start..start + TILE * 3].copy_from_slice(row.as_flattened());
        }
    }
    let file =
        std::fs::File::create(path).with_context(|| format!("writing {}", path.display()))?;
    let encoder = jpeg_encoder::Encoder::new(std::io::BufWriter::new(file), 80);
    encoder.encode(
        &rgb,
        width as u16,
        height as u16,
        jpeg_encoder::ColorType::Rgb,
    )?;
    Ok(())
}
