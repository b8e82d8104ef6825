//! The bounds of what is kept of the jobs' output.

use super::*;

#[test]
fn output_is_bounded_and_tells_what_was_dropped() {
    let mut world = World::new();
    let jobs = world.queue(100, &[]);
    let text = |world: &World, job| world.pool().job(job).unwrap().output.text();
    let numbered = (1..=MAX_LINES + 2).map(|line| line.to_string().into());
    world
        .act(|pool, _| pool.append_output(jobs[0], numbered))
        .unwrap();
    let kept = text(&world, jobs[0]);
    assert!(
        kept.starts_with("[2 earlier lines were dropped]\n3\n4\n"),
        "{}",
        &kept[..60]
    );
    assert!(kept.ends_with("\n10001\n10002\n"));
    // Half a job's bound in a line: the third of them drops the first.
    let line = "x".repeat(MAX_OUTPUT / 2 - 100);
    for job in &jobs {
        let lines = ["first", &line, &line, "last"].map(Box::from);
        world
            .act(|pool, _| pool.append_output(*job, lines))
            .unwrap();
        assert!(text(&world, *job).ends_with("\nlast\n"));
    }
    let bytes: Vec<_> = jobs.iter().map(|job| text(&world, *job).len()).collect();
    assert!(
        bytes.iter().all(|bytes| *bytes <= MAX_OUTPUT + 100),
        "{bytes:?}"
    );
    let all: usize = bytes.iter().sum();
    assert!((30 << 20..64 << 20).contains(&all), "{all}");
    assert_eq!(text(&world, jobs[1]), "[4 earlier lines were dropped]\n");
    // One that is over is written to as well; one that is unknown is not.
    world.organization.cancel(world.pool, jobs[1]).unwrap();
    world
        .act(|pool, _| pool.append_output(jobs[1], ["late".into()]))
        .unwrap();
    assert!(text(&world, jobs[1]).ends_with("\nlate\n"));
    let unknown = world.act(|pool, _| pool.append_output(RequestId(1), []));
    assert!(matches!(unknown, Err(Refusal::NoSuchJob { .. })));
}
