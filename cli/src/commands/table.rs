//! Tables that line up and fit the terminal. Pure: a table and a width in, text out.
//!
//! Widths are those of characters on a terminal (a wide character takes two columns), never bytes. What comes from
//! others is shown without control characters, so that no text can paint on the terminal of who reads it.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Space between two columns.
const GAP: usize = 2;

/// Below this many columns nothing useful is left of a text.
const NARROWEST: usize = 8;

/// What a text means, as a colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Nothing special.
    #[default]
    Plain,
    /// As it should be.
    Good,
    /// On its way, or worth a look.
    Fair,
    /// Wrong.
    Bad,
    /// Of less importance.
    Dim,
    /// A headline.
    Bold,
}

impl Tone {
    /// `text` in this colour.
    pub(crate) fn paint(self, text: &str) -> String {
        let code = match self {
            Self::Plain => return text.to_owned(),
            Self::Good => "32",
            Self::Fair => "33",
            Self::Bad => "31",
            Self::Dim => "2",
            Self::Bold => "1",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// One column.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    title: &'static str,
    right: bool,
    flexible: bool,
    spare: u8,
}

impl Column {
    /// A column of texts that are shown whole.
    pub(crate) const fn new(title: &'static str) -> Self {
        Self {
            title,
            right: false,
            flexible: false,
            spare: 0,
        }
    }

    /// Its texts end at the same place, as numbers do.
    pub(crate) const fn right(mut self) -> Self {
        self.right = true;
        self
    }

    /// Its texts may be shortened where room is scarce.
    pub(crate) const fn flexible(mut self) -> Self {
        self.flexible = true;
        self
    }

    /// It may be left out where room is scarce: the higher `spare`, the earlier.
    pub(crate) const fn spare(mut self, spare: u8) -> Self {
        self.spare = spare;
        self
    }
}

/// One cell.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// `text` in a colour.
    pub(crate) fn toned(text: impl AsRef<str>, tone: Tone) -> Self {
        Self {
            text: plain(text.as_ref()),
            tone,
        }
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::toned(text, Tone::Plain)
    }
}

/// A table with a headline.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// Without rows.
    pub(crate) fn new(columns: impl Into<Vec<Column>>) -> Self {
        Self {
            columns: columns.into(),
            rows: Vec::new(),
        }
    }

