//! The target `mesh` of `cenote::fuzzing`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cenote_fuzz::feed("mesh", bytes));
