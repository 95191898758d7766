use super::*;

#[test]
fn names_carry_the_process_and_the_unit_and_an_api_has_its_own_numbers() {
    let mut metrics = Metrics::new();
    metrics.watch_memory(MemoryBudget::new(2048));
    metrics.api(0).requests.inc();
    metrics.api(0).request_bytes.inc_by(100);
    metrics.api(12_345).requests.inc();
    metrics.journal.put_seconds.observe(0.003);
    let text = metrics.encode().unwrap();
    for line in [
        "cenote_requests_total{api=\"Produce\"} 1",
        "cenote_requests_total{api=\"Other\"} 1",
        "cenote_request_bytes_total{api=\"Produce\"} 100",
        "cenote_request_memory_free_bytes 2048",
        "cenote_journal_put_seconds_count 1",
        "cenote_panics_total 0",
    ] {
        assert!(text.lines().any(|have| have == line), "{line} is not in\n{text}");
    }
}
