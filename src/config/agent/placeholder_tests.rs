//! The file of placeholders, as people write it, and as they get it wrong.

use super::*;

fn parse(text: &str) -> Result<File, String> {
    let mut problems = ConfigError::default();
    let file = File::parse(text, &mut Notes::new("p.yaml", &mut problems));
    match file {
        Some(file) if problems.problems.is_empty() => Ok(file),
        _ => Err(problems.problems.join("\n")),
    }
}

#[test]
fn a_file_is_read_with_each_pool_once() {
    let file = parse(
        "\
organization: https://dev.azure.com/contoso
owner: ci/agents
placeholders:
- name: linux-placeholder
  pool: k8s-linux
  capabilities: docker, java=17
- {name: plain, pool: K8S-Linux}
- {name: linux-placeholder, pool: other, capabilities: ''}
",
    )
    .unwrap();
    assert_eq!(
        file.organization.unwrap().as_str(),
        "https://dev.azure.com/contoso"
    );
    assert_eq!(&*file.owner, "ci/agents");
    let told: Vec<String> = file
        .pools
        .iter()
        .flat_map(|(pool, placeholders)| {
            let told = placeholders.iter();
            told.map(move |one| format!("{pool}/{}: {}", one.name, one.capabilities))
        })
        .collect();
    let expected = [
        "k8s-linux/linux-placeholder: docker, java=17",
        "k8s-linux/plain: ",
        "other/linux-placeholder: ",
    ];
    assert_eq!(told, expected);
    let none = parse("owner: ci/agents\nplaceholders: []\n").unwrap();
    assert_eq!((none.pools.len(), none.organization), (0, None));
}

#[test]
fn every_problem_is_told_with_its_line() {
    let long = "x".repeat(1024);
    let text = format!(
        "\
organization: nowhere
owner: ''
placeholders:
- {{name: a, pool: linux}}
- {{name: A, pool: Linux}}
- {{nam: b, pool: linux}}
- {{name: 7, pool: linux, capabilities: [docker]}}
- {{name: c, pool: linux, capabilities: 'a b, azp-agent.Placeholder=me'}}
- {{name: d, pool: linux, capabilities: 'v={long}, azp-agent.placeholder=me'}}
"
    );
    let problems = parse(&text).unwrap_err();
    for part in [
        "p.yaml:1: organization: ",
        "p.yaml:2: owner: is empty",
        "p.yaml:5: placeholders[1]: \"A\" stands there twice for this pool",
        "p.yaml:6: placeholders[2].nam: is unknown; did you mean name?",
        "p.yaml:6: placeholders[2]: name is missing",
        "p.yaml:7: placeholders[3].name: is a number and no text; put it in quotes",
        "p.yaml:7: placeholders[3].capabilities: is a list or a map; write one text",
        "p.yaml:8: placeholders[4].capabilities: \"a b\" has white space in its name",
        "p.yaml:9: placeholders[5].capabilities: azp-agent.placeholder is the mark of the owner",
        "p.yaml:9: placeholders[5].capabilities: the value of v is longer than 1023 characters",
    ] {
        assert!(problems.contains(part), "{part} is not in\n{problems}");
    }
    assert_eq!(problems.lines().count(), 10, "{problems}");
    for (text, part) in [
        ("", "is empty; it needs owner and placeholders"),
        ("owner: a\n", "placeholders is missing"),
        ("placeholders: []\n", "owner is missing"),
        ("owner: a\nplaceholders:\n", "is empty; name some"),
        ("owner: [\n", "is no YAML"),
    ] {
        let problems = parse(text).unwrap_err();
        assert!(problems.contains(part), "{text:?}: {problems}");
    }
}
