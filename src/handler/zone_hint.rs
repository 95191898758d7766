//! The zone that a client names in its client id, as the field's brokers without disks have it.
//!
//! ```text
//! orders-7,zone=eu-1a        pairs behind a comma or a semicolon
//! orders-7, diskless_az=eu-1a     behind a comma or a space
//! automq_az=eu-1a&orders-7        between ampersands, the value percent-encoded
//! ```
//! All of them are taken in any of these forms, as are the names `warpstream_az`, `ws_az` and `inkless_az`. Names are in lower
//! case, of several the first counts.

/// The names.
const KEYS: [&str; 6] = ["zone", "diskless_az", "automq_az", "warpstream_az", "ws_az", "inkless_az"];
const SEPARATORS: [char; 4] = [',', ';', '&', ' '];

/// The zone in a client id; whether there is one of that name is another question.
pub(super) fn zone_hint(client_id: &str) -> Option<String> {
    let pairs = client_id.split(SEPARATORS).filter_map(|part| part.split_once('='));
    let mut zones = pairs.filter(|(key, zone)| KEYS.contains(key) && !zone.is_empty());
    let (_, zone) = zones.next()?;
    percent_decoded(zone)
}

/// None for what is no text in that encoding.
fn percent_decoded(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::zone_hint;

    #[test]
    fn the_hints_of_the_field_are_read() {
        for (client_id, zone) in [
            ("orders,zone=eu-1a", Some("eu-1a")),
            ("orders;zone=eu-1a;broker_count=1", Some("eu-1a")),
            ("label.a=b,zone=Z", Some("Z")),
            ("zone=eu-1a", Some("eu-1a")),
            ("aaa=bbb, diskless_az=az1", Some("az1")),
            ("diskless_az=az1,aaa=bbb", Some("az1")),
            ("inkless_az=az1", Some("az1")),
            ("automq_type=producer&automq_az=us-east-1a&producer-1", Some("us-east-1a")),
            ("automq_az=a%2Cb&x", Some("a,b")),
            ("a=b,ws_az=us-east-1a,rest", Some("us-east-1a")),
            ("warpstream_az=us-east-1a", Some("us-east-1a")),
            ("zone=a,diskless_az=b", Some("a")),
            ("zone=,diskless_az=b", Some("b")),
            ("zone=a=b", Some("a=b")),
            ("orders", None),
            ("", None),
            ("zone=", None),
            ("timezone=utc", None),
            ("Zone=a", None),
            ("automq_az=%ff", None),
            ("automq_az=a%2", None),
            ("automq_az=a%é1", None),
        ] {
            assert_eq!(zone_hint(client_id).as_deref(), zone, "{client_id}");
        }
    }
}
