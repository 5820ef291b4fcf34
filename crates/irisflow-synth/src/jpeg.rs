//! JPEG compression artefacts, without encoding a file: chroma subsampling, 8 x 8 DCT, quantisation.
//! The tables and the quality scale are those of ITU-T T.81 Annex K and the IJG library.

const LUMA: [u8; 64] = [
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56,
    14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113,
    92, 49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
];
const CHROMA: [u8; 64] = [
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99,
    47, 66, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
];

/// `rgb` has gamma-encoded planes in 0..1; `side` is a multiple of 16; `quality` is on the IJG scale.
pub(crate) fn degrade(rgb: &mut [Vec<f32>; 3], side: usize, quality: f32) {
    let strength = if quality < 50.0 {
        50.0 / quality
    } else {
        2.0 - quality / 50.0
    };
    let basis = cosines();
    let half = side / 2;
    let mut luma = vec![0.0; side * side];
    let mut blue = vec![0.0; half * half];
    let mut red = vec![0.0; half * half];
    for index in 0..side * side {
        let [r, g, b] = [rgb[0][index], rgb[1][index], rgb[2][index]].map(|c| c.clamp(0.0, 1.0));
        let y = 0.299 * r + 0.587 * g + 0.114 * b;
        luma[index] = y;
        let small = (index / side / 2) * half + index % side / 2;
        blue[small] += 0.25 * 0.564 * (b - y);
        red[small] += 0.25 * 0.713 * (r - y);
    }
    quantise(&mut luma, side, &LUMA, strength, &basis);
    quantise(&mut blue, half, &CHROMA, strength, &basis);
    quantise(&mut red, half, &CHROMA, strength, &basis);
    for index in 0..side * side {
        let small = (index / side / 2) * half + index % side / 2;
        let (y, cb, cr) = (luma[index], blue[small], red[small]);
        rgb[0][index] = y + 1.402 * cr;
        rgb[1][index] = y - 0.344 * cb - 0.714 * cr;
        rgb[2][index] = y + 1.772 * cb;
    }
}

fn cosines() -> [[f32; 8]; 8] {
    std::array::from_fn(|k| {
        std::array::from_fn(|n| {
            let norm = if k == 0 { 0.125f32.sqrt() } else { 0.5 };
            norm * (std::f32::consts::PI * (n as f32 + 0.5) * k as f32 / 8.0).cos()
        })
    })
}

fn quantise(
    plane: &mut [f32],
    side: usize,
    table: &[u8; 64],
    strength: f32,
    basis: &[[f32; 8]; 8],
) {
    let steps: [f32; 64] =
        std::array::from_fn(|i| (f32::from(table[i]) * strength).clamp(1.0, 255.0) / 255.0);
    for by in (0..side).step_by(8) {
        for bx in (0..side).step_by(8) {
            let mut block = [[0.0f32; 8]; 8];
            for (y, row) in block.iter_mut().enumerate() {
                row.copy_from_slice(&plane[(by + y) * side + bx..(by + y) * side + bx + 8]);
            }
            let mut spectrum = [[0.0f32; 8]; 8];
            // Rows, then columns: F = B X B'.
            for k in 0..8 {
                let mut mixed = [0.0f32; 8];
                for n in 0..8 {
                    for x in 0..8 {
                        mixed[x] += basis[k][n] * block[n][x];
                    }
                }
                for l in 0..8 {
                    let value: f32 = (0..8).map(|x| mixed[x] * basis[l][x]).sum();
                    let step = steps[k * 8 + l];
                    spectrum[k][l] = (value / step).round() * step;
                }
            }
            let mut middle = [[0.0f32; 8]; 8];
            for k in 0..8 {
                for l in 0..8 {
                    let value = spectrum[k][l];
                    if value != 0.0 {
                        for x in 0..8 {
                            middle[k][x] += value * basis[l][x];
                        }
                    }
                }
            }
            for y in 0..8 {
                let mut row = [0.0f32; 8];
                for k in 0..8 {
                    for x in 0..8 {
                        row[x] += basis[k][y] * middle[k][x];
                    }
                }
                plane[(by + y) * side + bx..(by + y) * side + bx + 8].copy_from_slice(&row);
            }
        }
    }
}
