//! A baseline JPEG encoder for planes with chroma at half size (4:2:0), as the result has them: no colours
//! are converted, no chroma is averaged again, and strips are coded independently of each other (restart
//! intervals), on as many threads as there are.

use super::dct::{Block, Quantisation, transform_row};
use super::entropy::{BitWriter, CHROMA_AC, CHROMA_DC, Codes, LUMA_AC, LUMA_DC, Table};
use super::{EncodeError, Finished};
use crate::plane::Plane;
use crate::threads::Threads;

/// Strips that are coded independently: as many threads can take part.
const STRIPS: usize = 4;
/// Rows and columns of luma in a unit of the interleaved scan (MCU), with four blocks of luma.
const UNIT: usize = 16;

/// Encodes `picture`; `icc` is embedded.
pub(super) fn encode(
    picture: &Finished,
    quality: u8,
    icc: Option<&[u8]>,
    threads: Threads,
) -> Result<Vec<u8>, EncodeError> {
    let size = |side: u32| u16::try_from(side).map_err(|_| EncodeError::TooLarge);
    let (width, height) = (size(picture.luma.width)?, size(picture.luma.height)?);
    let coder = Coder::new(picture, quality);
    let strips = threads.map((0..STRIPS).collect(), |strip| coder.strip(strip));
    let length: usize = strips.iter().map(Vec::len).sum();
    let mut bytes = Vec::with_capacity(length + icc.map_or(0, <[u8]>::len) + 1024);
    bytes.extend_from_slice(&[0xff, 0xd8]);
    segment(&mut bytes, 0xe0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0");
    write_profile(&mut bytes, icc.unwrap_or_default());
    for (number, quantisation) in (0..).zip([&coder.luma, &coder.chroma]) {
        segment(
            &mut bytes,
            0xdb,
            &[&[number][..], &quantisation.table].concat(),
        );
    }
    let ([w1, w0], [h1, h0]) = (width.to_be_bytes(), height.to_be_bytes());
    segment(
        &mut bytes,
        0xc0,
        &[8, h1, h0, w1, w0, 3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1],
    );
    for (number, table) in [
        (0x00, LUMA_DC),
        (0x10, LUMA_AC),
        (0x01, CHROMA_DC),
        (0x11, CHROMA_AC),
    ] {
        write_table(&mut bytes, number, &table);
    }
    let interval = u16::try_from(coder.rows_per_strip * coder.units_across);
    segment(
        &mut bytes,
        0xdd,
        &interval.map_err(|_| EncodeError::TooLarge)?.to_be_bytes(),
    );
    segment(&mut bytes, 0xda, &[3, 1, 0x00, 2, 0x11, 3, 0x11, 0, 63, 0]);
    for (number, strip) in strips.iter().filter(|strip| !strip.is_empty()).enumerate() {
        if number > 0 {
            bytes.extend_from_slice(&[0xff, 0xd0 + (number as u8 - 1)]);
        }
        bytes.extend_from_slice(strip);
    }
    bytes.extend_from_slice(&[0xff, 0xd9]);
    Ok(bytes)
}

fn segment(bytes: &mut Vec<u8>, marker: u8, payload: &[u8]) {
    bytes.extend_from_slice(&[0xff, marker]);
    bytes.extend_from_slice(&(payload.len() as u16 + 2).to_be_bytes());
    bytes.extend_from_slice(payload);
}

fn write_table(bytes: &mut Vec<u8>, number: u8, table: &Table) {
    segment(
        bytes,
        0xc4,
        &[&[number][..], &table.counts, table.symbols].concat(),
    );
}

/// In as many segments as it takes, each with its number and how many there are.
fn write_profile(bytes: &mut Vec<u8>, icc: &[u8]) {
    const MOST: usize = 65_519;
    let parts = icc.chunks(MOST);
    let count = parts.len() as u8;
    for (number, part) in (1..=count).zip(parts) {
        segment(
            bytes,
            0xe2,
            &[&b"ICC_PROFILE\0"[..], &[number, count], part].concat(),
        );
    }
}

/// What all strips are coded with.
struct Coder<'a> {
    picture: &'a Finished,
    luma: Quantisation,
    chroma: Quantisation,
    codes: [Codes; 4],
    units_across: usize,
    /// Rows of units.
    rows: usize,
    rows_per_strip: usize,
}

