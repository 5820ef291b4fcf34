//! Huffman coding of quantised blocks with the typical tables of the JPEG standard (Annex K.3).

use super::dct::Block;

/// How many codes of each length, and their symbols in order.
pub(super) struct Table {
    pub(super) counts: [u8; 16],
    pub(super) symbols: &'static [u8],
}

pub(super) const LUMA_DC: Table = Table {
    counts: [0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0],
    symbols: &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
};
pub(super) const CHROMA_DC: Table = Table {
    counts: [0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0],
    symbols: &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
};
#[rustfmt::skip]
pub(super) const LUMA_AC: Table = Table {
    counts: [0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7d],
    symbols: &[
        0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07,
        0x22, 0x71, 0x14, 0x32, 0x81, 0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1, 0x15, 0x52, 0xd1, 0xf0,
        0x24, 0x33, 0x62, 0x72, 0x82, 0x09, 0x0a, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x25, 0x26, 0x27, 0x28,
        0x29, 0x2a, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49,
        0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69,
        0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89,
        0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7,
        0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5,
        0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe1, 0xe2,
        0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8,
        0xf9, 0xfa,
    ],
};
#[rustfmt::skip]
pub(super) const CHROMA_AC: Table = Table {
    counts: [0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 0x77],
    symbols: &[
        0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71,
        0x13, 0x22, 0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09, 0x23, 0x33, 0x52, 0xf0,
        0x15, 0x62, 0x72, 0xd1, 0x0a, 0x16, 0x24, 0x34, 0xe1, 0x25, 0xf1, 0x17, 0x18, 0x19, 0x1a, 0x26,
        0x27, 0x28, 0x29, 0x2a, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48,
        0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68,
        0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87,
        0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5,
        0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3,
        0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda,
        0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8,
        0xf9, 0xfa,
    ],
};

/// The code and its length for each symbol.
pub(super) struct Codes([(u32, u32); 256]);

impl Codes {
    pub(super) fn of(table: &Table) -> Self {
        let mut codes = [(0, 0); 256];
        let mut symbols = table.symbols.iter();
        let mut code = 0;
        for (length, &count) in (1..).zip(&table.counts) {
            for &symbol in symbols.by_ref().take(usize::from(count)) {
                codes[usize::from(symbol)] = (code, length);
                code += 1;
            }
            code <<= 1;
        }
        Self(codes)
    }
}

/// Entropy-coded data of one restart interval, put together bit by bit.
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    /// The last `held` bits are not written yet; fewer than 32.
    bits: u64,
    held: u32,
}

impl BitWriter {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            bits: 0,
            held: 0,
        }
    }

    #[inline(always)]
    fn put(&mut self, bits: u32, length: u32) {
        self.bits = self.bits << length | u64::from(bits);
        self.held += length;
        if self.held >= 32 {
            self.held -= 32;
            self.write((self.bits >> self.held) as u32);
        }
    }

    #[inline(always)]
    fn write(&mut self, word: u32) {
        let inverse = !word;
        let has_ff = inverse.wrapping_sub(0x0101_0101) & word & 0x8080_8080 != 0;
        if has_ff {
            self.write_stuffed(word);
        } else {
            self.bytes.extend_from_slice(&word.to_be_bytes());
        }
    }

    /// After a byte 0xff comes a zero, so that it is no marker.
    #[cold]
    fn write_stuffed(&mut self, word: u32) {
        for byte in word.to_be_bytes() {
            self.bytes.push(byte);
            if byte == 0xff {
                self.bytes.push(0);
            }
        }
    }

    /// Fills the last byte up with ones.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let missing = (8 - self.held % 8) % 8;
        self.put((1 << missing) - 1, missing);
        while self.held > 0 {
            self.held -= 8;
            let byte = (self.bits >> self.held) as u8;
            self.bytes.push(byte);
            if byte == 0xff {
                self.bytes.push(0);
            }
        }
        self.bytes
    }

    /// Codes a block; `last_dc` is that of the block before it in its plane.
    #[inline(always)]
    pub(super) fn put_block(&mut self, block: &Block, last_dc: &mut i16, dc: &Codes, ac: &Codes) {
        const END_OF_BLOCK: usize = 0x00;
        const SIXTEEN_ZEROS: usize = 0xf0;
        let (size, bits) = magnitude(block[0] - *last_dc);
        *last_dc = block[0];
        let (code, length) = dc.0[size as usize];
        self.put(code << size | bits, length + size);
        let mut left = nonzero_after_first(block);
        let mut before = 0;
        while left != 0 {
            let at = left.trailing_zeros();
            left &= left - 1;
            let mut zeros = at - before - 1;
            before = at;
            while zeros > 15 {
                let (code, length) = ac.0[SIXTEEN_ZEROS];
                self.put(code, length);
                zeros -= 16;
            }
            let (size, bits) = magnitude(block[at as usize & 63]);
            let (code, length) = ac.0[(zeros << 4 | size) as usize & 255];
            self.put(code << size | bits, length + size);
        }
        if before < 63 {
            let (code, length) = ac.0[END_OF_BLOCK];
            self.put(code, length);
        }
    }
}

/// A bit for each coefficient but the first that is not zero.
#[inline(always)]
fn nonzero_after_first(block: &Block) -> u64 {
    let mut bits = 0;
    for (at, &value) in block.iter().enumerate().skip(1) {
        bits |= u64::from(value != 0) << at;
    }
    bits
}

/// The number of bits of a value, and those bits; negative values are one less (F.1.2.1).
#[inline(always)]
fn magnitude(value: i16) -> (u32, u32) {
    let value = i32::from(value);
    let size = 32 - value.unsigned_abs().leading_zeros();
    let bits = (value + (value >> 31)) as u32 & ((1 << size) - 1);
    (size, bits)
}
