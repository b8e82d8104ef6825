//! What holds for every render of both charts, whatever the values. One table;
//! `breaches` shows of each law that it finds what breaks it.

mod breaches;
mod labels;
mod names;
mod pods;
mod references;
mod rights;
pub(crate) mod secrets;
mod security;

use super::{
    chart::CHARTS,
    fail_on,
    render::{Render, renders},
};

/// What is wrong in a render, by one law.
type Law = fn(&Render) -> Vec<String>;

const LAWS: &[(&str, Law)] = &[
    ("standard labels", labels::standard),
    ("stable selectors", labels::stable),
    ("selectors that select", labels::selecting),
    ("restricted pods", security::restricted),
    ("no docker.sock", security::no_socket),
    ("token only for who asks the API", security::api_tokens),
    ("known images", security::images),
    ("small rights", rights::small),
    ("secrets in Secrets", secrets::nowhere_else),
    ("what is named is there", references::are_there),
    ("pods fit together", pods::fit),
    ("names that can be", names::valid),
    ("every object once", names::once),
];

#[test]
fn every_render_keeps_every_law() {
    let mut problems = Vec::new();
    for render in renders() {
        for (name, law) in LAWS {
            let found = law(render).into_iter();
            problems.extend(found.map(|what| format!("{}: {name}: {what}", render.about())));
        }
    }
    fail_on(&problems);
}

#[test]
fn the_longest_names_are_rendered_too() {
    for chart in CHARTS {
        let of = |render: &&Render| render.chart == chart && render.release == chart.longest;
        assert!(renders().iter().any(|render| of(&render)), "{}", chart.name);
    }
}

#[test]
fn two_releases_never_meet() {
    let mut problems = Vec::new();
    let all = renders();
    for (index, one) in all.iter().enumerate() {
        for other in &all[index + 1..] {
            let same = (one.release, one.namespace) == (other.release, other.namespace);
            if one.chart == other.chart && (same || one.example.name != other.example.name) {
                continue;
            }
            problems.extend(names::shared(one, other));
        }
    }
    fail_on(&problems);
}
