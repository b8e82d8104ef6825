//! A real Kubernetes with the real KEDA, on this machine.
//!
//! etcd, kube-apiserver, kube-controller-manager and kube-scheduler run as plain
//! processes in a directory of their own. With a node, kubelet, containerd and
//! kube-proxy run beside them in namespaces of their own, and CoreDNS and KEDA as
//! pods on it. Without one, KEDA's operator and metrics adapter are processes
//! too, pods stay Pending, and the replicas of a Deployment are what a test looks
//! at. With kwok there are nodes by the dozen on which pods run by name only. Several clusters can run side by side.
//!
//! The invariant: when a [`Cluster`] ends, by [`Cluster::stop`], by a drop, a
//! panic or a SIGKILL of its owner, nothing of it is left: no process, file,
//! mount, link, table of nft or cgroup. If its keeper is killed as well, the next
//! start of a node clears them. What the kernel switches on for a node, modules
//! and controllers of cgroups, stays on.
//! Nothing here imports the scaler: a test brings it as a program.

mod certificates;
mod cluster;
mod control_plane;
mod detached;
mod error;
mod hex;
mod keda;
mod keeper;
mod kubectl;
mod kwok;
mod node;
mod process;
mod start;
mod tools;
mod watch;

pub mod http;

pub use cluster::{Cluster, Options};
pub use detached::{Detached, READY, STEP, State};
pub use error::{Error, Result};
pub use kwok::{KwokOptions, LABEL as KWOK_LABEL, PLAYED as KWOK_PLAYED, TAINT as KWOK_TAINT};
pub use node::{Node, NodeOptions, ProgramImage};
pub use process::Process;
pub use tools::Tools;
pub use watch::{Change, Event, Lines, Watch};
