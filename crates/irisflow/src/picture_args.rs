//! Arguments of `process` and `submit` that say how the picture is to be made.

use irisflow_image::coverage::Outline;
use irisflow_image::enhance::Preset;
use irisflow_image::finish::{Background, ResultSize};
use irisflow_image::pipeline::ProcessOptions;

#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct PictureArgs {
    /// What of the iris is shown: `round` completes what lids hide from the texture of the same iris, `visible`
    /// shows only what was photographed. Without it: round where at least 70 % of the iris is seen.
    #[arg(long, value_enum)]
    pub(crate) outline: Option<OutlineArg>,

    /// Width and height of the result in pixels, 1024 to 4096, or `auto`: as many as the photo has.
    #[arg(long, default_value = "2048", value_parser = parse_size)]
    pub(crate) size: ResultSize,

    /// What surrounds the iris; `transparent` writes NAME.png instead of NAME.jpg.
    #[arg(long, value_enum, default_value_t = BackgroundArg::Black)]
    pub(crate) background: BackgroundArg,

    /// How much is made of the picture.
    #[arg(long, value_enum, default_value_t = PresetArg::Natural)]
    pub(crate) preset: PresetArg,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum OutlineArg {
    Round,
    Visible,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum BackgroundArg {
    Black,
    White,
    Transparent,
    Photo,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum PresetArg {
    Natural,
    Vivid,
}

fn parse_size(text: &str) -> Result<ResultSize, String> {
    if text == "auto" {
        return Ok(ResultSize::Auto);
    }
    let limits = ResultSize::LEAST..=ResultSize::MOST;
    match text.parse() {
        Ok(pixels) if limits.contains(&pixels) => Ok(ResultSize::Pixels(pixels)),
        _ => Err(format!(
            "give a number of pixels from {} to {}, or auto",
            limits.start(),
            limits.end()
        )),
    }
}

impl PictureArgs {
    pub(crate) fn process_options(&self) -> ProcessOptions {
        ProcessOptions {
            outline: self.outline.map(|outline| match outline {
                OutlineArg::Round => Outline::Round,
                OutlineArg::Visible => Outline::Visible,
            }),
            size: self.size,
            background: match self.background {
                BackgroundArg::Black => Background::Black,
                BackgroundArg::White => Background::White,
                BackgroundArg::Transparent => Background::Transparent,
                BackgroundArg::Photo => Background::Photo,
            },
            enhancement: match self.preset {
                PresetArg::Natural => Preset::Natural.enhancement(),
                PresetArg::Vivid => Preset::Vivid.enhancement(),
            },
            ..ProcessOptions::default()
        }
    }
}
