//! Names of threads, as the module `threading` keeps them.
//!
//! Knows `threading._active`; refuses to know stacks.

use super::values::{is_str, read_count, read_str};
use super::{Runtime, ThreadState, dict_get, dict_items, get_attribute};
use crate::corefile::Address;

/// Longest name that is read, in characters.
const MAX_NAME: usize = 200;

/// `threading.Thread.name` of `thread`; `modules` is its interpreter's `sys.modules`. `None` for threads that the module
/// does not know, and where it was never imported.
pub fn thread_name(runtime: &Runtime<'_>, modules: Address, thread: &ThreadState) -> Option<String> {
    let threading = dict_get(runtime, modules, "threading")?;
    let active = get_attribute(runtime, threading, "_active")?;
    let is_ident = |&(key, _): &(Address, Address)| {
        read_count(runtime, key).is_ok_and(|ident| ident == Some(i128::from(thread.thread_id)))
    };
    let (_, object) = dict_items(runtime, active).into_iter().find(is_ident)?;
    let name = get_attribute(runtime, object, "_name")?;
    is_str(runtime, name).then(|| read_str(runtime, name, MAX_NAME).ok())?
}
