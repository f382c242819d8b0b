//! Columns of text that fit the page. Knows widths; refuses to know what the columns mean.

use super::page::{columns, escape, shorten};

/// Blanks between columns.
const BETWEEN: usize = 2;
/// Least columns that a shrunken column keeps.
const LEAST: usize = 8;

/// On which side a column's text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers; never shortened.
    Right,
}

/// A table in the making.
#[derive(Clone, Debug)]
pub struct Table {
    headers: Vec<String>,
    alignment: Vec<Align>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table of these columns.
    pub fn new(columns: &[(&str, Align)]) -> Self {
        Self {
            headers: columns.iter().map(|(header, _)| (*header).to_owned()).collect(),
            alignment: columns.iter().map(|&(_, align)| align).collect(),
            rows: Vec::new(),
        }
    }

    /// Appends a row; cells beyond the columns are dropped, missing ones are empty.
    pub fn row(&mut self, cells: Vec<String>) {
        let cells = cells.into_iter().map(|cell| escape(&cell).into_owned());
        self.rows.push(cells.chain(std::iter::repeat(String::new())).take(self.headers.len()).collect());
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Headers and rows as lines of at most `width` columns, as far as the numbers alone fit.
    pub(super) fn lines(&self, width: usize) -> Vec<String> {
        let widths = self.widths(width);
        std::iter::once(&self.headers).chain(&self.rows).map(|cells| self.line(cells, &widths)).collect()
    }

    fn line(&self, cells: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for ((cell, &width), align) in cells.iter().zip(widths).zip(&self.alignment) {
            if !line.is_empty() {
                line.extend(std::iter::repeat_n(' ', BETWEEN));
            }
            let cell = shorten(cell, width);
            let blanks = std::iter::repeat_n(' ', width.saturating_sub(columns(&cell)));
            match align {
                Align::Left => {
                    line.push_str(&cell);
                    line.extend(blanks);
                }
                Align::Right => {
                    line.extend(blanks);
                    line.push_str(&cell);
                }
            }
        }
        line.truncate(line.trim_end().len());
        line
    }

    /// Each column as wide as its widest cell; then the widest columns of text are cut until the line fits.
    fn widths(&self, width: usize) -> Vec<usize> {
        let mut widths: Vec<usize> = self.headers.iter().map(|header| columns(header)).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(columns(cell));
            }
        }
        let total: usize = widths.iter().sum::<usize>() + BETWEEN * widths.len().saturating_sub(1);
        let mut excess = total.saturating_sub(width);
        while excess > 0 {
            let text = |index: &usize| self.alignment.get(*index) == Some(&Align::Left);
            let widest = (0..widths.len()).filter(text).max_by_key(|&index| widths.get(index).copied());
            match widest.and_then(|index| widths.get_mut(index)).filter(|width| **width > LEAST) {
                Some(width) => *width -= 1,
                None => break,
            }
            excess -= 1;
        }
        widths
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_right_and_long_names_are_cut_in_the_middle() {
        let mut table = Table::new(&[("count", Align::Right), ("type", Align::Left)]);
        table.row(vec!["7".to_owned(), "a.module.with.a.long.name.Class".to_owned()]);
        table.row(vec!["1,234,567".to_owned(), "dict".to_owned()]);
        assert_eq!(table.lines(30), ["    count  type", "        7  a.module.…ame.Class", "1,234,567  dict"]);
    }

    #[test]
    fn rows_have_the_columns_of_their_table() {
        let mut table = Table::new(&[("a", Align::Left), ("b", Align::Left)]);
        table.row(vec!["1".to_owned()]);
        table.row(vec!["1".to_owned(), "2".to_owned(), "3".to_owned()]);
        assert_eq!(table.lines(80), ["a  b", "1", "1  2"]);
    }
}
