//! The address space a run sees: the dead process, plus what the run itself has written.
//!
//! It knows the private stack, the bounded overlay of words written elsewhere, and from which memory word a
//! loaded value came. It refuses to know registers and instructions, and it never writes to the dead process.

use rustc_hash::FxHashMap;

use super::operation::{Location, Width};

/// Read access to the memory of a dead process.
pub trait Memory: Sync {
    /// Fills `into` with the bytes at `address`; false when any of them is not known.
    fn read(&self, address: u64, into: &mut [u8]) -> bool;
}

/// Size of the private stack in bytes.
const STACK_SIZE: usize = 64 << 10;
/// First address of the private stack: not canonical, so no mapping of any process can be there.
const STACK_BOTTOM: u64 = 0x5afe_0000_0000_0000;
/// First address above the private stack.
pub(super) const STACK_TOP: u64 = STACK_BOTTOM + STACK_SIZE as u64;
/// Below the stack: an access this close is an overflow of the stack, not a stray pointer.
const STACK_GUARD: u64 = 16 << 20;
/// Words the overlay may hold: a traversal writes a counter or two, not more.
const OVERLAY_WORDS: usize = 4096;
/// Offset of the stack protector's canary in the thread control block (x86-64 psABI supplement, glibc's
/// tcbhead_t).
const CANARY_OFFSET: u64 = 0x28;
/// What the canary reads as: the same at entry and exit is all the code asks for.
const CANARY: u64 = 0x00c0_ffee_5afe_c0de;

/// A 64-bit value and, when known, the address of the memory word it was loaded from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) value: u64,
    /// Zero when unknown: no word of a process is loaded from the null page.
    pub(super) origin: u64,
}

impl Word {
    /// A value that was computed, not loaded.
    pub(super) const fn computed(value: u64) -> Word {
        Word { value, origin: 0 }
    }
}

/// Why one instruction could not be completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Unreadable { address: u64 },
    StackOverflow,
    TooManyWrites,
    ThreadLocal { offset: u64 },
    DivideError,
    StringTooLong,
    Unsupported,
}

/// The private stack and the overlay, kept from run to run so that a run allocates nothing.
#[derive(Debug)]
pub(super) struct Scratch {
    stack: Vec<u8>,
    /// For each aligned word of the stack, the origin of the value stored there.
    origins: Vec<u64>,
    /// Everything below this offset in the stack is untouched and zero.
    lowest_write: usize,
    /// Words written outside the stack, by aligned address.
    overlay: FxHashMap<u64, [u8; 8]>,
    /// Lowest and highest address in the overlay: most loads are far from it.
    overlay_span: (u64, u64),
    /// Words every run starts with in its overlay.
    assumed: Vec<(u64, [u8; 8])>,
}

/// The span of nothing.
const NO_SPAN: (u64, u64) = (u64::MAX, 0);

impl Scratch {
    pub(super) fn new() -> Scratch {
        Scratch {
            stack: vec![0; STACK_SIZE],
            origins: vec![0; STACK_SIZE / 8],
            lowest_write: STACK_SIZE,
            overlay: FxHashMap::default(),
            overlay_span: NO_SPAN,
            assumed: Vec::new(),
        }
    }

    /// Every run sees `value` in the aligned word at `address`.
    pub(super) fn assume(&mut self, address: u64, value: u64) -> bool {
        let aligned = address.is_multiple_of(8);
        if aligned {
            self.assumed.retain(|(known, _)| *known != address);
            self.assumed.push((address, value.to_le_bytes()));
        }
        aligned
    }

    /// Forgets everything the last run wrote.
    pub(super) fn clear(&mut self) {
        if let Some(written) = self.stack.get_mut(self.lowest_write..) {
            written.fill(0);
        }
        if let Some(written) = self.origins.get_mut(self.lowest_write / 8..) {
            written.fill(0);
        }
        self.lowest_write = STACK_SIZE;
        self.overlay.clear();
        self.overlay_span = NO_SPAN;
        for n in 0..self.assumed.len() {
            if let Some((address, bytes)) = self.assumed.get(n).copied() {
                self.overlay_word(address, bytes);
            }
        }
    }

    fn overlay_word(&mut self, aligned: u64, bytes: [u8; 8]) {
        let (low, high) = self.overlay_span;
        self.overlay_span = (low.min(aligned), high.max(aligned | 7));
        self.overlay.insert(aligned, bytes);
    }
}

