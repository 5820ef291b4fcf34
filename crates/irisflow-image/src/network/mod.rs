//! The segmenter's networks: where in a 256 x 256 picture the eye opening, the iris disc, the pupil and
//! reflections are, and whether there is an eye at all. One finds eyes in whole photos, one measures an
//! iris from close by; they differ in their weights, and the second also says what lashes cover.
//!
//! The weights are part of the binary. What the picture should show (the whole photo, or a crop around
//! an iris) is decided by the caller. `weights.rs` reads the file, `kernels.rs` computes; training and
//! export live in `training/`.

mod kernels;
mod weights;

use std::sync::OnceLock;

use kernels::Map;
use weights::{Layer, LayerKind, LayerReader, WeightsError};

/// Width and height of the input.
pub const INPUT_SIDE: usize = 256;
/// Width and height of the maps.
pub const MAP_SIDE: usize = 128;
/// What lies beyond the photo in a square input: the network was trained with this grey.
pub const LETTERBOX: u8 = 128;

const WIDTHS: [usize; 6] = [16, 32, 64, 128, 192, 192];
/// Separable blocks per level; the first of a level halves the map, the others add their input.
const BLOCKS: [usize; 5] = [2, 2, 3, 3, 2];

/// Which of the two networks, by what it was trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkKind {
    /// Whole photos, from a macro of an iris to a person from afar.
    Detection,
    /// Crops of two to five iris radii around an iris.
    Measurement,
}

impl NetworkKind {
    fn weights(self) -> &'static [u8] {
        match self {
            Self::Detection => include_bytes!("../../weights/iris_segmenter.bin"),
            Self::Measurement => include_bytes!("../../weights/iris_near.bin"),
        }
    }

    /// Opening, iris, pupil, reflection, and covered in the measurement network.
    fn maps(self) -> usize {
        match self {
            Self::Detection => 4,
            Self::Measurement => 5,
        }
    }
}

/// Probabilities, 0 to 1, in rows of `MAP_SIDE`; a cell covers two by two input pixels.
#[derive(Debug, Clone)]
pub struct EyeMaps {
    /// Between the lids.
    pub opening: Vec<f32>,
    /// The whole disc of the iris with its pupil, also where lids, lashes or the frame hide it.
    pub iris: Vec<f32>,
    /// The whole pupil.
    pub pupil: Vec<f32>,
    /// Light mirrored by the eye.
    pub reflection: Vec<f32>,
    /// Iris or pupil behind lashes or hair; only seen from close by.
    pub covered: Option<Vec<f32>>,
    /// Whether the picture shows a human eye with some iris.
    pub presence: f32,
}

/// The network with its weights ready for use.
#[derive(Debug)]
pub struct EyeNetwork {
    stem: Layer,
    level0: Separable,
    levels: Vec<Vec<Separable>>,
    decoder: Vec<DecoderBlock>,
    head: Layer,
    presence: Layer,
}

#[derive(Debug)]
struct Separable {
    depthwise: Layer,
    pointwise: Layer,
    is_residual: bool,
}

#[derive(Debug)]
struct DecoderBlock {
    narrow: Layer,
    block: Separable,
}

