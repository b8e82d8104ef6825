//! The folders of one job, and the variables that tell its steps of them.
//!
//! Agent: `_work/N/{s,a,b,TestResults}`, `_work/_temp` emptied for each job,
//! `_work/_tool`. The real agent has one number for each pipeline; here each job
//! has a fresh one.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    capabilities,
    environment::Environment,
    layout::{Folder, Settings},
    wire::JobRequest,
};

/// Every process of a job has it in its environment. Agent: `JobExtension.cs`.
pub(crate) const LOOKUP: &str = "VSTS_PROCESS_LOOKUP_ID";

/// Where a job works.
pub(crate) struct JobFolder {
    /// What [`LOOKUP`] says in the processes of this job, and in no others.
    pub(crate) lookup: String,
    pub(crate) sources: PathBuf,
    pub(crate) temp: PathBuf,
    build: PathBuf,
    work: PathBuf,
}

impl JobFolder {
    /// Makes the folders.
    pub(crate) fn prepare(work: &Path) -> io::Result<Self> {
        fs::create_dir_all(work)?;
        let build = fresh(work)?;
        for name in ["s", "a", "b", "TestResults"] {
            fs::create_dir(build.join(name))?;
        }
        let temp = work.join("_temp");
        match fs::remove_dir_all(&temp) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir_all(&temp)?,
        }
        fs::create_dir_all(work.join("_tool"))?;
        Ok(Self {
            lookup: format!("vsts_{:032x}", fastrand::u128(..)),
            sources: build.join("s"),
            temp,
            build,
            work: work.to_owned(),
        })
    }

    /// Adds what every step is told.
    pub(crate) fn describe(
        &self,
        folder: &Folder,
        settings: &Settings,
        job: &JobRequest,
        environment: &mut Environment,
    ) {
        let machine = capabilities::machine();
        let texts = [
            ("TF_BUILD", "True".to_owned()),
            ("AGENT_ID", settings.agent_id.to_string()),
            ("AGENT_NAME", settings.agent_name.clone()),
            ("AGENT_VERSION", folder.version()),
            ("AGENT_OS", "Linux".to_owned()),
            (
                "AGENT_OSARCHITECTURE",
                capabilities::architecture().to_owned(),
            ),
            ("AGENT_MACHINENAME", machine.name),
            ("AGENT_JOBNAME", job.job_display_name.clone()),
            ("SYSTEM_JOBID", job.job_id.clone()),
            ("SYSTEM_PLANID", job.plan_id.clone()),
            ("SYSTEM_COLLECTIONURI", settings.server_url.clone()),
            (LOOKUP, self.lookup.clone()),
        ];
        for (name, value) in texts {
            environment.set(name, value);
        }
        let folders = [
            ("AGENT_HOMEDIRECTORY", folder.root().to_owned()),
            ("AGENT_ROOTDIRECTORY", self.work.clone()),
            ("AGENT_WORKFOLDER", self.work.clone()),
            ("AGENT_BUILDDIRECTORY", self.build.clone()),
            ("AGENT_TEMPDIRECTORY", self.temp.clone()),
            ("AGENT_TOOLSDIRECTORY", self.work.join("_tool")),
            ("PIPELINE_WORKSPACE", self.build.clone()),
            ("BUILD_SOURCESDIRECTORY", self.sources.clone()),
            ("SYSTEM_DEFAULTWORKINGDIRECTORY", self.sources.clone()),
            ("BUILD_ARTIFACTSTAGINGDIRECTORY", self.build.join("a")),
            ("BUILD_BINARIESDIRECTORY", self.build.join("b")),
            (
                "COMMON_TESTRESULTSDIRECTORY",
                self.build.join("TestResults"),
            ),
        ];
        for (name, path) in folders {
            environment.set(name, path);
        }
    }
}

/// Makes the folder of the next number.
fn fresh(work: &Path) -> io::Result<PathBuf> {
    let mut last = 0_u64;
    for entry in fs::read_dir(work)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.parse().ok());
        last = last.max(number.unwrap_or(0));
    }
    let build = work.join((last + 1).to_string());
    fs::create_dir(&build)?;
    Ok(build)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_job_has_a_fresh_folder_and_an_empty_temp() {
        let work = tempfile::tempdir().unwrap();
        let first = JobFolder::prepare(work.path()).unwrap();
        fs::write(first.temp.join("left"), "x").unwrap();
        let second = JobFolder::prepare(work.path()).unwrap();
        assert_eq!(first.sources, work.path().join("1/s"));
        assert_eq!(second.sources, work.path().join("2/s"));
        assert!(!second.temp.join("left").exists());
    }
}
