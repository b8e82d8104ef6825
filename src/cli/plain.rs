//! Texts of somebody else's on a terminal.
//!
//! May import: nothing of ours. Invariant: pure; what is shown is one line, and
//! no character of it moves the cursor, recolours, or turns the direction of
//! what comes after: whoever names a pipeline, an agent or a scaling object is
//! not whoever reads the name.

use std::fmt::{self, Write as _};

/// Shows a text with each character escaped that is no text.
pub(super) struct Plain<T>(pub(super) T);

struct Escaping<'a, 'b>(&'a mut fmt::Formatter<'b>);

// === impl Plain ===

impl<T: fmt::Display> fmt::Display for Plain<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

impl fmt::Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(is_no_text) {
            let (before, from) = rest.split_at(at);
            self.0.write_str(before)?;
            let mut characters = from.chars();
            if let Some(no_text) = characters.next() {
                write!(self.0, "{}", no_text.escape_default())?;
            }
            rest = characters.as_str();
        }
        self.0.write_str(rest)
    }
}

/// Controls (C0, DEL, C1), and what Unicode has for lines and directions.
fn is_no_text(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped_and_texts_stay() {
        let check = |text: &str, shown: &str| assert_eq!(Plain(text).to_string(), shown);
        check("", "");
        check(
            "ci/linux «größer» 日本 🦀: \"a\\b\"",
            "ci/linux «größer» 日本 🦀: \"a\\b\"",
        );
        check("\u{1b}[2J\u{1b}]0;x\u{7}", r"\u{1b}[2J\u{1b}]0;x\u{7}");
        check("a\r\nb\tc\0", r"a\r\nb\tc\u{0}");
        check("\u{7f}\u{9b}31m\u{85}", r"\u{7f}\u{9b}31m\u{85}");
        check(
            "\u{202e}txt\u{2066}\u{200f}",
            r"\u{202e}txt\u{2066}\u{200f}",
        );
        check("\u{2028}\u{61c}!", r"\u{2028}\u{61c}!");
    }
}
