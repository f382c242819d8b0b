//! Decoded code of the dead process, kept by address.
//!
//! It knows how to cut code into blocks and how lazily bound calls look. It refuses to know what code does.
//! Code does not change after the process died, so a block once decoded stays right.

use iced_x86::{Decoder, DecoderOptions, Instruction};
use rustc_hash::FxHashMap;

use super::lower::lower;
use super::operation::{Operand, Operation};
use super::space::Memory;

/// Bytes looked at for one block.
const WINDOW: usize = 512;
/// Bytes the longest instruction has.
const LONGEST_INSTRUCTION: usize = 15;
/// Instructions decoded for one block.
const BLOCK_STEPS: usize = 64;
/// Instructions kept before the cache starts over: about 16 MiB.
const KEPT_STEPS: usize = 1 << 17;
/// Reads never span two pages, so that a page missing from the core hides only itself.
const PAGE: u64 = 4096;

/// One decoded instruction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) operation: Operation,
    pub(super) at: u64,
    /// Address of the next instruction.
    pub(super) next: u64,
}

/// Instructions executed in order until a jump is taken.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) steps: Box<[Step]>,
    /// The block only pushes its number and jumps on: an unbound entry of a procedure linkage table.
    pub(super) is_lazy_stub: bool,
}

/// Blocks by address of their first instruction.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    blocks: FxHashMap<u64, Block>,
    steps: usize,
}

impl Blocks {
    /// The block that starts at `address`; empty when no code can be read there.
    #[inline]
    pub(super) fn get<M: Memory>(&mut self, memory: &M, address: u64) -> &Block {
        if !self.blocks.contains_key(&address) && self.steps >= KEPT_STEPS {
            self.blocks.clear();
            self.steps = 0;
        }
        let steps = &mut self.steps;
        self.blocks.entry(address).or_insert_with(|| {
            let block = decode(memory, address);
            *steps = steps.saturating_add(block.steps.len().max(1));
            block
        })
    }
}

fn decode<M: Memory>(memory: &M, address: u64) -> Block {
    let mut window = [0; WINDOW];
    let code = fetch(memory, address, &mut window);
    let mut decoder = Decoder::with_ip(64, code, address, DecoderOptions::NONE);
    let mut instruction = Instruction::default();
    let mut steps = Vec::new();
    while steps.len() < BLOCK_STEPS && decoder.can_decode() {
        let left = code.len().saturating_sub(decoder.position());
        decoder.decode_out(&mut instruction);
        // Cut off by the end of the window: the next block starts with this instruction.
        if instruction.is_invalid() && left < LONGEST_INSTRUCTION && !steps.is_empty() {
            break;
        }
        let operation = lower(&instruction);
        steps.push(Step { operation, at: instruction.ip(), next: instruction.next_ip() });
        if operation.ends_block() {
            break;
        }
    }
    Block { is_lazy_stub: is_lazy_stub(&steps), steps: steps.into_boxed_slice() }
}

/// The readable bytes from `address` on, at most `window` of them.
fn fetch<'w, M: Memory>(memory: &M, address: u64, window: &'w mut [u8]) -> &'w [u8] {
    let to_page_end = PAGE.saturating_sub(address % PAGE) as usize;
    let (first, second) = window.split_at_mut(to_page_end.min(WINDOW));
    if !memory.read(address, first) {
        return &[];
    }
    let following = address.wrapping_add(first.len() as u64);
    let known = if !second.is_empty() && memory.read(following, second) {
        first.len().saturating_add(second.len())
    } else {
        first.len()
    };
    window.get(..known).unwrap_or(&[])
}

/// `push number; jmp first-entry`, with or without a leading `endbr64` (System V psABI for x86-64, "Procedure
/// Linkage Table").
fn is_lazy_stub(steps: &[Step]) -> bool {
    let mut operations = steps.iter().map(|step| step.operation).filter(|step| *step != Operation::Nothing);
    matches!(operations.next(), Some(Operation::Push { from: Operand::Immediate(_) }))
        && matches!(operations.next(), Some(Operation::Jump { .. }))
}

/// The decoder's name for the instruction at `address`, for messages.
pub(super) fn name<M: Memory>(memory: &M, address: u64) -> String {
    let mut window = [0; WINDOW];
    let code = fetch(memory, address, &mut window);
    let instruction = Decoder::with_ip(64, code, address, DecoderOptions::NONE).decode();
    format!("{:?}", instruction.code())
}