impl<'a> Coder<'a> {
    fn new(picture: &'a Finished, quality: u8) -> Self {
        let rows = (picture.luma.height as usize).div_ceil(UNIT);
        Self {
            picture,
            luma: Quantisation::new(&LUMA_STEPS, quality),
            chroma: Quantisation::new(&CHROMA_STEPS, quality),
            codes: [&LUMA_DC, &LUMA_AC, &CHROMA_DC, &CHROMA_AC].map(Codes::of),
            units_across: (picture.luma.width as usize).div_ceil(UNIT),
            rows,
            rows_per_strip: rows.div_ceil(STRIPS),
        }
    }

    fn strip(&self, strip: usize) -> Vec<u8> {
        let first = (strip * self.rows_per_strip).min(self.rows);
        let last = (first + self.rows_per_strip).min(self.rows);
        let units = (last - first) * self.units_across;
        let mut writer = BitWriter::with_capacity(units * 200);
        let mut last_dc = [0; 3];
        let stride = self.units_across * UNIT;
        let mut luma = Rows::new(stride, 2);
        let mut chroma = [Rows::new(stride / 2, 1), Rows::new(stride / 2, 1)];
        for row in first..last {
            luma.transform(&self.picture.luma, row, &self.luma);
            chroma[0].transform(&self.picture.cb, row, &self.chroma);
            chroma[1].transform(&self.picture.cr, row, &self.chroma);
            self.put_units(&mut writer, &luma, &chroma, &mut last_dc);
        }
        if units == 0 {
            Vec::new()
        } else {
            writer.finish()
        }
    }

    fn put_units(
        &self,
        writer: &mut BitWriter,
        luma: &Rows,
        chroma: &[Rows; 2],
        last_dc: &mut [i16; 3],
    ) {
        let [luma_dc, luma_ac, chroma_dc, chroma_ac] = &self.codes;
        let (upper, lower) = luma.blocks.split_at(2 * self.units_across);
        for unit in 0..self.units_across {
            for block in [
                &upper[2 * unit],
                &upper[2 * unit + 1],
                &lower[2 * unit],
                &lower[2 * unit + 1],
            ] {
                writer.put_block(block, &mut last_dc[0], luma_dc, luma_ac);
            }
            for (rows, last_dc) in chroma.iter().zip(&mut last_dc[1..]) {
                writer.put_block(&rows.blocks[unit], last_dc, chroma_dc, chroma_ac);
            }
        }
    }
}

/// One row of units of a plane: its samples, whole blocks of them, and their coefficients.
struct Rows {
    stride: usize,
    samples: Vec<u8>,
    blocks: Vec<Block>,
}

impl Rows {
    fn new(stride: usize, rows_of_blocks: usize) -> Self {
        Self {
            stride,
            samples: vec![0; stride * 8 * rows_of_blocks],
            blocks: vec![[0; 64]; stride / 8 * rows_of_blocks],
        }
    }

    fn transform(&mut self, plane: &Plane, row: usize, quantisation: &Quantisation) {
        let rows = self.samples.len() / self.stride;
        for (y, out) in (row * rows..).zip(self.samples.chunks_exact_mut(self.stride)) {
            let from = plane.row((y as u32).min(plane.height - 1));
            let (inside, beyond) = out.split_at_mut(from.len());
            inside.copy_from_slice(from);
            beyond.fill(from[from.len() - 1]);
        }
        let strips = self.samples.chunks_exact(8 * self.stride);
        for (samples, blocks) in strips.zip(self.blocks.chunks_exact_mut(self.stride / 8)) {
            transform_row(samples, self.stride, quantisation, blocks);
        }
    }
}

