//! Byte offsets to lines and columns as people count them.

use ruff_text_size::TextSize;

use crate::facts::Position;

/// The line starts of one text.
pub(super) struct Lines<'a> {
    text: &'a str,
    starts: Vec<u32>,
}

impl<'a> Lines<'a> {
    /// `text` must be under 4 GiB, which the size limit of a file guarantees.
    pub(super) fn new(text: &'a str) -> Self {
        let bytes = text.as_bytes();
        let mut starts = vec![0];
        for (index, &byte) in bytes.iter().enumerate() {
            // `\r` alone ends a line too; in `\r\n` the `\n` does.
            if byte == b'\n' || (byte == b'\r' && bytes.get(index + 1) != Some(&b'\n')) {
                starts.push(u32::try_from(index + 1).unwrap_or(u32::MAX));
            }
        }
        Self { text, starts }
    }

    pub(super) fn line(&self, offset: TextSize) -> u32 {
        let after = self.starts.partition_point(|&start| start <= u32::from(offset));
        u32::try_from(after).unwrap_or(u32::MAX)
    }

    pub(super) fn position(&self, offset: TextSize) -> Position {
        let line = self.line(offset);
        let start = self.starts[line as usize - 1] as usize;
        let before = self.text.get(start..usize::from(offset)).unwrap_or_default();
        // Counting characters of a line of megabytes for each fact on it would be quadratic.
        let column = if before.len() > 4096 { before.len() } else { before.chars().count() };
        Position { line, column: u32::try_from(column + 1).unwrap_or(u32::MAX) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_ending_counts_once_and_columns_count_characters() {
        let text = "a\r\né = b\rc\nd";
        let lines = Lines::new(text);
        let at = |needle: &str| {
            let offset = text.find(needle).expect("present");
            let position = lines.position(TextSize::new(u32::try_from(offset).expect("short")));
            (position.line, position.column)
        };
        assert_eq!([at("a"), at("b"), at("c"), at("d")], [(1, 1), (2, 5), (3, 1), (4, 1)]);
    }
}
