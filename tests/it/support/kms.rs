//! AWS KMS, as moto has it, in a process of its own. `tests/run` installs it.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

/// It ends with the test.
pub(crate) struct Kms {
    child: Child,
    endpoint: String,
}

impl Kms {
    pub(crate) async fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = python()
            .args(["-c", "from moto.server import main; main()", "-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        super::answers(port).await;
        Self { child, endpoint: format!("http://127.0.0.1:{port}") }
    }

    /// For all AWS software.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        [
            ("AWS_ENDPOINT_URL_KMS", self.endpoint.as_str()),
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI"),
            ("AWS_REGION", "eu-central-1"),
            ("AWS_DEFAULT_REGION", "eu-central-1"),
        ]
        .map(|(name, value)| (name, value.to_owned()))
        .into()
    }

    /// What a Python statement with the client `k` leaves in `r`.
    pub(crate) fn call(&self, statement: &str) -> String {
        let script = format!("import boto3; k = boto3.client('kms'); {statement}; print(r)");
        let output = python().args(["-c", &script]).envs(self.environment()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Kms {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn python() -> Command {
    Command::new(std::env::var("TEST_PYTHON").expect("run tests/run"))
}
