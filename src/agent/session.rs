//! The session: does the server still see the agent?
//!
//! May import: its siblings, ports, domain. Invariant: an answer that does not
//! come is no answer, and never taken for «offline»; while a job runs nothing is
//! asked, since the renewal of its lock proves the session.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::{sync::watch, time::sleep};

use super::{
    board::{Board, Phase, Status},
    folder::Registered,
};
use crate::ports::registrations::Registrations;

/// Asks for as long as this is not dropped.
pub(super) async fn follow(
    registrations: Arc<dyn Registrations>,
    registered: Registered,
    board: Board,
    every: Duration,
) {
    let mut status = board.follow();
    loop {
        if !is_listening(&mut status).await {
            return;
        }
        // Spread, so that agents that started together do not ask together.
        sleep(every.mul_f64(0.75 + fastrand::f64() / 2.0)).await;
        if board.status().phase == Phase::Listening {
            ask(&*registrations, &registered, &board).await;
        }
    }
}

/// Waits for an agent that listens; tells whether there will be one.
async fn is_listening(status: &mut watch::Receiver<Status>) -> bool {
    let listening = status.wait_for(|status| status.phase == Phase::Listening);
    listening.await.is_ok()
}

async fn ask(registrations: &dyn Registrations, registered: &Registered, board: &Board) {
    let answer = registrations.agent(registered.pool, registered.agent).await;
    let now = Timestamp::now();
    board.change(|status| {
        let session = &mut status.session;
        match answer {
            Ok(agent) => {
                let online = agent.is_some_and(|agent| agent.online);
                session.asked = Some(now);
                session.error = None;
                session.offline_since = match online {
                    true => None,
                    false => session.offline_since.or(Some(now)),
                };
                if online {
                    session.seen = Some(now);
                }
            }
            Err(error) => session.error = Some(error.to_string()),
        }
    });
}
