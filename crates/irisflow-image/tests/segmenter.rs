//! The network computes what it computed in training. `tests/segmenter/` is made by `training/export.py`
//! together with the weights.

#![expect(
    clippy::unwrap_used,
    reason = "a test stops at what is broken, and the timing is for reading"
)]

use std::fs::File;
use std::io::BufReader;
use std::time::Instant;

use irisflow_image::network::{EyeMaps, EyeNetwork, INPUT_SIDE, MAP_SIDE};

const EXPECTED: &str = include_str!("segmenter/expected.json");

fn stored_input() -> Box<[u8; INPUT_SIDE * INPUT_SIDE * 3]> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/segmenter/input.png");
    let decoder = png::Decoder::new(BufReader::new(File::open(path).unwrap()));
    let mut reader = decoder.read_info().unwrap();
    let mut rgb = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut rgb).unwrap();
    rgb.try_into().unwrap()
}

/// The numbers after a key, up to the end of its value.
fn numbers_after(key: &str) -> Vec<f32> {
    let tail = &EXPECTED[EXPECTED.find(key).unwrap() + key.len()..];
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
    [&maps.opening, &maps.iris, &maps.pupil, &maps.reflection][map][row * MAP_SIDE + column]
}

#[test]
fn the_network_reproduces_the_outputs_of_training() {
    let maps = EyeNetwork::load().run(&stored_input());

    let samples = numbers_after("samples_map_row_column_value");
    assert_eq!(samples.len(), 4 * 400);
    for sample in samples.chunks_exact(4) {
        let [map, row, column] = [sample[0], sample[1], sample[2]].map(|n| n as usize);
        let value = value_at(&maps, map, row, column);
        assert!(
            (value - sample[3]).abs() < 1e-3,
            "map {map} at {row}, {column}: {value}, not {}",
            sample[3]
        );
    }
    let presence = numbers_after("presence");
    assert!((maps.presence - presence[0]).abs() < 1e-3);
}

#[test]
#[ignore = "prints how long one run takes on this machine"]
fn one_run_takes() {
    let (network, input) = (EyeNetwork::load(), stored_input());
    let mut times: Vec<f64> = (0..40)
        .map(|_| {
            let start = Instant::now();
            std::hint::black_box(network.run(std::hint::black_box(&input)));
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    eprintln!("median {:.1} ms, best {:.1} ms", times[20], times[0]);
}
