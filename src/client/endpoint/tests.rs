use super::{Endpoint, Scheme};

#[test]
fn an_address_is_read_with_its_scheme() {
    for (text, scheme, host, port) in [
        ("localhost:9092", Scheme::Tcp, "localhost", 9092),
        ("tcp://10.0.0.1:1", Scheme::Tcp, "10.0.0.1", 1),
        ("tls://broker.example:443", Scheme::Tls, "broker.example", 443),
        ("quic://[::1]:9093", Scheme::Quic, "::1", 9093),
    ] {
        let endpoint: Endpoint = text.parse().expect(text);
        assert_eq!((endpoint.scheme, endpoint.host.as_str(), endpoint.port), (scheme, host, port));
        assert_eq!(endpoint.to_string().parse(), Ok(endpoint));
    }
}

#[test]
fn a_bad_address_is_named_with_what_is_accepted() {
    for text in ["", "localhost", "host:", ":9092", "host:0", "host:70000", "http://h:1", "::1:9092", "a b:1"]
    {
        let error = text.parse::<Endpoint>().expect_err(text).to_string();
        assert!(error.contains("quic://host:port") && !error.contains('\n'), "{error}");
    }
}
