//! The owners of scaling objects, in memory: how these do, and what they are told.
//!
//! May import: the guard, ports. Invariant: an Event is kept once for each name, as
//! by an apiserver, and what is kept is what whoever leads next can read.

use std::{collections::BTreeSet, sync::Mutex};

use super::super::*;
use crate::{
    domain::{
        declared::Kind,
        notice::{Code, Notice},
        profile::ScalingObject,
    },
    ports::{
        notices::{Event, News, Noticed, Seen},
        writes::{Attempt, WriteError},
    },
};

/// They.
#[derive(Default)]
pub(super) struct Owners {
    noticed: Mutex<Option<Vec<Noticed>>>,
    changes: tokio::sync::watch::Sender<u64>,
    /// Events that were written, by their names, and when.
    pub(super) events: Mutex<Vec<(Instant, Event)>>,
    /// How often they were read, and tried to be written.
    pub(super) reads: Mutex<u32>,
    pub(super) tried: Mutex<u32>,
    /// What is answered instead.
    pub(super) fails: Mutex<Option<WriteError>>,
    /// Is what is tried written all the same, and only the answer lost?
    pub(super) answers_get_lost: Mutex<bool>,
}

/// A scaling object of this name, and what there is to tell of it.
pub(super) fn noticed(name: &str, seen: Seen, notices: &[(Code, &str)]) -> Noticed {
    let notice = |(code, about): &(Code, &str)| Notice::new(*code, about, about);
    Noticed {
        object: ScalingObject::parse(&format!("ci/{name}")).unwrap(),
        kind: Kind::ScaledObject,
        uid: format!("uid-{name}").into(),
        seen,
        notices: notices.iter().map(notice).collect(),
    }
}

impl Owners {
    /// The scaling objects do so from now on.
    pub(super) fn set(&self, noticed: impl IntoIterator<Item = Noticed>) {
        *self.noticed.lock().unwrap() = Some(noticed.into_iter().collect());
        self.changes.send_modify(|count| *count += 1);
    }

    /// Another reading has shown the same.
    pub(super) fn read(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// What they were told, in short: the object's name and the reason.
    pub(super) fn told(&self) -> Vec<String> {
        let events = self.events.lock().unwrap();
        let shown = |(_, event): &(Instant, Event)| match &event.news {
            News::Is(code, _) => format!("{} {}", event.object.name, code.name()),
            News::Over(_) => format!("{} over", event.object.name),
        };
        events.iter().map(shown).collect()
    }

    /// All Events have names of their own.
    pub(super) fn names(&self) -> usize {
        let events = self.events.lock().unwrap();
        let names = events
            .iter()
            .map(|(_, event)| (event.uid.clone(), event.mark));
        names.collect::<BTreeSet<_>>().len()
    }

    fn keep(&self, event: &Event) {
        let mut events = self.events.lock().unwrap();
        let is_it = |of: &Event| of.uid == event.uid && of.mark == event.mark;
        if !events.iter().any(|(_, of)| is_it(of)) {
            events.push((Instant::now(), event.clone()));
        }
    }

    fn fail(&self) -> Result<(), WriteError> {
        match &*self.fails.lock().unwrap() {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }
}

impl Notices for Owners {
    fn notices(&self) -> Option<Vec<Noticed>> {
        self.noticed.lock().unwrap().clone()
    }

    fn changes(&self) -> tokio::sync::watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

impl Events for Owners {
    fn told(&self) -> Attempt<'_, Vec<(Box<str>, News)>> {
        Box::pin(async {
            *self.reads.lock().unwrap() += 1;
            self.fail()?;
            let events = self.events.lock().unwrap();
            let told = events.iter();
            Ok(told
                .map(|(_, event)| (event.uid.clone(), event.news.clone()))
                .collect())
        })
    }

    fn tell<'a>(&'a self, event: &'a Event) -> Attempt<'a, ()> {
        Box::pin(async move {
            *self.tried.lock().unwrap() += 1;
            self.fail()?;
            self.keep(event);
            let is_lost = *self.answers_get_lost.lock().unwrap();
            if is_lost {
                std::future::pending::<()>().await;
            }
            Ok(())
        })
    }
}
