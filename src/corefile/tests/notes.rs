//! Notes: process, threads, signal, auxiliary vector, files; damage to them.

use super::super::{FileMapping, Machine, SignalNote};
use super::Scene;
use crate::testkit::core_builder::{CoreBuilder, READ};

fn described() -> CoreBuilder {
    CoreBuilder::new()
        .thread(4711, 11, &[(4, 0xb0), (5, 0xbb), (16, 0x1122), (19, 0x5050), (21, 0xf5), (26, 0x2b)])
        .process(4711, 4242, b'R', "python3", "python3 -m app ")
        .signal(11, 1, &0xdead_0000_u64.to_le_bytes())
        .auxv(&[(3, 0x40040), (9, 0x41000)])
        .thread(4712, 0, &[(16, 0x3344)])
        .file(0x40000, 0x41000, 0, "/no/such/python3")
        .file(0x41000, 0x43000, 0x1000, "/no/such/python3")
        .segment(0x40000, READ, b"memory")
}

#[test]
fn all_notes_are_read() {
    for core in [described(), described().like_gcore()] {
        let inputs = Scene::new().open(&core.build());
        let notes = inputs.notes();
        assert!(notes.complete);
        let process = notes.process.as_ref().unwrap();
        assert_eq!((process.pid, process.ppid, process.state), (4711, 4242, 'R'));
        assert_eq!((process.name.as_str(), process.command_line.as_str()), ("python3", "python3 -m app"));
        let threads: Vec<_> =
            notes.threads.iter().map(|t| (t.tid, t.signal, t.registers.instruction_pointer())).collect();
        assert_eq!(threads, [(4711, 11, 0x1122), (4712, 0, 0x3344)]);
        let registers = &notes.threads[0].registers;
        assert_eq!((registers.stack_pointer(), registers.thread_pointer()), (0x5050, Some(0xf5)));
        assert!(registers.is_pthread(0xf5) && !registers.is_pthread(0xf4) && !registers.is_pthread(0));
        assert_eq!(
            (registers.get("rbx"), registers.get("gs"), registers.get("x0")),
            (Some(0xbb), Some(0x2b), None)
        );
        assert_eq!(registers.all().len(), 27);
        assert_eq!(notes.auxv, [(3, 0x40040), (9, 0x41000)]);
        assert_eq!(notes.auxv_value(9), Some(0x41000));
        let mapping = |start, end, file_offset| FileMapping {
            start,
            end,
            file_offset,
            path: "/no/such/python3".into(),
        };
        assert_eq!(notes.files, [mapping(0x40000, 0x41000, 0), mapping(0x41000, 0x43000, 0x1000)]);
    }
}

#[test]
fn a_fault_has_an_address_and_a_sent_signal_a_sender() {
    let signal = |number, code, payload: &[u8]| {
        let core = CoreBuilder::new().signal(number, code, payload).segment(0x1000, READ, b"x");
        Scene::new().open(&core.build()).notes().signal
    };
    let fault = signal(11, 1, &0xdead_0000_u64.to_le_bytes());
    let expected = SignalNote { number: 11, code: 1, fault_address: Some(0xdead_0000), sender_pid: None };
    assert_eq!(fault, Some(expected));
    let sent = signal(6, -6, &99i32.to_le_bytes());
    assert_eq!(sent, Some(SignalNote { number: 6, code: -6, fault_address: None, sender_pid: Some(99) }));
    // A SIGSEGV somebody sent has no fault address.
    let killed = signal(11, 0, &99i32.to_le_bytes());
    assert_eq!(killed, Some(SignalNote { number: 11, code: 0, fault_address: None, sender_pid: Some(99) }));
    assert_eq!(signal(0, 0, &[]), None);
}

#[test]
fn the_first_signal_note_counts() {
    let core = CoreBuilder::new().signal(6, -6, &[]).signal(19, 0, &[]).segment(0x1000, READ, b"x");
    assert_eq!(Scene::new().open(&core.build()).notes().signal.unwrap().number, 6);
}

