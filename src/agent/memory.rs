//! Memory: what this process holds is not for jobs to read.
//!
//! May import: nothing of ours. A job runs as the same user, who may otherwise
//! read another process's memory, and trace it.

use rustix::process::{DumpableBehavior, set_dumpable_behavior};

/// Shuts `/proc/PID/{mem,environ,fd,…}` of this process to everybody but root,
/// and leaves no core dump behind.
pub fn shut() {
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "jobs of the same user may read this process's memory");
    }
}
