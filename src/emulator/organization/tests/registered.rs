//! What an agent is registered with, and what that is good for.

use super::*;

fn key() -> Option<PublicKey> {
    Some(PublicKey {
        exponent: "AQAB".into(),
        modulus: "modulus".into(),
    })
}

#[test]
fn an_agent_that_is_registered_anew_starts_anew() {
    let mut world = World::new();
    let session = world.listener("live");
    let agent = session.agent();
    world.enable(agent, false);
    let replace = |world: &mut World| {
        let change = AgentChange::default();
        world.organization.replace(world.pool, agent, change, key())
    };
    replace(&mut world).unwrap();
    assert!(!world.is_online("live"));
    assert!(matches!(
        world.poll(session, None),
        Err(Refusal::NoSuchSession)
    ));
    assert!(
        !world.pool().agent(agent).unwrap().enabled,
        "it stays disabled"
    );
    world.enable(agent, true);
    world.open(agent).unwrap();
    let job = world.queue(1, &[])[0];
    assert!(matches!(
        replace(&mut world),
        Err(Refusal::AgentBusy { .. })
    ));
    world.check(job, "assigned live");
}

#[test]
fn a_token_is_good_until_its_end_or_its_agent_is_registered_anew() {
    let mut world = World::new();
    let new = NewAgent::in_pod("live", [("", ""); 0]);
    let agent = world.organization.register(world.pool, new, key()).unwrap();
    let client = |world: &World| world.pool().agent(agent).unwrap().client;
    let first = client(&world);
    let none = world.placeholder("by REST", &[]);
    for (client, modulus) in [
        (first, "other"),
        (first.next(), "modulus"),
        (ClientId::first(9), "modulus"),
        (ClientId::first(none), ""),
    ] {
        let refused = world.organization.agent_token(client, modulus);
        assert_eq!(refused, Err(Refusal::NoSuchClient), "{client:?}");
    }
    let token = world.organization.agent_token(first, "modulus").unwrap();
    assert_eq!(world.organization.holder(&token), Some(Ok(agent)));
    assert_eq!(world.organization.holder("s3cret"), None);
    // One digit of the agent, of the end, of the sign.
    let parts: Vec<_> = token.match_indices('-').map(|(at, _)| at - 1).collect();
    for at in [parts[0], parts[1], token.len() - 1] {
        let digit = if &token[at..=at] == "1" { "2" } else { "1" };
        let forged = format!("{}{digit}{}", &token[..at], &token[at + 1..]);
        let judged = world.organization.holder(&forged);
        assert_eq!(judged, Some(Err(Refusal::NoSuchClient)), "{forged}");
    }
    world.go(2999);
    assert_eq!(world.organization.holder(&token), Some(Ok(agent)));
    world.go(1);
    let ended = world.organization.holder(&token);
    assert_eq!(ended, Some(Err(Refusal::NoSuchClient)));

    let token = world.organization.agent_token(first, "modulus").unwrap();
    let change = AgentChange::default();
    let replaced = world.organization.replace(world.pool, agent, change, key());
    replaced.unwrap();
    let old = world.organization.holder(&token);
    assert_eq!(old, Some(Err(Refusal::NoSuchClient)));
    assert!(world.organization.agent_token(first, "modulus").is_err());
    // The listener of an agent that is gone is let in, to be told that it is.
    let second = client(&world);
    let token = world.organization.agent_token(second, "modulus").unwrap();
    world.organization.unregister(world.pool, agent).unwrap();
    assert_eq!(world.organization.holder(&token), Some(Ok(agent)));
    assert!(world.organization.agent_token(second, "modulus").is_err());
}
