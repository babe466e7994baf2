//! An OAuth issuer: npm's `oidc-provider` under node, in a process of its own. `tests/run` installs it.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// It ends with the test.
pub(crate) struct Issuer {
    child: Child,
    port: u16,
    certificate: PathBuf,
    key: PathBuf,
}

impl Issuer {
    /// With a certificate that is its own authority.
    pub(crate) async fn start(certificate: &Path, key: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = launch(port, certificate, key).await;
        Self { child, port, certificate: certificate.to_owned(), key: key.to_owned() }
    }

    /// Another one takes its place, with other keys.
    pub(crate) async fn restart(&mut self) {
        self.stop();
        self.child = launch(self.port, &self.certificate, &self.key).await;
    }

    pub(crate) fn stop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }

    pub(crate) fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// A token for a client (`loader` or `reporter`), for some scope and resource.
    pub(crate) async fn token(&self, client: &str, scope: &str, resource: &str) -> String {
        let tls = boathouse::tls::client_config(Some(&self.certificate)).unwrap();
        let http = reqwest::Client::builder().use_preconfigured_tls(tls).build().unwrap();
        let encoded = |text| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC);
        let asked = http
            .post(format!("{}/token", self.url()))
            .basic_auth(client, Some("secret"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("grant_type=client_credentials&scope={}&resource={}", encoded(scope), encoded(resource)));
        let answer: serde_json::Value = asked.send().await.unwrap().json().await.unwrap();
        answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }
}

async fn launch(port: u16, certificate: &Path, key: &Path) -> Child {
    let child = Command::new("node")
        .arg(std::env::var("TEST_OPENID_PROVIDER").expect("run tests/run"))
        .arg(port.to_string())
        .args([certificate, key])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    super::answers(port).await;
    child
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.stop();
    }
}
