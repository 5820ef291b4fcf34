//! The weights file: a list of layers with f16 weights and f32 biases, written by `training/export.py`,
//! which documents the layout. Batch norm is already folded in.

use thiserror::Error;

/// Outputs computed together by the pointwise kernel.
pub(super) const LANES: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LayerKind {
    /// 3 x 3 over all inputs.
    Convolution = 0,
    /// 3 x 3, each channel by itself.
    Depthwise = 1,
    /// 1 x 1.
    Pointwise = 2,
    /// From pooled channels to one number.
    Linear = 3,
}

#[derive(Debug)]
pub(super) struct Layer {
    pub(super) stride: usize,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    /// Pointwise: blocks of `LANES` outputs, within a block input by input. Others: as in the file.
    pub(super) weights: Vec<f32>,
    /// Pointwise: padded to a multiple of `LANES`.
    pub(super) bias: Vec<f32>,
}

#[derive(Debug, Error)]
pub(super) enum WeightsError {
    #[error("the weights do not begin with the mark of their format")]
    UnknownFormat,
    #[error("the weights end in the middle of layer {0}")]
    CutShort(usize),
    #[error("layer {layer} is not the one the network has there")]
    OtherLayer { layer: usize },
    #[error("the weights hold {listed} layers, of which the network has used {used}")]
    OtherLength { listed: usize, used: usize },
    #[error("something follows the last layer")]
    TooLong,
}

/// Hands out the layers in file order, each checked against what the network expects.
pub(super) struct LayerReader<'a> {
    bytes: &'a [u8],
    listed: usize,
    used: usize,
}

impl<'a> LayerReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, WeightsError> {
        let rest = bytes
            .strip_prefix(b"IRSEG001")
            .ok_or(WeightsError::UnknownFormat)?;
        let mut reader = Self {
            bytes: rest,
            listed: 0,
            used: 0,
        };
        let count: [u8; 4] = reader.take()?;
        reader.listed = u32::from_le_bytes(count) as usize;
        Ok(reader)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], WeightsError> {
        let (head, rest) = self
            .bytes
            .split_first_chunk()
            .ok_or(WeightsError::CutShort(self.used))?;
        self.bytes = rest;
        Ok(*head)
    }

    pub(super) fn next(
        &mut self,
        kind: LayerKind,
        stride: usize,
        inputs: usize,
        outputs: usize,
    ) -> Result<Layer, WeightsError> {
        let [file_kind, file_stride, i0, i1, o0, o1] = self.take()?;
        let found = (
            file_kind,
            usize::from(file_stride),
            usize::from(u16::from_le_bytes([i0, i1])),
            usize::from(u16::from_le_bytes([o0, o1])),
        );
        if found != (kind as u8, stride, inputs, outputs) {
            return Err(WeightsError::OtherLayer { layer: self.used });
        }
        let count = match kind {
            LayerKind::Convolution => 9 * inputs * outputs,
            LayerKind::Depthwise => 9 * inputs,
            LayerKind::Pointwise | LayerKind::Linear => inputs * outputs,
        };
        let mut weights = Vec::with_capacity(count);
        for _ in 0..count {
            weights.push(half_to_float(u16::from_le_bytes(self.take()?)));
        }
        let mut bias = Vec::with_capacity(outputs);
        for _ in 0..outputs {
            bias.push(f32::from_le_bytes(self.take()?));
        }
        if kind == LayerKind::Pointwise {
            weights = in_blocks(&weights, inputs, outputs);
            bias.resize(outputs.next_multiple_of(LANES), 0.0);
        }
        self.used += 1;
        Ok(Layer {
            stride,
            inputs,
            outputs,
            weights,
            bias,
        })
    }

    pub(super) fn finish(self) -> Result<(), WeightsError> {
        if self.used != self.listed {
            return Err(WeightsError::OtherLength {
                listed: self.listed,
                used: self.used,
            });
        }
        if self.bytes.is_empty() {
            Ok(())
        } else {
            Err(WeightsError::TooLong)
        }
    }
}

/// From rows of outputs per input to blocks of `LANES` outputs, padded with zeros.
fn in_blocks(weights: &[f32], inputs: usize, outputs: usize) -> Vec<f32> {
    let mut blocks = Vec::with_capacity(inputs * outputs.next_multiple_of(LANES));
    for first in (0..outputs).step_by(LANES) {
        for input in 0..inputs {
            for output in first..first + LANES {
                blocks.push(if output < outputs {
                    weights[input * outputs + output]
                } else {
                    0.0
                });
            }
        }
    }
    blocks
}

/// IEEE 754 binary16 to binary32.
fn half_to_float(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let exponent = i32::from(bits >> 10 & 0x1f);
    let fraction = f32::from(bits & 0x3ff) / 1024.0;
    match exponent {
        0 => sign * fraction * 2.0f32.powi(-14),
        31 if fraction == 0.0 => sign * f32::INFINITY,
        31 => f32::NAN,
        _ => sign * (1.0 + fraction) * 2.0f32.powi(exponent - 15),
    }
}

#[cfg(test)]
mod tests {
    use super::half_to_float;

    #[test]
    fn half_floats_read_as_what_they_mean() {
        assert_eq!(half_to_float(0x3c00), 1.0);
        assert_eq!(half_to_float(0xc000), -2.0);
        assert_eq!(half_to_float(0x0001), 2.0f32.powi(-24));
        assert_eq!(half_to_float(0x7bff), 65_504.0);
        assert!(half_to_float(0x7e00).is_nan());
    }
}
