//! What other brokers are told of where this one is reached.

use crate::config::MeshSettings;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::net::{UdpSocket, lookup_host};

/// The address to tell, as `host:port`, of a mesh that is bound at `bound`. Where that is every address of this machine and the
/// settings say nothing, it is the one that packets to `towards` leave by: the members of the metadata store, which all
/// brokers reach. Sends nothing.
pub async fn advertised(
    settings: &MeshSettings,
    bound: SocketAddr,
    towards: &[String],
) -> io::Result<String> {
    if let Some((host, port)) = &settings.advertised {
        return Ok(if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") });
    }
    if !bound.ip().is_unspecified() {
        return Ok(bound.to_string());
    }
    let mut failed = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for member in towards {
        match own_address(member).await {
            Ok(ip) => return Ok(SocketAddr::new(ip, bound.port()).to_string()),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// The address that packets to `towards` leave by.
async fn own_address(towards: &str) -> io::Result<IpAddr> {
    let mut failed = io::Error::from(io::ErrorKind::NotFound);
    for remote in lookup_host(towards).await? {
        let any = match remote {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let found = async {
            let socket = UdpSocket::bind((any, 0)).await?;
            socket.connect(remote).await?;
            Ok(socket.local_addr()?.ip())
        };
        match found.await {
            Ok(ip) => return Ok(ip),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

#[cfg(test)]
mod tests {
    use super::advertised;
    use crate::config::MeshSettings;
    use std::net::SocketAddr;

    async fn told(given: Option<(&str, u16)>, bound: &str, towards: &[&str]) -> Option<String> {
        let bound: SocketAddr = bound.parse().expect("an address");
        let given = given.map(|(host, port)| (host.to_owned(), port));
        let settings = MeshSettings { listen: bound, advertised: given, trust: None };
        let towards: Vec<String> = towards.iter().map(|member| (*member).to_owned()).collect();
        advertised(&settings, bound, &towards).await.ok()
    }

    #[tokio::test]
    async fn what_is_given_goes_before_what_is_bound_and_that_before_the_way_to_the_metadata_store() {
        let members = ["not an address", "127.0.0.1:2379"];
        assert_eq!(
            told(Some(("b.example", 7)), "0.0.0.0:9192", &members).await.as_deref(),
            Some("b.example:7")
        );
        assert_eq!(told(Some(("::1", 7)), "0.0.0.0:9192", &members).await.as_deref(), Some("[::1]:7"));
        assert_eq!(told(None, "127.0.0.2:9192", &members).await.as_deref(), Some("127.0.0.2:9192"));
        assert_eq!(told(None, "0.0.0.0:9192", &members).await.as_deref(), Some("127.0.0.1:9192"));
        assert_eq!(told(None, "0.0.0.0:9192", &[]).await, None);
    }
}
