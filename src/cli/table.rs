//! Tables for people: columns as wide as what stands in them, numbers to the right.

use std::io::{self, Write};

/// A table with a line of titles.
pub(super) struct Table {
    titles: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

/// What stands where nothing is known.
pub(super) const NOTHING: &str = "-";

impl Table {
    pub(super) fn new(titles: &[&'static str]) -> Table {
        Table { titles: titles.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; an empty cell becomes a dash.
    pub(super) fn row<const N: usize>(&mut self, cells: [String; N]) {
        assert_eq!(N, self.titles.len(), "a cell for every title");
        let cells = cells.into_iter().map(|cell| if cell.is_empty() { NOTHING.to_owned() } else { cell });
        self.rows.push(cells.collect());
    }

    pub(super) fn write(&self, out: &mut (impl Write + ?Sized)) -> io::Result<()> {
        let columns: Vec<_> = (0..self.titles.len()).map(|column| self.column(column)).collect();
        let titles: Vec<_> = self.titles.iter().map(|title| (*title).to_owned()).collect();
        std::iter::once(&titles).chain(&self.rows).try_for_each(|cells| {
            let cells = cells.iter().zip(&columns).map(|(cell, (width, is_number))| {
                if *is_number { format!("{cell:>width$}") } else { format!("{cell:width$}") }
            });
            writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())
        })
    }

    /// The width of a column, and whether only numbers stand in it.
    fn column(&self, column: usize) -> (usize, bool) {
        let cells = self.rows.iter().map(|row| &row[column]);
        let width = cells.clone().map(|cell| cell.chars().count()).max().unwrap_or(0);
        let mut known = cells.filter(|cell| *cell != NOTHING).peekable();
        let is_number = known.peek().is_some() && known.all(|cell| cell.parse::<i64>().is_ok());
        (width.max(self.titles[column].len()), is_number)
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn numbers_stand_to_the_right_and_nothing_is_a_dash() {
        let mut table = Table::new(&["GROUP", "LAG", "HOST"]);
        table.row(["billing".to_owned(), "1200".to_owned(), String::new()]);
        table.row(["b".to_owned(), String::new(), "::1".to_owned()]);
        let mut out = Vec::new();
        table.write(&mut out).expect("memory takes it");
        let text = String::from_utf8(out).expect("text");
        assert_eq!(text, "GROUP     LAG  HOST\nbilling  1200  -\nb           -  ::1\n");
    }
}