/// The typical tables of the standard (Annex K.1), which belong to quality 50.
#[rustfmt::skip]
const LUMA_STEPS: [u8; 64] = [
    16, 11, 10, 16, 24, 40, 51, 61,
    12, 12, 14, 19, 26, 58, 60, 55,
    14, 13, 16, 24, 40, 57, 69, 56,
    14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77,
    24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
];
#[rustfmt::skip]
const CHROMA_STEPS: [u8; 64] = [
    17, 18, 24, 47, 99, 99, 99, 99,
    18, 21, 26, 66, 99, 99, 99, 99,
    24, 26, 56, 99, 99, 99, 99, 99,
    47, 66, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99,
];

#[cfg(test)]
mod tests {
    use super::encode;
    use crate::encode::Finished;
    use crate::geometry::PixelRect;
    use crate::load::{Limits, load_photo};
    use crate::plane::{Plane, YCbCr};
    use crate::segment::PhotoPixels as _;
    use crate::threads::Threads;

    fn plane(width: u32, height: u32, sample: impl Fn(u32, u32) -> u32) -> Plane {
        let mut plane = Plane::filled(width, height, 0);
        for y in 0..height {
            for x in 0..width {
                plane.row_mut(y)[x as usize] = sample(x, y).min(255) as u8;
            }
        }
        plane
    }

    /// Fine texture over a slope, with hard edges.
    fn picture(width: u32, height: u32) -> Finished {
        let (half_width, half_height) = (width.div_ceil(2), height.div_ceil(2));
        Finished {
            luma: plane(width, height, |x, y| {
                x + (x * 31 + y * 17) % 23 + if x / 9 % 2 == 0 { 60 } else { 0 }
            }),
            cb: plane(half_width, half_height, |x, y| 90 + x / 2 + y / 3),
            cr: plane(half_width, half_height, |x, y| 170 - (x + y) / 4),
        }
    }

    fn decoded(jpeg: &[u8]) -> YCbCr {
        let photo = load_photo(jpeg, &Limits::default()).expect("our own file");
        let (width, height) = photo.size();
        photo.crop(PixelRect {
            x: 0,
            y: 0,
            width,
            height,
        })
    }

    fn mean_square_error(a: &Plane, b: &Plane) -> f64 {
        let differences = a
            .samples
            .iter()
            .zip(&b.samples)
            .map(|(&a, &b)| f64::from(a.abs_diff(b)));
        differences
            .map(|difference| difference * difference)
            .sum::<f64>()
            / a.samples.len() as f64
    }

    #[test]
    fn pictures_of_any_size_come_back() {
        for (width, height) in [(128, 128), (97, 61), (16, 16), (17, 33), (1, 1)] {
            let picture = picture(width, height);
            let jpeg = encode(&picture, 95, None, Threads::default()).expect("a JPEG");
            let back = decoded(&jpeg);
            assert_eq!((back.y.width, back.y.height), (width, height));
            let error = mean_square_error(&back.y, &picture.luma);
            assert!(error < 4.0, "{error} at {width} x {height}");
            assert!(back.cb.at(0, 0).abs_diff(picture.cb.at(0, 0)) < 4);
        }
    }

    #[test]
    fn all_qualities_are_as_good_as_those_of_the_plain_encoder() {
        for quality in [30, 82, 90, 95] {
            let picture = picture(120, 80);
            let ours = encode(&picture, quality, None, Threads::default()).expect("a JPEG");
            let mut plain = Vec::new();
            let encoder = jpeg_encoder::Encoder::new(&mut plain, quality);
            let colour = jpeg_encoder::ColorType::Luma;
            encoder
                .encode(&picture.luma.samples, 120, 80, colour)
                .expect("a JPEG");
            let [ours, plain] =
                [&ours, &plain].map(|jpeg| mean_square_error(&decoded(jpeg).y, &picture.luma));
            assert!(
                ours < 1.05 * plain + 0.05,
                "{ours} against {plain} at {quality}"
            );
        }
    }

    #[test]
    fn threads_and_strips_change_no_byte() {
        let picture = picture(200, 300);
        let encoded = |threads| {
            encode(&picture, 90, Some(b"a profile"), Threads::new(threads)).expect("a JPEG")
        };
        assert!(encoded(1) == encoded(3));
    }
}
