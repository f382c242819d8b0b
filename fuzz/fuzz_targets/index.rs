#![no_main]

use exuvia::testkit::hostile::Target;

libfuzzer_sys::fuzz_target!(|input: &[u8]| exuvia_fuzz::run(Target::Index, input));
