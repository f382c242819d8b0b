//! `Thread` objects and their names, as the module `threading` keeps them.
//!
//! Knows `threading._active`, from which a thread takes itself when it ends; refuses to know stacks.

use super::values::{is_str, read_count, read_str};
use super::{Runtime, ThreadState, dict_get, dict_items, get_attribute};
use crate::corefile::Address;

/// Longest name that is read, in characters.
const MAX_NAME: usize = 200;

/// `threading.Thread.name` of `thread`; `modules` is its interpreter's `sys.modules`. `None` for threads that the module
/// does not know, and where it was never imported.
pub fn thread_name(runtime: &Runtime<'_>, modules: Address, thread: &ThreadState) -> Option<String> {
    let objects = thread_objects(runtime, modules, std::slice::from_ref(thread));
    objects.first().and_then(|&(object, _)| name_of_thread(runtime, object))
}

/// The `Thread` objects of those of `threads` that the module knows; `modules` is their interpreter's `sys.modules`.
pub fn thread_objects<'t>(
    runtime: &Runtime<'_>,
    modules: Address,
    threads: &'t [ThreadState],
) -> Vec<(Address, &'t ThreadState)> {
    let active = dict_get(runtime, modules, "threading")
        .and_then(|threading| get_attribute(runtime, threading, "_active"));
    let thread_of = |(key, object): (Address, Address)| {
        let ident = read_count(runtime, key).ok().flatten()?;
        let thread = threads.iter().find(|thread| i128::from(thread.thread_id) == ident)?;
        Some((object, thread))
    };
    let items = active.map(|active| dict_items(runtime, active)).unwrap_or_default();
    items.into_iter().filter_map(thread_of).collect()
}

/// `name` of the `Thread` object at `object`.
pub fn name_of_thread(runtime: &Runtime<'_>, object: Address) -> Option<String> {
    let name = get_attribute(runtime, object, "_name")?;
    is_str(runtime, name).then(|| read_str(runtime, name, MAX_NAME).ok())?
}
