//! A real Kubernetes control plane with the real KEDA, on this machine.
//!
//! etcd, kube-apiserver, kube-controller-manager, kube-scheduler and KEDA's
//! operator and metrics adapter run as plain processes on free ports of
//! 127.0.0.1, in a directory of their own. There is no node: pods stay Pending,
//! and the replicas of a Deployment are what a test looks at. Several clusters
//! can run side by side.
//!
//! The invariant: when a [`Cluster`] ends, by [`Cluster::stop`], by a drop, a
//! panic or a SIGKILL of its owner, no process and no file of it is left.
//! Nothing here imports the scaler: a test brings it as a program.

mod certificates;
mod cluster;
mod control_plane;
mod detached;
mod error;
mod keda;
mod kubectl;
mod process;
mod tools;
mod watch;

pub mod http;

pub use cluster::{Cluster, Options};
pub use detached::{Detached, READY, State};
pub use error::{Error, Result};
pub use process::Process;
pub use tools::Tools;
pub use watch::{Change, Event, Lines, Watch};
