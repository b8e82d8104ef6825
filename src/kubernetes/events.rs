//! Events on scaling objects: written, and read again by whoever writes next.
//!
//! May import: its siblings, ports, domain. Invariants: an Event stands beside the
//! scaling object that it is about and names it by its uid; what is tried again has
//! the same name, so that it is there once; nothing here decides.

use jiff::Timestamp;
use k8s_openapi::api::events::v1;
use kube::{
    Api, Client,
    api::{ListParams, PostParams},
};
use serde_json::{Value, json};

use super::{
    Settings,
    failure::Rule,
    rows::{Rows, ScaledJobs, ScaledObjects},
    writes::{FIELD_MANAGER, write_error},
};
use crate::{
    domain::{
        declared::Kind,
        notice::{Code, RECOVERED},
    },
    ports::{
        notices::{Event, News},
        writes::WriteError,
    },
};

/// Who writes them; what is listed has this one.
const CONTROLLER: &str = "azp-scaler";

/// What the Event is about, so that a later writer knows it again.
const ABOUT: &str = "azp-scaler/about";

/// The reasons of the Events that are over.
const OVER: &str = "azp-scaler/over";

/// What the scaler did when it came about.
const ACTION: &str = "Scaling";

/// How many are listed at once, and of one namespace at all: more than there can
/// be within the hour for which an apiserver keeps them, unless it is set otherwise.
const PAGE: u32 = 500;
const MOST: usize = 50_000;

/// Kubernetes: the longest name of an Event, and of who reports it.
const LONGEST_NAME: usize = 253;
const LONGEST_REPORTER: usize = 128;

/// Writes one. One that is there already was written by an earlier try.
pub(super) async fn tell(client: Client, event: &Event) -> Result<(), WriteError> {
    let namespace = &event.object.namespace;
    let events: Api<v1::Event> = Api::namespaced(client, namespace);
    let made = made(event, Timestamp::now());
    let made = serde_json::from_value(made).map_err(|error| WriteError::Failed {
        cause: error.to_string().into(),
    })?;
    let post = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    let written = events.create(&post, &made).await;
    match written.map_err(|error| write_error(&error, &rule(Some(namespace)))) {
        Ok(_) | Err(WriteError::Conflict) => Ok(()),
        Err(error) => Err(error),
    }
}

/// What was told of late in all namespaces that are watched, oldest first.
pub(super) async fn told(
    client: Client,
    settings: &Settings,
) -> Result<Vec<(Box<str>, News)>, WriteError> {
    let mut told = Vec::new();
    for namespace in settings.scopes() {
        let rule = rule(namespace.as_deref());
        let events: Api<v1::Event> = match &namespace {
            Some(namespace) => Api::namespaced(client.clone(), namespace),
            None => Api::all(client.clone()),
        };
        let own = format!("reportingController={CONTROLLER}");
        let mut page = ListParams::default().fields(&own).limit(PAGE);
        let mut left = MOST;
        loop {
            let list = events.list(&page).await;
            let list = list.map_err(|error| write_error(&error, &rule))?;
            left = left.saturating_sub(list.items.len());
            told.extend(list.items.iter().filter_map(read));
            match list.metadata.continue_ {
                Some(next) if !next.is_empty() && left > 0 => page.continue_token = Some(next),
                _ => break,
            }
        }
    }
    told.sort_by_key(|(at, _, _)| *at);
    Ok(told.into_iter().map(|(_, uid, news)| (uid, news)).collect())
}

/// The same rule for both, since one is of no use without the other.
fn rule(namespace: Option<&str>) -> Rule {
    Rule {
        group: "events.k8s.io",
        resource: "events",
        verbs: &["create", "list"],
        name: None,
        namespace: namespace.map(Into::into),
    }
}

