//! The contract of all metadata stores.

use super::{Etcd, open, try_open};
use crate::meta::MetadataError;
use crate::meta::contract;
use std::sync::Arc;

async fn check(members: usize) {
    let Some(etcd) = Etcd::start("the contract of metadata stores on etcd", members) else { return };
    contract::check(Arc::new(open(&etcd.members()).await)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_member_keeps_the_contract() {
    check(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_members_keep_the_contract() {
    check(3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_prefixes_of_one_etcd_do_not_see_each_other() {
    let Some(etcd) = Etcd::start("prefixes on etcd", 1) else { return };
    let one = open(&etcd.members()).await;
    let config = crate::config::EtcdConfig { prefix: "/other/".to_owned(), ..super::config(&etcd.members()) };
    let other = try_open(&config).await.expect("etcd answers");
    let write = contract::writing(vec![], vec![contract::put("a", "1")]);
    contract::applied(&one, write).await.expect("applied");
    assert_eq!(contract::value(&one, "a").await.as_deref(), Some("1"));
    assert_eq!(contract::value(&other, "a").await, None);
    assert!(contract::listed(&other, "").await.entries.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_etcd_the_start_ends_with_the_reason() {
    let port = super::ports::free_port();
    let error = try_open(&super::config(&format!("127.0.0.1:{port}"))).await.expect_err("nobody is there");
    assert!(matches!(&error, MetadataError::Unknown(why) if why.contains("refused")), "{error}");
}
