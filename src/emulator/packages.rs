//! Packages of the agent: what is offered, and the files themselves.
//!
//! May import: the shared state, the refusals, the wire. Invariant: the list
//! tells the hash of what the file was when the emulator started.

use std::{
    cmp::Reverse,
    collections::HashSet,
    fs,
    future::poll_fn,
    io::{self, Read},
    path::PathBuf,
    pin::Pin,
};

use aws_lc_rs::digest::{Context, SHA256};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, State},
    http::{Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::get,
};
use futures::{Stream, stream};
use jiff::Timestamp;
use serde::Serialize;
use tokio::{
    fs::File,
    io::{AsyncRead, ReadBuf},
};

use super::{
    faults::{Fault, FaultKind},
    organization::Refusal,
    parameters::Parameters,
    state::{Shared, SharedState},
    wire::{self, Listing, Site, Stamp},
};

/// A package of the agent that the organization offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentPackage {
    /// As in `linux-x64`.
    pub platform: Box<str>,
    /// As in `4.260.0`.
    pub version: Box<str>,
    /// A `.tar.gz` of the agent's folder.
    pub file: PathBuf,
}

/// One that was read.
#[derive(Debug)]
pub(super) struct Package {
    platform: Box<str>,
    version: [u32; 3],
    file: PathBuf,
    /// SHA-256, in hexadecimal digits.
    hash: String,
    read_at: Timestamp,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PackageRow<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    platform: &'a str,
    created_on: Stamp,
    version: Version,
    download_url: String,
    hash_value: &'a str,
    info_url: &'static str,
    filename: String,
}

#[derive(Serialize)]
struct Version {
    major: u32,
    minor: u32,
    patch: u32,
}

/// The route of the files. The real ones lie elsewhere and ask for no token.
pub(super) fn routes() -> Router<SharedState> {
    Router::new().route(&format!("{FOLDER}{{filename}}"), get(download))
}

const FOLDER: &str = "/_emulator/packages/";

/// `GET packages/agent`. Azure DevOps: the newest version comes first; `$top`
/// cuts the list, and `top` does nothing.
pub(super) fn list(shared: &Shared, parameters: &Parameters, site: Site<'_>) -> Response {
    let top = match parameters.number("$top") {
        Ok(top) => top.unwrap_or(usize::MAX),
        Err(refused) => return *refused,
    };
    let wanted = parameters.get("platform");
    let packages = shared.packages.iter();
    let rows: Listing<_> = packages
        .filter(|package| wanted.is_none_or(|wanted| package.is_for(wanted)))
        .take(top)
        .map(|package| package.row(site))
        .collect();
    wire::answer(StatusCode::OK, &rows)
}

/// `GET packages/agent/{platform}/{version}`.
pub(super) fn show(shared: &Shared, platform: &str, version: &str, site: Site<'_>) -> Response {
    let version = read_version(version);
    let mut packages = shared.packages.iter();
    let found =
        packages.find(|package| package.is_for(platform) && Some(package.version) == version);
    match found {
        Some(package) => wire::answer(StatusCode::OK, &package.row(site)),
        // ASSUMPTION(error-texts)
        None => wire::error(
            StatusCode::NOT_FOUND,
            "PackageNotFoundException",
            "There is no package of the agent for this platform and version.",
        ),
    }
}