fn made(event: &Event, now: Timestamp) -> Value {
    let (kind, group, version) = match event.kind {
        Kind::ScaledObject => (
            ScaledObjects::KIND,
            ScaledObjects::GROUP,
            ScaledObjects::VERSION,
        ),
        Kind::ScaledJob => (ScaledJobs::KIND, ScaledJobs::GROUP, ScaledJobs::VERSION),
    };
    let (reason, is_warning, key, value) = match &event.news {
        News::Is(code, about) => (
            code.name(),
            code.facts().is_warning,
            ABOUT,
            format!("{about:016x}"),
        ),
        News::Over(codes) => {
            let names: Vec<_> = codes.iter().map(|code| code.name()).collect();
            (RECOVERED, false, OVER, names.join(","))
        }
    };
    let (namespace, name) = (&event.object.namespace, &event.object.name);
    let mark = format!(".{:016x}", event.mark);
    let own_name = format!("{}{mark}", shortened(name, LONGEST_NAME - mark.len()));
    json!({
        "metadata": {"name": own_name, "namespace": namespace, "annotations": {key: value}},
        "eventTime": format!("{now:.6}"),
        "reportingController": CONTROLLER,
        "reportingInstance": shortened(&event.reporter, LONGEST_REPORTER),
        "action": ACTION,
        "reason": reason,
        "type": if is_warning { "Warning" } else { "Normal" },
        "note": event.note,
        "regarding": {
            "apiVersion": format!("{group}/{version}"), "kind": kind,
            "namespace": namespace, "name": name, "uid": event.uid,
        },
    })
}

/// Names are ASCII, and a part of one that does not end in a dot or a dash is one.
fn shortened(name: &str, longest: usize) -> &str {
    let name = name.get(..longest).unwrap_or(name);
    name.trim_end_matches(['.', '-'])
}

/// `None` for what no version of this program that is known has written.
fn read(event: &v1::Event) -> Option<(Timestamp, Box<str>, News)> {
    let annotations = event.metadata.annotations.as_ref()?;
    let uid = event.regarding.as_ref()?.uid.as_deref()?;
    let reason = event.reason.as_deref()?;
    let news = if reason == RECOVERED {
        let names = annotations.get(OVER)?.split(',');
        News::Over(names.filter_map(Code::parse).collect())
    } else {
        let about = u64::from_str_radix(annotations.get(ABOUT)?, 16).ok()?;
        News::Is(Code::parse(reason)?, about)
    };
    Some((event.event_time.as_ref()?.0, uid.into(), news))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{notice::TABLE, profile::ScalingObject};

    fn event(news: News) -> Event {
        Event {
            object: ScalingObject::parse("ci/linux").unwrap(),
            kind: Kind::ScaledJob,
            uid: "u".into(),
            mark: 255,
            news,
            note: "what, and what to do".to_owned(),
            reporter: "one_1".into(),
        }
    }

    #[test]
    fn an_event_is_written_as_kubernetes_reads_it_and_read_again() {
        let now = "2026-01-02T03:04:05.1Z".parse().unwrap();
        let news = News::Is(Code::PoolNotFound, 17);
        let made = made(&event(news.clone()), now);
        assert_eq!(
            made,
            json!({
                "metadata": {
                    "name": "linux.00000000000000ff", "namespace": "ci",
                    "annotations": {"azp-scaler/about": "0000000000000011"},
                },
                "eventTime": "2026-01-02T03:04:05.100000Z",
                "reportingController": "azp-scaler", "reportingInstance": "one_1",
                "action": "Scaling", "reason": "PoolNotFound", "type": "Warning",
                "note": "what, and what to do",
                "regarding": {
                    "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledJob",
                    "namespace": "ci", "name": "linux", "uid": "u",
                },
            })
        );
        let again = serde_json::from_value(made).unwrap();
        assert_eq!(read(&again), Some((now, "u".into(), news)));
    }

    #[test]
    fn every_code_and_every_end_is_read_again() {
        let now = Timestamp::UNIX_EPOCH;
        let codes = TABLE.map(|facts| facts.code);
        let mut all: Vec<_> = codes.map(|code| News::Is(code, u64::MAX)).into();
        all.push(News::Over(codes.into()));
        for news in all {
            let made = serde_json::from_value(made(&event(news.clone()), now)).unwrap();
            assert_eq!(read(&made), Some((now, "u".into(), news)));
        }
        assert_eq!(read(&v1::Event::default()), None);
    }

    #[test]
    fn names_are_as_long_as_they_may_be() {
        let mut long = event(News::Over(vec![Code::AtMaximum]));
        long.object.name = format!("{}.{}", "a".repeat(235), "b".repeat(17)).into();
        long.reporter = "r".repeat(209).into();
        let made = made(&long, Timestamp::UNIX_EPOCH);
        let name = made["metadata"]["name"].as_str().unwrap();
        assert!(name.len() <= LONGEST_NAME && name.starts_with("aaa") && !name.contains(".."));
        assert_eq!(made["regarding"]["name"].as_str().unwrap().len(), 253);
        assert_eq!(made["reportingInstance"].as_str().unwrap().len(), 128);
        assert_eq!(
            (&made["type"], &made["reason"]),
            (&json!("Normal"), &json!("Recovered"))
        );
    }
}
