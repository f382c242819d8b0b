//! A few functions of the C library, by their effect.
//!
//! The C library picks variants of these for the processor at hand, written in wide vector instructions
//! outside the subset; their meaning is fixed by ISO C, section 7.24. It knows that meaning. It refuses to
//! know where they are.

use super::execute::Processor;
use super::operation::{Gpr, Width};
use super::space::{Fault, Memory, Word};

/// Bytes one call may look at.
const LENGTH_LIMIT: u64 = 1 << 20;

/// A C library function the interpreter carries out itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StandardFunction {
    /// `int memcmp(const void *, const void *, size_t)`
    MemCmp,
    /// `void *memcpy(void *, const void *, size_t)`
    MemCpy,
    /// `void *memmove(void *, const void *, size_t)`
    MemMove,
    /// `void *memset(void *, int, size_t)`
    MemSet,
    /// `int strcmp(const char *, const char *)`
    StrCmp,
    /// `int strncmp(const char *, const char *, size_t)`
    StrNCmp,
    /// `size_t strlen(const char *)`
    StrLen,
}

impl StandardFunction {
    /// The function a dynamic symbol names.
    pub fn from_name(name: &str) -> Option<StandardFunction> {
        Some(match name {
            "memcmp" | "bcmp" => StandardFunction::MemCmp,
            "memcpy" => StandardFunction::MemCpy,
            "memmove" => StandardFunction::MemMove,
            "memset" => StandardFunction::MemSet,
            "strcmp" => StandardFunction::StrCmp,
            "strncmp" => StandardFunction::StrNCmp,
            "strlen" => StandardFunction::StrLen,
            _ => return None,
        })
    }
}

impl<M: Memory> Processor<'_, M> {
    /// What `function` returns for the arguments in registers; its writes are done.
    pub(super) fn standard(&mut self, function: StandardFunction) -> Result<u64, Fault> {
        let (first, second) = (self.get(Gpr::RDI).value, self.get(Gpr::RSI).value);
        let length = self.get(Gpr::RDX).value;
        match function {
            StandardFunction::MemCmp => self.compare(first, second, bounded(length)?, false),
            StandardFunction::StrCmp => self.compare(first, second, LENGTH_LIMIT, true),
            StandardFunction::StrNCmp => self.compare(first, second, length.min(LENGTH_LIMIT), true),
            StandardFunction::StrLen => self.length(first),
            StandardFunction::MemCpy | StandardFunction::MemMove => {
                self.copy(first, second, bounded(length)?)
            }
            StandardFunction::MemSet => {
                for n in 0..bounded(length)? {
                    self.space.store(first.wrapping_add(n), Width::Byte, Word::computed(second))?;
                }
                Ok(first)
            }
        }
    }

    /// Difference of the first differing bytes, or zero; a string comparison ends at a common zero byte.
    fn compare(&self, first: u64, second: u64, length: u64, is_string: bool) -> Result<u64, Fault> {
        for n in 0..length {
            let left = self.byte(first.wrapping_add(n))?;
            let right = self.byte(second.wrapping_add(n))?;
            if left != right {
                return Ok(Width::Long.truncate(left.wrapping_sub(right)));
            }
            if is_string && left == 0 {
                return Ok(0);
            }
        }
        if is_string && length == LENGTH_LIMIT { Err(Fault::StringTooLong) } else { Ok(0) }
    }

    fn length(&self, string: u64) -> Result<u64, Fault> {
        for n in 0..LENGTH_LIMIT {
            if self.byte(string.wrapping_add(n))? == 0 {
                return Ok(n);
            }
        }
        Err(Fault::StringTooLong)
    }

    /// Copies word by word, so that copied pointers keep their origin; backwards when the target overlaps the
    /// end.
    fn copy(&mut self, to: u64, from: u64, length: u64) -> Result<u64, Fault> {
        let words = length / 8 * 8;
        let whole = (0..words).step_by(8).map(|offset| (offset, Width::Quad));
        let pieces = whole.chain((words..length).map(|offset| (offset, Width::Byte)));
        let mut pieces: Vec<(u64, Width)> = pieces.collect();
        if to.wrapping_sub(from) < length {
            pieces.reverse();
        }
        for (offset, width) in pieces {
            let word = self.space.load(from.wrapping_add(offset), width)?;
            self.space.store(to.wrapping_add(offset), width, word)?;
        }
        Ok(to)
    }

    fn byte(&self, address: u64) -> Result<u64, Fault> {
        self.space.load(address, Width::Byte).map(|word| word.value)
    }
}

fn bounded(length: u64) -> Result<u64, Fault> {
    if length > LENGTH_LIMIT { Err(Fault::StringTooLong) } else { Ok(length) }
}
