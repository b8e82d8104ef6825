//! The best placing, found the general way: a min-cost flow by successive
//! shortest paths over whole numbers.
//!
//! May import: the domain, and nothing of the claim but what it is given and
//! what it answers. Invariant: every rule is written here a second time, from
//! the documentation.

use std::{cmp::Ordering, collections::VecDeque};

use super::super::{Claim, Contender};
use crate::domain::{
    job::{JobRequest, JobState},
    pool::Queue,
    profile::Matching,
};

/// What one job costs at a scaling object of this place in the order of
/// preference. Prices rise with the place.
#[derive(Clone, Copy, Debug)]
pub(super) enum Prices {
    /// One job more at a place is worth more than any number of jobs at all
    /// later ones.
    Lexicographic,
    /// Each place costs one more than the one before.
    Steps,
}

/// What the oracle says of a case.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Best {
    /// Which jobs of the queue need no agent any more.
    pub(super) over: Vec<bool>,
    /// The contender that owns each job of the queue.
    pub(super) owners: Vec<Option<usize>>,
    /// How many others each scaling object has, in the order of preference.
    pub(super) counts: Vec<i64>,
    /// The scaling objects in the order of preference.
    pub(super) order: Vec<Place>,
}

/// A scaling object: those of its triggers that share the pool, most preferred
/// first.
pub(super) type Place = Vec<usize>;

/// Jobs of one kind: where they may go, and how many there are.
pub(super) type Supply = (Vec<usize>, i64);

// === impl Best ===

