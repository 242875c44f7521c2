//! Plain tables: columns as wide as their widest cell, the last one ragged, every cell made harmless.

use super::text::printable;

/// A table for a terminal or a pipe.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with a heading.
    pub fn new(heading: &[&str]) -> Self {
        let mut table = Table { rows: Vec::new() };
        table.row(heading);
        table
    }
    /// Adds a row.
    pub fn row(&mut self, cells: &[&str]) {
        self.rows.push(cells.iter().map(|cell| printable(cell)).collect());
    }
    /// The text; empty where there is no row but the heading.
    pub fn render(&self) -> String {
        if self.rows.len() < 2 {
            return String::new();
        }
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows.iter().filter_map(|r| r.get(column)).map(|c| c.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut out = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(cell);
                line.extend(std::iter::repeat_n(' ', width + 2 - cell.chars().count()));
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligned_and_harmless() {
        let mut table = Table::new(&["A", "B"]);
        assert_eq!(table.render(), "");
        table.row(&["long", "x\u{1b}[m"]);
        assert_eq!(table.render(), "A     B\nlong  x\\u{1b}[m\n");
    }
}
