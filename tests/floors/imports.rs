//! What a source imports, read from its text: paths to modules at the root of
//! the crate, in each of the ways in which they can be written.

/// A word, `::` or any other character.
struct Token {
    line: usize,
    /// How many modules it is below the root, those within its file included.
    depth: usize,
    text: String,
}

/// The root modules that a file names by `crate::…` and `super::…`, in groups
/// as well. `depth` tells how many modules the file is below the root.
pub(crate) fn imports(depth: usize, lines: &[(usize, String)]) -> Vec<(usize, String)> {
    let tokens = tokens(depth, lines);
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let is = |at: usize, word: &str| tokens.get(at).is_some_and(|token| token.text == word);
        let starts = ["crate", "super", "self"].iter().any(|word| is(at, word));
        let inside = at > 0 && is(at - 1, "::");
        if starts && is(at + 1, "::") && !inside {
            at = path(&tokens, at, tokens[at].depth, &mut found);
        } else {
            at += 1;
        }
    }
    found
}

/// Follows a path, or a tree of them, to the first name that is no `crate`,
/// `super` or `self`. A name at the root is a find. Returns where it stopped.
fn path(
    tokens: &[Token],
    mut at: usize,
    mut depth: usize,
    found: &mut Vec<(usize, String)>,
) -> usize {
    while let Some(token) = tokens.get(at) {
        let goes_on = tokens.get(at + 1).is_some_and(|next| next.text == "::");
        match token.text.as_str() {
            "crate" if goes_on => depth = 0,
            "super" if goes_on => depth = depth.saturating_sub(1),
            "self" if goes_on => {}
            "{" => return group(tokens, at + 1, depth, found),
            name => {
                if depth == 0 {
                    found.push((token.line, name.to_owned()));
                }
                return at + 1;
            }
        }
        at += 2;
    }
    at
}

/// The paths between two braces, of which the first is before `at`.
fn group(tokens: &[Token], mut at: usize, depth: usize, found: &mut Vec<(usize, String)>) -> usize {
    loop {
        if tokens.get(at).is_some_and(|token| token.text != "}") {
            at = path(tokens, at, depth, found);
        }
        // What follows the name that decides is of no interest.
        let mut open = 0;
        loop {
            match tokens.get(at).map(|token| token.text.as_str()) {
                None => return at,
                Some("{") => open += 1,
                Some("}") if open == 0 => return at + 1,
                Some("}") => open -= 1,
                Some(",") if open == 0 => break,
                Some(_) => {}
            }
            at += 1;
        }
        at += 1;
    }
}

fn tokens(depth: usize, lines: &[(usize, String)]) -> Vec<Token> {
    let mut tokens = Vec::new();
    // The indents of the modules that are open within the file. That rustfmt
    // was here makes the line that closes one known.
    let mut inner: Vec<usize> = Vec::new();
    for (line, text) in lines {
        let trimmed = text.trim_start();
        let indent = text.len() - trimmed.len();
        if trimmed == "}" && inner.last() == Some(&indent) {
            inner.pop();
        }
        let mut rest = trimmed;
        while let Some(first) = rest.chars().next() {
            let part = |c: char| c.is_alphanumeric() || c == '_';
            let word = rest.find(|c| !part(c)).unwrap_or(rest.len());
            let length = match first {
                _ if word > 0 => word,
                ':' if rest.starts_with("::") => 2,
                _ => first.len_utf8(),
            };
            if !first.is_whitespace() {
                tokens.push(Token {
                    line: *line,
                    depth: depth + inner.len(),
                    text: rest[..length].to_owned(),
                });
            }
            rest = &rest[length..];
        }
        let declares = trimmed.starts_with("mod ") || trimmed.contains(" mod ");
        if declares && trimmed.ends_with('{') {
            inner.push(indent);
        }
    }
    tokens
}
