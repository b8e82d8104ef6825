//! What roles grant: no more than is named.

use crate::render::{Render, items, texts};

pub(super) fn small(render: &Render) -> Vec<String> {
    let mut problems = Vec::new();
    let roles = render
        .own()
        .filter(|one| ["Role", "ClusterRole"].contains(&one.kind()));
    for role in roles {
        for rule in items(&role.value, "/rules") {
            let mut say = |what: &str| problems.push(format!("{}: {what}: {rule}", role.about()));
            if texts(rule).contains(&"*") {
                say("grants every one of something");
            }
            let secrets = items(rule, "/resources")
                .iter()
                .any(|one| *one == "secrets");
            if secrets && items(rule, "/resourceNames").is_empty() {
                say("grants Secrets without resourceNames");
            }
        }
    }
    problems
}
