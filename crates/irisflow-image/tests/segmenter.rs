//! The network computes what it computed in training. `tests/segmenter/` is made by `training/export.py`
//! together with the weights.

#![expect(clippy::unwrap_used, reason = "a test stops at what is broken")]

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use irisflow_image::network::{EyeMaps, EyeNetwork, INPUT_SIDE, MAP_SIDE, NetworkKind};

/// What each network gave in training.
const WHOLE: &str = include_str!("segmenter/expected.json");
const NEAR: &str = include_str!("segmenter/expected_near.json");

fn stored_input(name: &str) -> Box<[u8; INPUT_SIDE * INPUT_SIDE * 3]> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/segmenter")
        .join(name);
    let decoder = png::Decoder::new(BufReader::new(File::open(path).unwrap()));
    let mut reader = decoder.read_info().unwrap();
    let mut rgb = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut rgb).unwrap();
    rgb.try_into().unwrap()
}

/// The numbers after a key, up to the end of its value.
fn numbers_after(text: &str, key: &str) -> Vec<f32> {
    let tail = &text[text.find(key).unwrap() + key.len()..];
    let end = if tail.starts_with("\": [") {
        tail.find("]]").unwrap()
    } else {
        tail.find(',').unwrap()
    };
    tail[..end]
        .split(|c: char| !(c.is_ascii_digit() || "+-.e".contains(c)))
        .filter_map(|word| word.parse().ok())
        .collect()
}

fn value_at(maps: &EyeMaps, map: usize, row: usize, column: usize) -> f32 {
    let covered = maps.covered.as_deref().unwrap_or_default();
    [
        &maps.opening,
        &maps.iris,
        &maps.pupil,
        &maps.reflection,
        covered,
    ][map][row * MAP_SIDE + column]
}

fn assert_reproduced(maps: &EyeMaps, count: usize, expected: &str) {
    let samples = numbers_after(expected, "samples_map_row_column_value");
    assert_eq!(samples.len(), 4 * 100 * count);
    for sample in samples.chunks_exact(4) {
        let [map, row, column] = [sample[0], sample[1], sample[2]].map(|n| n as usize);
        let value = value_at(maps, map, row, column);
        assert!(
            (value - sample[3]).abs() < 1e-3,
            "map {map} at {row}, {column}: {value}, not {}",
            sample[3]
        );
    }
    let presence = numbers_after(expected, "presence");
    assert!((maps.presence - presence[0]).abs() < 1e-3);
}

#[test]
fn the_networks_reproduce_the_outputs_of_training() {
    let whole = EyeNetwork::of(NetworkKind::Detection).run(&stored_input("input.png"));
    assert_reproduced(&whole, 4, WHOLE);
    let near = EyeNetwork::of(NetworkKind::Measurement).run(&stored_input("input_near.png"));
    assert_reproduced(&near, 5, NEAR);
}
