//! What a proof finds wrong.

use std::collections::BTreeSet;

/// What is wrong, in words; empty when all proofs hold.
#[derive(Debug, Default)]
pub struct Differences(Vec<String>);

/// How many single differences are told for each proof.
const MAX_EXAMPLES: usize = 12;

impl Differences {
    /// Tells of `what` unless it `holds`.
    pub fn check(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.0.push(what());
        }
    }

    /// Tells what one of two sets of objects has and the other has not.
    pub fn sets(
        &mut self,
        what: &str,
        ours: &BTreeSet<u64>,
        theirs: &BTreeSet<u64>,
        name: &dyn Fn(u64) -> String,
    ) {
        let list = |set: Vec<&u64>| {
            let few: Vec<String> =
                set.iter().take(MAX_EXAMPLES).map(|&&id| format!("{id:#x} {}", name(id))).collect();
            format!("{} [{}]", set.len(), few.join(", "))
        };
        let missing: Vec<&u64> = theirs.difference(ours).collect();
        let surplus: Vec<&u64> = ours.difference(theirs).collect();
        self.check(missing.is_empty(), || format!("{what}: missing {}", list(missing)));
        self.check(surplus.is_empty(), || format!("{what}: surplus {}", list(surplus)));
    }

    /// Tells of everything `wrong`, some of it in full.
    pub fn all(&mut self, what: &str, wrong: Vec<String>) {
        let few = wrong.iter().take(MAX_EXAMPLES).cloned().collect::<Vec<_>>().join("\n    ");
        self.check(wrong.is_empty(), || format!("{what}: {} differ\n    {few}", wrong.len()));
    }

    /// Everything told, as an error.
    pub fn into_result(self) -> Result<(), String> {
        if self.0.is_empty() { Ok(()) } else { Err(self.0.join("\n")) }
    }
}
