//! The interpreter against a real processor's answers, and whole runs over hand-assembled functions.

use std::fmt::Write as _;

use super::arithmetic::Flags;
use super::code::Blocks;
use super::execute::{Processor, Transfer};
use super::operation::Gpr;
use super::space::{Scratch, Space, Word};
use super::*;
use proptest::prelude::*;

/// A dead process of a few pieces of memory.
#[derive(Default)]
struct Pieces(Vec<(u64, Vec<u8>)>);

impl Pieces {
    fn with(mut self, address: u64, bytes: &[u8]) -> Self {
        self.0.push((address, bytes.to_vec()));
        self
    }

    fn with_words(self, address: u64, words: &[u64]) -> Self {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.with(address, &bytes)
    }
}

impl Memory for Pieces {
    fn read(&self, address: u64, into: &mut [u8]) -> bool {
        // Code is fetched in windows that reach behind the function: the rest of the page reads as `int3`.
        into.fill(0xcc);
        let mut any = false;
        for (n, byte) in into.iter_mut().enumerate() {
            let at = address.wrapping_add(n as u64);
            for (start, bytes) in &self.0 {
                if let Some(held) = at.checked_sub(*start).and_then(|offset| bytes.get(offset as usize)) {
                    *byte = *held;
                    any = true;
                }
            }
        }
        any
    }
}

const CODE: u64 = 0x40_0000;
const OBJECT: u64 = 0x7000_0000;

fn no_hooks(_: u64) -> Option<Hook> {
    None
}

/// The visits of a traversal over `memory` whose function is at [`CODE`].
fn visits(memory: &Pieces, code: &mut CodeCache) -> Result<Vec<Visit>, Stop> {
    let mut visits = Vec::new();
    traverse(memory, code, CODE, OBJECT, &no_hooks, &mut |visit| visits.push(visit))?;
    Ok(visits)
}

fn loaded(target: u64, from: u64) -> Visit {
    Visit { target, loaded_from: Some(from) }
}

/// One line of `processor_vectors.txt`.
struct Experiment<'t> {
    code: Vec<u8>,
    before: Vec<u64>,
    after: Vec<u64>,
    flags: Vec<u64>,
    assembly: &'t str,
}

impl<'t> Experiment<'t> {
    fn parse(line: &'t str) -> Option<Self> {
        let fields: Vec<&str> = line.split('|').map(str::trim).collect();
        let [code, before, after, flags, assembly] = fields.try_into().ok()?;
        let bytes = code.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
        let bytes = bytes.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect::<Option<_>>()?;
        let numbers = |text: &str| -> Option<Vec<u64>> {
            text.split(' ').map(|number| u64::from_str_radix(number, 16).ok()).collect()
        };
        Some(Experiment {
            code: bytes,
            before: numbers(before)?,
            after: numbers(after)?,
            flags: numbers(flags)?,
            assembly,
        })
    }

    /// Registers and defined flags after interpreting the code.
    fn interpret(&self) -> Result<(Vec<u64>, u64), String> {
        let memory = Pieces::default().with(CODE, &self.code);
        let mut scratch = Scratch::new();
        let mut processor = Processor::new(Space::new(&memory, &mut scratch, None));
        let registers = [Gpr::RAX, Gpr::RCX, Gpr::RDX];
        for (register, value) in registers.iter().zip(&self.before) {
            processor.set(*register, Word::computed(*value));
        }
        processor.flags.carry = self.before[3] == 1;
        processor.push(Word::computed(0)).map_err(|fault| format!("{fault:?}"))?;
        let mut blocks = Blocks::default();
        let mut at = CODE;
        loop {
            match processor.run(blocks.get(&memory, at)) {
                Ok(Transfer::Within { target }) => at = target,
                Ok(Transfer::Return { .. }) => break,
                other => return Err(format!("{other:x?}")),
            }
        }
        let values = registers.iter().map(|register| processor.get(*register).value).collect();
        Ok((values, as_rflags(processor.flags) & self.flags[1]))
    }
}

fn as_rflags(flags: Flags) -> u64 {
    u64::from(flags.carry)
        | u64::from(flags.parity) << 2
        | u64::from(flags.zero) << 6
        | u64::from(flags.negative) << 7
        | u64::from(flags.overflow) << 11
}

