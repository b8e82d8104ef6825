//! The table as docs/when-azure-devops-fails.md has it.

use std::{fs, path::Path};

use crate::table::{Breaks, Row, Spends, Told, rows};

const PAGE: &str = "docs/when-azure-devops-fails.md";

#[test]
fn the_page_has_the_table() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = fs::read_to_string(page).unwrap();
    let (_, rest) = page.split_once("<!-- faults:begin -->").unwrap();
    let (table, _) = rest.split_once("<!-- faults:end -->").unwrap();
    let mut expected = vec![
        "| Fault | Kind | KEDA is told | `azp_credential_valid` | Requests |".to_owned(),
        "|---|---|---|---|---|".to_owned(),
    ];
    expected.extend(rows().iter().map(line));
    let found: Vec<&str> = table.lines().filter(|line| !line.is_empty()).collect();
    assert!(
        found == expected,
        "copy these rows between the marks of {PAGE}:\n\n{}\n",
        expected.join("\n")
    );
}

fn line(row: &Row) -> String {
    let name = match row.breaks {
        Breaks::Service(_) => format!("`{}`", row.name),
        Breaks::Authority(_) => format!("the authority: `{}`", row.name),
        _ => row.name.to_owned(),
    };
    let kind = row
        .kind
        .map_or("none".to_owned(), |kind| format!("`{kind}`"));
    let keda = match row.keda {
        Told::Three(words) => format!("3; then «{words}»"),
        Told::Never(words) => format!("«{words}»"),
        Told::Zero => "0, which is believed".to_owned(),
        Told::Truth => "the number, as ever".to_owned(),
    };
    let valid = match row.valid {
        Some(true) => "1",
        Some(false) => "0",
        None => "absent",
    };
    let requests = match row.spends {
        Spends::BackOff(1) => "back off",
        Spends::BackOff(_) => "two an attempt; back off",
        Spends::Pause(_) => "none in the pause",
        Spends::None => "none",
        Spends::Usual => "as ever",
    };
    format!("| {name} | {kind} | {keda} | {valid} | {requests} |")
}
