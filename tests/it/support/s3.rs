//! An S3 server: s3s-fs in a process of its own, which checks signatures. `tests/run` installs it.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use boathouse::config::StoreCredential;

const KEY: &str = "AKIDEXAMPLE";
pub(crate) const SECRET: &str = "wJalrXUtnFEMI";

/// A server with a folder for each bucket. It ends with the test.
pub(crate) struct S3 {
    child: Child,
    endpoint: String,
    root: tempfile::TempDir,
}

impl S3 {
    /// With bucket `landing`, which holds the test data of the lake.
    pub(crate) async fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        let data = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/lake");
        assert!(Command::new("cp").args(["-r", data]).arg(root.path().join("landing")).status().unwrap().success());
        for bucket in ["private", "warehouse"] {
            std::fs::create_dir(root.path().join(bucket)).unwrap();
        }
        std::fs::write(root.path().join("private/x.csv"), "secret\n").unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(std::env::var("TEST_S3").expect("run tests/run"))
            .args(["--host", "127.0.0.1", "--port", &port.to_string(), "--access-key", KEY, "--secret-key", SECRET])
            .arg(root.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        super::answers(port).await;
        Self { child, endpoint: format!("http://127.0.0.1:{port}"), root }
    }

    /// The folder of `landing`.
    pub(crate) fn bucket(&self) -> PathBuf {
        self.root.path().join("landing")
    }

    /// The statement that makes a credential for `landing`.
    pub(crate) fn credential(&self, secret: &str) -> String {
        format!(
            "CREATE STORAGE CREDENTIAL c WITH (scope 's3://landing/', access_key_id '{KEY}', secret_access_key '{secret}',
             endpoint '{}', allow_http 'true')",
            self.endpoint
        )
    }
}

impl S3 {
    /// A credential for the configuration, with its secret in a file of `directory`.
    pub(crate) fn configured(&self, scope: &str, directory: &Path) -> StoreCredential {
        let file = directory.join("secret");
        std::fs::write(&file, format!("{SECRET}\n")).unwrap();
        StoreCredential {
            scope: scope.to_owned(),
            access_key_id: KEY.to_owned(),
            secret_access_key_file: file,
            region: None,
            endpoint: Some(self.endpoint.clone()),
            allow_http: true,
        }
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
