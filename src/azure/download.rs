//! Downloads: a package, from wherever the organization says that it lies.
//!
//! May import: its siblings, ports. The only place that follows redirects.
//! Invariants: the credential goes to the organization's own address alone, and
//! everything else over https; the file is there only when it is whole and has
//! the hash that was given; nothing is waited for without a bound.

use std::{
    fmt::Write as _,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use aws_lc_rs::digest::{Context, SHA256};
use reqwest::{Response, header::LOCATION};
use tokio::{
    fs::{self, File},
    io::AsyncWriteExt as _,
    time::{sleep, timeout},
};
use url::Url;

use super::{
    answer::{is_html, shorten, text_of},
    connect::{Way, causes},
    record::Record,
    request::Requests,
};
use crate::ports::packages::{AgentPackage, FetchError, Fetched, HashCheck, Progress};

/// For so long nothing may come, the head of the answer included.
const SILENCE: Duration = Duration::from_secs(30);

/// One attempt may take this long as a whole: 1 GiB at 5 Mbit/s.
const LONGEST: Duration = Duration::from_secs(30 * 60);

const ATTEMPTS: u32 = 3;

/// Before the second attempt; twice as long before the third.
const FIRST_PAUSE: Duration = Duration::from_secs(2);

/// The download host of Azure DevOps redirects once, if at all.
const MOST_REDIRECTS: usize = 5;

/// A package that is to be in a file.
pub(super) struct Download<'a> {
    pub(super) requests: &'a Requests,
    pub(super) user_agent: &'a str,
    /// How many bytes it may have.
    pub(super) cap: u64,
    pub(super) package: &'a AgentPackage,
    pub(super) into: &'a Path,
    pub(super) progress: Progress<'a>,
}

/// A package on its way.
struct Arriving {
    response: Response,
    host: Box<str>,
}

// === impl Download ===

impl Download<'_> {
    pub(super) async fn run(self) -> Result<Fetched, FetchError> {
        let way = self.way()?;
        let mut attempt = 1;
        loop {
            let error = match self.attempt(&way).await {
                Err(error) if error.may_pass() && attempt < ATTEMPTS => error,
                other => return other,
            };
            tracing::warn!(%error, attempt, of = ATTEMPTS, "the package did not come; tried again");
            sleep(FIRST_PAUSE * attempt).await;
            attempt += 1;
        }
    }

    /// The organization's way, for a file that stays as it is.
    fn way(&self) -> Result<Way, FetchError> {
        let user_agent = self.user_agent.to_owned();
        // A package is compressed already; unpacked on the way, it would have
        // another hash.
        let dress =
            move |builder: reqwest::ClientBuilder| builder.user_agent(user_agent.clone()).no_gzip();
        let way = self.requests.way_for(Box::new(dress));
        way.map_err(|error| FetchError::Unreachable {
            host: host(&self.package.url),
            cause: error.to_string().into(),
        })
    }

    async fn attempt(&self, way: &Way) -> Result<Fetched, FetchError> {
        let arriving = self.open(way).await?;
        let part = part(self.into);
        match self.save(arriving, &part).await {
            Ok(fetched) => {
                let renamed = fs::rename(&part, self.into).await;
                renamed.map_err(|error| unwritten(self.into, &error))?;
                Ok(fetched)
            }
            Err(error) => {
                // Its own error says more than that of a file left behind.
                let _ = fs::remove_file(&part).await;
                Err(error)
            }
        }
    }

    /// Follows the address to the file.
    async fn open(&self, way: &Way) -> Result<Arriving, FetchError> {
        let mut record = Record::default();
        let mut url = self.package.url.clone();
        for _ in 0..=MOST_REDIRECTS {
            let response = self.ask(way, &url, &mut record).await?;
            // Another host's name may be anything, a token that was shown as well.
            let host = record.shown(host(&url));
            let status = response.status();
            if status.is_redirection() {
                let target = text_of(response.headers(), LOCATION.as_str());
                let target = target.and_then(|target| url.join(target).ok());
                url = target.ok_or(FetchError::Status {
                    host,
                    status: status.as_u16(),
                })?;
                continue;
            }
            if status.as_u16() != 200 {
                let status = status.as_u16();
                return Err(FetchError::Status { host, status });
            }
            if is_html(response.headers()) {
                return Err(FetchError::Page { host });
            }
            return Ok(Arriving { response, host });
        }
        let host = record.shown(host(&url));
        Err(FetchError::Redirects { host })
    }

    async fn ask(&self, way: &Way, url: &Url, record: &mut Record) -> Result<Response, FetchError> {
        let signed = self.requests.sign_for(url, record).await;
        let signature = signed.map_err(FetchError::Credential)?;
        let host = record.shown(host(url));
        if signature.is_none() && url.scheme() != "https" {
            let scheme = url.scheme().into();
            return Err(FetchError::Insecure { scheme, host });
        }
        let mut request = way.client().get(url.clone()).timeout(LONGEST);
        if let Some(signature) = signature {
            request = signature.apply(request);
        }
        match timeout(SILENCE, request.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(FetchError::Unreachable {
                host,
                cause: record.shown(causes(&error).into()),
            }),
            Err(_) => Err(silent(host)),
        }
    }

    /// Writes what comes into a file, and looks at it as a whole.
    async fn save(&self, mut arriving: Arriving, part: &Path) -> Result<Fetched, FetchError> {
        let too_large = FetchError::TooLarge { cap: self.cap };
        let total = arriving.response.content_length();
        if total.is_some_and(|total| total > self.cap) {
            return Err(too_large);
        }
        let failed = |error: io::Error| unwritten(part, &error);
        let mut file = File::create(part).await.map_err(failed)?;
        let mut hash = Context::new(&SHA256);
        let mut bytes = 0;
        while let Some(piece) = arriving.piece().await? {
            bytes += piece.len() as u64;
            if bytes > self.cap {
                return Err(too_large);
            }
            hash.update(&piece);
            file.write_all(&piece).await.map_err(failed)?;
            (self.progress)(bytes, total);
        }
        file.flush().await.map_err(failed)?;
        let hash = checked(&self.package.hash, &hex(hash.finish().as_ref()))?;
        Ok(Fetched { bytes, hash })
    }
}

