//! `cargo xtask bench rendering`: pictures per second of the synthetic renderer on one core. Baseline: saving
//! the same pictures as JPEG.

use std::time::Instant;

use anyhow::Context as _;
use irisflow_synth::{Picture, SceneKind, Tiles, render};

#[derive(Debug, clap::Args)]
pub(super) struct RenderingArgs {
    /// Number of pictures of the training mixture
    #[arg(long, default_value_t = 600)]
    pictures: u64,
}

const SIDE: u16 = 256;

pub(super) fn run(arguments: &RenderingArgs) -> anyhow::Result<()> {
    let tiles = Tiles::new();
    let begun = Instant::now();
    let pictures: Vec<Picture> = (0..arguments.pictures.max(1))
        .map(|index| {
            render(
                &tiles,
                5,
                index,
                usize::from(SIDE),
                SceneKind::Mixture,
                false,
            )
        })
        .collect();
    let rendering = begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    for picture in &pictures {
        let mut jpeg = Vec::new();
        jpeg_encoder::Encoder::new(&mut jpeg, 92)
            .encode(&picture.photo, SIDE, SIDE, jpeg_encoder::ColorType::Rgb)
            .context("a JPEG")?;
        std::hint::black_box(jpeg);
    }
    let saving = begun.elapsed().as_secs_f64();
    let count = pictures.len() as f64;
    println!("| what | pictures a second | time, of the baseline |");
    println!("|---|---|---|");
    println!(
        "| baseline: saving them as JPEG | {:.0} | 1 |",
        count / saving
    );
    println!(
        "| rendering {SIDE} x {SIDE} with all labels | {:.0} | {:.1} |",
        count / rendering,
        rendering / saving
    );
    Ok(())
}
