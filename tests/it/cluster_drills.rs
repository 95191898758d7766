//! What may happen to a cluster under load, and does: processes are killed and stopped, lines cut, stores misbehave. After
//! each fault service is back, and nobody ever saw what must not be (`support/history.rs`).

use crate::support::cluster::Plan;
use crate::support::drill::{Drill, Fault, drill};
use crate::support::link::Rule;

const THREE: usize = 3;

/// Archives all the time, so that faults meet segments, manifests and merges too.
const ARCHIVING: [&str; 4] = ["--archive-bytes", "4KiB", "--archive-age", "500ms"];

fn three() -> Plan {
    Plan::of(THREE)
}

fn kill(drill: &mut Drill) {
    let broker = drill.any_broker();
    drill.cluster.kill(broker);
    drill.await_service();
}

#[test]
fn a_broker_is_killed() {
    drill("kill -9", &three(), kill);
}

#[test]
fn a_broker_is_killed_while_records_are_archived() {
    drill("kill -9, archiving, S3", &three().on_s3().arguments(&ARCHIVING), kill);
}

/// Readers get from a broker what others lead in other zones: where it lies is told, and moves.
#[test]
fn a_broker_is_killed_while_each_zone_reads_by_itself() {
    drill("kill -9, archiving, three zones", &Plan::in_zones(&["a", "b", "c"]).arguments(&ARCHIVING), kill);
}

fn stop_and_wake(drill: &mut Drill) {
    let broker = drill.any_broker();
    drill.cluster.pause(broker);
    drill.await_service();
    let time = drill.any_time(0..3000);
    drill.hold(time);
    drill.cluster.resume(broker);
    let time = drill.any_time(100..1000);
    drill.hold(time);
}

#[test]
fn a_broker_is_stopped_and_wakes_when_others_lead() {
    drill("SIGSTOP, SIGCONT", &three(), stop_and_wake);
}

#[test]
fn a_broker_is_stopped_and_wakes_in_a_zone_of_its_own() {
    drill("SIGSTOP, SIGCONT, three zones", &Plan::in_zones(&["a", "b", "c"]), stop_and_wake);
}

/// Its objects are stored, their commits come when others have taken over and it was asleep.
fn commit_late(drill: &mut Drill) {
    let broker = drill.any_broker();
    drill.cluster.set_etcd(broker, Rule::HOLD_REQUESTS);
    let time = drill.any_time(50..500);
    drill.hold(time);
    drill.cluster.pause(broker);
    drill.await_service();
    drill.cluster.set_etcd(broker, Rule::PASS);
    let time = drill.any_time(0..500);
    drill.hold(time);
    drill.cluster.resume(broker);
    let time = drill.any_time(100..1000);
    drill.hold(time);
}

#[test]
fn commits_arrive_late() {
    drill("SIGSTOP between PUT and commit", &three(), commit_late);
}

/// In one way or another.
fn part_from_etcd(drill: &mut Drill) {
    let rules = [Rule::HOLD, Rule::HOLD_REQUESTS, Rule::SWALLOW_ANSWERS, Rule::Cut];
    let rule = rules[drill.chance.below(rules.len())];
    let broker = drill.any_broker();
    drill.cluster.set_etcd(broker, rule);
    let time = drill.any_time(500..8000);
    drill.hold(time);
}

#[test]
fn a_broker_is_cut_off_from_etcd() {
    drill("broker-etcd", &three(), part_from_etcd);
}

fn part_from_store(drill: &mut Drill) {
    let rules = [Rule::HOLD, Rule::HOLD_REQUESTS, Rule::SWALLOW_ANSWERS, Rule::Cut];
    let rule = rules[drill.chance.below(rules.len())];
    let broker = drill.any_broker();
    drill.cluster.set_store(broker, rule);
    let time = drill.any_time(500..6000);
    drill.hold(time);
}

#[test]
fn a_broker_is_cut_off_from_the_store() {
    drill("broker-S3", &three().on_s3(), part_from_store);
}

/// Two do not hear each other, or one does not hear another, or nobody hears one.
fn part_mesh(drill: &mut Drill) {
    let one = drill.any_broker();
    let other = (one + 1 + drill.chance.below(THREE - 1)) % THREE;
    match drill.chance.below(3) {
        0 => drill.cluster.isolate(one),
        1 => drill.cluster.cut_mesh(one, other),
        _ => {
            drill.cluster.cut_mesh(one, other);
            drill.cluster.cut_mesh(other, one);
        }
    }
    let time = drill.any_time(500..5000);
    drill.hold(time);
}

