//! A page in Markdown: its prose, what stands between fences, its anchors.

use std::collections::BTreeSet;

/// The text without what stands between fences, and what stands there.
pub(crate) fn apart(text: &str) -> (String, Vec<&str>) {
    let parts: Vec<&str> = text.split("```").collect();
    assert!(parts.len() % 2 == 1, "every fence has two sides");
    let (mut prose, mut fenced) = (String::new(), Vec::new());
    for (index, part) in parts.into_iter().enumerate() {
        if index % 2 == 0 {
            prose.push_str(part);
        } else {
            fenced.push(part);
        }
    }
    (prose, fenced)
}

/// The anchors of a page's headings, as GitHub makes them.
pub(crate) fn anchors(page: &str) -> BTreeSet<String> {
    let (prose, _) = apart(page);
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
        heading
            .chars()
            .filter(kept)
            .collect::<String>()
            .replace(' ', "-")
    };
    headings.map(anchor).collect()
}
