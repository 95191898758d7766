//! How much of a fetch of many partitions is read before it is answered.

use super::super::fetch_here::{Share, read_each};
use super::world::World;
use crate::log::{FirstBatch, PartitionRead, ReadLimit, ReadPlan};
use std::cell::Cell;
use std::future::pending;
use std::time::Duration;
use tokio::time::{Instant, timeout};

#[tokio::test(start_paused = true)]
async fn a_fetch_of_many_partitions_is_answered_before_its_client_gives_up() {
    let world = World::new().await;
    let share = |_| {
        let limit = ReadLimit { bytes_max: 100, first_batch: FirstBatch::WithinLimit };
        Ok::<_, ()>(Share { plan: ReadPlan { bytes: 1, ..ReadPlan::default() }, limit })
    };
    for (each_takes, all_take, expected) in [(900, 5_400, 48), (7_000, 7_000, 8), (1, 13, 100)] {
        let (began, read) = (Instant::now(), Cell::new(0));
        let one = |_place, share: Share| {
            let read = &read;
            async move {
                if share.plan.bytes > 0 {
                    read.set(read.get() + 1);
                    let _taken = timeout(Duration::from_millis(each_takes), pending::<()>()).await;
                }
                Ok(PartitionRead::default())
            }
        };
        let answers = read_each(&world.context.reader, (0..100).map(share).collect(), one).await;
        assert_eq!(answers.len(), 100);
        let took = u64::try_from(began.elapsed().as_millis()).expect("short");
        assert_eq!((read.get(), took), (expected, all_take), "{each_takes} ms each");
    }
}
