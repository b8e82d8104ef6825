//! The observer: follows which listener and workers live.
//!
//! May import: its siblings. Invariant: what it tells is at most a second old;
//! whoever is about to stop something looks for himself.

use std::{sync::Arc, time::Duration};

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::{Notify, watch},
    time::sleep,
};

use super::{
    children::Children,
    processes::{self, Family, Home},
};

/// The longest time between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// The shortest: a listener that talks much does not keep this process busy.
const REST: Duration = Duration::from_millis(20);

/// Follows. Clones are one.
#[derive(Clone, Debug)]
pub(super) struct Observer {
    family: watch::Receiver<Family>,
    nudge: Arc<Notify>,
}

// === impl Observer ===

impl Observer {
    /// Follows the processes below this one, for as long as somebody listens.
    #[must_use]
    pub(super) fn start(children: &Children, home: Home) -> Self {
        let nudge = Arc::new(Notify::new());
        let (sender, family) = watch::channel(Family::default());
        let mut ends = children.ends();
        let nudged = Arc::clone(&nudge);
        tokio::spawn(async move {
            while !sender.is_closed() {
                let now = processes::below_this(&home);
                let worker = now.workers.first().copied();
                sender.send_if_modified(|last| {
                    let changed = *last != now;
                    *last = now;
                    changed
                });
                sleep(REST).await;
                tokio::select! {
                    () = nudged.notified() => {}
                    _ = ends.changed() => {}
                    () = ended(worker) => {}
                    () = sleep(LOOK) => {}
                }
            }
        });
        Self { family, nudge }
    }

    /// Says that something may have changed.
    #[must_use]
    pub(super) fn nudge(&self) -> Arc<Notify> {
        Arc::clone(&self.nudge)
    }

    /// What was seen last, and its changes.
    #[must_use]
    pub(super) fn family(&self) -> watch::Receiver<Family> {
        self.family.clone()
    }
}

/// The end of a process that need not be a child; never, where the kernel cannot
/// tell it.
async fn ended(pid: Option<Pid>) {
    let ended = async {
        let file = pidfd_open(pid?, PidfdFlags::NONBLOCK).ok()?;
        #[expect(deprecated, reason = "an OwnedFd is the same file until it is dropped")]
        let file = AsyncFd::with_interest(file, Interest::READABLE).ok()?;
        file.readable().await.ok().map(drop)
    };
    if ended.await.is_none() {
        std::future::pending::<()>().await;
    }
}
