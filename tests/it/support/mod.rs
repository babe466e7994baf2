//! A server of its own for each test, and a client that speaks both query protocols with plain text values.

pub(crate) mod kms;
pub(crate) mod ldap;
pub(crate) mod openid;
pub(crate) mod postgres;
pub(crate) mod s3;

use std::net::SocketAddr;
use std::path::Path;

use boathouse::app::App;
use boathouse::config::Config;
use boathouse::secret::MasterUrl;
use bytes::{Buf, BufMut, BytesMut};
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

pub(crate) const PASSWORD: &str = "correct horse";
/// 32 bytes in Base64.
pub(crate) const MASTER_KEY: &str = "bWFzdGVyIGtleSBvZiBhbGwgdGhlIHRlc3Qgc2VydmU=\n";

/// A server in this process, on a free port, in a directory of its own.
pub(crate) struct Server {
    pub address: SocketAddr,
    pub directory: TempDir,
    shutdown: CancellationToken,
    task: Option<tokio::task::JoinHandle<()>>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_, _| ()).await
    }

    /// Starts with a changed configuration; the function also gets the test's directory.
    pub(crate) async fn start_with(change: impl FnOnce(&mut Config, &Path)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (address, shutdown, task) = launch(directory.path(), change).await;
        Self { address, directory, shutdown, task: Some(task) }
    }

    /// Stops the server and starts another on the same data.
    pub(crate) async fn restart(&mut self) {
        self.restart_with(|_, _| ()).await;
    }

    pub(crate) async fn restart_with(&mut self, change: impl FnOnce(&mut Config, &Path)) {
        self.stop().await;
        let (address, shutdown, task) = launch(self.directory.path(), change).await;
        (self.address, self.shutdown, self.task) = (address, shutdown, Some(task));
    }

    pub(crate) async fn stop(&mut self) {
        self.shutdown.cancel();
        if let Some(task) = self.task.take() {
            task.await.unwrap();
        }
    }

    pub(crate) async fn connect(&self) -> Client {
        Client::connect(self.address, "boathouse", PASSWORD).await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

async fn launch(
    directory: &Path,
    change: impl FnOnce(&mut Config, &Path),
) -> (SocketAddr, CancellationToken, tokio::task::JoinHandle<()>) {
    let mut config = Config::default();
    config.storage.data_dir = directory.join("data");
    config.wire.listen = "127.0.0.1:0".parse().unwrap();
    config.limit.memory_mib = 1024;
    config.lake.allow = vec![format!("file://{}/lake/", directory.display())];
    std::fs::create_dir_all(directory.join("lake")).unwrap();
    change(&mut config, directory);
    let app = App::start(&config, Some(PASSWORD.to_owned())).await.unwrap();
    let (address, shutdown) = (app.address().unwrap(), app.shutdown());
    (address, shutdown, tokio::spawn(app.run()))
}

/// The metadata is in a PostgreSQL database. Every server has the same master key.
pub(crate) fn share_metadata(config: &mut Config, directory: &Path, url: String) {
    let [password, key] = ["password", "master.key"].map(|name| directory.join(name));
    std::fs::write(&password, PASSWORD).unwrap();
    std::fs::write(&key, MASTER_KEY).unwrap();
    config.storage.metadata_url = Some(url);
    config.storage.metadata_password_file = Some(password);
    config.secrets.key = Some(MasterUrl::File(key));
}

/// Waits until something listens on a port of this machine.
pub(crate) async fn answers(port: u16) {
    for _attempt in 0..1200 {
        if TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("nothing answers on port {port}");
}

/// What the server said was wrong.
#[derive(Clone, Debug, Default, thiserror::Error)]
#[error("{severity} {code}: {message}")]
pub(crate) struct DbError {
    pub severity: String,
    pub code: String,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
    pub position: Option<String>,
    pub context: Option<String>,
}

/// The outcome of one statement.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    /// `None`: no rows.
    pub columns: Option<Vec<(String, u32)>>,
    pub rows: Vec<Vec<Option<String>>>,
    pub tag: String,
    pub copy_out: Vec<u8>,
    pub notices: Vec<DbError>,
}

/// One connection.
pub(crate) struct Client {
    socket: TcpStream,
    read: BytesMut,
    pub pid: i32,
    pub key: Vec<u8>,
    /// As the last ReadyForQuery said.
    pub status: char,
    /// As ParameterStatus said.
    pub parameters: std::collections::HashMap<String, String>,
    /// Channel, text and sender of each notification so far.
    pub notifications: Vec<(String, String, i32)>,
}

/// The connection is broken.
fn closed() -> DbError {
    DbError { code: "08006".to_owned(), message: "closed".to_owned(), ..DbError::default() }
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr, user: &str, password: &str) -> Result<Self, DbError> {
        Self::connect_with(address, &[("user", user), ("database", "boathouse")], password).await
    }

    pub(crate) async fn connect_with(
        address: SocketAddr,
        parameters: &[(&str, &str)],
        password: &str,
    ) -> Result<Self, DbError> {
        let socket = TcpStream::connect(address).await.map_err(|_refused| closed())?;
        let mut client = Self {
            socket,
            read: BytesMut::new(),
            pid: 0,
            key: vec![],
            status: '?',
            parameters: std::collections::HashMap::new(),
            notifications: vec![],
        };
        let mut body = BytesMut::new();
        body.put_i32(196_608);
        for (name, value) in parameters {
            put_string(&mut body, name);
            put_string(&mut body, value);
        }
        body.put_u8(0);
        let mut packet = BytesMut::new();
        packet.put_i32(body.len() as i32 + 4);
        packet.extend_from_slice(&body);
        drop(client.socket.write_all(&packet).await);
        client.log_in(password).await?;
        Ok(client)
    }

    async fn log_in(&mut self, password: &str) -> Result<(), DbError> {
        let mut scram: Option<ScramSha256> = None;
        loop {
            let (kind, mut body) = self.receive().await?;
            match kind {
                b'R' => match body.get_i32() {
                    10 => {
                        let exchange = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
                        let first = exchange.message().to_vec();
                        let mut reply = BytesMut::new();
                        put_string(&mut reply, "SCRAM-SHA-256");
                        reply.put_i32(first.len() as i32);
                        reply.extend_from_slice(&first);
                        self.send(b'p', &reply).await;
                        scram = Some(exchange);
                    }
                    11 => {
                        let exchange = scram.as_mut().unwrap();
                        exchange.update(&body).unwrap();
                        let last = exchange.message().to_vec();
                        self.send(b'p', &last).await;
                    }
                    12 => scram.as_mut().unwrap().finish(&body).unwrap(),
                    0 => {}
                    other => panic!("authentication request {other}"),
                },
                b'S' => self.parameter_status(&body),
                b'K' => {
                    self.pid = body.get_i32();
                    self.key = body.to_vec();
                }
                b'Z' => {
                    self.status = char::from(body[0]);
                    return Ok(());
                }
                b'E' => return Err(db_error(&body)),
                other => panic!("message {:?} during start-up", char::from(other)),
            }
        }
    }

    fn parameter_status(&mut self, body: &[u8]) {
        let mut parts = body.split(|byte| *byte == 0).map(|part| String::from_utf8(part.to_vec()).unwrap());
        self.parameters.insert(parts.next().unwrap(), parts.next().unwrap());
    }

    pub(crate) async fn send(&mut self, kind: u8, body: &[u8]) {
        let mut frame = BytesMut::new();
        frame.put_u8(kind);
        frame.put_i32(body.len() as i32 + 4);
        frame.extend_from_slice(body);
        // If the connection is closed, the next message tells.
        drop(self.socket.write_all(&frame).await);
    }

    /// The next message; a closed connection is an error of class 08.
    pub(crate) async fn receive(&mut self) -> Result<(u8, BytesMut), DbError> {
        loop {
            if self.read.len() >= 5 {
                let length = (&self.read[1..5]).get_i32() as usize;
                if self.read.len() > length {
                    let mut frame = self.read.split_to(length + 1);
                    let kind = frame.get_u8();
                    frame.advance(4);
                    return Ok((kind, frame));
                }
            }
            match self.socket.read_buf(&mut self.read).await {
                Ok(0) | Err(_) => {
                    return Err(closed());
                }
                Ok(_) => {}
            }
        }
    }

    /// Runs a message of one or more statements in the simple protocol; the replies before an error are lost.
    pub(crate) async fn simple(&mut self, sql: &str) -> Result<Vec<Reply>, DbError> {
        self.send_query(sql).await;
        self.replies(&[]).await
    }

    pub(crate) async fn send_query(&mut self, sql: &str) {
        let mut body = BytesMut::new();
        put_string(&mut body, sql);
        self.send(b'Q', &body).await;
    }

    /// Runs COPY … FROM STDIN with this data.
    pub(crate) async fn copy_in(&mut self, sql: &str, data: &[u8]) -> Result<Vec<Reply>, DbError> {
        self.send_query(sql).await;
        self.replies(data).await
    }

    /// Runs one statement in the extended protocol, with text parameters.
    pub(crate) async fn extended(&mut self, sql: &str, parameters: &[Option<&str>]) -> Result<Reply, DbError> {
        self.send_parse("", sql, &[]).await;
        self.run_prepared("", parameters).await
    }

    /// Prepares a statement. `types`: the parameters' by their OIDs, as far as they are not left to the server.
    pub(crate) async fn prepare(&mut self, name: &str, sql: &str, types: &[u32]) -> Result<(), DbError> {
        self.send_parse(name, sql, types).await;
        self.send(b'S', &[]).await;
        self.replies(&[]).await.map(drop)
    }

    async fn send_parse(&mut self, name: &str, sql: &str, types: &[u32]) {
        let mut out = BytesMut::new();
        put_string(&mut out, name);
        put_string(&mut out, sql);
        out.put_i16(types.len() as i16);
        for oid in types {
            out.put_u32(*oid);
        }
        self.send(b'P', &out).await;
    }

    /// Runs a prepared statement, with text parameters.
    pub(crate) async fn run_prepared(&mut self, name: &str, parameters: &[Option<&str>]) -> Result<Reply, DbError> {
        let mut out = BytesMut::new();
        put_string(&mut out, "");
        put_string(&mut out, name);
        out.put_i16(0);
        out.put_i16(parameters.len() as i16);
        for parameter in parameters {
            match parameter {
                Some(text) => {
                    out.put_i32(text.len() as i32);
                    out.extend_from_slice(text.as_bytes());
                }
                None => out.put_i32(-1),
            }
        }
        out.put_i16(0);
        self.send(b'B', &out).await;
        self.send(b'D', b"P\0").await;
        self.send(b'E', &[0, 0, 0, 0, 0]).await;
        self.send(b'S', &[]).await;
        let mut replies = self.replies(&[]).await?;
        Ok(replies.pop().unwrap_or_default())
    }

    /// Reads up to ReadyForQuery.
    pub(crate) async fn replies(&mut self, copy_in: &[u8]) -> Result<Vec<Reply>, DbError> {
        let mut replies = Vec::new();
        let mut current = Reply::default();
        let mut error = None;
        loop {
            let (kind, mut body) = self.receive().await?;
            match kind {
                b'T' => current.columns = Some(read_columns(&mut body)),
                b'D' => current.rows.push(read_row(&mut body)),
                b'C' => {
                    current.tag = String::from_utf8(body[..body.len() - 1].to_vec()).unwrap();
                    replies.push(std::mem::take(&mut current));
                }
                b'I' => replies.push(std::mem::take(&mut current)),
                b'G' => {
                    for chunk in copy_in.chunks(1000) {
                        self.send(b'd', chunk).await;
                    }
                    self.send(b'c', &[]).await;
                }
                b'd' => current.copy_out.extend_from_slice(&body),
                b'S' => self.parameter_status(&body),
                b'N' => current.notices.push(db_error(&body)),
                b'A' => self.notified(&body),
                b'E' => {
                    let said = db_error(&body);
                    if said.severity == "FATAL" {
                        return Err(said);
                    }
                    error = Some(said);
                }
                b'Z' => {
                    self.status = char::from(body[0]);
                    return error.map_or(Ok(replies), Err);
                }
                b'H' | b'c' | b'1' | b'2' | b'3' | b'n' | b's' | b't' => {}
                other => panic!("message {:?}", char::from(other)),
            }
        }
    }

    /// Waits for the next notification while nothing is asked.
    pub(crate) async fn notification(&mut self) -> (String, String, i32) {
        let (kind, body) = self.receive().await.unwrap();
        assert_eq!(char::from(kind), 'A');
        self.notified(&body);
        self.notifications.last().unwrap().clone()
    }

    fn notified(&mut self, body: &[u8]) {
        let mut texts = body[4..].split(|byte| *byte == 0).map(|text| String::from_utf8(text.to_vec()).unwrap());
        let (channel, payload) = (texts.next().unwrap(), texts.next().unwrap());
        self.notifications.push((channel, payload, i32::from_be_bytes(body[..4].try_into().unwrap())));
    }

    /// The only value of a query's only row.
    pub(crate) async fn value(&mut self, sql: &str) -> Option<String> {
        let mut replies = self.simple(sql).await.unwrap();
        replies.pop().unwrap().rows.pop().unwrap().pop().unwrap()
    }
}

