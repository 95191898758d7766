//! A store that is reached by a slow link: what is large takes its time, and gets there.

use crate::cli_archive::{at_the_door, json};
use crate::s3::{broker_on, short_topic};
use crate::support::Batch;
use crate::support::Record;
use crate::support::archive::sound;
use crate::support::chance::mixed;
use crate::support::s3_server::S3Server;
use crate::support::slow_link::SlowLink;

const RECORDS: u64 = 24;
const RECORD_BYTES: u64 = 1 << 20;
/// The segment takes twelve seconds.
const UPLOAD_BYTES_PER_SECOND: usize = 2 << 20;

#[test]
fn a_segment_that_takes_long_to_upload_is_archived() {
    let server = S3Server::start();
    let link = SlowLink::to(server.address());
    let endpoint = format!("http://{}", link.address());
    let mut broker = broker_on(&server).variable("AWS_ENDPOINT", &endpoint).start();
    let mut client = broker.connect();
    let settings = [("retention.ms", "-1"), ("max.message.bytes", "2000000")];
    let topic = short_topic(&broker, &settings);
    for number in 0..RECORDS {
        let words = (0..RECORD_BYTES / 8).map(|place| mixed(number * RECORD_BYTES + place));
        let value: Vec<u8> = words.flat_map(u64::to_be_bytes).collect();
        client.produce(&topic, &Batch::of([Record::of(value)]));
    }
    link.limit_uploads(UPLOAD_BYTES_PER_SECOND);
    let flushed = json(at_the_door(&broker, &["archive", "flush", &topic.name, "--output", "json"]));
    assert_eq!((&flushed[0]["segments"], &flushed[0]["lag_records"]), (&1.into(), &0.into()));
    broker.kill();
    sound(&broker, &[]);
}
