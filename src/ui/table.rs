//! Plain tables: columns as wide as their widest cell, the last one ragged, every cell made harmless.

use std::io::IsTerminal;
use std::os::fd::AsFd;

use super::text::printable;

/// The width of the terminal `fd` now: somebody may have changed it.
pub fn columns(fd: impl AsFd) -> usize {
    let size = rustix::termios::tcgetwinsize(fd).ok();
    size.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0).unwrap_or(80)
}

/// The first `width` characters.
pub fn cut(text: &str, width: usize) -> &str {
    text.char_indices().nth(width).map_or(text, |(at, _)| &text[..at])
}

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
    /// As [`Table::render`], for standard output: no line is wider than the terminal that it is, if it is one.
    pub fn for_stdout(&self) -> String {
        let (text, stdout) = (self.render(), std::io::stdout());
        if !stdout.is_terminal() {
            return text;
        }
        let width = columns(&stdout);
        text.lines().flat_map(|line| [cut(line, width), "\n"]).collect()
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

    #[test]
    fn a_line_is_cut_by_characters() {
        assert_eq!(cut("räder", 2), "rä");
        assert_eq!(cut("räder", 5), "räder");
        assert_eq!(cut("räder", 0), "");
    }
}
