//! The proof of everything else here: our references against the type's own `tp_traverse`, followed as machine code.
//!
//! Knows no type. Where the two differ, the machine code is right: it is what the interpreter runs.

use std::cmp::Ordering;

use super::{Gap, References, is_heap_type, native};
use crate::corefile::Address;
use crate::cpython::types::TypeInfo;
use crate::cpython::words::ReadField;
use crate::graph::EdgeKind;
use crate::machine::Stop;

/// How our references and a type's machine code differ.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Disagreement {
    /// The machine code could not be followed, so nothing is proved.
    #[error("the type's tp_traverse cannot be followed: {0}")]
    NotFollowed(Stop),
    /// We could not read the object, the machine code could.
    #[error("the object's references are known in part only: {0:?}")]
    NotRead(Gap),
    /// Referents that only one of the two reports, each as often as it is missing.
    #[error("the type's tp_traverse visits {missing:#x?} more, and does not visit {extra:#x?}")]
    Referents {
        /// Visited by the machine code only.
        missing: Vec<Address>,
        /// Visited by us only.
        extra: Vec<Address>,
    },
}

impl References<'_, '_> {
    /// Compares what [`References::visit`] reports as visited for the instance of `info` at `object` with what the
    /// `tp_traverse` of its type visits. Objects that the collector does not traverse agree.
    ///
    /// # Errors
    /// They differ, or one of the two gave no answer.
    pub fn cross_check(&mut self, info: &TypeInfo, object: Address) -> Result<(), Disagreement> {
        let runtime = self.runtime;
        let entry = runtime.space.field(info.address, runtime.layouts.type_.traverse).unwrap_or(0);
        if entry == 0 || !info.has_gc() || (info.is_metatype() && !is_heap_type(runtime, object)) {
            return Ok(());
        }
        let visits =
            native::run(runtime, &mut self.code, entry, object).map_err(Disagreement::NotFollowed)?;
        let theirs: Vec<Address> = visits.iter().map(|visit| visit.target).collect();
        let mut ours = Vec::new();
        self.visit(info, object, &mut |referent| {
            if referent.kind == EdgeKind::Visited {
                ours.push(referent.target);
            }
        })
        .map_err(Disagreement::NotRead)?;
        compare(theirs, ours)
    }
}

/// Compares two multisets.
fn compare(mut theirs: Vec<Address>, mut ours: Vec<Address>) -> Result<(), Disagreement> {
    theirs.sort_unstable();
    ours.sort_unstable();
    if theirs == ours {
        return Ok(());
    }
    let (mut missing, mut extra) = (Vec::new(), Vec::new());
    let (mut left, mut right) = (theirs.into_iter().peekable(), ours.into_iter().peekable());
    loop {
        let order = match (left.peek(), right.peek()) {
            (None, None) => return Err(Disagreement::Referents { missing, extra }),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(one), Some(other)) => one.cmp(other),
        };
        match order {
            Ordering::Less => missing.extend(left.next()),
            Ordering::Greater => extra.extend(right.next()),
            Ordering::Equal => drop((left.next(), right.next())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multisets_differ_by_the_elements_that_one_lacks() {
        assert_eq!(compare(vec![3, 1, 1], vec![1, 3, 1]), Ok(()));
        assert_eq!(
            compare(vec![1, 1, 2, 9], vec![2, 1, 4]),
            Err(Disagreement::Referents { missing: vec![1, 9], extra: vec![4] })
        );
        assert_eq!(
            compare(vec![], vec![7]),
            Err(Disagreement::Referents { missing: vec![], extra: vec![7] })
        );
    }
}
