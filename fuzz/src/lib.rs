//! What all targets share: the bounds of time and memory, enforced on every input.

use cap::Cap;
use exuvia::testkit::hostile::Target;
use std::alloc::System;
use std::sync::Once;
use std::time::Duration;

/// Refuses to give more memory than an input may take; the process then aborts, which is a finding.
#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// Runs a target on an input, within its bounds.
///
/// # Panics
/// It took too much processor time. (A walk without an end is found by libFuzzer's `-timeout`.)
pub fn run(target: Target, input: &[u8]) {
    static WARM: Once = Once::new();
    // What the first run of all makes and keeps (threads, tables that come with the crate) is nobody's input.
    WARM.call_once(|| target.run(input));
    let bound = target.bound();
    let most = target.measure(input).saturating_mul(bound.for_each_byte).saturating_add(bound.besides);
    let before = ALLOCATOR.allocated();
    let start = processor_time();
    // The limit may only be set where it is not exceeded already.
    ALLOCATOR.set_limit(before.saturating_add(most)).expect("nothing else allocates");
    target.run(input);
    ALLOCATOR.set_limit(usize::MAX).expect("there is no larger limit");
    let took = processor_time().saturating_sub(start);
    assert!(took <= bound.time, "{}: {took:?}, more than {:?}", target.name(), bound.time);
}

/// What this process has taken of all processors (proc(5), `/proc/self/stat`, in hundredths of a second): unlike the
/// clock it is the same however busy the machine is.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program, in parentheses, may contain anything; user and system time are the 14th and 15th words.
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let times = after_name.split_whitespace().skip(11).take(2);
    Duration::from_millis(10 * times.filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>())
}