/// Memory as one run sees it.
#[derive(Debug)]
pub(super) struct Space<'a, M> {
    memory: &'a M,
    scratch: &'a mut Scratch,
    thread_base: Option<u64>,
}

impl<'a, M: Memory> Space<'a, M> {
    /// A fresh view: `scratch` is cleared. `thread_base` is what `fs` pointed at in the thread the run speaks
    /// for.
    pub(super) fn new(memory: &'a M, scratch: &'a mut Scratch, thread_base: Option<u64>) -> Self {
        scratch.clear();
        Space { memory, scratch, thread_base }
    }

    /// The value of `width` at `address`. Only whole 64-bit words carry an origin.
    #[inline]
    pub(super) fn load(&self, address: u64, width: Width) -> Result<Word, Fault> {
        let mut bytes = [0; 8];
        let Some(into) = bytes.get_mut(..width.bytes()) else { return Err(Fault::Unsupported) };
        if let Some(offset) = stack_offset(address, width) {
            let held = self.scratch.stack.get(offset..).and_then(|rest| rest.get(..into.len()));
            into.copy_from_slice(held.ok_or(Fault::Unreadable { address })?);
            let aligned = width == Width::Quad && offset.is_multiple_of(8);
            let origin = if aligned { self.scratch.origins.get(offset / 8).copied() } else { None };
            return Ok(Word { value: u64::from_le_bytes(bytes), origin: origin.unwrap_or(0) });
        }
        if !self.memory.read(address, into) {
            return Err(unreadable(address));
        }
        let (low, high) = self.scratch.overlay_span;
        if address <= high && address.wrapping_add(7) >= low && self.apply_overlay(address, into) {
            return Ok(Word::computed(u64::from_le_bytes(bytes)));
        }
        let origin = if width == Width::Quad { address } else { 0 };
        Ok(Word { value: u64::from_le_bytes(bytes), origin })
    }

    /// Stores the low `width` of `word`: on the private stack, or in the overlay over readable memory.
    #[inline]
    pub(super) fn store(&mut self, address: u64, width: Width, word: Word) -> Result<(), Fault> {
        let bytes = word.value.to_le_bytes();
        let Some(bytes) = bytes.get(..width.bytes()) else { return Err(Fault::Unsupported) };
        let Some(offset) = stack_offset(address, width) else { return self.store_overlay(address, bytes) };
        let held = self.scratch.stack.get_mut(offset..).and_then(|rest| rest.get_mut(..bytes.len()));
        held.ok_or(Fault::Unreadable { address })?.copy_from_slice(bytes);
        self.scratch.lowest_write = self.scratch.lowest_write.min(offset);
        let aligned = width == Width::Quad && offset.is_multiple_of(8);
        if let Some(origin) = self.scratch.origins.get_mut(offset / 8) {
            *origin = if aligned { word.origin } else { 0 };
        }
        let last = offset.saturating_add(width.bytes().saturating_sub(1)) / 8;
        if last != offset / 8
            && let Some(origin) = self.scratch.origins.get_mut(last)
        {
            *origin = 0;
        }
        Ok(())
    }

    /// The absolute address of thread-local `offset`.
    pub(super) fn thread_local(&self, offset: u64) -> Result<u64, Fault> {
        self.thread_base.map(|base| base.wrapping_add(offset)).ok_or(Fault::ThreadLocal { offset })
    }

    /// What a read of thread-local `offset` gives without looking at memory: the stack protector's canary.
    pub(super) fn canary(location: &Location, offset: u64) -> Option<Word> {
        (location.thread_local && offset == CANARY_OFFSET).then_some(Word::computed(CANARY))
    }

    /// Replaces the overlaid bytes of `into`; whether there were any.
    fn apply_overlay(&self, address: u64, into: &mut [u8]) -> bool {
        let mut replaced = false;
        for (byte, at) in into.iter_mut().zip(0_u64..).map(|(byte, n)| (byte, address.wrapping_add(n))) {
            if let Some(written) =
                self.scratch.overlay.get(&(at & !7)).and_then(|word| word.get((at & 7) as usize))
            {
                *byte = *written;
                replaced = true;
            }
        }
        replaced
    }

    fn store_overlay(&mut self, address: u64, bytes: &[u8]) -> Result<(), Fault> {
        for (byte, at) in bytes.iter().zip(0_u64..).map(|(byte, n)| (byte, address.wrapping_add(n))) {
            let aligned = at & !7;
            if !self.scratch.overlay.contains_key(&aligned) {
                if self.scratch.overlay.len() >= OVERLAY_WORDS {
                    return Err(Fault::TooManyWrites);
                }
                let mut held = [0; 8];
                if !self.memory.read(aligned, &mut held) {
                    return Err(unreadable(address));
                }
                self.scratch.overlay_word(aligned, held);
            }
            let held =
                self.scratch.overlay.get_mut(&aligned).and_then(|word| word.get_mut((at & 7) as usize));
            if let Some(held) = held {
                *held = *byte;
            }
        }
        Ok(())
    }
}

