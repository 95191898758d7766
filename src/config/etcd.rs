//! `--metadata`: `embedded:`, or an etcd cluster.
//!
//! `etcd://[user[:password]@]host:port[,host:port]…[/prefix]`, or `etcds://…` for TLS, then also with
//! `?ca=FILE&cert=FILE&key=FILE`. What of user and password is not a letter, a digit, `-`, `.`, `_` or `~` is written as
//! `%` and two hex digits. The password is better given in `CENOTE_METADATA_PASSWORD`, which no list of processes shows.

use super::parse::Complaint;
use std::fmt;
use std::path::PathBuf;

/// Where metadata goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetadataConfig {
    /// Below the data directory.
    Embedded,
    /// A cluster's.
    Etcd(EtcdConfig),
}

/// How an etcd cluster is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtcdConfig {
    /// `host:port` of each member, at least one; a v6 address stands in brackets.
    pub members: Vec<String>,
    /// What all keys begin with: `/` in front and at the end, such as `/cenote/`.
    pub prefix: String,
    /// Who we are, if etcd asks for it.
    pub login: Option<Login>,
    /// How it is encrypted, if it is.
    pub tls: Option<EtcdTls>,
}

/// A user of etcd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Their name.
    pub user: String,
    /// Their password.
    pub password: Secret,
}

/// Files of TLS, all PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EtcdTls {
    /// Who signed etcd's certificates; none: those whom the system trusts.
    pub ca: Option<PathBuf>,
    /// Our own certificate and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// A text that is not shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub(super) fn new(text: &str) -> Secret {
        Secret(text.to_owned())
    }

    /// The text itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

/// The variable that has the password.
pub(super) const PASSWORD_VARIABLE: &str = "CENOTE_METADATA_PASSWORD";
const ACCEPTED: &str = "accepted: embedded:, etcd://[user@]host:port[,host:port]…[/prefix], \
                        etcds://…[?ca=FILE&cert=FILE&key=FILE]";
pub(super) const HIDDEN: &str = "***";
const MEMBERS_MAX: usize = 16;
/// With it a transaction is still within etcd's limits.
const PREFIX_BYTES_MAX: usize = 64;
const PREFIX_DEFAULT: &str = "cenote";

/// Reads the setting; `password` is what the environment has.
pub(super) fn metadata(text: &str, password: Option<String>) -> Result<MetadataConfig, Complaint> {
    let not_one = || format!("is not a metadata store; {ACCEPTED}");
    if text == "embedded:" {
        return Ok(MetadataConfig::Embedded);
    }
    let (scheme, rest) = text.split_once("://").ok_or_else(not_one)?;
    let encrypted = match scheme {
        "etcd" => false,
        "etcds" => true,
        _ => return Err(not_one()),
    };
    let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, PREFIX_DEFAULT));
    let (user, members) = match authority.rsplit_once('@') {
        Some((user, members)) => (Some(user), members),
        None => (None, authority),
    };
    // What looks like members or a path may be part of a password, and is not shown.
    let is_split = path.contains('@')
        || query.is_some_and(|query| query.contains('@')) && !members.split(',').all(is_member);
    if is_split {
        return Err(format!("has an @ behind a / or a ?; in a password these are %2F and %3F; {ACCEPTED}"));
    }
    let tls = match (encrypted, query) {
        (true, query) => Some(tls(query.unwrap_or_default())?),
        (false, None) => None,
        (false, Some(_)) => return Err(format!("has files for TLS and is not etcds://; {ACCEPTED}")),
    };
    Ok(MetadataConfig::Etcd(EtcdConfig {
        members: members_of(members)?,
        prefix: prefix(path)?,
        login: user.map(|user| login(user, password)).transpose()?,
        tls,
    }))
}

fn members_of(text: &str) -> Result<Vec<String>, Complaint> {
    let members: Vec<String> = text.split(',').map(str::to_owned).collect();
    if members.len() > MEMBERS_MAX {
        return Err(format!("has {} members; accepted: up to {MEMBERS_MAX}", members.len()));
    }
    match members.iter().find(|member| !is_member(member)) {
        Some(member) => Err(format!("has the member {member:?}, which is not host:port; {ACCEPTED}")),
        None => Ok(members),
    }
}

fn is_member(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let host = match host.strip_prefix('[') {
        Some(v6) => v6.strip_suffix(']').is_some_and(|v6| v6.parse::<std::net::Ipv6Addr>().is_ok()),
        None => {
            let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
            !host.is_empty() && host.bytes().all(legal)
        }
    };
    host && port.parse::<u16>().is_ok_and(|port| port != 0)
}

fn prefix(path: &str) -> Result<String, Complaint> {
    let path = path.trim_matches('/');
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'/');
    let path = if path.is_empty() { PREFIX_DEFAULT } else { path };
    if path.bytes().all(legal) && !path.contains("//") && path.len() + 2 <= PREFIX_BYTES_MAX {
        return Ok(format!("/{path}/"));
    }
    Err(format!(
        "has the prefix {path:?}; accepted: letters, digits, '.', '_', '-' and '/', up to {} in all",
        PREFIX_BYTES_MAX - 2
    ))
}