#[test]
fn brokers_do_not_hear_each_other() {
    drill("broker-broker", &three(), part_mesh);
}

fn kill_etcd_leader(drill: &mut Drill) {
    let leader = drill.cluster.etcd.leader();
    drill.cluster.etcd.kill(leader);
    drill.await_service();
    drill.cluster.etcd.restart(leader);
}

#[test]
fn the_leader_of_etcd_is_killed() {
    drill("etcd leader kill -9", &three().etcd(3), kill_etcd_leader);
}

fn pause_etcd(drill: &mut Drill) {
    drill.cluster.etcd.pause();
    let time = drill.any_time(500..6000);
    drill.hold(time);
    drill.cluster.etcd.resume();
}

#[test]
fn all_of_etcd_pauses() {
    drill("etcd SIGSTOP", &three(), pause_etcd);
}

fn misbehaving_store(drill: &mut Drill) {
    let refused = [0, 20, 60, 100][drill.chance.below(4)];
    drill.cluster.s3().refuse(refused);
    if drill.chance.below(2) == 0 {
        let slow = drill.any_time(10..400);
        drill.cluster.s3().be_slow(slow);
    }
    let time = drill.any_time(500..5000);
    drill.hold(time);
}

#[test]
fn the_store_misbehaves() {
    drill("S3 500, 503, slow", &three().on_s3(), misbehaving_store);
}

/// They are asked to leave, and come back.
fn restart(drill: &mut Drill) {
    let broker = drill.any_broker();
    drill.cluster.stop(broker);
    drill.await_service();
    drill.cluster.start_again(broker);
}

#[test]
fn brokers_are_restarted() {
    drill("SIGTERM and start", &three(), restart);
}

/// A fourth broker comes; then it goes and comes.
fn join(drill: &mut Drill) {
    if drill.cluster.len() == THREE {
        drill.cluster.join();
    } else {
        drill.cluster.stop(THREE);
    }
    let time = drill.any_time(200..1000);
    drill.hold(time);
}

#[test]
fn a_fourth_broker_joins_and_leaves() {
    drill("join and leave", &three(), join);
}

/// By hours and by weeks; sometimes a broker starts with a wrong clock, and meets the others.
fn jump(drill: &mut Drill) {
    let hours = [-30 * 24, -26, -1, 1, 26, 30 * 24][drill.chance.below(6)];
    let broker = drill.any_broker();
    drill.cluster.move_clock(broker, hours * 3600);
    let time = drill.any_time(100..1500);
    drill.hold(time);
    if drill.chance.below(3) == 0 {
        drill.cluster.kill(broker);
        drill.hold(time);
    }
}

#[test]
fn clocks_jump() {
    drill("clock jumps", &three().clocks_that_move().arguments(&["--archive-age", "1s"]), jump);
}

fn lose_cache(drill: &mut Drill) {
    let broker = drill.any_broker();
    drill.cluster.lose_cache(broker);
    let time = drill.any_time(100..1500);
    drill.hold(time);
}

#[test]
fn the_cache_on_disk_is_lost() {
    let arguments = ["--cache-memory", "1MiB", "--cache-disk", "64MiB"];
    drill("cache directory deleted", &three().arguments(&arguments), lose_cache);
}

/// Any of these, and sometimes two at once.
fn anything(drill: &mut Drill) {
    let faults: [Fault; 9] = [
        kill,
        stop_and_wake,
        commit_late,
        part_from_etcd,
        part_from_store,
        part_mesh,
        kill_etcd_leader,
        misbehaving_store,
        restart,
    ];
    let lasting: [Fault; 4] = [part_from_etcd, part_from_store, part_mesh, misbehaving_store];
    if drill.chance.below(3) == 0 {
        lasting[drill.chance.below(lasting.len())](drill);
        let broker = drill.any_broker();
        drill.cluster.kill(broker);
        let time = drill.any_time(100..2000);
        drill.hold(time);
    } else {
        faults[drill.chance.below(faults.len())](drill);
    }
}

#[test]
fn anything_happens() {
    drill("anything", &three().on_s3().etcd(3).arguments(&ARCHIVING), anything);
}
