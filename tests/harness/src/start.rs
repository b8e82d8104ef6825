//! The parts of a cluster and the order in which they start: with a node, or
//! with KEDA's programs beside the control plane.
//!
//! The invariant: whatever has started is held by a value whose drop ends it, on
//! its way into [`Parts`] as well as in there; so a failure on the way ends it too.

use std::net::Ipv4Addr;
use std::path::Path;

use crate::certificates::Certificates;
use crate::cluster::Options;
use crate::control_plane::{self, Ports, Site};
use crate::error::{Doing, Error, Result};
use crate::keda;
use crate::kubectl::Kubectl;
use crate::kwok;
use crate::node::{Node, NodeOptions, Place, keda as keda_pods};
use crate::process::{Process, log_tail};
use crate::tools::Tools;

/// What runs of a cluster.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    /// In the order of their start.
    pub(crate) programs: Vec<Process>,
    pub(crate) node: Option<Node>,
}

impl Parts {
    /// Starts them all, and returns when the HPA can read KEDA's metrics.
    pub(crate) fn start(
        &mut self,
        options: &Options,
        tools: &Tools,
        directory: &Path,
        kubectl: &Kubectl,
    ) -> Result<()> {
        let certificates = directory.join("certificates");
        std::fs::create_dir_all(&certificates)
            .doing(|| format!("making {}", certificates.display()))?;
        let place = match options.node {
            Some(_) => Some(Place::take(directory)?),
            None => None,
        };
        let addresses = place.as_ref().map(Place::served).unwrap_or_default();
        let site = Site {
            directory,
            tools,
            ports: Ports::find()?,
            certificates: Certificates::make(&certificates, &addresses)?,
            address: place.as_ref().map_or(Ipv4Addr::LOCALHOST, Place::host),
            services: place
                .as_ref()
                .map_or("10.0.0.0/24".to_owned(), Place::services),
        };
        control_plane::write_access(&site)?;
        match place.zip(options.node.as_ref()) {
            Some((place, node)) => self.start_with_node(options, &site, kubectl, place, node),
            None => self.start_without_node(options, &site, kubectl),
        }?;
        if let Some(wanted) = options.kwok {
            self.programs.push(kwok::start(&site, kubectl, wanted)?);
        }
        Ok(())
    }

    fn start_without_node(
        &mut self,
        options: &Options,
        site: &Site<'_>,
        kubectl: &Kubectl,
    ) -> Result<()> {
        (options.progress)("starting Kubernetes and KEDA, ready in about 15 s");
        let controllers = start_control_plane(&mut self.programs, options, site, kubectl)?;
        keda::define(site, kubectl)?;
        if !options.keda {
            control_plane::until_controllers_work(kubectl, &controllers)?;
            self.programs.push(controllers);
            return Ok(());
        }
        let operator = keda::operator(site)?;
        let adapter = keda::adapter(site)?;
        control_plane::until_controllers_work(kubectl, &controllers)?;
        keda::until_ready(site, kubectl, &operator, &adapter)?;
        self.programs.extend([controllers, operator, adapter]);
        Ok(())
    }

    fn start_with_node(
        &mut self,
        options: &Options,
        site: &Site<'_>,
        kubectl: &Kubectl,
        place: Place,
        wanted: &NodeOptions,
    ) -> Result<()> {
        (options.progress)("starting the control plane and a node, ready in about a minute");
        let started = Node::start(
            site.directory,
            place,
            site.tools,
            &site.certificates,
            wanted,
        )?;
        let node = &*self.node.insert(started);
        let programs = &mut self.programs;
        let filled = fill(programs, node, options, site, kubectl, wanted);
        filled.map_err(|error| {
            // Without its node the apiserver has no address, and its own words
            // about that mislead.
            match node.check() {
                Err(dead) => dead,
                Ok(()) => Error::Start {
                    why: error.to_string(),
                    state: state(site.directory, kubectl),
                },
            }
        })
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        // In the order of their start reversed nobody misses whom it needs; the
        // state is thrown away, so none has to be asked politely.
        while let Some(program) = self.programs.pop() {
            drop(program);
        }
    }
}

/// Gives the controller-manager, which may still be starting.
fn start_control_plane(
    programs: &mut Vec<Process>,
    options: &Options,
    site: &Site<'_>,
    kubectl: &Kubectl,
) -> Result<Process> {
    programs.push(control_plane::etcd(site)?);
    programs.push(control_plane::apiserver(site, kubectl)?);
    programs.push(control_plane::scheduler(site)?);
    control_plane::controller_manager(site, options.hpa_sync_period)
}

/// Gives a node that has its link a control plane, images and pods.
fn fill(
    programs: &mut Vec<Process>,
    node: &Node,
    options: &Options,
    site: &Site<'_>,
    kubectl: &Kubectl,
    wanted: &NodeOptions,
) -> Result<()> {
    // Two cores do both in the time of the longer one.
    let (imported, controllers) = std::thread::scope(|scope| {
        let importing = scope.spawn(|| node.import_first(site.tools, options.keda, &wanted.images));
        let controllers = start_control_plane(programs, options, site, kubectl);
        (importing.join(), controllers)
    });
    let controllers = controllers?;
    imported.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    control_plane::until_controllers_work(kubectl, &controllers)?;
    programs.push(controllers);

    (options.progress)("the control plane is ready; starting the pods");
    if options.keda {
        keda_pods::apply(site, kubectl)?;
    } else {
        keda::define(site, kubectl)?;
    }
    node.go(kubectl)?;
    node.until_names_resolve(kubectl)?;
    if let Some(image) = &wanted.emulator {
        node.run_emulator(kubectl, image)?;
    }
    if options.keda {
        (options.progress)("the node is ready; waiting for KEDA");
        keda_pods::until_ready(kubectl)?;
    }
    Ok(())
}

/// What a reader of a failed start needs.
fn state(directory: &Path, kubectl: &Kubectl) -> String {
    let questions: [&[&str]; 2] = [
        &["get", "nodes,pods", "--all-namespaces", "--output=wide"],
        &[
            "get",
            "events",
            "--all-namespaces",
            "--sort-by=.lastTimestamp",
        ],
    ];
    let mut text = String::new();
    for question in questions {
        text += &kubectl
            .run(question, "")
            .unwrap_or_else(|error| format!("{error}\n"));
    }
    for name in ["node", "containerd", "kubelet", "kube-proxy"] {
        let log = directory.join("logs").join(format!("{name}.log"));
        text += &format!("the end of {name}'s log:\n{}\n", log_tail(&log));
    }
    text
}
