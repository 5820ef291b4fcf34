//! Command line of the renderer: `stream` writes labelled pictures for training, `light` pairs of irises
//! with and without mirrored light, `sheet` and `light-sheet` contact sheets.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use irisflow_synth::{
    Framing, PAIR_SIDE, Picture, Presence, SceneKind, Tiles, label, render, render_light_pair,
};

#[derive(Debug, Parser)]
#[command(about = "Renders labelled eye photos and look-alikes")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Writes records to stdout: presence (1 byte: 0 no, 1 yes, 2 unclear), framing (1 byte),
    /// SIZE * SIZE * 3 bytes of RGB, SIZE * SIZE label bytes.
    Stream {
        #[arg(long)]
        seed: u64,
        /// Index of the first picture.
        #[arg(long, default_value_t = 0)]
        start: u64,
        #[arg(long)]
        count: u64,
        #[arg(long, default_value_t = 256)]
        size: usize,
        /// Only close-ups, as the second segmentation network sees them.
        #[arg(long)]
        near: bool,
    },
    /// Writes rectified irises to stdout, 256 x 256 each: the photo and the same without mirrored light
    /// (rows of RGB triples, linear light as u16, little endian), then a byte of bits per pixel: 1
    /// clipped, 2 lashes before a light, 4 visible iris, 8 visible pupil, 16 lashes before the iris, 32
    /// inside the photo.
    Light {
        #[arg(long)]
        seed: u64,
        /// Index of the first pair.
        #[arg(long, default_value_t = 0)]
        start: u64,
        #[arg(long)]
        count: u64,
    },
    /// Writes a contact sheet of light pairs as PNG: photo, without light, bits.
    LightSheet {
        #[arg(long)]
        out: PathBuf,
        #[arg(long, default_value_t = 1)]
        seed: u64,
        #[arg(long, default_value_t = 6)]
        columns: usize,
        #[arg(long, default_value_t = 4)]
        rows: usize,
    },
    /// Writes a contact sheet as PNG, optionally with the labels below each picture.
    Sheet {
        #[arg(long)]
        out: PathBuf,
        #[arg(long, default_value_t = 1)]
        seed: u64,
        #[arg(long, default_value_t = 8)]
        columns: usize,
        #[arg(long, default_value_t = 6)]
        rows: usize,
        #[arg(long, default_value_t = 256)]
        size: usize,
        /// Only one framing: macro, crop, close, region, face; or none, animal, closed, elsewhere, near.
        #[arg(long)]
        framing: Option<String>,
        #[arg(long)]
        labels: bool,
    },
}

fn main() -> Result<()> {
    let tiles = Tiles::new();
    match Arguments::parse().command {
        Command::Stream {
            seed,
            start,
            count,
            size,
            near,
        } => {
            let scene = if near {
                SceneKind::NearMixture
            } else {
                SceneKind::Mixture
            };
            stream(&tiles, seed, start, count, size, scene)
        }
        Command::Light { seed, start, count } => light(&tiles, seed, start, count),
        Command::LightSheet {
            out,
            seed,
            columns,
            rows,
        } => light_sheet(&tiles, &out, seed, columns, rows),
        Command::Sheet {
            out,
            seed,
            columns,
            rows,
            size,
            framing,
            labels,
        } => {
            let scene = match framing.as_deref() {
                None => SceneKind::Mixture,
                Some("none") => SceneKind::LookAlike,
                Some("animal") => SceneKind::Animal(Framing::Close),
                Some("near") => SceneKind::NearMixture,
                Some("closed") => SceneKind::ClosedEye(Framing::Close),
                Some("elsewhere") => SceneKind::OtherFace(Framing::Close),
                Some(name) => SceneKind::Eye(
                    Framing::ALL
                        .into_iter()
                        .find(|framing| framing.name() == name)
                        .with_context(|| format!("no framing is called {name}"))?,
                ),
            };
            sheet(&tiles, &out, seed, columns, rows, size, scene, labels)
        }
    }
}

fn stream(
    tiles: &Tiles,
    seed: u64,
    start: u64,
    count: u64,
    size: usize,
    scene: SceneKind,
) -> Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
    for index in start..start + count {
        let picture = render(tiles, seed, index, size, scene, false);
        let presence = match picture.presence {
            Presence::No => 0,
            Presence::Yes => 1,
            Presence::Unclear => 2,
        };
        let written = out
            .write_all(&[presence, picture.framing as u8])
            .and_then(|()| out.write_all(&picture.photo))
            .and_then(|()| out.write_all(&picture.labels));
        match written {
            // The reader closed the pipe.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        }
    }
    out.flush()?;
    Ok(())
}

