//! The program, with a secret of every origin.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::{Output, Stdio},
    time::Duration,
};

use tokio::time::{sleep, timeout};

use crate::{
    authority::{Authority, Secret},
    secrets,
    support::program::{Running, command},
};

/// The files that it reads and writes.
pub(crate) struct Files {
    folder: tempfile::TempDir,
    pub(crate) authority: Authority,
    tls: Secret,
}

pub(crate) struct Program {
    running: Running,
    pub(crate) grpc: SocketAddr,
    pub(crate) http: SocketAddr,
}

impl Files {
    pub(crate) fn new(emulated: &str, mirror: &str) -> Self {
        let authority = Authority::new("ours");
        let files = Self {
            tls: Secret::new(&authority.server(2100), None),
            folder: tempfile::tempdir().unwrap(),
            authority,
        };
        for (name, text) in [
            ("token-file", secrets::TOKEN_FILE),
            ("tenancy-token", secrets::TENANCY_FILE),
            ("assertion", secrets::ASSERTION),
            ("client-secret", secrets::CLIENT_FILE),
            ("tenancy.yaml", &files.tenancy(emulated, mirror)),
        ] {
            fs::write(files.path(name), text).unwrap();
        }
        let password: String =
            url::form_urlencoded::byte_serialize(secrets::PROXY.as_bytes()).collect();
        let proxy = format!("http://me:{password}@{mirror}");
        fs::write(files.path("proxy"), proxy).unwrap();
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.path(name)).unwrap()).into_owned()
    }

    /// Organizations of the emulator and of the mirror, the latter also as a
    /// proxy; credentials whose authority is the one or the other.
    fn tenancy(&self, emulated: &str, mirror: &str) -> String {
        let path = |name| self.path(name).display().to_string();
        let (proxy, token) = (path("proxy"), path("tenancy-token"));
        let (assertion, secret) = (path("assertion"), path("client-secret"));
        let (real, echo) = (
            format!("http://{emulated}/contoso"),
            format!("http://{mirror}/echo"),
        );
        format!(
            r#"
organizations:
- url: {real}
- url: {echo}
- {{url: "http://proxied.invalid/clear", proxyFile: {proxy}}}
- {{url: "https://proxied.invalid/tunnel", proxyFile: {proxy}}}
authority: {{proxyFile: {proxy}, noProxy: 127.0.0.1, requestTimeout: 1s}}
credentials:
- name: file
  organizations: [{real}, {echo}, "http://proxied.invalid/clear", "https://proxied.invalid/tunnel"]
  personalAccessToken: {{file: {token}}}
- name: workload
  organizations: [{real}, {echo}]
  workloadIdentity: {{clientId: a, tenantId: b, tokenFile: {assertion}, authority: "http://{emulated}"}}
- name: workload-echo
  organizations: [{real}]
  workloadIdentity: {{clientId: a, tenantId: b, tokenFile: {assertion}, authority: "http://{mirror}"}}
- name: secret
  organizations: [{real}, {echo}]
  clientSecret: {{clientId: a, tenantId: b, secretFile: {secret}, authority: "http://{emulated}"}}
- name: secret-echo
  organizations: [{real}]
  clientSecret: {{clientId: a, tenantId: b, secretFile: {secret}, authority: "http://{mirror}"}}
- name: secret-proxied
  organizations: [{real}]
  clientSecret: {{clientId: a, tenantId: b, secretFile: {secret}, authority: "http://localhost:1"}}
- name: variable-echo
  organizations: [{real}]
  clientSecret: {{clientId: a, tenantId: b, authority: "http://{mirror}"}}
- name: managed
  organizations: [{real}, {echo}]
  managedIdentity:
ownTokens: {{namespaces: [ci]}}
"#
        )
    }
}