#[test]
fn every_operation_does_what_the_processor_did() {
    let lines = include_str!("tests/processor_vectors.txt").lines().filter(|line| !line.starts_with('#'));
    let mut differences = String::new();
    let mut count = 0;
    for line in lines {
        let experiment = Experiment::parse(line).expect(line);
        let expected = Ok((experiment.after.clone(), experiment.flags[0]));
        let found = experiment.interpret();
        if found != expected {
            let Experiment { assembly, before, .. } = &experiment;
            writeln!(differences, "{assembly}: {before:x?} gives {found:x?}, processor {expected:x?}")
                .unwrap();
        }
        count += 1;
    }
    assert!(count > 800, "only {count} experiments");
    assert!(differences.is_empty(), "{differences}");
}

/// What `gcc -O2` makes of two `Py_VISIT`s: the first as a call, the second as a tail call.
const TWO_FIELDS: &[u8] = &[
    0x41, 0x54, // push r12
    0x49, 0x89, 0xd4, // mov r12, rdx
    0x55, // push rbp
    0x48, 0x89, 0xf5, // mov rbp, rsi
    0x53, // push rbx
    0x48, 0x89, 0xfb, // mov rbx, rdi
    0x48, 0x8b, 0x7f, 0x10, // mov rdi, [rdi+0x10]
    0x48, 0x85, 0xff, // test rdi, rdi
    0x74, 0x09, // je second
    0x4c, 0x89, 0xe6, // mov rsi, r12
    0xff, 0xd5, // call rbp
    0x85, 0xc0, // test eax, eax
    0x75, 0x11, // jne out
    // second:
    0x48, 0x8b, 0x7b, 0x18, // mov rdi, [rbx+0x18]
    0x4c, 0x89, 0xe6, // mov rsi, r12
    0x48, 0x89, 0xe8, // mov rax, rbp
    0x5b, // pop rbx
    0x5d, // pop rbp
    0x41, 0x5c, // pop r12
    0xff, 0xe0, // jmp rax
    0xcc, // int3
    // out:
    0x5b, 0x5d, 0x41, 0x5c, 0xc3, // pop rbx; pop rbp; pop r12; ret
];

#[test]
fn calls_and_tail_calls_of_the_visitor_are_visits_with_their_fields() {
    let memory = Pieces::default().with(CODE, TWO_FIELDS).with_words(OBJECT, &[1, 0x55, 0xaa0, 0xbb0]);
    let mut code = CodeCache::default();
    let expected = vec![loaded(0xaa0, OBJECT + 16), loaded(0xbb0, OBJECT + 24)];
    assert_eq!(visits(&memory, &mut code), Ok(expected));
    let fields = shape(&memory, &mut code, CODE, OBJECT, 24, &no_hooks).unwrap();
    let offsets: Vec<_> = fields.iter().map(|field| field.offset).collect();
    assert_eq!(offsets, [Some(16), None], "the second field lies behind the 24 bytes given");
}

#[test]
fn a_branch_over_an_empty_field_is_followed() {
    let memory = Pieces::default().with(CODE, TWO_FIELDS).with_words(OBJECT, &[1, 0x55, 0, 0xbb0]);
    assert_eq!(visits(&memory, &mut CodeCache::default()), Ok(vec![loaded(0xbb0, OBJECT + 24)]));
}

#[test]
fn a_loop_over_an_array_labels_each_element() {
    let code = [
        0x53, // push rbx
        0x55, // push rbp
        0x48, 0x8b, 0x5f, 0x10, // mov rbx, [rdi+0x10]    count
        0x48, 0x8b, 0x6f, 0x18, // mov rbp, [rdi+0x18]    items
        0x49, 0x89, 0xf4, // mov r12, rsi
        // next:
        0x48, 0xff, 0xcb, // dec rbx
        0x78, 0x0a, // js done
        0x48, 0x8b, 0x7c, 0xdd, 0x00, // mov rdi, [rbp+rbx*8]
        0x41, 0xff, 0xd4, // call r12
        0xeb, 0xf1, // jmp next
        // done:
        0x5d, 0x5b, 0xc3, // pop rbp; pop rbx; ret
    ];
    let memory = Pieces::default()
        .with(CODE, &code)
        .with_words(OBJECT, &[1, 0x55, 3, 0x9000])
        .with_words(0x9000, &[0x10, 0x20, 0x30]);
    let expected = vec![loaded(0x30, 0x9010), loaded(0x20, 0x9008), loaded(0x10, 0x9000)];
    assert_eq!(visits(&memory, &mut CodeCache::default()), Ok(expected));
}

