//! A real PostgreSQL beside ours. `tests/run` installs it and says where in `TEST_POSTGRES`.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::{Client, PASSWORD};

/// A cluster in a temporary directory, with superuser `boathouse` and without durability. It ends with the test.
pub(crate) struct Postgres {
    pub address: SocketAddr,
    child: Child,
    _directory: TempDir,
}

impl Postgres {
    pub(crate) async fn start() -> Self {
        let directory = tempfile::Builder::new().permissions(PermissionsExt::from_mode(0o755)).tempdir().unwrap();
        let data = directory.path().join("data");
        let password = directory.path().join("password");
        std::fs::write(&password, PASSWORD).unwrap();
        if is_root() {
            let status = Command::new("chown").args(["-R", NOBODY]).arg(directory.path()).status().unwrap();
            assert!(status.success());
        }
        let output = program("initdb")
            .args(["--username=boathouse", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"])
            .arg(format!("--pwfile={}", password.display()))
            .arg(format!("--pgdata={}", data.display()))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = program("postgres")
            .args(["-D", data.to_str().unwrap(), "-k", directory.path().to_str().unwrap(), "-p", &port.to_string()])
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "timezone=UTC"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let server = Self { address, child, _directory: directory };
        for _attempt in 0..1200 {
            if server.maintenance().await.is_some() {
                return server;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("PostgreSQL does not answer on {address}");
    }

    async fn maintenance(&self) -> Option<Client> {
        tokio::net::TcpStream::connect(self.address).await.ok()?;
        Client::connect_with(self.address, &[("user", "boathouse"), ("database", "postgres")], PASSWORD).await.ok()
    }

    /// An empty database `boathouse`.
    pub(crate) async fn new_database(&self) {
        let mut client = self.maintenance().await.unwrap();
        client.simple("DROP DATABASE IF EXISTS boathouse WITH (FORCE)").await.unwrap();
        client.simple("CREATE DATABASE boathouse").await.unwrap();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// PostgreSQL refuses to run as root.
const NOBODY: &str = "65534:65534";

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

fn program(name: &str) -> Command {
    let installed = PathBuf::from(std::env::var("TEST_POSTGRES").expect("run tests/run"));
    let program = installed.join("bin").join(name);
    let mut command = if is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.env("LD_LIBRARY_PATH", installed.join("lib")).current_dir("/");
    command
}
