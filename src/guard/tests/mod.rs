//! The guard on a cluster in memory, with paused time.
//!
//! May import: the guard, ports. Invariant: the cluster holds what was written and
//! counts it, so that a write too many is seen.

mod leading;
mod marking;
mod raising;
mod world;
