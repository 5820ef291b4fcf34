//! JPEGs for the tests of `turbo.rs`, and how far two decoders are apart.

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

use super::frame::Frame;
use super::jpeg::{decode_any, facts};
use super::{Limits, Orientation};
use crate::geometry::PixelRect;
use crate::plane::YCbCr;

pub(super) const SIZE: (u32, u32) = (83, 61);

type Prepare = fn(&mut Encoder<&mut Vec<u8>>);

/// As cameras write them; chroma is halved both ways where there is colour.
pub(super) const KINDS_OF_CAMERAS: [(ColorType, Prepare); 4] = [
    (ColorType::Ycbcr, |_| {}),
    (ColorType::Ycbcr, |encoder| encoder.set_restart_interval(3)),
    (ColorType::Luma, |_| {}),
    (ColorType::Luma, |encoder| encoder.set_restart_interval(3)),
];

/// Coloured ramps under noise, so that codes of every length occur.
pub(super) fn jpeg(colour: ColorType, prepare: Prepare) -> Vec<u8> {
    let channels = if colour == ColorType::Luma { 1 } else { 3 };
    let (width, height) = SIZE;
    let mut noise = 7_u32;
    let samples = (0..width * height * channels).map(|at| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (pixel, channel) = (at / channels, at % channels);
        let ramp = (1 + channel) * (pixel % width) + 2 * (pixel / width);
        (ramp % 200 + (noise >> 27)) as u8
    });
    let samples: Vec<u8> = samples.collect();
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, 92);
    encoder.set_sampling_factor(SamplingFactor::R_4_2_0);
    prepare(&mut encoder);
    encoder
        .encode(&samples, width as u16, height as u16, colour)
        .expect("a picture that can be encoded");
    bytes
}

/// Of each channel, between this frame and what the decoder for all kinds makes of `bytes`.
pub(super) fn largest_differences(bytes: &[u8], frame: Frame) -> [u8; 3] {
    let limits = Limits::default();
    let facts = facts(bytes, &limits).expect("a whole JPEG");
    let whole = PixelRect {
        x: 0,
        y: 0,
        width: facts.width,
        height: facts.height,
    };
    let other = decode_any(&facts, &limits).expect("a JPEG that can be decoded");
    let planes = [frame, other].map(|frame| frame.crop(whole, Orientation::Upright));
    let channels: [fn(&YCbCr) -> &[u8]; 3] = [
        |planes| &planes.y.samples,
        |planes| &planes.cb.samples,
        |planes| &planes.cr.samples,
    ];
    channels.map(|channel| {
        let pairs = channel(&planes[0]).iter().zip(channel(&planes[1]));
        pairs.map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(255)
    })
}
