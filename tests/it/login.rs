//! Who gets in by which rule, and how it is found out who he is: maps, certificates, directories, tokens.

use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::{BufMut, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::auth::certificate;
use crate::support::ldap::Slapd;
use crate::support::openid::Issuer;
use crate::support::{Client, PASSWORD, Server, put_string};

/// A server with rules, maps, and a socket in the test's directory.
async fn server(rules: &str, maps: &str) -> Server {
    Server::start_with(|config, directory| {
        let (certificate, key) = certificate(directory);
        config.wire.tls_certificate = Some(certificate);
        config.wire.tls_key = Some(key);
        config.wire.socket_directory = Some(directory.to_owned());
        std::fs::write(directory.join("hba"), rules).unwrap();
        std::fs::write(directory.join("ident"), maps).unwrap();
        config.wire.hba_file = Some(directory.join("hba"));
        config.wire.ident_file = Some(directory.join("ident"));
    })
    .await
}

/// psql's answer to one query, over TLS unless `options` say otherwise.
async fn psql(server: &Server, options: &str) -> Result<String, String> {
    let port = server.address.port();
    let options = format!("host=127.0.0.1 port={port} dbname=boathouse sslmode=require {options}");
    let sql = "SELECT current_user || ' ' || coalesce(system_user, 'nobody')";
    let run = move || Command::new("psql").args(["-XAtwc", sql, &options]).output().unwrap();
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim().to_owned();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

fn told(answer: Result<String, String>, expected: &str) {
    let error = answer.unwrap_err();
    assert!(error.contains(expected), "{error}");
}

/// A conversation by the socket, message by message.
struct Raw(tokio::net::UnixStream);

impl Raw {
    async fn begin(server: &Server, user: &str) -> Self {
        let path = server.directory.path().join(format!(".s.PGSQL.{}", server.address.port()));
        let mut socket = tokio::net::UnixStream::connect(path).await.unwrap();
        let mut body = BytesMut::new();
        body.put_i32(196_608);
        for text in ["user", user, "database", "boathouse", ""] {
            put_string(&mut body, text);
        }
        let mut packet = BytesMut::new();
        packet.put_i32(body.len() as i32 + 4);
        packet.extend_from_slice(&body);
        socket.write_all(&packet).await.unwrap();
        Self(socket)
    }

    async fn query(&mut self, sql: &str) {
        let mut packet = BytesMut::new();
        packet.put_u8(b'Q');
        packet.put_i32(sql.len() as i32 + 5);
        put_string(&mut packet, sql);
        self.0.write_all(&packet).await.unwrap();
    }

    /// A password message, or one of SASL.
    async fn say(&mut self, body: &[u8]) {
        let mut packet = BytesMut::new();
        packet.put_u8(b'p');
        packet.put_i32(body.len() as i32 + 4);
        packet.extend_from_slice(body);
        self.0.write_all(&packet).await.unwrap();
    }

    async fn message(&mut self) -> (u8, Vec<u8>) {
        let kind = self.0.read_u8().await.unwrap();
        let mut body = vec![0; self.0.read_i32().await.unwrap() as usize - 4];
        self.0.read_exact(&mut body).await.unwrap();
        (kind, body)
    }

    /// Sends a token; what the server says to it, and then.
    async fn with_token(server: &Server, user: &str, token: &str) -> Result<Self, (String, String)> {
        let mut raw = Self::begin(server, user).await;
        assert_eq!(raw.message().await, (b'R', b"\0\0\0\x0aOAUTHBEARER\0\0".to_vec()));
        let auth = if token.is_empty() { String::new() } else { format!("Bearer {token}") };
        let first = format!("n,,\u{1}auth={auth}\u{1}\u{1}");
        let mut body = BytesMut::new();
        put_string(&mut body, "OAUTHBEARER");
        body.put_i32(first.len() as i32);
        body.extend_from_slice(first.as_bytes());
        raw.say(&body).await;
        let text = |body: &[u8]| String::from_utf8_lossy(body).into_owned();
        match raw.message().await {
            (b'R', body) if body == [0, 0, 0, 0] => Ok(raw),
            (b'R', body) => {
                raw.say(b"\x01").await;
                Err((text(&body[4..]), text(&raw.message().await.1)))
            }
            (_, body) => Err((String::new(), text(&body))),
        }
    }
}

/// As whom the tests run.
fn system_user() -> String {
    String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap().trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_rule_that_fits_decides() {
    let me = system_user();
    let rules = "
        local     all   all                     peer map=staff
        host      all   mallory    all          reject
        hostnossl all   trusted    127.0.0.0/8  trust
        hostssl   all   open       all          password
        host      all   +staff,boathouse all    scram-sha-256
    ";
    let maps = format!("staff {me} boathouse\nstaff /^(.*)$ \\1_local\n");
    let server = server(rules, &maps).await;
    let mut admin = server.connect().await;
    admin
        .simple(&format!(
            "CREATE ROLE staff; CREATE ROLE ann LOGIN PASSWORD 'pw' IN ROLE staff; CREATE ROLE bob LOGIN PASSWORD 'pw';
             CREATE ROLE mallory LOGIN PASSWORD 'pw' IN ROLE staff; CREATE ROLE trusted LOGIN VALID UNTIL '2001-01-01';
             CREATE ROLE open LOGIN PASSWORD 'pw'; CREATE ROLE \"{me}_local\" LOGIN; CREATE ROLE \"{me}\" LOGIN;
             SET password_encryption = 'argon2id'; CREATE ROLE deep LOGIN PASSWORD 'pw' IN ROLE staff"
        ))
        .await
        .unwrap();
    let directory = server.directory.path().display();
    let ok = |text: &str| Ok(text.to_owned());
    assert_eq!(psql(&server, "user=ann password=pw").await, ok("ann scram-sha-256:ann"));
    assert_eq!(psql(&server, "user=deep password=pw").await, ok("deep scram-sha-256:deep"));
    assert_eq!(psql(&server, "user=open password=pw").await, ok("open password:open"));
    assert_eq!(psql(&server, "user=trusted sslmode=disable").await, ok("trusted nobody"));
    told(psql(&server, "user=open password=wrong").await, "password authentication failed for user \"open\"");
    for (options, host) in
        [("user=bob password=pw", "SSL encryption"), ("user=open password=pw sslmode=disable", "no encryption")]
    {
        let user = &options[5..].split(' ').next().unwrap();
        let said =
            format!("no pg_hba.conf entry for host \"127.0.0.1\", user \"{user}\", database \"boathouse\", {host}");
        told(psql(&server, options).await, &said);
    }
    told(psql(&server, "user=mallory password=pw").await, "pg_hba.conf rejects connection for host \"127.0.0.1\"");

    let local = |user: &str| format!("host={directory} user={user} sslmode=prefer");
    assert_eq!(psql(&server, &local("boathouse")).await, Ok(format!("boathouse peer:{me}")));
    assert_eq!(psql(&server, &local(&format!("{me}_local"))).await, Ok(format!("{me}_local peer:{me}")));
    told(psql(&server, &local(&me)).await, &format!("Peer authentication failed for user \"{me}\""));
    told(psql(&server, &local("ann")).await, "Peer authentication failed for user \"ann\"");
    admin.simple(&format!("DROP ROLE \"{me}_local\"")).await.unwrap();
    told(psql(&server, &local(&format!("{me}_local"))).await, "does not exist");

    // What is read again counts for those who come after it; what has faults does not.
    let hba = server.directory.path().join("hba");
    std::fs::write(&hba, "host all all all scram-sha-256\nhost all all all magic\n").unwrap();
    let listed = admin
        .simple("SELECT rule_number, line_number, type, user_name, address, auth_method, error FROM pg_hba_file_rules")
        .await;
    let rows = &listed.unwrap()[0].rows;
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(rows[0], [some("1"), some("1"), some("host"), some("{all}"), some("all"), some("scram-sha-256"), None]);
    assert_eq!(rows[1][6].as_deref(), Some("invalid authentication method \"magic\""));
    assert_eq!(admin.value("SELECT pg_reload_conf()").await.as_deref(), Some("t"));
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    told(psql(&server, "user=bob password=pw").await, "no pg_hba.conf entry");
    std::fs::write(&hba, "host all all all scram-sha-256\n").unwrap();
    admin.simple("SELECT pg_reload_conf()").await.unwrap();
    let mut answer = Err(String::new());
    for _attempt in 0..50 {
        answer = psql(&server, "user=bob password=pw").await;
        if answer.is_ok() {
            break;
        }
    }
    assert_eq!(answer, ok("bob scram-sha-256:bob"));

    let mapped = admin
        .simple("SELECT map_number, map_name, sys_name, pg_username FROM pg_ident_file_mappings WHERE map_number = 2")
        .await;
    assert_eq!(mapped.unwrap()[0].rows[0], [some("2"), some("staff"), some("/^(.*)$"), some("\\1_local")]);
    let mut bob = Client::connect(server.address, "bob", "pw").await.unwrap();
    for sql in ["SELECT * FROM pg_hba_file_rules", "SELECT * FROM pg_ident_file_mappings", "SELECT pg_reload_conf()"] {
        assert_eq!(bob.simple(sql).await.unwrap_err().code, "42501", "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_faults_keeps_the_server_from_starting() {
    let directory = tempfile::tempdir().unwrap();
    let hba = directory.path().join("hba");
    std::fs::write(&hba, "host all all all magic\n\nhost all all all trust\n").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_boathouse"))
        .args(["config", "check"])
        .env("BOATHOUSE_WIRE__HBA_FILE", &hba)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    for line in ["line 1 of", "invalid authentication method \"magic\"", "line 3 of", "loopback addresses only"] {
        assert!(said.contains(line), "{said}");
    }
}

/// An authority and what it has signed.
struct Authority(PathBuf);

impl Authority {
    fn new(directory: &Path) -> Self {
        let home = directory.join("authority");
        std::fs::create_dir(&home).unwrap();
        let authority = Self(home);
        authority.openssl("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.crt");
        std::fs::write(authority.0.join("index.txt"), "").unwrap();
        let text = "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\ndefault_md=sha256\ndefault_crl_days=2\ncrlnumber=number\n\
                    crl_extensions=e\n[e]\nauthorityKeyIdentifier=keyid\n";
        std::fs::write(authority.0.join("number"), "01\n").unwrap();
        std::fs::write(authority.0.join("ca.conf"), text).unwrap();
        // Without extensions it would be of version 1, which counts nowhere any more.
        std::fs::write(authority.0.join("v3"), "basicConstraints=CA:FALSE\n").unwrap();
        authority.revoke(None);
        authority
    }

    fn openssl(&self, arguments: &str) {
        let done = Command::new("openssl").args(arguments.split(' ')).current_dir(&self.0).output().unwrap();
        assert!(done.status.success(), "{arguments}: {}", String::from_utf8_lossy(&done.stderr));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A certificate for a subject; the options that psql shows it with.
    fn sign(&self, name: &str, subject: &str) -> String {
        self.openssl(&format!("req -newkey rsa:2048 -nodes -subj {subject} -keyout {name}.key -out {name}.csr"));
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile v3 -out {name}.crt"
        ));
        let key = self.path(&format!("{name}.key"));
        std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        format!("sslcert={} sslkey={}", self.path(&format!("{name}.crt")).display(), key.display())
    }

    fn revoke(&self, name: Option<&str>) {
        if let Some(name) = name {
            self.openssl(&format!("ca -config ca.conf -keyfile ca.key -cert ca.crt -revoke {name}.crt"));
        }
        self.openssl("ca -config ca.conf -keyfile ca.key -cert ca.crt -gencrl -out ca.crl");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_tell_who_somebody_is() {
    let here = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    let (authority, strangers) = (Authority::new(here.path()), Authority::new(other.path()));
    let ann = authority.sign("ann", "/O=Example/CN=ann");
    let app = authority.sign("app", "/C=IT/O=Example,Inc/CN=app.example.org");
    let two = authority.sign("two", "/CN=ann/CN=boathouse");
    let stranger = strangers.sign("ann", "/CN=ann");
    let server = Server::start_with(|config, directory| {
        let (certificate, key) = certificate(directory);
        config.wire.tls_certificate = Some(certificate);
        config.wire.tls_key = Some(key);
        config.wire.tls_client_ca = Some(authority.path("ca.crt"));
        config.wire.tls_client_crl = Some(authority.path("ca.crl"));
        let rules = "
            hostssl all ann       all cert
            hostssl all bob       all cert map=apps
            hostssl all cy        all cert clientname=DN map=names
            hostssl all dan       all scram-sha-256 clientcert=verify-full
            hostssl all boathouse all scram-sha-256 clientcert=verify-ca
            host    all boathouse all scram-sha-256
        ";
        std::fs::write(directory.join("hba"), rules).unwrap();
        let maps = "apps /^(.*)\\.example\\.org$ bob\nnames \"CN=app.example.org,O=Example\\,Inc,C=IT\" cy\n";
        std::fs::write(directory.join("ident"), maps).unwrap();
        config.wire.hba_file = Some(directory.join("hba"));
        config.wire.ident_file = Some(directory.join("ident"));
    })
    .await;
    let mut admin = server.connect().await;
    admin
        .simple(
            "CREATE ROLE ann LOGIN; CREATE ROLE bob LOGIN; CREATE ROLE cy LOGIN; CREATE ROLE dan LOGIN PASSWORD 'pw'",
        )
        .await
        .unwrap();
    let ask =
        async |user: &str, certificate: &str| psql(&server, &format!("user={user} password=pw {certificate}")).await;
    let ok = |text: &str| Ok(text.to_owned());
    assert_eq!(ask("ann", &ann).await, ok("ann cert:ann"));
    assert_eq!(ask("bob", &app).await, ok("bob cert:app.example.org"));
    assert_eq!(ask("cy", &app).await, ok("cy cert:CN=app.example.org,O=Example\\,Inc,C=IT"));
    let required = "connection requires a valid client certificate";
    told(ask("ann", "sslcert=none").await, required);
    told(ask("ann", &app).await, "certificate authentication failed for user \"ann\"");
    told(ask("ann", &two).await, "certificate authentication failed for user \"ann\"");
    told(ask("bob", &ann).await, "certificate authentication failed for user \"bob\"");
    told(ask("dan", &ann).await, "certificate authentication failed for user \"dan\"");
    told(ask("ann", &stranger).await, "alert");
    // The authority vouches for him, his password for who he is.
    let own = psql(&server, &format!("user=boathouse password='{PASSWORD}' {ann}")).await;
    assert_eq!(own, ok("boathouse scram-sha-256:boathouse"));
    told(psql(&server, &format!("user=boathouse password='{PASSWORD}' sslcert=none")).await, required);

    authority.revoke(Some("ann"));
    admin.simple("SELECT pg_reload_conf()").await.unwrap();
    for _attempt in 0..50 {
        if ask("ann", &ann).await.is_err() {
            break;
        }
    }
    told(ask("ann", &ann).await, "revoked");
    // A list that is being written is none.
    std::fs::write(authority.path("ca.crl"), "").unwrap();
    admin.simple("SELECT pg_reload_conf()").await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    told(ask("ann", &ann).await, "revoked");
    assert!(ask("bob", &app).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ldap_directory_knows_passwords() {
    let home = tempfile::tempdir().unwrap();
    let (own, key) = certificate(home.path());
    let slapd = Slapd::start(home.path(), &own, &key).await;
    let (port, tls_port, cafile) = (slapd.port, slapd.tls_port, own.display());
    let search = "ldapbinddn=\"cn=service,dc=example,dc=org\" ldapbindpasswd=\"service pw\"";
    let rules = format!(
        "hostssl all ann,nobody,\"a*\",\"ann,ou=people\" all ldap ldapserver=127.0.0.1 ldapport={port} ldaptls=1 cafile={cafile} \
           ldapprefix=\"uid=\" ldapsuffix=\",ou=people,dc=example,dc=org\"\n\
         hostssl all bob all ldap ldapserver=127.0.0.1 ldapport={tls_port} ldapscheme=ldaps cafile={cafile} \
           ldapbasedn=\"dc=example,dc=org\" {search}\n\
         hostssl all \"ann@example.org\",\"twice@example.org\",\"*\" all ldap \
           ldapurl=\"ldaps://127.0.0.1:{tls_port}/dc=example,dc=org?mail?sub\" cafile={cafile} {search}\n\
         hostssl all cy all ldap ldapserver=127.0.0.1 ldapport={tls_port} ldapscheme=ldaps \
           ldapbasedn=\"dc=example,dc=org\" {search}\n\
         host all boathouse all scram-sha-256\n\
         local all ann ldap ldapserver=127.0.0.1 ldapport={port} ldaptls=1 cafile={cafile} \
           ldapprefix=\"uid=\" ldapsuffix=\",ou=people,dc=example,dc=org\"\n\
         hostnossl all all 127.0.0.1/32 ldap ldapserver=127.0.0.1 ldapport={port} ldapprefix=\"uid=\" ldapsuffix=\",x\"\n"
    );
    let server = server(&rules, "").await;
    let mut admin = server.connect().await;
    for name in ["ann", "bob", "cy", "a*", "ann,ou=people", "ann@example.org", "twice@example.org", "*"] {
        admin.simple(&format!("CREATE ROLE \"{name}\" LOGIN PASSWORD 'own'")).await.unwrap();
    }
    let ask = async |user: &str, password: &str| psql(&server, &format!("user='{user}' password='{password}'")).await;
    let ok = |text: &str| Ok(text.to_owned());
    assert_eq!(ask("ann", "ann pw").await, ok("ann ldap:ann"));
    assert_eq!(ask("bob", "bob pw").await, ok("bob ldap:bob"));
    assert_eq!(ask("ann@example.org", "ann pw").await, ok("ann@example.org ldap:ann@example.org"));
    let failed = "LDAP authentication failed for user";
    // Two have this address; a star is no pattern, a comma no part of a path.
    for (user, password) in [
        ("ann", "own"),
        ("ann", "bob pw"),
        ("bob", "ann pw"),
        ("twice@example.org", "bob pw"),
        ("*", "ann pw"),
        ("a*", "ann pw"),
        ("ann,ou=people", "ann pw"),
        ("nobody", "ann pw"),
    ] {
        told(ask(user, password).await, failed);
    }
    // Without a password the directory would say yes, to nobody.
    for (password, expected) in [("", "LDAP authentication failed for user \"ann\""), ("ann pw", "")] {
        let mut raw = Raw::begin(&server, "ann").await;
        assert_eq!(raw.message().await, (b'R', vec![0, 0, 0, 3]));
        raw.say(format!("{password}\0").as_bytes()).await;
        let (kind, body) = raw.message().await;
        let body = String::from_utf8_lossy(&body).into_owned();
        assert!((kind == b'R') == expected.is_empty() && body.contains(expected), "{body}");
    }
    // Its certificate is not of an authority that the system knows.
    told(ask("cy", "cy pw").await, "the LDAP directory cannot be asked now");
    // His password would travel in clear.
    told(psql(&server, "user=ann password='ann pw' sslmode=disable").await, "needs an encrypted connection");
    let shown = admin.value("SELECT options::text FROM pg_hba_file_rules WHERE rule_number = 2").await.unwrap();
    assert!(shown.contains("ldapbindpasswd=********") && !shown.contains("service pw"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_an_issuer_tell_who_somebody_is() {
    let home = tempfile::tempdir().unwrap();
    let (own, key) = certificate(home.path());
    let mut issuer = Issuer::start(&own, &key).await;
    let (url, cafile) = (issuer.url(), own.display());
    let common = format!("oauth issuer={url} cafile={cafile}");
    let (here, elsewhere) = ("https://boathouse.example/", "https://elsewhere.example/");
    let rules = format!(
        "local all loader   {common} audience={here} scope=sql\n\
         local all reads    {common} audience={here} scope=\"sql sql:read\" map=m\n\
         local all mapped   {common} audience={here} scope=sql map=m\n\
         local all only     {common} audience={here} scope=sql client_id=reporter map=m\n\
         local all elliptic {common} audience={here}es256 scope=sql map=m\n\
         local all brief    {common} audience={here}brief scope=sql map=m end_session=1\n\
         local all lasting  {common} audience={here}brief scope=sql map=m\n\
         local all claim    {common} audience={here} scope=sql subject_claim=nickname map=m\n\
         host  all loader   all {common} audience={here} scope=sql\n\
         host  all all      all scram-sha-256\n"
    );
    let server = server(&rules, "m loader all\nm reporter only\n").await;
    let mut admin = server.connect().await;
    for name in ["loader", "reads", "mapped", "only", "elliptic", "brief", "lasting", "claim"] {
        admin.simple(&format!("CREATE ROLE {name} LOGIN")).await.unwrap();
    }
    let token = issuer.token("loader", "sql", here).await;
    let wide = issuer.token("loader", "sql sql:read", here).await;
    let reporter = issuer.token("reporter", "sql", here).await;
    let elliptic = issuer.token("loader", "sql", "https://boathouse.example/es256").await;
    let abroad = issuer.token("loader", "sql", elsewhere).await;
    let unscoped = issuer.token("loader", "sql:read", here).await;
    for (user, token) in
        [("loader", &token), ("reads", &wide), ("mapped", &token), ("only", &reporter), ("elliptic", &elliptic)]
    {
        Raw::with_token(&server, user, token).await.unwrap_or_else(|(_, said)| panic!("{user}: {said}"));
    }

    // One character of the signature, of the claims, and the algorithm that needs no key.
    let parts: Vec<&str> = token.split('.').collect();
    let flipped = |text: &str| {
        let at = text.len() / 2;
        let other = if &text[at..=at] == "A" { "B" } else { "A" };
        format!("{}{other}{}", &text[..at], &text[at + 1..])
    };
    let forged = |header: &str, claims: &str, signature: &str| format!("{header}.{claims}.{signature}");
    let encoded = |text: &str| {
        use base64::Engine;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text)
    };
    let none = encoded(r#"{"alg":"none","typ":"at+jwt"}"#);
    let shared = encoded(r#"{"alg":"HS256","typ":"at+jwt"}"#);
    let unknown = encoded(r#"{"alg":"RS256","typ":"at+jwt","kid":"other"}"#);
    for (user, token, why) in [
        ("loader", forged(parts[0], parts[1], &flipped(parts[2])), "a wrong signature"),
        ("loader", forged(parts[0], &flipped(parts[1]), parts[2]), "other claims"),
        ("loader", forged(&none, parts[1], ""), "no signature"),
        ("loader", forged(&shared, parts[1], parts[2]), "a shared secret"),
        ("loader", forged(&unknown, parts[1], parts[2]), "an unknown key"),
        ("loader", "not-a-token".to_owned(), "no token"),
        ("loader", String::new(), "a client that asks"),
        ("loader", abroad, "for another server"),
        ("loader", unscoped, "without the scope"),
        ("loader", elliptic.clone(), "for another audience"),
        ("loader", reporter.clone(), "of somebody else"),
        ("reads", token.clone(), "without all scopes"),
        ("only", token.clone(), "of another client"),
        ("mapped", reporter.clone(), "of somebody who is not in the map"),
        ("claim", token.clone(), "without the claim"),
    ] {
        let Err((needed, said)) = Raw::with_token(&server, user, &token).await else { panic!("{why}") };
        assert!(said.contains(&format!("OAuth bearer authentication failed for user \"{user}\"")), "{why}: {said}");
        // Who has a good token for somebody else is not told how to get one.
        let is_other = ["of somebody else", "of somebody who is not in the map"].contains(&why);
        assert_eq!(needed.contains(&format!("{url}/.well-known/openid-configuration")), !is_other, "{why}: {needed}");
    }
    // A session may end with its token, which nobody comes in with then; some time is for clocks that differ.
    let brief = issuer.token("loader", "sql", "https://boathouse.example/brief").await;
    let Ok(mut ending) = Raw::with_token(&server, "brief", &brief).await else { panic!("a token that lasts seconds") };
    let Ok(mut lasting) = Raw::with_token(&server, "lasting", &brief).await else {
        panic!("a token that lasts seconds")
    };
    let said = loop {
        if let (b'E', body) = ending.message().await {
            break String::from_utf8_lossy(&body).into_owned();
        }
    };
    assert!(said.contains("FATAL") && said.contains("C28000") && said.contains("the token has expired"), "{said}");
    assert!(Raw::with_token(&server, "brief", &brief).await.is_err());
    assert!(Raw::with_token(&server, "lasting", &brief).await.is_ok());
    lasting.query("SELECT 1").await;
    while lasting.message().await.0 != b'D' {}

    // A token is as good as a password.
    told(psql(&server, "user=loader sslmode=disable").await, "OAuth authentication needs an encrypted connection");

    // New keys are found, those that are gone do not count; keys are kept for a while, whether or not the issuer answers.
    issuer.restart().await;
    let fresh = issuer.token("loader", "sql", here).await;
    let mut is_in = false;
    for _attempt in 0..60 {
        is_in = Raw::with_token(&server, "loader", &fresh).await.is_ok();
        if is_in {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
    }
    assert!(is_in);
    assert!(Raw::with_token(&server, "loader", &token).await.is_err());
    issuer.stop();
    assert!(Raw::with_token(&server, "loader", &fresh).await.is_ok());
}