fn login(text: &str, from_environment: Option<String>) -> Result<Login, Complaint> {
    let (user, password) = text.split_once(':').map_or((text, None), |(user, word)| (user, Some(word)));
    let decoded =
        |text: &str| decoded(text).ok_or("has a user or password with a '%' that is no %XX".to_owned());
    let user = decoded(user)?;
    if user.is_empty() {
        return Err(format!("has an empty user; {ACCEPTED}"));
    }
    let password = match (password, from_environment) {
        (Some(_), Some(_)) => {
            return Err(format!("has a password, and so has {PASSWORD_VARIABLE}; accepted: one of them"));
        }
        (Some(password), None) => decoded(password)?,
        (None, Some(password)) => password,
        (None, None) => {
            return Err(format!(
                "has a user and no password; accepted: user:password@, or {PASSWORD_VARIABLE}"
            ));
        }
    };
    Ok(Login { user, password: Secret(password) })
}

fn tls(query: &str) -> Result<EtcdTls, Complaint> {
    let (mut ca, mut certificate, mut key) = (None, None, None);
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let (name, path) = part.split_once('=').unwrap_or((part, ""));
        let place = match name {
            "ca" => &mut ca,
            "cert" => &mut certificate,
            "key" => &mut key,
            _ => return Err(format!("has the parameter {name:?}; {ACCEPTED}")),
        };
        let path = decoded(path).ok_or_else(|| format!("has a '%' in {name} that is no %XX"))?;
        if place
            .replace(super::parse::path(&path).map_err(|why| format!("has a {name} that {why}"))?)
            .is_some()
        {
            return Err(format!("has {name} twice"));
        }
    }
    let identity = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => return Err("has one of cert and key; accepted: both, or neither".to_owned()),
    };
    Ok(EtcdTls { ca, identity })
}

/// `%XX` to bytes; none if what follows a `%` is no such thing, or the bytes are no UTF-8.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        bytes.push(u8::try_from(high << 4 | low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

/// The setting as it may be shown: without its password.
pub(super) fn shown(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    // Whoever mistypes a URL may have a '/' in the password: what is before the last '@' is not shown.
    let Some((login, rest)) = rest.rsplit_once('@') else { return text.to_owned() };
    match login.split_once(':') {
        Some((user, _)) => format!("{scheme}://{user}:{HIDDEN}@{rest}"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn etcd(text: &str) -> EtcdConfig {
        match metadata(text, None) {
            Ok(MetadataConfig::Etcd(config)) => config,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn members_prefix_and_files_are_read_from_the_url() {
        let plain = etcd("etcd://h1:2379,[::1]:2380");
        assert_eq!(plain.members, ["h1:2379", "[::1]:2380"]);
        assert_eq!((plain.prefix.as_str(), &plain.login, &plain.tls), ("/cenote/", &None, &None));
        assert_eq!(etcd("etcd://h:1/a/b/").prefix, "/a/b/");
        assert_eq!(etcd("etcd://h:1/").prefix, "/cenote/");
        let tls = etcd("etcds://h:1/x?ca=/ca.pem&cert=/c%20c.pem&key=/k.pem").tls.expect("etcds");
        assert_eq!(tls.ca, Some("/ca.pem".into()));
        assert_eq!(tls.identity, Some(("/c c.pem".into(), "/k.pem".into())));
        assert_eq!(etcd("etcds://h:1").tls, Some(EtcdTls::default()));
    }

    #[test]
    fn a_password_comes_from_the_url_or_the_environment_and_is_never_shown() {
        let login = etcd("etcd://us%40er:p%3Aw%2f@h:1").login.expect("a user");
        assert_eq!((login.user.as_str(), login.password.reveal()), ("us@er", "p:w/"));
        assert!(!format!("{login:?}").contains("p:w"));
        let from_environment = metadata("etcd://user@h:1", Some("secret".to_owned()));
        let Ok(MetadataConfig::Etcd(config)) = from_environment else { panic!("{from_environment:?}") };
        assert_eq!(config.login.expect("a user").password.reveal(), "secret");
        assert_eq!(shown("etcd://user:pa@ss@h:1/x"), "etcd://user:***@h:1/x");
        assert_eq!(shown("etcd://user@h:1"), "etcd://user@h:1");
        assert_eq!(shown("embedded:"), "embedded:");
    }

    #[test]
    fn what_is_no_metadata_store_is_refused_in_one_line() {
        for (text, expected) in [
            ("etcd:", "is not a metadata store"),
            ("consul://h:1", "is not a metadata store"),
            ("etcd://h", "which is not host:port"),
            ("etcd://h:0", "which is not host:port"),
            ("etcd://h:1,", "which is not host:port"),
            ("etcd://h:1,::1:2", "which is not host:port"),
            ("etcd://h:1/a b", "has the prefix"),
            ("etcd://h:1?ca=/x", "is not etcds://"),
            ("etcds://h:1?what=/x", "has the parameter"),
            ("etcds://h:1?cert=/x", "has one of cert and key"),
            ("etcds://h:1?ca=", "has a ca that is empty"),
            ("etcds://h:1?ca=/a&ca=/b", "has ca twice"),
            ("etcd://user@h:1", "has a user and no password"),
            ("etcd://:word@h:1", "has an empty user"),
            ("etcd://user:%zz@h:1", "that is no %XX"),
            ("etcd://user:se/cret@h:1", "has an @ behind"),
            ("etcd://user:se@cret/1@h:1/x", "has an @ behind"),
            ("etcd://user:se?cret@h:1", "has an @ behind"),
        ] {
            let complaint = metadata(text, None).expect_err(text);
            assert!(complaint.contains(expected) && !complaint.contains('\n'), "{text}: {complaint}");
            assert!(!complaint.contains("cret"), "{text}: {complaint}");
        }
        let both = metadata("etcd://user:word@h:1", Some("other".to_owned())).expect_err("two passwords");
        assert!(both.contains("one of them"), "{both}");
    }
}