#[test]
fn a_malformed_note_is_dropped_and_said() {
    let core = described().note("CORE", 1, &[0; 200]).segment(0x90000, READ, b"x");
    let inputs = Scene::new().open(&core.build());
    assert!(!inputs.notes().complete);
    assert_eq!(inputs.notes().threads.len(), 2);
    // 2^61 files in a note of 24 bytes.
    let mut files = Vec::new();
    files.extend((1u64 << 61).to_le_bytes());
    files.extend(4096u64.to_le_bytes());
    files.extend([0; 8]);
    let core =
        CoreBuilder::new().note("CORE", 0x4649_4c45, &files).thread(5, 0, &[]).segment(0x1000, READ, b"x");
    let inputs = Scene::new().open(&core.build());
    assert!(!inputs.notes().complete && inputs.notes().files.is_empty());
    assert_eq!(inputs.notes().threads[0].tid, 5);
}

#[test]
fn notes_cut_off_with_the_file_are_said() {
    let whole = described().like_gcore().build();
    let inputs = Scene::new().open(&whole[..whole.len() - 300]);
    assert!(!inputs.notes().complete);
    assert_eq!(inputs.notes().threads[0].tid, 4711);
    assert!(inputs.notes().files.is_empty());
    assert!(inputs.core().truncation().is_some());
}

#[test]
fn notes_of_other_owners_are_not_ours() {
    let core = CoreBuilder::new().note("LINUX", 1, &[1; 336]).segment(0x1000, READ, b"x");
    let inputs = Scene::new().open(&core.build());
    assert!(inputs.notes().complete && inputs.notes().threads.is_empty());
}

#[test]
fn threads_of_aarch64_have_their_registers_and_thread_pointers() {
    let core = CoreBuilder::new()
        .identity(2, 1, 4, 183)
        .aarch64_thread(
            31,
            &[(0, 7), (30, 0x1e), (31, 0x5000), (32, 0x4_0000), (33, 0x6000_0000)],
            Some(0x9740),
        )
        .aarch64_thread(32, &[(32, 0x4_0008)], None)
        .segment(0x1000, READ, b"memory");
    let inputs = Scene::new().open(&core.build());
    assert_eq!(inputs.core().machine(), Machine::Aarch64);
    assert!(inputs.notes().complete);
    let [first, second] = inputs.notes().threads.as_slice() else { panic!("{:?}", inputs.notes()) };
    let registers = &first.registers;
    assert_eq!(
        (first.tid, registers.instruction_pointer(), registers.stack_pointer()),
        (31, 0x4_0000, 0x5000)
    );
    let named = ["x0", "x30", "pstate", "tpidr_el0", "rip"].map(|name| registers.get(name));
    assert_eq!(named, [Some(7), Some(0x1e), Some(0x6000_0000), Some(0x9740), None]);
    assert_eq!((second.tid, second.registers.instruction_pointer()), (32, 0x4_0008));
    assert_eq!((registers.thread_pointer(), second.registers.thread_pointer()), (Some(0x9740), None));
    // What pthread_self() gives lies below the thread pointer, by the size of a struct.
    assert!(registers.is_pthread(0x9000) && !registers.is_pthread(0x9740));
    assert!(
        !registers.is_pthread(0x7000) && !registers.is_pthread(0) && !second.registers.is_pthread(0x9000)
    );
}

#[test]
fn a_thread_pointer_that_is_cut_off_is_damage() {
    let core = CoreBuilder::new().identity(2, 1, 4, 183).aarch64_thread(1, &[], None);
    let inputs = Scene::new().open(&core.note("LINUX", 0x401, b"1234").segment(0x1000, READ, b"x").build());
    assert!(!inputs.notes().complete);
    assert_eq!(inputs.notes().threads[0].registers.thread_pointer(), None);
}