pub(crate) fn put_string(out: &mut BytesMut, text: &str) {
    out.extend_from_slice(text.as_bytes());
    out.put_u8(0);
}

fn read_columns(body: &mut BytesMut) -> Vec<(String, u32)> {
    let count = body.get_i16();
    (0..count)
        .map(|_| {
            let end = body.iter().position(|byte| *byte == 0).unwrap();
            let name = String::from_utf8(body.split_to(end).to_vec()).unwrap();
            body.advance(1 + 4 + 2);
            let oid = body.get_u32();
            body.advance(2 + 4 + 2);
            (name, oid)
        })
        .collect()
}

fn read_row(body: &mut BytesMut) -> Vec<Option<String>> {
    let count = body.get_i16();
    (0..count)
        .map(|_| {
            let length = body.get_i32();
            (length >= 0).then(|| String::from_utf8(body.split_to(length as usize).to_vec()).unwrap())
        })
        .collect()
}

fn db_error(body: &[u8]) -> DbError {
    let mut error = DbError::default();
    for field in body.split(|byte| *byte == 0).filter(|field| !field.is_empty()) {
        let text = String::from_utf8(field[1..].to_vec()).unwrap();
        match field[0] {
            b'S' => error.severity = text,
            b'C' => error.code = text,
            b'M' => error.message = text,
            b'D' => error.detail = Some(text),
            b'H' => error.hint = Some(text),
            b'P' => error.position = Some(text),
            b'W' => error.context = Some(text),
            _ => {}
        }
    }
    error
}
