//! An LDAP directory: `OpenLDAP`'s `slapd`, in a process of its own. `tests/run` installs it.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// It ends with the test.
pub(crate) struct Slapd {
    child: Child,
    /// Of `ldap` with `StartTLS`.
    pub port: u16,
    /// Of `ldaps`.
    pub tls_port: u16,
}

/// Two people, one in a group of two of the same name, and a service that may search.
const ENTRIES: &str = "
dn: dc=example,dc=org
objectClass: dcObject
objectClass: organization
o: example
dc: example

dn: ou=people,dc=example,dc=org
objectClass: organizationalUnit
ou: people

dn: cn=service,dc=example,dc=org
objectClass: applicationProcess
objectClass: simpleSecurityObject
cn: service
userPassword: service pw

dn: uid=ann,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: ann
cn: Ann
sn: A
mail: ann@example.org
userPassword: ann pw

dn: uid=bob,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: bob
cn: Bob
sn: B
mail: twice@example.org
userPassword: bob pw

dn: uid=cy,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: cy
cn: Cy
sn: C
mail: twice@example.org
userPassword: cy pw
";

impl Slapd {
    /// In a directory of the test, with a certificate that is its own authority.
    pub(crate) async fn start(directory: &Path, certificate: &Path, key: &Path) -> Self {
        let home = directory.join("slapd");
        std::fs::create_dir_all(home.join("db")).unwrap();
        let (config, entries) = (home.join("slapd.conf"), home.join("entries.ldif"));
        let text = format!(
            "include /etc/ldap/schema/core.schema\ninclude /etc/ldap/schema/cosine.schema\n\
             include /etc/ldap/schema/inetorgperson.schema\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\n\
             TLSCertificateFile {}\nTLSCertificateKeyFile {}\nTLSCACertificateFile {}\n\
             database mdb\nsuffix dc=example,dc=org\ndirectory {}\n\
             access to attrs=userPassword by anonymous auth by * none\n\
             access to * by dn.exact=cn=service,dc=example,dc=org read by * auth\n",
            certificate.display(),
            key.display(),
            certificate.display(),
            home.join("db").display()
        );
        std::fs::write(&config, text).unwrap();
        std::fs::write(&entries, ENTRIES).unwrap();
        let loaded = Command::new("/usr/sbin/slapadd").arg("-f").arg(&config).arg("-l").arg(&entries).output().unwrap();
        assert!(loaded.status.success(), "{}", String::from_utf8_lossy(&loaded.stderr));
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (port, tls_port) = (free(), free());
        let child = Command::new("/usr/sbin/slapd")
            .arg("-f")
            .arg(&config)
            // In the foreground.
            .args(["-d", "0", "-h", &format!("ldap://127.0.0.1:{port} ldaps://127.0.0.1:{tls_port}")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        super::answers(tls_port).await;
        Self { child, port, tls_port }
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
