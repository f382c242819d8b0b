//! The modules of the standard library, by name.
//!
//! Knows those of all releases together; refuses to know which of them a release has: from 3.10 on that is what
//! `sys.stdlib_module_names` is for.

/// `sys.stdlib_module_names` of 3.10 to 3.15, and modules of earlier releases and of CPython's own tests.
const MODULES: &str = include_str!("standard_library.txt");

/// Names of top-level modules of the standard library.
pub fn standard_modules() -> impl Iterator<Item = &'static str> {
    MODULES.lines().chain(["builtins"])
}