impl Program {
    pub(crate) async fn start(files: &Files, format: &str, emulated: &str, mirror: &str) -> Self {
        let as_text = format == "text";
        let tls = files.tls.files(false);
        let tenancy = format!("--tenancy={}", files.path("tenancy.yaml").display());
        let cert = format!("--tls-cert={}", tls.cert.display());
        let key = format!("--tls-key={}", tls.key.display());
        let mut arguments = vec![
            "serve",
            &tenancy,
            &cert,
            &key,
            "--cluster=off",
            "--grpc-listen=127.0.0.1:0",
            "--http-listen=127.0.0.1:0",
            "--poll-interval=100ms",
            "--idle-interval=100ms",
            "--request-timeout=3s",
            "--body-cap=1MiB",
            "--learn=0s",
            "--drain-delay=0s",
        ];
        let token_file = format!("--token-file={}", files.path("token-file").display());
        let url = format!("http://{mirror}/env");
        let endpoint = format!(
            "http://{}/msi/token",
            if as_text { emulated } else { mirror }
        );
        let mut environment = vec![
            ("AZP_URL", url.as_str()),
            ("AZP_LOG", "trace"),
            ("AZP_LOG_FORMAT", format),
            ("AZP_HOOK_SECRET", secrets::HOOK),
            ("AZURE_CLIENT_SECRET", secrets::CLIENT_VARIABLE),
            ("IDENTITY_ENDPOINT", &endpoint),
            ("IDENTITY_HEADER", secrets::HEADER),
        ];
        if as_text {
            environment.push(("AZP_TOKEN", secrets::VARIABLE));
        } else {
            arguments.push(&token_file);
        }
        let write = |name| fs::File::create(files.path(name)).unwrap();
        let child = command(&arguments, &environment)
            .stdin(Stdio::null())
            .stdout(write("stdout"))
            .stderr(write("stderr"))
            .spawn()
            .unwrap();
        let listening = async {
            loop {
                let told = files.read("stdout");
                if told.lines().count() >= 2 {
                    return told;
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        let told = timeout(Duration::from_secs(60), listening).await;
        let told = told.unwrap_or_else(|_| panic!("{}", files.read("stderr")));
        let address = |before: &str| {
            let line = told.lines().find_map(|line| line.strip_prefix(before));
            line.unwrap().parse().unwrap()
        };
        Self {
            grpc: address("grpc listening on "),
            http: address("http listening on "),
            running: Running(child),
        }
    }

    /// As everybody sees it who can list processes.
    pub(crate) fn command_line(&self) -> String {
        let path = format!("/proc/{}/cmdline", self.running.0.id());
        let line = String::from_utf8_lossy(&fs::read(path).unwrap()).replace('\0', " ");
        assert!(line.contains("--tenancy="), "{line}");
        line
    }

    /// Its own way down, which is logged too.
    pub(crate) fn end(&mut self) {
        self.running.terminate();
        assert!(self.running.0.wait().unwrap().success());
    }
}

/// All that it says.
pub(crate) fn run(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let Output { stdout, stderr, .. } = command(arguments, environment)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let both = [stdout, stderr].concat();
    String::from_utf8_lossy(&both).into_owned()
}

/// Starts and files that are wrong, each with a secret where none belongs.
pub(crate) fn refusals() -> Vec<(&'static str, String)> {
    let secret = secrets::MISPLACED;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: String| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let url = ("AZP_URL", "https://dev.azure.com/contoso");
    let mut told = vec![
        (
            "a flag that is none",
            run(&["serve", &format!("--token={secret}")], &[url]),
        ),
        (
            "an address with a token",
            run(
                &["serve"],
                &[
                    ("AZP_URL", &format!("https://me:{secret}@dev.azure.com/x")),
                    ("AZP_TOKEN", &format!("{secret} twice")),
                    ("AZP_HOOK_SECRET", &format!("{secret}\n{secret}")),
                ],
            ),
        ),
    ];
    let organization = "organizations: [\"https://dev.azure.com/contoso\"]";
    for (what, text) in [
        (
            "a token in the tenancy file",
            format!(
                "credentials:\n- {{name: a, {organization}, personalAccessToken: \"{secret}\"}}\n"
            ),
        ),
        (
            "a token under an unknown key of the tenancy file",
            format!("credentials:\n- {{name: a, {organization}, token: \"{secret}\"}}\n"),
        ),
        (
            "a proxy's password in the tenancy file",
            format!(
                "organizations: [{{url: \"https://dev.azure.com/x\", proxy: \"http://me:{secret}@proxy:1\"}}]\n"
            ),
        ),
        (
            "a tenancy file that is no YAML",
            format!("credentials: [{{personalAccessToken: \"{secret}\", {secret}: {secret}\n"),
        ),
    ] {
        let path = file("tenancy.yaml", text);
        told.push((what, run(&["serve", &format!("--tenancy={path}")], &[])));
    }
    let object = |keys: &str| {
        format!(
            "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {{name: a, namespace: ci}}\n\
            spec:\n  scaleTargetRef: {{name: a}}\n  triggers:\n  - type: external\n    metadata:\n      \
            scalerAddress: azp-scaler.keda:9090\n      poolName: linux\n{keys}"
        )
    };
    for keys in [
        format!("      personalAccessToken: \"{secret}\"\n"),
        format!("      personalAccesToken: \"{secret}\"\n"),
        format!("      organizationURL: \"https://me:{secret}@dev.azure.com/x\"\n"),
        format!("      personalAccessToken: \"{secret}\" \"{secret}\n"),
        format!("      personalAccessToken: [\"{secret}\"]\n"),
        format!("      personalAccessTokenFromEnv: \"{secret}\"\n"),
    ] {
        let path = file("object.yaml", object(&keys));
        told.push(("check", run(&["check", &path], &[])));
    }
    let secret = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: a}}\nstringData: {{token: \"{secret}\"}}\n"
    );
    told.push((
        "check of a Secret",
        run(&["check", &file("secret.yaml", secret)], &[]),
    ));
    told
}