#[test]
fn a_field_keeps_its_origin_through_the_stack_vectors_and_tag_bits() {
    let code = [
        0x48, 0x83, 0xec, 0x18, // sub rsp, 0x18
        0x0f, 0x10, 0x47, 0x10, // movups xmm0, [rdi+0x10]
        0x0f, 0x11, 0x04, 0x24, // movups [rsp], xmm0
        0x48, 0x8b, 0x7c, 0x24, 0x08, // mov rdi, [rsp+8]
        0x48, 0x83, 0xe7, 0xfe, // and rdi, -2
        0xff, 0xd6, // call rsi
        0x48, 0x83, 0xc4, 0x18, // add rsp, 0x18
        0xc3, // ret
    ];
    let memory = Pieces::default().with(CODE, &code).with_words(OBJECT, &[1, 0x55, 0xaa0, 0xbb1]);
    assert_eq!(visits(&memory, &mut CodeCache::default()), Ok(vec![loaded(0xbb0, OBJECT + 24)]));
}

/// `call stub; ret`, and at +0x20 `jmp [rip+slot]; push 0; jmp first`, the slot at 0x50_0000.
fn through_linkage_table(slot: u64) -> Pieces {
    let code = [0xe8, 0x1b, 0x00, 0x00, 0x00, 0xc3];
    let stub = [
        0xff, 0x25, 0xda, 0xff, 0x0f, 0x00, // jmp [rip+0xfffda]
        0x68, 0x00, 0x00, 0x00, 0x00, // push 0
        0xe9, 0x00, 0x01, 0x00, 0x00, // jmp first entry
    ];
    Pieces::default()
        .with(CODE, &code)
        .with(CODE + 0x20, &stub)
        .with_words(0x50_0000, &[slot])
        .with(0x60_0000, TWO_FIELDS)
        .with_words(OBJECT, &[1, 0x55, 0xaa0, 0xbb0])
}

#[test]
fn a_bound_slot_is_followed() {
    let memory = through_linkage_table(0x60_0000);
    assert_eq!(visits(&memory, &mut CodeCache::default()).unwrap().len(), 2);
}

#[test]
fn an_unbound_slot_stops_until_the_caller_binds_it() {
    let memory = through_linkage_table(CODE + 0x26);
    let mut code = CodeCache::default();
    assert_eq!(visits(&memory, &mut code), Err(Stop::UnboundCall { got_slot: 0x50_0000 }));
    code.bind(0x50_0000, Binding::Function(0x60_0000));
    assert_eq!(visits(&memory, &mut code).unwrap().len(), 2);
}

#[test]
fn a_hook_answers_or_redirects_a_call() {
    let memory = through_linkage_table(0x66_0000);
    let mut code = CodeCache::default();
    let mut run = |hook: Hook| {
        let hooks = |target| (target == 0x66_0000).then_some(hook);
        let mut count = 0;
        traverse(&memory, &mut code, CODE, OBJECT, &hooks, &mut |_| count += 1).map(|()| count)
    };
    assert_eq!(run(Hook::Return(0)), Ok(0));
    assert_eq!(run(Hook::Redirect(0x60_0000)), Ok(2));
}

#[test]
fn a_call_returns_its_value_and_where_it_was_loaded() {
    // mov rax, [rdi+8]; ret
    let memory = Pieces::default().with(CODE, &[0x48, 0x8b, 0x47, 0x08, 0xc3]).with_words(OBJECT, &[1, 0x55]);
    let mut code = CodeCache::default();
    let expected = Returned { value: 0x55, loaded_from: Some(OBJECT + 8) };
    assert_eq!(call(&memory, &mut code, CODE, OBJECT, &no_hooks), Ok(expected));
    assert!(code.assume(OBJECT + 8, 0x77));
    assert_eq!(call(&memory, &mut code, CODE, OBJECT, &no_hooks).unwrap().value, 0x77);
    assert!(!code.assume(OBJECT + 9, 0x77));
}

#[test]
fn thread_local_storage_needs_the_thread_but_the_canary_does_not() {
    let canary = [
        0x64, 0x48, 0x8b, 0x04, 0x25, 0x28, 0x00, 0x00, 0x00, // mov rax, fs:[0x28]
        0x50, // push rax
        0x58, // pop rax
        0x64, 0x48, 0x2b, 0x04, 0x25, 0x28, 0x00, 0x00, 0x00, // sub rax, fs:[0x28]
        0xc3, // ret
    ];
    let memory = Pieces::default().with(CODE, &canary);
    assert_eq!(call(&memory, &mut CodeCache::default(), CODE, 0, &no_hooks).unwrap().value, 0);
    // mov rax, fs:[-16]; ret
    let read = [0x64, 0x48, 0x8b, 0x04, 0x25, 0xf0, 0xff, 0xff, 0xff, 0xc3];
    let memory = Pieces::default().with(CODE, &read).with_words(0x8ff0, &[0x1234]);
    let stop = call(&memory, &mut CodeCache::default(), CODE, 0, &no_hooks).unwrap_err();
    assert_eq!(stop, Stop::ThreadLocal { at: CODE, offset: 0_u64.wrapping_sub(16) });
    let mut code = CodeCache::default().with_thread_base(0x9000);
    assert_eq!(call(&memory, &mut code, CODE, 0, &no_hooks).unwrap().value, 0x1234);
}