// === impl Arriving ===

impl Arriving {
    async fn piece(&mut self) -> Result<Option<bytes::Bytes>, FetchError> {
        let piece = timeout(SILENCE, self.response.chunk()).await;
        let piece = piece.map_err(|_| silent(self.host.clone()))?;
        piece.map_err(|error| {
            let host = self.host.clone();
            if error.is_timeout() {
                let limit = LONGEST;
                return FetchError::TimedOut { host, limit };
            }
            let cause = shorten(&causes(&error));
            FetchError::Cut { host, cause }
        })
    }
}

/// Compares a hash as the organization gives it with the file's own.
///
/// Azure DevOps: SHA-256 in hexadecimal digits of either case, in pairs with
/// hyphens between them or not, as the agent's own updater compares it. Its
/// SDKs speak of MD5 in base64, which is a form that is not known here.
fn checked(given: &str, found: &str) -> Result<HashCheck, FetchError> {
    let given = given.replace('-', "").to_ascii_lowercase();
    if given.is_empty() {
        return Ok(HashCheck::NotGiven);
    }
    if given.len() != found.len() || !given.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(HashCheck::UnknownForm);
    }
    if given == found {
        return Ok(HashCheck::Matches);
    }
    Err(FetchError::WrongHash {
        expected: given.into(),
        found: found.into(),
    })
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // A text takes all that is written to it.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The file's name until it is whole.
fn part(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

fn host(url: &Url) -> Box<str> {
    url.host_str().unwrap_or("an address without a host").into()
}

const fn silent(host: Box<str>) -> FetchError {
    FetchError::Silent {
        host,
        limit: SILENCE,
    }
}

fn unwritten(path: &Path, error: &io::Error) -> FetchError {
    FetchError::File {
        path: path.display().to_string().into(),
        cause: error.to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_compared_in_each_of_its_forms() {
        // Of nothing at all.
        let found = hex(Context::new(&SHA256).finish().as_ref());
        assert_eq!(
            found,
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        let pairs: Vec<&str> = (0..32).map(|at| &found[2 * at..2 * at + 2]).collect();
        let check = |given: &str, expected: Result<HashCheck, &str>| {
            let got = checked(given, &found).map_err(|error| error.kind());
            assert_eq!(got, expected, "{given}");
        };
        check(&found, Ok(HashCheck::Matches));
        check(&found.to_uppercase(), Ok(HashCheck::Matches));
        check(&pairs.join("-").to_uppercase(), Ok(HashCheck::Matches));
        check("", Ok(HashCheck::NotGiven));
        check("1B2M2Y8AsgTpgAmY7PhCfg==", Ok(HashCheck::UnknownForm));
        check(&found.replace('e', "g"), Ok(HashCheck::UnknownForm));
        check(&found.replace('e', "f"), Err("wrong-hash"));
    }
}