    /// One more row, with as many cells as there are columns.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The table as lines, at most `width` wide where that is possible.
    pub(crate) fn render(&self, width: Option<usize>, colour: bool) -> String {
        let mut shown: Vec<usize> = (0..self.columns.len()).collect();
        let mut widths = self.natural_widths();
        if let Some(width) = width {
            self.shrink(&shown, &mut widths, width);
            while total(&shown, &widths) > width {
                let spare = |i: &usize| self.columns[*i].spare;
                let Some(least) = shown.iter().copied().filter(|i| spare(i) > 0).max_by_key(spare) else {
                    break;
                };
                shown.retain(|i| *i != least);
                widths = self.natural_widths();
                self.shrink(&shown, &mut widths, width);
            }
        }
        let mut text = String::new();
        let titles: Vec<Cell> = self
            .columns
            .iter()
            .map(|column| Cell::toned(column.title, Tone::Bold))
            .collect();
        for row in std::iter::once(&titles).chain(&self.rows) {
            let mut line = String::new();
            for (place, &i) in shown.iter().enumerate() {
                let Some(cell) = row.get(i) else { continue };
                let content = shorten(&cell.text, widths[i]);
                let padding = " ".repeat(widths[i] - content.width());
                let content = match colour {
                    true => cell.tone.paint(&content),
                    false => content,
                };
                let last = place + 1 == shown.len();
                match (self.columns[i].right, last) {
                    (true, _) => line.extend([padding.as_str(), &content]),
                    (false, true) => line.push_str(&content),
                    (false, false) => line.extend([content.as_str(), &padding]),
                }
                if !last {
                    line.push_str(&" ".repeat(GAP));
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    fn natural_widths(&self) -> Vec<usize> {
        let widest = |i: usize, column: &Column| {
            let cells = self.rows.iter().filter_map(|row| row.get(i));
            cells
                .map(|cell| cell.text.width())
                .chain([column.title.width()])
                .max()
                .unwrap_or(0)
        };
        self.columns
            .iter()
            .enumerate()
            .map(|(i, column)| widest(i, column))
            .collect()
    }

    /// Takes columns that may be shortened down, the widest first, until all fit or nothing is left to take.
    fn shrink(&self, shown: &[usize], widths: &mut [usize], width: usize) {
        loop {
            let over = total(shown, widths).saturating_sub(width);
            let widest = shown
                .iter()
                .copied()
                .filter(|i| self.columns[*i].flexible && widths[*i] > NARROWEST)
                .max_by_key(|i| widths[*i]);
            match widest {
                Some(i) if over > 0 => widths[i] -= 1,
                _ => return,
            }
        }
    }
}

fn total(shown: &[usize], widths: &[usize]) -> usize {
    let columns: usize = shown.iter().map(|i| widths[*i]).sum();
    columns + GAP * shown.len().saturating_sub(1)
}

/// `text` in at most `width` columns; `…` says that something is missing.
pub(crate) fn shorten(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut short = String::new();
    let mut used = 0;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used + 1 > width {
            break;
        }
        short.push(c);
    }
    if width > 0 {
        short.push('…');
    }
    short
}

/// `text` in one line, without control characters.
pub(crate) fn plain(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\t' => ' ',
            c if c.is_control() => '\u{fffd}',
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new([
            Column::new("NAME"),
            Column::new("COUNT").right(),
            Column::new("IMAGE").flexible(),
            Column::new("NODES").flexible().spare(1),
        ]);
        table.row([
            "env".into(),
            "7".into(),
            "bramble/env:latest".into(),
            "pi-3b".into(),
        ]);
        table.row(["日本".into(), "1200".into(), "x".into(), "pi-4b, pi-5".into()]);
        table
    }

    #[test]
    fn columns_line_up_whatever_the_width_of_the_characters() {
        assert_eq!(
            table().render(None, false),
            "NAME  COUNT  IMAGE               NODES\n\
             env       7  bramble/env:latest  pi-3b\n\
             日本   1200  x                   pi-4b, pi-5\n"
        );
    }

    #[test]
    fn a_narrow_terminal_shortens_first_and_leaves_out_then() {
        let text = table().render(Some(40), false);
        assert!(text.lines().all(|line| line.width() <= 40), "{text}");
        assert!(
            text.contains("bramble/env") && text.contains('…') && text.contains("NODES"),
            "{text}"
        );
        let text = table().render(Some(24), false);
        assert!(text.lines().all(|line| line.width() <= 24), "{text}");
        assert!(!text.contains("NODES") && text.contains("IMAGE"), "{text}");
    }

    #[test]
    fn colours_do_not_count_as_width() {
        let mut table = Table::new([Column::new("STATE"), Column::new("WHAT")]);
        table.row([Cell::toned("up", Tone::Good), "a".into()]);
        assert!(table.render(None, true).contains("\x1b[32mup\x1b[0m     a"));
        assert!(!table.render(None, false).contains('\x1b'));
    }

    #[test]
    fn nobody_paints_on_the_terminal_from_inside_a_cell() {
        let mut table = Table::new([Column::new("WHAT")]);
        table.row(["\x1b[2Jgone\nreally".into()]);
        assert_eq!(table.render(None, false), "WHAT\n\u{fffd}[2Jgone really\n");
    }

    #[test]
    fn a_text_is_shortened_to_whole_characters() {
        assert_eq!(shorten("日本語", 5), "日本…");
        assert_eq!(shorten("日本語", 4), "日…");
        assert_eq!(shorten("abc", 3), "abc");
        assert_eq!(shorten("abc", 0), "");
    }
}
