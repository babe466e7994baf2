//! From an accepted socket to a session: encryption, start-up packet, authentication, first parameters.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::authenticate::{Authenticated, Client, Peer, asks_for_password, authenticate};
use super::connection::Connection;
use super::link::{Fault, Link};
use super::listen::Server;
use super::message::{Reader, violation};
use super::tls::{ClientCertificate, Tls, TlsHolder};
use crate::audit::{Class, Entry};
use crate::catalog::DATABASE_NAME;
use crate::error::{Plain, SqlError, SqlState};
use crate::govern::Privilege;
use crate::session::Session;

const PACKET_BYTES_MAX: usize = 10_000;
const CANCEL_REQUEST: i32 = 80_877_102;
const SSL_REQUEST: i32 = 80_877_103;
const GSS_REQUEST: i32 = 80_877_104;
/// First byte of a TLS handshake.
const TLS_HANDSHAKE: u8 = 22;
const PROTOCOL_3_0: i32 = 3 << 16;
const PROTOCOL_3_2: i32 = PROTOCOL_3_0 + 2;

/// What the client asked for in its start-up packet.
struct Startup {
    version: i32,
    parameters: Vec<(String, String)>,
}

/// A client that has come.
#[derive(Debug)]
pub(super) enum Accepted {
    Tcp(tokio::net::TcpStream),
    Local(tokio::net::UnixStream),
}

/// What is known of a connection before the client says who he is.
struct Line {
    peer: Peer,
    /// `None`: it is not encrypted.
    tls: Option<Arc<Tls>>,
    certificate: Option<ClientCertificate>,
}

/// Speaks with one client until it goes.
pub(super) async fn serve(server: Arc<Server>, socket: Accepted) {
    if let Accepted::Tcp(socket) = &socket {
        // Small answers must not wait for more.
        let _best_effort = socket.set_nodelay(true);
    }
    let mut link = None;
    match begin(&server, socket, &mut link).await {
        Ok(Some(connection)) => connection.run().await,
        Ok(None) => {}
        Err(Fault::Fatal(error)) => {
            tracing::info!(sqlstate = %error.sqlstate(), message = %error.chain(), "connection refused");
            if let Some(link) = &mut link {
                link.reply().error("FATAL", &error);
                let _gone = link.flush().await;
                link.shutdown().await;
            }
        }
        Err(Fault::Closed | Fault::Io(_)) => {}
    }
}

/// `None`: a cancel request, which is done.
async fn begin(server: &Arc<Server>, socket: Accepted, slot: &mut Option<Link>) -> Result<Option<Connection>, Fault> {
    let limit = server.login_timeout;
    match tokio::time::timeout(limit, handshake(server, socket, slot)).await {
        Ok(done) => done,
        Err(_elapsed) => Err(Fault::Closed),
    }
}

async fn handshake(
    server: &Arc<Server>,
    socket: Accepted,
    slot: &mut Option<Link>,
) -> Result<Option<Connection>, Fault> {
    let (mut link, mut line, offered) = match socket {
        Accepted::Local(socket) => {
            let peer = Peer::Local { uid: socket.peer_cred()?.uid() };
            (Link::new(Box::new(socket)), Line { peer, tls: None, certificate: None }, None)
        }
        Accepted::Tcp(socket) => {
            let peer = Peer::Remote(socket.peer_addr()?);
            let mut first = [0_u8];
            socket.peek(&mut first).await?;
            let offered = server.tls.as_ref().map(TlsHolder::current);
            match (&offered, first) {
                (Some(tls), [TLS_HANDSHAKE]) => {
                    let stream = tls.acceptor.accept(socket).await.inspect_err(not_encrypted)?;
                    if stream.get_ref().1.alpn_protocol() != Some(b"postgresql".as_slice()) {
                        return Err(Fault::Closed);
                    }
                    let certificate = ClientCertificate::of(&stream);
                    let line = Line { peer, tls: offered.clone(), certificate };
                    (Link::new(Box::new(stream)), line, offered)
                }
                _ => (Link::new(Box::new(socket)), Line { peer, tls: None, certificate: None }, offered),
            }
        }
    };
    let (mut asked_tls, mut asked_gss) = (line.tls.is_some(), false);
    let startup = loop {
        let packet = link.startup_packet(PACKET_BYTES_MAX).await;
        let packet = match packet {
            Ok(packet) => packet,
            Err(fault) => {
                *slot = Some(link);
                return Err(fault);
            }
        };
        let mut reader = Reader { rest: &packet };
        let code = match reader.int4() {
            Ok(code) => code,
            Err(_short) => {
                *slot = Some(link);
                return Err(Fault::Fatal(violation("invalid length of startup packet")));
            }
        };
        match code {
            SSL_REQUEST if !asked_tls => {
                asked_tls = true;
                // Whatever came before the handshake would be taken for encrypted.
                if link.has_input() {
                    *slot = Some(link);
                    return Err(Fault::Fatal(violation("received unencrypted data after SSL request")));
                }
                match &offered {
                    Some(tls) => {
                        link.write.push(b'S');
                        link.flush().await?;
                        let stream = tls.acceptor.accept(link.into_io()).await.inspect_err(not_encrypted)?;
                        line.certificate = ClientCertificate::of(&stream);
                        line.tls.clone_from(&offered);
                        link = Link::new(Box::new(stream));
                    }
                    None => {
                        link.write.push(b'N');
                        link.flush().await?;
                    }
                }
            }
            GSS_REQUEST if !asked_gss => {
                asked_gss = true;
                if link.has_input() {
                    *slot = Some(link);
                    return Err(Fault::Fatal(violation("received unencrypted data after GSSAPI encryption request")));
                }
                link.write.push(b'N');
                link.flush().await?;
            }
            CANCEL_REQUEST => {
                let pid = reader.int4().map_err(Fault::Fatal)?;
                server.shared.activity.cancel(pid, reader.all());
                link.shutdown().await;
                return Ok(None);
            }
            version => break parameters(version, reader),
        }
    };
    let link = slot.insert(link);
    let startup = startup.map_err(Fault::Fatal)?;
    let plain = line.tls.is_none() && matches!(line.peer, Peer::Remote(_));
    if server.tls.is_some() && plain && server.tls_required {
        return Err(Fault::Fatal(
            Plain::new(SqlState::INVALID_AUTHORIZATION, "this server accepts encrypted connections only").into(),
        ));
    }
    let mut logged_in = login(server, link, &startup, &line).await;
    tell(server, &startup, &line.peer.to_string(), &mut logged_in);
    let session = logged_in?;
    let Some(link) = slot.take() else { return Err(Fault::Closed) };
    Ok(Some(session.into_connection(server, link)))
}