impl EyeNetwork {
    /// The network of this build, unpacked at the first call.
    pub fn of(kind: NetworkKind) -> &'static Self {
        static WHOLE: OnceLock<EyeNetwork> = OnceLock::new();
        static NEAR: OnceLock<EyeNetwork> = OnceLock::new();
        let network = match kind {
            NetworkKind::Detection => &WHOLE,
            NetworkKind::Measurement => &NEAR,
        };
        network.get_or_init(|| {
            #[expect(
                clippy::expect_used,
                reason = "the bytes are part of the build, and a test reads them"
            )]
            Self::read(kind.weights(), kind.maps()).expect("the embedded weights fit this network")
        })
    }

    fn read(bytes: &[u8], maps: usize) -> Result<Self, WeightsError> {
        let mut reader = LayerReader::new(bytes)?;
        let stem = reader.next(LayerKind::Convolution, 2, 3, WIDTHS[0])?;
        let level0 = Separable::read(&mut reader, WIDTHS[0], WIDTHS[0], 1)?;
        let mut levels = Vec::new();
        for (level, &blocks) in BLOCKS.iter().enumerate() {
            let (coarse, fine) = (WIDTHS[level + 1], WIDTHS[level]);
            let mut chain = vec![Separable::read(&mut reader, fine, coarse, 2)?];
            for _ in 1..blocks {
                chain.push(Separable::read(&mut reader, coarse, coarse, 1)?);
            }
            levels.push(chain);
        }
        let mut decoder = Vec::new();
        for level in (0..BLOCKS.len()).rev() {
            let fine = WIDTHS[level];
            decoder.push(DecoderBlock {
                narrow: reader.next(LayerKind::Pointwise, 1, WIDTHS[level + 1], fine)?,
                block: Separable::read(&mut reader, fine, fine, 1)?,
            });
        }
        let head = reader.next(LayerKind::Pointwise, 1, WIDTHS[0], maps)?;
        let presence = reader.next(LayerKind::Linear, 1, WIDTHS[5], 1)?;
        reader.finish()?;
        Ok(Self {
            stem,
            level0,
            levels,
            decoder,
            head,
            presence,
        })
    }

    /// Runs on 8-bit sRGB, rows of RGB triples.
    pub fn run(&self, rgb: &[u8; INPUT_SIDE * INPUT_SIDE * 3]) -> EyeMaps {
        self.maps_of(self.encode(rgb))
    }

    /// The first half of a run, after which it is known whether there is an eye.
    pub fn encode(&self, rgb: &[u8; INPUT_SIDE * INPUT_SIDE * 3]) -> Encoded {
        let mut input = Map::new(INPUT_SIDE, 3);
        for (value, &byte) in input.values.iter_mut().zip(rgb) {
            *value = f32::from(byte) / 127.5 - 1.0;
        }
        let mut map = self.level0.run(&kernels::convolve(&input, &self.stem));
        let mut finer = Vec::with_capacity(self.levels.len());
        for chain in &self.levels {
            let mut coarser = chain[0].run(&map);
            finer.push(map);
            for block in &chain[1..] {
                coarser = block.run(&coarser);
            }
            map = coarser;
        }
        let presence = kernels::linear(&kernels::mean(&map), &self.presence);
        Encoded {
            presence: sigmoid(presence),
            coarsest: map,
            finer,
        }
    }

    /// The second half of a run.
    pub fn maps_of(&self, encoded: Encoded) -> EyeMaps {
        let (mut map, mut finer) = (encoded.coarsest, encoded.finer);
        for block in &self.decoder {
            let narrow = kernels::pointwise(&map, &block.narrow, true);
            // `finer` holds one map per block.
            let mut fine = finer
                .pop()
                .unwrap_or_else(|| Map::new(narrow.side * 2, narrow.channels));
            kernels::add_enlarged(&mut fine, &narrow);
            map = block.block.run(&fine);
        }
        let logits = kernels::pointwise(&map, &self.head, false);
        let map_of = |index: usize| {
            let cells = logits.values.chunks_exact(logits.channels);
            let mut map: Vec<f32> = cells.map(|cell| cell[index]).collect();
            kernels::sigmoids(&mut map);
            map
        };
        EyeMaps {
            opening: map_of(0),
            iris: map_of(1),
            pupil: map_of(2),
            reflection: map_of(3),
            covered: (logits.channels > 4).then(|| map_of(4)),
            presence: encoded.presence,
        }
    }
}

/// A picture after the first half of a run.
#[derive(Debug)]
pub struct Encoded {
    /// Whether the picture shows a human eye with some iris, 0 to 1.
    pub presence: f32,
    coarsest: Map,
    /// From the finest on.
    finer: Vec<Map>,
}

impl Separable {
    fn read(
        reader: &mut LayerReader<'_>,
        inputs: usize,
        outputs: usize,
        stride: usize,
    ) -> Result<Self, WeightsError> {
        Ok(Self {
            depthwise: reader.next(LayerKind::Depthwise, stride, inputs, inputs)?,
            pointwise: reader.next(LayerKind::Pointwise, 1, inputs, outputs)?,
            is_residual: stride == 1 && inputs == outputs,
        })
    }

    fn run(&self, map: &Map) -> Map {
        kernels::separable(map, &self.depthwise, &self.pointwise, self.is_residual)
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: NetworkKind, bytes: &[u8]) -> bool {
        EyeNetwork::read(bytes, kind.maps()).is_ok()
    }

    #[test]
    fn the_embedded_weights_fit_their_networks() {
        for kind in [NetworkKind::Detection, NetworkKind::Measurement] {
            assert!(read(kind, kind.weights()), "{kind:?}");
        }
    }

    #[test]
    fn weights_of_another_network_are_refused() {
        assert!(!read(
            NetworkKind::Detection,
            NetworkKind::Measurement.weights()
        ));
    }

    #[test]
    fn weights_cut_short_are_refused() {
        let weights = NetworkKind::Detection.weights();
        assert!(!read(NetworkKind::Detection, &weights[..weights.len() - 1]));
    }

    #[test]
    fn weights_with_something_behind_them_are_refused() {
        let longer: Vec<u8> = NetworkKind::Detection
            .weights()
            .iter()
            .copied()
            .chain([0])
            .collect();
        assert!(!read(NetworkKind::Detection, &longer));
    }
}
