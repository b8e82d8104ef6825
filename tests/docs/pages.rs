//! Every page by itself: its links lead somewhere, and what it tells people to
//! apply is right.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use super::{
    page::{anchors, apart},
    read,
};

/// Every page, by its path in the project.
fn pages() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let names = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let names = names.map(|name| format!("docs/{}", name.into_string().unwrap()));
    let mut pages: Vec<String> = names.filter(|name| name.ends_with(".md")).collect();
    pages.push("README.md".to_owned());
    pages.sort();
    pages
}

#[test]
fn every_link_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut astray = Vec::new();
    let mut links = 0;
    for page in pages() {
        let (prose, _) = apart(&read(&page)).clone();
        for link in prose.split("](").skip(1) {
            let link = link.split(')').next().unwrap();
            if link.starts_with("http") {
                continue;
            }
            links += 1;
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let folder = root.join(&page).parent().unwrap().to_owned();
            let target = if path.is_empty() {
                root.join(&page)
            } else {
                folder.join(path)
            };
            let leads = match fs::read_to_string(&target) {
                Ok(text) => anchor.is_empty() || anchors(&text).contains(anchor),
                Err(_) => anchor.is_empty() && target.is_dir(),
            };
            if !leads {
                astray.push(format!("{page}: {link}"));
            }
        }
    }
    assert!(links > 50, "{links}");
    assert!(astray.is_empty(), "{astray:#?}");
}

#[test]
fn every_page_is_in_the_index() {
    let index = read("docs/README.md");
    for page in pages() {
        let name = page.trim_start_matches("docs/");
        assert!(
            name == "README.md" || index.contains(&format!("({name})")),
            "{page}"
        );
    }
}

#[test]
fn every_scaling_object_of_the_pages_passes_the_check() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for page in pages() {
        let text = read(&page);
        let (_, fenced) = apart(&text);
        let yaml = fenced
            .into_iter()
            .filter_map(|part| part.strip_prefix("yaml\n"));
        for part in yaml.filter(|part| part.contains("\nkind: Scaled")) {
            let file = folder.path().join(format!("{}.yaml", files.len()));
            fs::write(&file, part).unwrap();
            files.push(file);
        }
    }
    assert!(files.len() >= 4, "{files:?}");
    let checked = Command::new(env!("CARGO_BIN_EXE_azp-scaler"))
        .args(["check", "--strict"])
        .args(&files)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success(), "{said}");
}

#[test]
fn every_path_of_the_architecture_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (prose, _) = apart(&read("docs/architecture.md"));
    let spans = prose.split('`').skip(1).step_by(2);
    let is_path = |span: &&str| {
        let end = span.ends_with(".rs") || span.ends_with('/');
        end && span.contains('/') && !span.contains('*')
    };
    let paths: BTreeSet<&str> = spans.filter(is_path).collect();
    assert!(paths.len() > 30, "{paths:?}");
    let is_there = |path: &str| root.join("src").join(path).exists() || root.join(path).exists();
    let gone: Vec<&str> = paths.into_iter().filter(|path| !is_there(path)).collect();
    assert!(gone.is_empty(), "{gone:?}");
}