#[expect(
    clippy::too_many_arguments,
    reason = "the options of one command, each used once"
)]
fn sheet(
    tiles: &Tiles,
    out: &Path,
    seed: u64,
    columns: usize,
    rows: usize,
    size: usize,
    scene: SceneKind,
    with_labels: bool,
) -> Result<()> {
    let cell_rows = if with_labels { 2 } else { 1 };
    let (width, height) = (columns * size, rows * size * cell_rows);
    let mut pixels = vec![0u8; width * height * 3];
    for row in 0..rows {
        for column in 0..columns {
            let picture = render(
                tiles,
                seed,
                (row * columns + column) as u64,
                size,
                scene,
                false,
            );
            let mut paste = |band: usize, rgb: &[u8]| {
                for y in 0..size {
                    let from = (((row * cell_rows + band) * size + y) * width + column * size) * 3;
                    pixels[from..from + size * 3]
                        .copy_from_slice(&rgb[y * size * 3..(y + 1) * size * 3]);
                }
            };
            paste(0, &picture.photo);
            if with_labels {
                paste(1, &label_colours(&picture));
            }
        }
    }
    write_png(out, width, height, &pixels)
}

fn light(tiles: &Tiles, seed: u64, start: u64, count: u64) -> Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
    for index in start..start + count {
        let pair = render_light_pair(tiles, seed, index);
        let samples = pair.photo.iter().chain(&pair.without_light);
        let bytes: Vec<u8> = samples.flat_map(|sample| sample.to_le_bytes()).collect();
        match out
            .write_all(&bytes)
            .and_then(|()| out.write_all(&pair.bits))
        {
            // The reader closed the pipe.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        }
    }
    out.flush()?;
    Ok(())
}

fn light_sheet(tiles: &Tiles, out: &Path, seed: u64, columns: usize, rows: usize) -> Result<()> {
    let (width, height) = (columns * PAIR_SIDE * 3, rows * PAIR_SIDE);
    let mut pixels = vec![0u8; width * height * 3];
    let encoded = |samples: &[u16]| -> Vec<u8> {
        let root = |&sample: &u16| ((f32::from(sample) / 65535.0).powf(0.4545) * 255.0) as u8;
        samples.iter().map(root).collect()
    };
    for cell in 0..rows * columns {
        let pair = render_light_pair(tiles, seed, cell as u64);
        let bits = pair.bits.iter().flat_map(|&bits| {
            let shade =
                |of: [u8; 2]| 255 * (bits & of[0] != 0) as u8 / 2 + 127 * (bits & of[1] != 0) as u8;
            [shade([1, 4]), shade([2, 8]), shade([16, 32])]
        });
        let thirds = [
            encoded(&pair.photo),
            encoded(&pair.without_light),
            bits.collect(),
        ];
        for (third, rgb) in thirds.iter().enumerate() {
            for y in 0..PAIR_SIDE {
                let row = (cell / columns * PAIR_SIDE + y) * width;
                let at = (row + (cell % columns * 3 + third) * PAIR_SIDE) * 3;
                pixels[at..at + PAIR_SIDE * 3]
                    .copy_from_slice(&rgb[y * PAIR_SIDE * 3..][..PAIR_SIDE * 3]);
            }
        }
    }
    write_png(out, width, height, &pixels)
}

fn write_png(out: &Path, width: usize, height: usize, pixels: &[u8]) -> Result<()> {
    let file =
        std::fs::File::create(out).with_context(|| format!("cannot write {}", out.display()))?;
    let mut encoder = png::Encoder::new(BufWriter::new(file), width as u32, height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header()?.write_image_data(pixels)?;
    Ok(())
}

/// The photo tinted by its labels.
fn label_colours(picture: &Picture) -> Vec<u8> {
    let mut rgb = picture.photo.clone();
    for (pixel, &bits) in rgb.chunks_exact_mut(3).zip(&picture.labels) {
        let tint: [u8; 3] = if bits & label::REFLECTION != 0 {
            [255, 255, 0]
        } else if bits & label::COVERED != 0 {
            [0, 0, 255]
        } else if bits & label::PUPIL != 0 {
            [255, 0, 0]
        } else if bits & label::VISIBLE != 0 {
            [0, 255, 0]
        } else if bits & label::IRIS != 0 {
            [255, 0, 255]
        } else if bits & label::OPENING != 0 {
            [0, 128, 255]
        } else {
            continue;
        };
        for (channel, colour) in pixel.iter_mut().zip(tint) {
            *channel = ((u16::from(*channel) + u16::from(colour)) / 2) as u8;
        }
    }
    rgb
}