/// Offset into the private stack of an access that lies inside it entirely.
#[inline]
fn stack_offset(address: u64, width: Width) -> Option<usize> {
    let offset = address.wrapping_sub(STACK_BOTTOM);
    (offset <= STACK_SIZE as u64 - width.bytes() as u64).then_some(offset as usize)
}

fn unreadable(address: u64) -> Fault {
    if STACK_BOTTOM.wrapping_sub(address) <= STACK_GUARD {
        Fault::StackOverflow
    } else {
        Fault::Unreadable { address }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 64 bytes at 0x1000, each holding its own offset.
    struct Ramp;

    impl Memory for Ramp {
        fn read(&self, address: u64, into: &mut [u8]) -> bool {
            for (byte, at) in into.iter_mut().zip(address..) {
                match at.checked_sub(0x1000) {
                    Some(offset @ 0..64) => *byte = offset as u8,
                    _ => return false,
                }
            }
            true
        }
    }

    #[test]
    fn a_word_loaded_from_the_dead_process_knows_its_address() {
        let mut scratch = Scratch::new();
        let space = Space::new(&Ramp, &mut scratch, None);
        let word = space.load(0x1008, Width::Quad).unwrap();
        assert_eq!(word, Word { value: 0x0f0e_0d0c_0b0a_0908, origin: 0x1008 });
        assert_eq!(space.load(0x1008, Width::Long).unwrap(), Word::computed(0x0b0a_0908));
        assert_eq!(space.load(0x103c, Width::Quad), Err(Fault::Unreadable { address: 0x103c }));
    }

    #[test]
    fn an_origin_survives_the_stack_but_not_a_partial_overwrite() {
        let mut scratch = Scratch::new();
        let mut space = Space::new(&Ramp, &mut scratch, None);
        let word = space.load(0x1010, Width::Quad).unwrap();
        let slot = STACK_TOP - 16;
        space.store(slot, Width::Quad, word).unwrap();
        assert_eq!(space.load(slot, Width::Quad).unwrap(), word);
        space.store(slot + 7, Width::Half, Word::computed(0)).unwrap();
        assert_eq!(
            space.load(slot, Width::Quad).unwrap(),
            Word::computed(word.value & 0x00ff_ffff_ffff_ffff)
        );
    }

    #[test]
    fn writes_outside_the_stack_are_seen_by_this_run_only() {
        let mut scratch = Scratch::new();
        let mut space = Space::new(&Ramp, &mut scratch, None);
        space.store(0x1006, Width::Long, Word::computed(0xaabb_ccdd)).unwrap();
        assert_eq!(space.load(0x1004, Width::Quad).unwrap(), Word::computed(0x0b0a_aabb_ccdd_0504));
        assert_eq!(space.load(0x1010, Width::Quad).unwrap().origin, 0x1010);
        let space = Space::new(&Ramp, &mut scratch, None);
        assert_eq!(space.load(0x1004, Width::Long).unwrap().value, 0x0706_0504);
    }

    #[test]
    fn the_stack_is_zero_in_every_run() {
        let mut scratch = Scratch::new();
        let mut space = Space::new(&Ramp, &mut scratch, None);
        space.store(STACK_BOTTOM, Width::Quad, Word { value: 7, origin: 8 }).unwrap();
        let space = Space::new(&Ramp, &mut scratch, None);
        assert_eq!(space.load(STACK_BOTTOM, Width::Quad).unwrap(), Word::default());
    }

    #[test]
    fn writes_are_bounded_and_need_memory_below_them() {
        let mut scratch = Scratch::new();
        let mut space = Space::new(&Ramp, &mut scratch, None);
        let word = Word::computed(1);
        assert_eq!(space.store(0x2000, Width::Byte, word), Err(Fault::Unreadable { address: 0x2000 }));
        assert_eq!(space.store(STACK_BOTTOM - 8, Width::Quad, word), Err(Fault::StackOverflow));
        assert_eq!(
            space.store(STACK_TOP - 4, Width::Quad, word),
            Err(Fault::Unreadable { address: STACK_TOP - 4 })
        );
    }
}