#[test]
fn a_counter_may_be_written_but_not_without_bound() {
    // inc dword ptr [rdi]; mov eax, [rdi]; ret
    let memory = Pieces::default().with(CODE, &[0xff, 0x07, 0x8b, 0x07, 0xc3]).with_words(OBJECT, &[41]);
    let mut code = CodeCache::default();
    for _ in 0..2 {
        assert_eq!(call(&memory, &mut code, CODE, OBJECT, &no_hooks).unwrap().value, 42);
    }
    // next: mov [rdi], rdi; add rdi, 8; jmp next
    let flood = [0x48, 0x89, 0x3f, 0x48, 0x83, 0xc7, 0x08, 0xeb, 0xf7];
    let memory = Pieces::default().with(CODE, &flood).with(OBJECT, &vec![0; 1 << 20]);
    let stop = visits(&memory, &mut CodeCache::default());
    assert_eq!(stop, Err(Stop::TooManyWrites { at: CODE }));
}

#[test]
fn endless_code_stops() {
    let mut code = CodeCache::default();
    let spin = Pieces::default().with(CODE, &[0xeb, 0xfe]); // jmp self
    assert_eq!(visits(&spin, &mut code), Err(Stop::StepLimit));
    let mut code = CodeCache::default();
    let recursion = Pieces::default().with(CODE, &[0xe8, 0xfb, 0xff, 0xff, 0xff]); // call self
    assert_eq!(visits(&recursion, &mut code), Err(Stop::CallDepth { at: CODE }));
    let mut code = CodeCache::new(Limits { instructions: 1 << 30, call_depth: u32::MAX });
    assert_eq!(visits(&recursion, &mut code), Err(Stop::CallDepth { at: CODE }), "the stack is bounded too");
}

#[test]
fn unreadable_memory_and_code_are_named() {
    let mut code = CodeCache::default();
    let null = Pieces::default().with(CODE, &[0x31, 0xff, 0x48, 0x8b, 0x07]); // xor edi, edi; mov rax, [rdi]
    assert_eq!(visits(&null, &mut code), Err(Stop::UnreadableMemory { at: CODE + 2, address: 0 }));
    let mut code = CodeCache::default();
    let wild = Pieces::default().with(CODE, &[0xff, 0xe7]); // jmp rdi
    assert_eq!(visits(&wild, &mut code), Err(Stop::BadCall { at: CODE, target: OBJECT }));
}

#[test]
fn instructions_outside_the_subset_are_named_with_the_slot_they_were_reached_through() {
    let stop = |memory: &Pieces| visits(memory, &mut CodeCache::default()).unwrap_err();
    let divide = Pieces::default().with(CODE, &[0xf2, 0x0f, 0x5e, 0xc1]); // divsd xmm0, xmm1
    let text = "Divsd_xmm_xmmm64".to_owned();
    assert_eq!(stop(&divide), Stop::UnsupportedInstruction { at: CODE, text, entered_through: None });
    let system = Pieces::default().with(CODE, &[0x90, 0x0f, 0x05]); // nop; syscall
    let text = "Syscall".to_owned();
    assert_eq!(stop(&system), Stop::UnsupportedInstruction { at: CODE + 1, text, entered_through: None });
    let divide = [0xc5, 0xfb, 0x5e, 0xc1]; // vdivsd xmm0, xmm0, xmm1
    let wide = through_linkage_table(0x66_0000).with(0x66_0000, &divide);
    let text = "VEX_Vdivsd_xmm_xmm_xmmm64".to_owned();
    let entered_through = Some(0x50_0000);
    assert_eq!(stop(&wide), Stop::UnsupportedInstruction { at: 0x66_0000, text, entered_through });
}

