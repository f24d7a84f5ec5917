#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    musehub_test_decoders::branch_name(data);
});
