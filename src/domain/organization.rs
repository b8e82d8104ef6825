//! Organizations: the base address below which `_apis` stands.
//!
//! May import: nothing of ours. Invariant: two spellings of one organization
//! (case of the host, a slash at the end) are one value, and there is never a
//! user name, password, query or fragment in it.

use std::fmt;

use url::Url;

/// The address of an organization (Azure DevOps Services) or of a project
/// collection (Azure DevOps Server), without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrganizationUrl(Box<str>);

/// Why a text is no organization's address. Never holds a password that the
/// text might have held.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrganizationUrlError {
    /// Nothing at all.
    #[error("is empty; {FORMS}")]
    Empty,
    /// Not a URL.
    #[error("is no URL ({0}); {FORMS}")]
    NotAUrl(url::ParseError),
    /// Another scheme than http and https.
    #[error("has the scheme {0:?}; {FORMS}")]
    Scheme(Box<str>),
    /// Azure DevOps Services without TLS.
    #[error("has no TLS, and the token would travel in clear text; write https://")]
    NoTls,
    /// A user name or password before the host.
    #[error("holds a user name or password; remove it, the token is given apart")]
    UserInfo,
    /// A query or fragment.
    #[error("has a query or fragment; {FORMS}")]
    Query,
    /// A path into the organization.
    #[error("goes below the organization (\"{0}\"); {FORMS}")]
    BelowOrganization(Box<str>),
    /// `https://dev.azure.com` alone.
    #[error("names no organization; {FORMS}")]
    NoOrganization,
}

const FORMS: &str = "write https://dev.azure.com/ORGANIZATION, \
    https://ORGANIZATION.visualstudio.com or https://HOST[:PORT]/[tfs/]COLLECTION";

// === impl OrganizationUrl ===

impl OrganizationUrl {
    /// Reads any of the forms that Azure DevOps Services and Server have.
    ///
    /// # Errors
    /// Says what is wrong and which forms there are.
    pub fn parse(text: &str) -> Result<Self, OrganizationUrlError> {
        use OrganizationUrlError as Error;
        let text = text.trim();
        if text.is_empty() {
            return Err(Error::Empty);
        }
        let url = Url::parse(text).map_err(Error::NotAUrl)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Error::Scheme(url.scheme().into()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Error::UserInfo);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(Error::Query);
        }
        let path = url.path().trim_end_matches('/');
        let below = path.split('/').find(|part| part.starts_with('_'));
        let host = url.host_str().unwrap_or_default();
        let services = host == "dev.azure.com";
        if below.is_some() || (services && path.matches('/').count() > 1) {
            return Err(Error::BelowOrganization(path.into()));
        }
        if url.scheme() == "http" && (services || host.ends_with(".visualstudio.com")) {
            return Err(Error::NoTls);
        }
        if services && path.is_empty() {
            return Err(Error::NoOrganization);
        }
        Ok(Self(url.as_str().trim_end_matches('/').into()))
    }

    /// The address, without a slash at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Do both mean the same organization? Azure DevOps Services answers for
    /// one under `dev.azure.com/NAME` and `NAME.visualstudio.com`, and its own
    /// answers mix the two.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }

    /// The address, in the one form that Services' two have in common: equal for
    /// addresses of the same organization, and for no others.
    #[must_use]
    pub fn identity(&self) -> String {
        // ASSUMPTION(organization-case): names of organizations and
        // collections compare without regard to case, as host names do.
        let address = self.0.to_lowercase();
        let host = address.strip_prefix("https://");
        match host.and_then(|host| host.split_once(".visualstudio.com")) {
            Some((name, "" | "/defaultcollection")) => format!("https://dev.azure.com/{name}"),
            _ => address,
        }
    }

    /// Would a token travel to another machine in clear text?
    #[must_use]
    pub fn is_in_clear_text(&self) -> bool {
        let host = self.0.strip_prefix("http://");
        let own = ["127.", "localhost", "[::1]"];
        host.is_some_and(|host| !own.iter().any(|own| host.starts_with(own)))
    }

    /// What metrics call it: an organization of Services by its name, and a
    /// collection by where it is, since most have the same name.
    #[must_use]
    pub fn label(&self) -> &str {
        let rest = self.0.split_once("://").map_or(&*self.0, |(_, rest)| rest);
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        match host.strip_suffix(".visualstudio.com") {
            Some(name) => name,
            None if host == "dev.azure.com" => path,
            None => rest,
        }
    }

    /// The organization's or collection's name, for people.
    #[must_use]
    pub fn name(&self) -> &str {
        let rest = self.0.split_once("://").map_or(&*self.0, |(_, rest)| rest);
        match rest.rsplit_once('/') {
            Some((_, name)) => name,
            None => rest.split('.').next().unwrap_or(rest),
        }
    }
}

