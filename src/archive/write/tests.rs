use super::*;

#[test]
fn small_spans_go_to_a_thread_together() {
    let mut gathered = Gathered::default();
    let small = || vec![Bytes::from(vec![0; 1_000]), Bytes::from(vec![0; 24])];
    let sizes: Vec<usize> =
        (0..3 * 1_024).filter_map(|_| gathered.add(small())).map(|batches| batches.len()).collect();
    assert_eq!(sizes, [2 * 1_024; 3]);
    let large = gathered.add(vec![Bytes::from(vec![0; 2 * WORTH_A_THREAD])]).expect("worth it alone");
    assert_eq!((large.len(), gathered.batches.len(), gathered.bytes), (1, 0, 0));
}