#[test]
fn a_standard_function_is_answered_by_its_meaning() {
    let strings = b"abc\0abd\0";
    let memory = through_linkage_table(0x66_0000).with(0x9000, strings);
    let answer = |function: &str, first: u64, second: u64, length: u64| {
        let mut scratch = Scratch::new();
        let mut processor = Processor::new(Space::new(&memory, &mut scratch, None));
        for (register, value) in [(Gpr::RDI, first), (Gpr::RSI, second), (Gpr::RDX, length)] {
            processor.set(register, Word::computed(value));
        }
        processor.standard(StandardFunction::from_name(function).unwrap()).map(|value| value as u32 as i32)
    };
    assert_eq!(answer("strcmp", 0x9000, 0x9004, 0), Ok(-1));
    assert_eq!(answer("strcmp", 0x9004, 0x9000, 0), Ok(1));
    assert_eq!(answer("strncmp", 0x9000, 0x9004, 2), Ok(0));
    assert_eq!(answer("memcmp", 0x9000, 0x9004, 3), Ok(-1));
    assert_eq!(answer("memcmp", 0x9000, 0x9004, 2), Ok(0));
    assert_eq!(answer("strlen", 0x9001, 0, 0), Ok(2));
    assert_eq!(answer("memset", 0x9000, 7, 1 << 40), Err(space::Fault::StringTooLong));
    let mut code = CodeCache::default();
    code.bind(0x50_0000, Binding::Standard(StandardFunction::StrLen));
    assert_eq!(call(&memory, &mut code, CODE, 0x9000, &no_hooks).unwrap().value, 3);
}

#[test]
fn an_overlapping_copy_keeps_its_bytes() {
    let bytes: Vec<u8> = (0..40).collect();
    let memory = Pieces::default().with(0x9000, &bytes);
    for (to, from) in [(0x9003, 0x9000), (0x9000, 0x9003)] {
        let mut scratch = Scratch::new();
        let mut processor = Processor::new(Space::new(&memory, &mut scratch, None));
        for (register, value) in [(Gpr::RDI, to), (Gpr::RSI, from), (Gpr::RDX, 20)] {
            processor.set(register, Word::computed(value));
        }
        processor.standard(StandardFunction::MemMove).unwrap();
        for n in 0..20_u64 {
            let copied = processor.space.load(to + n, operation::Width::Byte).unwrap().value;
            assert_eq!(copied, from - 0x9000 + n);
        }
    }
}

/// Every address holds a byte of a small repeated pattern: pointers lead somewhere, code never ends.
struct Everywhere(Vec<u8>);

impl Memory for Everywhere {
    fn read(&self, address: u64, into: &mut [u8]) -> bool {
        for (n, byte) in into.iter_mut().enumerate() {
            let at = address.wrapping_add(n as u64) as usize % self.0.len();
            *byte = self.0[at];
        }
        true
    }
}

/// Random instructions are mostly unsupported ones; these prefixes and opcodes lead deeper.
fn code_bytes() -> impl Strategy<Value = Vec<u8>> {
    let common = vec![
        0x48, 0x66, 0xf3, 0xf2, 0x0f, 0x41, 0x64, 0x01, 0x03, 0x0b, 0x11, 0x19, 0x23, 0x2b, 0x33, 0x3b, 0x50,
        0x58, 0x63, 0x69, 0x6f, 0x74, 0x7e, 0x7f, 0x83, 0x85, 0x87, 0x89, 0x8b, 0x8d, 0x98, 0x99, 0xa3, 0xa5,
        0xab, 0xaf, 0xb0, 0xb6, 0xb8, 0xba, 0xbc, 0xbe, 0xc0, 0xc1, 0xc9, 0xd1, 0xd3, 0xd6, 0xd7, 0xe8, 0xeb,
        0xef, 0xf6, 0xf7, 0xfe, 0xff,
    ];
    proptest::collection::vec(prop_oneof![3 => proptest::sample::select(common), 1 => any::<u8>()], 1..64)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    /// Whatever the bytes are, a run ends, within its limits and without a panic.
    #[test]
    fn arbitrary_code_ends(bytes in code_bytes(), (entry, object, base) in any::<(u64, u64, u64)>()) {
        let memory = Everywhere(bytes);
        let limits = Limits { instructions: 2000, call_depth: 16 };
        let mut code = CodeCache::new(limits).with_thread_base(base);
        let mut count = 0_u64;
        let result = traverse(&memory, &mut code, entry, object, &no_hooks, &mut |_| count += 1);
        prop_assert!(count <= limits.instructions);
        if let Err(stop) = result {
            prop_assert!(!stop.to_string().is_empty());
        }
    }
}