/// The client hears an alert without words; the operator may want to know what is wrong with his certificate.
fn not_encrypted(error: &std::io::Error) {
    tracing::info!(%error, "TLS could not be agreed on");
}

fn parameters(version: i32, mut reader: Reader<'_>) -> Result<Startup, SqlError> {
    if version >> 16 != 3 {
        let shown = format!("{}.{}", version >> 16, version & 0xffff);
        let message = format!("unsupported frontend protocol {shown}: server supports 3.0 to 3.2");
        return Err(Plain::new(SqlState::FEATURE_NOT_SUPPORTED, message).into());
    }
    let mut parameters = Vec::new();
    loop {
        let name = reader.string()?;
        if name.is_empty() {
            break;
        }
        parameters.push((name, reader.string()?));
    }
    if reader.rest.is_empty() {
        Ok(Startup { version, parameters })
    } else {
        Err(violation("invalid startup packet layout: expected terminator as last byte"))
    }
}

/// Where tools for databases begin: the one database goes by this name, too.
const ANOTHER_NAME: &str = "postgres";

/// A user who is in, before the first ReadyForQuery.
struct LoggedIn {
    session: Session,
    /// When it is to end; `None`: when the client likes.
    until: Option<SystemTime>,
    pid: i32,
    key: Vec<u8>,
}

