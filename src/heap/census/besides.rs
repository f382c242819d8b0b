//! What the census notes of memory that objects own and `sys.getsizeof()` does not count.
//!
//! Knows that most instances of a type own equally much, which is decided once for the type; refuses to know what it is that they
//! own ([`Beside`] does). What an object owns is measured when its references are read, which touches the same memory.

use crate::corefile::Address;
use crate::cpython::{Beside, Runtime, TypeId, TypeInfo};
use crate::heap::found::Owned;

/// By type: how instances are measured.
#[derive(Debug, Default)]
pub struct Besides {
    /// `None` where `sys.getsizeof()` counts all that is known.
    rules: Vec<Option<Box<Rule>>>,
}

#[derive(Debug)]
struct Rule {
    beside: Beside,
    usual: i64,
}

impl Besides {
    /// Of the types that are known so far.
    pub fn of(runtime: &Runtime<'_>) -> Self {
        let mut rules = Self::default();
        rules.learn(runtime);
        rules
    }

    /// Adds the types that have been found since.
    pub fn learn(&mut self, runtime: &Runtime<'_>) {
        let rule = |info: &TypeInfo| {
            let beside = Beside::of(runtime, info);
            let usual = beside.usual(runtime);
            (!beside.is_nothing()).then(|| Box::new(Rule { beside, usual }))
        };
        let known = self.rules.len();
        self.rules.extend(runtime.types.iter().skip(known).map(|(_, info)| rule(info)));
    }

    /// What the object at `object` owns. More than the process had is nothing that can be believed.
    #[inline]
    pub fn owned(&self, runtime: &Runtime<'_>, type_id: TypeId, info: &TypeInfo, object: Address) -> Owned {
        match self.rules.get(type_id.0 as usize) {
            Some(Some(rule)) => match rule.beside.bytes(runtime, info, object) {
                0 => Owned::Nothing,
                bytes if bytes == rule.usual => Owned::Usual,
                bytes if bytes.unsigned_abs() <= runtime.described_bytes => Owned::Other(bytes),
                _ => Owned::Nothing,
            },
            _ => Owned::Nothing,
        }
    }

    /// What instances of each type usually own, in bytes; 0 of types whose instances own nothing.
    pub fn usual(&self) -> Vec<i64> {
        self.rules.iter().map(|rule| rule.as_ref().map_or(0, |rule| rule.usual)).collect()
    }
}