impl Best {
    pub(super) fn of(queue: &Queue, contenders: &[Contender<'_>], prices: Prices) -> Self {
        let order = order(contenders);
        let jobs = || queue.jobs().iter();
        let over: Vec<bool> = jobs().map(|job| is_over(job, contenders)).collect();
        let owners: Vec<Option<usize>> = jobs()
            .zip(&over)
            .map(|(job, over)| (!over).then(|| owner(job, contenders, &order))?)
            .collect();
        let owned = |place: &Place| {
            let owners = owners.iter().flatten();
            owners.filter(|owner| place.contains(owner)).count()
        };
        let room = order.iter().map(|place| match limit(place, contenders) {
            Some(limit) => (i64::from(limit) - i64::try_from(owned(place)).unwrap()).max(0),
            None => i64::MAX,
        });
        let mut supplies: Vec<Supply> = Vec::new();
        for ((job, owner), over) in jobs().zip(&owners).zip(&over) {
            if *over || owner.is_some() {
                continue;
            }
            let places = fitting(job, contenders, &order);
            match supplies.iter_mut().find(|(known, _)| *known == places) {
                Some((_, count)) => *count += 1,
                None => supplies.push((places, 1)),
            }
        }
        let counts = place(&supplies, &room.collect::<Vec<_>>(), prices);
        Self {
            over,
            owners,
            counts,
            order,
        }
    }

    /// The same of what the claim says.
    pub(super) fn told(claims: &[Claim], order: &[Place]) -> Self {
        let placed = |place: &Place| {
            let here = |claim: &&Claim| matches!(claim, Claim::Placed(by) if place.contains(by));
            i64::try_from(claims.iter().filter(here).count()).unwrap()
        };
        let owner = |claim: &Claim| match claim {
            Claim::Owned(index) => Some(*index),
            _ => None,
        };
        Self {
            over: claims.iter().map(|claim| *claim == Claim::Over).collect(),
            owners: claims.iter().map(owner).collect(),
            counts: order.iter().map(placed).collect(),
            order: order.to_vec(),
        }
    }
}

/// Who shares the pool, most preferred first: an object by the best of its
/// triggers.
fn order(contenders: &[Contender<'_>]) -> Vec<Place> {
    let sharing = |index: &usize| {
        let matching = &contenders[*index].profile.matching;
        !matches!(matching, Matching::Demands(_) | Matching::Parent(_))
    };
    let mut places: Vec<Place> = Vec::new();
    for index in (0..contenders.len()).filter(sharing) {
        let object = contenders[index].object;
        let own = |place: &&mut Place| contenders[place[0]].object == object;
        match places.iter_mut().find(own) {
            Some(place) => place.push(index),
            None => places.push(vec![index]),
        }
    }
    for place in &mut places {
        place.sort_by(|a, b| preferred(&contenders[*a], &contenders[*b]));
    }
    places.sort_by(|a, b| preferred(&contenders[a[0]], &contenders[b[0]]));
    places
}

/// The smallest of its triggers' limits.
pub(super) fn limit(place: &Place, contenders: &[Contender<'_>]) -> Option<u32> {
    let limits = place.iter().filter_map(|index| contenders[*index].limit);
    limits.min()
}

fn preferred(a: &Contender<'_>, b: &Contender<'_>) -> Ordering {
    let specific = match (&a.profile.matching, &b.profile.matching) {
        (Matching::Capabilities(a), Matching::Capabilities(b)) => {
            let requires_more = b.requires().len().cmp(&a.requires().len());
            requires_more.then(a.declared().cmp(&b.declared()))
        }
        (Matching::Capabilities(_), _) => Ordering::Less,
        (_, Matching::Capabilities(_)) => Ordering::Greater,
        _ => Ordering::Equal,
    };
    specific
        .then(b.profile.priority.cmp(&a.profile.priority))
        .then(a.object.namespace.cmp(&b.object.namespace))
        .then(a.object.name.cmp(&b.object.name))
        .then(a.trigger.cmp(&b.trigger))
}

/// Does it run on a pod that somebody's Jobs say has ended?
fn is_over(job: &JobRequest, contenders: &[Contender<'_>]) -> bool {
    let Some(agent) = &job.agent else {
        return false;
    };
    let mut jobs = contenders.iter().filter_map(|contender| contender.jobs);
    job.state == JobState::Running && jobs.any(|jobs| jobs.ended.contains(agent))
}

fn owner(job: &JobRequest, contenders: &[Contender<'_>], order: &[Place]) -> Option<usize> {
    let agent = job.agent.as_deref()?;
    if job.state != JobState::Running {
        return None;
    }
    let name = |place: &&Place| &*contenders[place[0]].object.name;
    let bears = |place: &&Place| agent.starts_with(&format!("{}-", name(place)));
    let longest = order
        .iter()
        .filter(bears)
        .map(|place| name(&place))
        .max_by_key(|name| name.len())?;
    let owners: Vec<&Place> = order.iter().filter(|p| name(p) == longest).collect();
    (owners.len() == 1).then(|| owners[0][0])
}

/// The places that have a trigger which could run the job.
pub(super) fn fitting(
    job: &JobRequest,
    contenders: &[Contender<'_>],
    order: &[Place],
) -> Vec<usize> {
    let fits = |place: &usize| first_fitting(job, contenders, &order[*place]).is_some();
    (0..order.len()).filter(fits).collect()
}

/// The trigger of this place that is to have the job.
pub(super) fn first_fitting(
    job: &JobRequest,
    contenders: &[Contender<'_>],
    place: &Place,
) -> Option<usize> {
    let mut triggers = place.iter().copied();
    triggers.find(|index| contenders[*index].profile.fits(job).is_ok())
}

/// How many jobs each place has in the cheapest of the largest placings.
pub(super) fn place(supplies: &[Supply], room: &[i64], prices: Prices) -> Vec<i64> {
    let jobs: i64 = supplies.iter().map(|(_, count)| count).sum();
    // source, kinds, places, sink
    let (kinds, places) = (supplies.len(), room.len());
    let (source, sink) = (0, 1 + kinds + places);
    let mut network = Network::new(sink + 1);
    for (kind, (fitting, count)) in supplies.iter().enumerate() {
        network.edge(source, 1 + kind, *count, 0);
        for place in fitting {
            network.edge(1 + kind, 1 + kinds + place, *count, 0);
        }
    }
    let mut into_sink = Vec::new();
    let mut step = 1;
    for (place, room) in room.iter().enumerate().rev() {
        let price = match prices {
            Prices::Lexicographic => -step,
            Prices::Steps => i128::try_from(place).unwrap(),
        };
        into_sink.push(network.edge(1 + kinds + place, sink, *room, price));
        if matches!(prices, Prices::Lexicographic) {
            step *= i128::from(jobs) + 1;
        }
    }
    network.fill(source, sink);
    into_sink
        .into_iter()
        .rev()
        .map(|e| network.flow(e))
        .collect()
}

/// A network; each edge is followed by its reverse.
struct Network {
    edges: Vec<Edge>,
    at: Vec<Vec<usize>>,
}

struct Edge {
    to: usize,
    room: i64,
    price: i128,
}

// === impl Network ===

impl Network {
    fn new(nodes: usize) -> Self {
        Self {
            edges: Vec::new(),
            at: vec![Vec::new(); nodes],
        }
    }

    fn edge(&mut self, from: usize, to: usize, room: i64, price: i128) -> usize {
        let edge = self.edges.len();
        self.edges.push(Edge { to, room, price });
        self.edges.push(Edge {
            to: from,
            room: 0,
            price: -price,
        });
        self.at[from].push(edge);
        self.at[to].push(edge + 1);
        edge
    }

    fn flow(&self, edge: usize) -> i64 {
        self.edges[edge + 1].room
    }

    /// As much as goes through, each time by the cheapest path that is left.
    fn fill(&mut self, source: usize, sink: usize) {
        while let Some(path) = self.cheapest(source, sink) {
            let room = path.iter().map(|edge| self.edges[*edge].room).min();
            let room = room.expect("the sink is not the source");
            for edge in path {
                self.edges[edge].room -= room;
                self.edges[edge ^ 1].room += room;
            }
        }
    }

    /// Bellman and Ford's, since the reverse edges have negative prices.
    fn cheapest(&self, source: usize, sink: usize) -> Option<Vec<usize>> {
        let mut prices: Vec<Option<i128>> = vec![None; self.at.len()];
        let mut by: Vec<usize> = vec![usize::MAX; self.at.len()];
        prices[source] = Some(0);
        let mut waiting = VecDeque::from([source]);
        while let Some(node) = waiting.pop_front() {
            let so_far = prices[node].expect("only what has a price waits");
            for index in &self.at[node] {
                let edge = &self.edges[*index];
                let price = so_far + edge.price;
                if edge.room > 0 && prices[edge.to].is_none_or(|known| price < known) {
                    prices[edge.to] = Some(price);
                    by[edge.to] = *index;
                    waiting.push_back(edge.to);
                }
            }
        }
        prices[sink]?;
        let mut path = Vec::new();
        let mut node = sink;
        while node != source {
            path.push(by[node]);
            node = self.edges[by[node] ^ 1].to;
        }
        Some(path)
    }
}