async fn login(server: &Arc<Server>, link: &mut Link, startup: &Startup, line: &Line) -> Result<LoggedIn, Fault> {
    let get = |name: &str| startup.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let refuse = |code: SqlState, message: String| Fault::Fatal(Plain::new(code, message).into());
    let unknown: Vec<String> =
        startup.parameters.iter().map(|(name, _)| name).filter(|name| name.starts_with("_pq_.")).cloned().collect();
    let version = if startup.version >= PROTOCOL_3_2 { PROTOCOL_3_2 } else { PROTOCOL_3_0 };
    if version != startup.version || !unknown.is_empty() {
        link.reply().negotiate_protocol(version, &unknown);
    }
    let user = get("user").filter(|user| !user.is_empty()).ok_or_else(|| {
        refuse(SqlState::INVALID_AUTHORIZATION, "no PostgreSQL user name specified in startup packet".to_owned())
    })?;
    if get("replication").is_some_and(|value| value != "false" && value != "off" && value != "0") {
        return Err(refuse(SqlState::FEATURE_NOT_SUPPORTED, "replication connections are not supported".to_owned()));
    }
    let database = get("database").unwrap_or(user);
    let database = if database == ANOTHER_NAME { DATABASE_NAME } else { database };
    let client =
        Client { user, database, peer: &line.peer, tls: line.tls.as_deref(), certificate: line.certificate.as_ref() };
    refresh(server).await?;
    let mut head = server.shared.metastore.head();
    let mut attempt = None;
    if asks_for_password(server, &head, &client) {
        attempt = Some(server.throttle.begin(user, client.peer.network(), Instant::now()).map_err(|wait| {
            let message = format!("too many failed attempts to log in as user \"{user}\" from this network");
            let hint = format!("Try again in {} seconds.", wait.as_secs());
            Fault::Fatal(Plain::new(SqlState::INVALID_AUTHORIZATION, message).hint(hint).into())
        })?);
    }
    if let Some(attempt) = attempt.as_ref().filter(|attempt| !attempt.wait.is_zero()) {
        tokio::select! {
            () = tokio::time::sleep(attempt.wait) => {}
            () = server.shutdown.cancelled() => return Err(Fault::Closed),
        }
        // What counts is who may log in now, not when the wait began.
        refresh(server).await?;
        head = server.shared.metastore.head();
    }
    let authenticated = authenticate(server, link, &head, &client).await;
    match (&authenticated, attempt) {
        (Ok(_), Some(attempt)) => attempt.end(true),
        (Err(Fault::Fatal(error)), Some(attempt)) if error.sqlstate() == SqlState::INVALID_PASSWORD => {
            attempt.end(false);
        }
        _ => {}
    }
    let Authenticated { role, identity, until } = authenticated?;
    if database != DATABASE_NAME {
        return Err(refuse(SqlState::UNDEFINED_DATABASE, format!("database \"{database}\" does not exist")));
    }
    let roles = head.closure(role);
    let superuser = head.role(role).is_some_and(|role| role.superuser);
    let may_connect = head
        .database()
        .and_then(|database| database.acl.as_ref())
        .is_some_and(|acl| acl.held_by(&roles).contains(Privilege::Connect));
    if !superuser && !may_connect {
        return Err(refuse(
            SqlState::INSUFFICIENT_PRIVILEGE,
            format!("permission denied for database \"{DATABASE_NAME}\""),
        ));
    }
    let pid = server.next_pid();
    let options = options(startup).map_err(Fault::Fatal)?;
    let mut session = Session::new(Arc::clone(&server.shared), pid, role, &options).map_err(Fault::Fatal)?;
    session.set_identity(identity);
    for (name, value) in session.reported() {
        link.reply().parameter_status(name, &value);
    }
    let key =
        if version == PROTOCOL_3_2 { rand::random::<[u8; 32]>().to_vec() } else { rand::random::<[u8; 4]>().to_vec() };
    link.reply().backend_key_data(pid, &key);
    Ok(LoggedIn { session, until, pid, key })
}

async fn refresh(server: &Server) -> Result<(), Fault> {
    server.shared.metastore.refresh().await.map_err(|error| Fault::Fatal(error.into()))
}

/// Records who came in, and who was refused.
fn tell(server: &Server, startup: &Startup, client: &str, outcome: &mut Result<LoggedIn, Fault>) {
    let audit = &server.shared.audit;
    match outcome {
        Ok(logged_in) => {
            logged_in.session.set_client(client.to_owned());
            if audit.records(Class::Session) {
                let detail = logged_in.session.identity().unwrap_or("trust").to_owned();
                audit.record(&Entry { detail, ..logged_in.session.audit_entry(Class::Session, "login") });
            }
        }
        Err(Fault::Fatal(error)) if audit.records(Class::Session) => {
            let user = startup.parameters.iter().find(|(name, _)| name == "user").map(|(_, user)| user.clone());
            let entry = Entry::of_server("login refused", String::new());
            let (login_role, client) = (user.unwrap_or_default(), client.to_owned());
            let sqlstate = Some(error.sqlstate().as_str().to_owned());
            audit.record(&Entry { login_role, client, sqlstate, ..entry });
        }
        Err(_) => {}
    }
}

impl LoggedIn {
    fn into_connection(self, server: &Arc<Server>, link: Link) -> Connection {
        let left = self.until.map(|until| until.duration_since(SystemTime::now()).unwrap_or_default());
        let until = left.and_then(|left| Instant::now().checked_add(left));
        Connection::new(Arc::clone(server), link, (self.session, until), self.pid, self.key)
    }
}

/// Settings in the packet: its own parameters, and `-c name=value` in `options`.
fn options(startup: &Startup) -> Result<Vec<(String, String)>, SqlError> {
    let mut settings = Vec::new();
    for (name, value) in &startup.parameters {
        match name.as_str() {
            "user" | "database" | "replication" => {}
            "options" => {
                let words = split_options(value);
                let mut words = words.iter().map(String::as_str);
                while let Some(word) = words.next() {
                    let setting = match word {
                        "-c" => words.next(),
                        word => word.strip_prefix("--").or_else(|| word.strip_prefix("-c")),
                    };
                    let pair = setting.and_then(|setting| setting.split_once('='));
                    let Some((name, value)) = pair else {
                        let message = format!("invalid command-line argument for server process: {word}");
                        return Err(Plain::new(SqlState::SYNTAX_ERROR, message).into());
                    };
                    settings.push((name.replace('-', "_"), value.to_owned()));
                }
            }
            name if name.starts_with("_pq_.") => {}
            name => settings.push((name.to_owned(), value.clone())),
        }
    }
    Ok(settings)
}

/// Words with spaces between them; a backslash makes the next character part of the word.
fn split_options(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => word.extend(chars.next()),
            c if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            c => word.push(c),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}