async fn download(
    State(shared): State<SharedState>,
    Path(filename): Path<String>,
    method: Method,
    uri: Uri,
) -> Response {
    let fault = Fault::take(&mut shared.fault(), &method, uri.path());
    if let Some(fault) = fault.filter(|fault| fault.kind != FaultKind::SlowDown)
        && let Some(answer) = fault.answer(&shared).await
    {
        return answer;
    }
    let mut packages = shared.packages.iter();
    let found = packages.find(|package| package.filename() == filename);
    let Some(package) = found else {
        return super::routes_own::nothing_here(&uri);
    };
    match open(package).await {
        Ok((file, length)) => {
            let headers = [
                (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
                (header::CONTENT_LENGTH, length.to_string()),
            ];
            (headers, Body::from_stream(read(file))).into_response()
        }
        Err(error) => {
            tracing::warn!(file = %package.file.display(), %error, "a package is gone");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn open(package: &Package) -> io::Result<(File, u64)> {
    let file = File::open(&package.file).await?;
    let length = file.metadata().await?.len();
    Ok((file, length))
}

/// The file, piece by piece.
fn read(file: File) -> impl Stream<Item = io::Result<Bytes>> {
    stream::try_unfold(file, |mut file| async move {
        let mut piece = vec![0; 64 << 10];
        let mut filled = ReadBuf::new(&mut piece);
        poll_fn(|cx| Pin::new(&mut file).poll_read(cx, &mut filled)).await?;
        let length = filled.filled().len();
        piece.truncate(length);
        Ok((length > 0).then(|| (Bytes::from(piece), file)))
    })
}

/// As in `4.260.0`.
fn read_version(text: &str) -> Option<[u32; 3]> {
    let parts: Vec<u32> = text
        .split('.')
        .map(str::parse)
        .collect::<Result<_, _>>()
        .ok()?;
    parts.try_into().ok()
}

/// SHA-256 of a file, in hexadecimal digits.
fn sha256(mut file: fs::File) -> io::Result<String> {
    let mut context = Context::new(&SHA256);
    let mut piece = vec![0; 64 << 10];
    loop {
        let length = file.read(&mut piece)?;
        if length == 0 {
            break;
        }
        context.update(&piece[..length]);
    }
    let digest = context.finish();
    let digits = digest.as_ref().iter().map(|byte| format!("{byte:02x}"));
    Ok(digits.collect())
}

// === impl Package ===

impl Package {
    /// Reads every file once; the newest version comes first.
    ///
    /// # Errors
    /// Where a file cannot be read, a version is none, or two would be the same.
    pub(super) fn read_all(
        offered: Vec<AgentPackage>,
        at: Timestamp,
    ) -> Result<Vec<Self>, Refusal> {
        let mut seen = HashSet::new();
        let mut packages = Vec::new();
        for AgentPackage {
            platform,
            version,
            file,
        } in offered
        {
            let refuse = |why: String| Refusal::Package {
                file: file.display().to_string().into(),
                why: why.into(),
            };
            let parsed = read_version(&version);
            let version = parsed.ok_or_else(|| {
                refuse(format!(
                    "has version {version:?}; give three numbers as in 4.260.0"
                ))
            })?;
            if !seen.insert((platform.to_lowercase(), version)) {
                return Err(refuse(format!(
                    "is the second for {platform} of this version"
                )));
            }
            let hash = fs::File::open(&file).and_then(sha256);
            let hash = hash.map_err(|error| refuse(format!("cannot be read: {error}")))?;
            packages.push(Self {
                platform,
                version,
                file,
                hash,
                read_at: at,
            });
        }
        packages.sort_by_key(|package| Reverse(package.version));
        Ok(packages)
    }

    fn is_for(&self, platform: &str) -> bool {
        self.platform.eq_ignore_ascii_case(platform)
    }

    /// Azure DevOps: the files are called so.
    fn filename(&self) -> String {
        let [major, minor, patch] = self.version;
        format!(
            "vsts-agent-{}-{major}.{minor}.{patch}.tar.gz",
            self.platform
        )
    }

    fn row(&self, site: Site<'_>) -> PackageRow<'_> {
        let [major, minor, patch] = self.version;
        let filename = self.filename();
        PackageRow {
            kind: "agent",
            platform: &self.platform,
            created_on: Stamp::stored(self.read_at),
            version: Version {
                major,
                minor,
                patch,
            },
            download_url: format!("{}{FOLDER}{filename}", site.host()),
            // ASSUMPTION(package-hash): it is SHA-256, in hexadecimal digits.
            hash_value: &self.hash,
            info_url: "https://go.microsoft.com/fwlink/?LinkId=798199",
            filename,
        }
    }
}