impl fmt::Display for OrganizationUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<(&str, &str), &str>) {
        match (OrganizationUrl::parse(text), expected) {
            (Ok(url), Ok((base, name))) => assert_eq!((url.as_str(), url.name()), (base, name)),
            (Err(error), Err(part)) => {
                assert!(error.to_string().contains(part), "{text}: {error}");
                assert!(!error.to_string().contains("s3cret"), "{error}");
            }
            (got, expected) => panic!("{text}: {got:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn every_form_of_services_and_server_is_read() {
        let contoso = "https://dev.azure.com/contoso";
        check("https://dev.azure.com/contoso", Ok((contoso, "contoso")));
        check(
            " https://DEV.azure.com/contoso/\n",
            Ok((contoso, "contoso")),
        );
        check(
            "https://contoso.visualstudio.com/",
            Ok(("https://contoso.visualstudio.com", "contoso")),
        );
        check(
            "http://tfs.example.org:8080/tfs/DefaultCollection",
            Ok((
                "http://tfs.example.org:8080/tfs/DefaultCollection",
                "DefaultCollection",
            )),
        );
        check(
            "https://tfs.example.org/My Collection",
            Ok(("https://tfs.example.org/My%20Collection", "My%20Collection")),
        );
    }

    #[test]
    fn metrics_tell_organizations_and_collections_apart() {
        for (url, label) in [
            ("https://dev.azure.com/contoso", "contoso"),
            ("https://contoso.visualstudio.com", "contoso"),
            (
                "https://contoso.visualstudio.com/DefaultCollection",
                "contoso",
            ),
            ("https://tfs1/DefaultCollection", "tfs1/DefaultCollection"),
            (
                "http://TFS2:8080/tfs/DefaultCollection/",
                "tfs2:8080/tfs/DefaultCollection",
            ),
            ("https://tfs.example.org", "tfs.example.org"),
        ] {
            assert_eq!(OrganizationUrl::parse(url).unwrap().label(), label, "{url}");
        }
    }

    #[test]
    fn both_addresses_of_an_organization_are_one() {
        let check = |a: &str, b: &str, same: bool| {
            let (first, second) = (OrganizationUrl::parse(a), OrganizationUrl::parse(b));
            assert_eq!(
                first.unwrap().is_same(&second.unwrap()),
                same,
                "{a} and {b}"
            );
        };
        let contoso = "https://dev.azure.com/contoso";
        check(contoso, "https://contoso.visualstudio.com/", true);
        check(
            contoso,
            "https://Contoso.visualstudio.com/DefaultCollection",
            true,
        );
        check(contoso, "https://dev.azure.com/Contoso/", true);
        check(contoso, "https://fabrikam.visualstudio.com", false);
        check("https://tfs/tfs/A", "https://tfs/tfs/B", false);
    }

    #[test]
    fn what_is_wrong_is_said() {
        check("", Err("is empty"));
        check("contoso", Err("is no URL"));
        check("ftp://dev.azure.com/contoso", Err("scheme"));
        check(
            "https://me:s3cret@dev.azure.com/contoso",
            Err("user name or password"),
        );
        check(
            "https://dev.azure.com/contoso?token=s3cret",
            Err("query or fragment"),
        );
        check("http://dev.azure.com/contoso", Err("has no TLS"));
        check("http://contoso.visualstudio.com", Err("has no TLS"));
        check("https://dev.azure.com", Err("names no organization"));
        check("https://dev.azure.com/contoso/project", Err("goes below"));
        check(
            "https://tfs.example.org/c/_apis/projects",
            Err("goes below"),
        );
    }
}
