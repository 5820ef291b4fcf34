//! Rows in the text format of COPY, written exactly as PostgreSQL writes them, and their checksum:
//! <https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-FILE-FORMATS>.

use std::io::Write as _;

use futures_util::{Stream, StreamExt as _};
use irisflow_jobs::{Cell, MovedRow, StoreError};
use sha2::{Digest as _, Sha256};

/// How many rows there are, and the SHA-256 of their lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowDigest {
    pub rows: u64,
    pub sha256: [u8; 32],
}

/// The digest of rows that another store has.
pub async fn digest_of_rows(
    mut rows: impl Stream<Item = Result<MovedRow, StoreError>> + Unpin,
) -> Result<RowDigest, StoreError> {
    let (mut hasher, mut line) = (Hasher::default(), Vec::new());
    while let Some(row) = rows.next().await {
        line.clear();
        write_line(&row?, &mut line);
        hasher.add(&line);
    }
    Ok(hasher.digest())
}

/// Computes a [`RowDigest`].
#[derive(Default)]
pub(super) struct Hasher {
    rows: u64,
    sha256: Sha256,
}

impl Hasher {
    /// Adds the line of one row.
    pub(super) fn add(&mut self, line: &[u8]) {
        self.rows += 1;
        self.sha256.update(line);
    }

    pub(super) fn digest(self) -> RowDigest {
        RowDigest {
            rows: self.rows,
            sha256: self.sha256.finalize().into(),
        }
    }
}

pub(super) fn write_line(row: &MovedRow, line: &mut Vec<u8>) {
    for (index, cell) in row.iter().enumerate() {
        if index > 0 {
            line.push(b'\t');
        }
        write_cell(cell, line);
    }
    line.push(b'\n');
}

fn write_cell(cell: &Cell, line: &mut Vec<u8>) {
    match cell {
        Cell::Null => line.extend(br"\N"),
        Cell::Flag(flag) => line.push(if *flag { b't' } else { b'f' }),
        Cell::Text(text) => text.bytes().for_each(|byte| write_escaped(byte, line)),
        Cell::Id(id) => write_formatted(format_args!("{id}"), line),
        Cell::Integer(number) => write_formatted(format_args!("{number}"), line),
        Cell::Bytes(bytes) => {
            line.extend(br"\\x");
            for byte in bytes {
                write_formatted(format_args!("{byte:02x}"), line);
            }
        }
    }
}

fn write_formatted(text: std::fmt::Arguments<'_>, line: &mut Vec<u8>) {
    // A Vec takes all that is written.
    let _ = line.write_fmt(text);
}

fn write_escaped(byte: u8, line: &mut Vec<u8>) {
    let letter = match byte {
        b'\\' => b'\\',
        0x08 => b'b',
        b'\t' => b't',
        b'\n' => b'n',
        0x0b => b'v',
        0x0c => b'f',
        b'\r' => b'r',
        other => return line.push(other),
    };
    line.extend([b'\\', letter]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_cell_is_written_as_postgresql_writes_it() {
        let id = uuid::Uuid::from_u128(0xABC);
        let row = vec![
            Cell::Null,
            Cell::Id(id),
            Cell::Integer(-7),
            Cell::Flag(true),
            Cell::Text("a\tb\\c\nd".to_owned()),
            Cell::Bytes(vec![0, 255]),
        ];
        let mut line = Vec::new();
        write_line(&row, &mut line);
        let text = String::from_utf8(line).expect("text");
        assert_eq!(
            text,
            format!("\\N\t{id}\t-7\tt\ta\\tb\\\\c\\nd\t\\\\x00ff\n")
        );
    }
}
