//! Reference counts that free-threaded builds keep outside the objects' headers.
//!
//! Knows the threads' own counts of popular objects, decrements that wait for the owner of an object, and references
//! that go with memory to be freed later. Refuses to know what the objects are. Nothing of it exists where no thread
//! state has these members.

use super::frame::frame_chain;
use super::stack_ref::StackRef;
use super::words::{ReadField, at, word};
use super::{Runtime, ThreadState};
use crate::corefile::{Address, ReadError};
use rustc_hash::FxHashMap;

/// Most ids, queued objects or chunks of a queue that one interpreter is believed to have.
const MAX_ENTRIES: u64 = 1 << 26;
/// In a queue of delayed frees: the pointer is an object to be released, not memory to be freed (Objects/obmalloc.c,
/// `_PyObject_XDecRefDelayed`, 3.14).
const IS_OBJECT: u64 = 1;

/// Corrections to the counts in the headers of some objects.
#[derive(Clone, Debug, Default)]
pub struct OutsideCounts {
    /// References counted elsewhere, for objects that have any.
    counted: FxHashMap<Address, i64>,
    /// References that queues of the runtime hold; the collector drops them before it counts.
    queued: FxHashMap<Address, i64>,
}

impl OutsideCounts {
    /// Reads the counts and queues of all threads. What cannot be read is left out.
    pub fn read(runtime: &Runtime<'_>) -> Self {
        let mut counts = Self::default();
        for interpreter in &runtime.interpreters {
            let threads = interpreter.threads.iter().map(|thread| thread.address);
            // A damaged table or queue leaves its own counts out, not those of others.
            let _ = counts.add_thread_counts(runtime, interpreter.address, threads.clone());
            for thread in threads {
                let _ = counts.add_merge_queues(runtime, thread);
                if let Some(queue) = runtime.layouts.free_threaded.thread_counts.mem_free_queue {
                    let _ = counts.add_delayed(runtime, thread.wrapping_add(u64::from(queue.offset)));
                }
            }
            if let Some(queue) = runtime.layouts.interpreter.mem_free_queue {
                let _ =
                    counts.add_delayed(runtime, interpreter.address.wrapping_add(u64::from(queue.offset)));
            }
        }
        counts
    }

    /// References to the object that its header does not count; may be negative.
    #[inline]
    pub fn counted(&self, object: Address) -> i64 {
        if self.counted.is_empty() { 0 } else { self.counted.get(&object).copied().unwrap_or(0) }
    }

    /// References to the object that the runtime's own queues hold until they are worked off.
    #[inline]
    pub fn queued(&self, object: Address) -> i64 {
        if self.queued.is_empty() { 0 } else { self.queued.get(&object).copied().unwrap_or(0) }
    }

    /// `_PyObject_MergePerThreadRefcounts` (Python/uniqueid.c, 3.14): a thread counts references to types, code and
    /// module dicts in an array, by the number that the interpreter gave the object.
    fn add_thread_counts(
        &mut self,
        runtime: &Runtime<'_>,
        interpreter: Address,
        threads: impl Iterator<Item = Address>,
    ) -> Result<(), ReadError> {
        let (space, l) = (&runtime.space, &runtime.layouts);
        let (Some(pool), Some(table), Some(size)) = (
            l.interpreter.unique_ids,
            l.free_threaded.unique_id_pool.table,
            l.free_threaded.unique_id_pool.size_used,
        ) else {
            return Ok(());
        };
        let (Some(values), Some(length)) =
            (l.free_threaded.thread_counts.refcounts, l.free_threaded.thread_counts.refcounts_size)
        else {
            return Ok(());
        };
        let pool = interpreter.wrapping_add(u64::from(pool.offset));
        let objects = array(runtime, space.field(pool, table)?, space.field(pool, size)?)?;
        for thread in threads {
            let counts = array(runtime, space.field(thread, values)?, space.field(thread, length)?)?;
            for (object, count) in objects.as_chunks::<8>().0.iter().zip(counts.as_chunks::<8>().0) {
                let count = i64::from_le_bytes(*count);
                if count != 0 {
                    let entry = self.counted.entry(u64::from_le_bytes(*object)).or_default();
                    *entry = entry.saturating_add(count);
                }
            }
        }
        Ok(())
    }

    /// Objects whose owner is to merge their counts (Python/brc.c): each queue entry holds one reference.
    fn add_merge_queues(&mut self, runtime: &Runtime<'_>, thread: Address) -> Result<(), ReadError> {
        let (space, l) = (&runtime.space, &runtime.layouts);
        let (Some(previous), Some(used), Some(objects)) = (
            l.free_threaded.object_stack.previous,
            l.free_threaded.object_stack.used,
            l.free_threaded.object_stack.objects,
        ) else {
            return Ok(());
        };
        for field in [l.free_threaded.thread_counts.to_merge, l.free_threaded.thread_counts.local_to_merge]
            .into_iter()
            .flatten()
        {
            let mut chunk = space.field(thread, field)?;
            let mut left = MAX_ENTRIES;
            while chunk != 0 && left > 0 {
                let start = chunk.wrapping_add(u64::from(objects.offset));
                let entries = array(runtime, start, space.field(chunk, used)?)?;
                for entry in entries.as_chunks::<8>().0 {
                    *self.queued.entry(u64::from_le_bytes(*entry)).or_default() += 1;
                }
                chunk = space.field(chunk, previous)?;
                left -= 1;
            }
        }
        Ok(())
    }

    /// Delayed frees: a ring of chunks, whose head is the node at `head`.
    fn add_delayed(&mut self, runtime: &Runtime<'_>, head: Address) -> Result<(), ReadError> {
        let (space, l) = (&runtime.space, &runtime.layouts);
        let (Some(next), Some(read), Some(written), Some(items)) = (
            l.free_threaded.list_node.next,
            l.free_threaded.work_chunk.read,
            l.free_threaded.work_chunk.written,
            l.free_threaded.work_chunk.items,
        ) else {
            return Ok(());
        };
        let mut node = space.field(head, next)?;
        let mut left = MAX_ENTRIES;
        while node != head && node != 0 && left > 0 {
            let (from, to) = (space.field(node, read)?, space.field(node, written)?);
            let size = u64::from(l.free_threaded.work_item.size.max(8));
            for index in from..to.min(u64::from(items.size) / size) {
                let item = node.wrapping_add(u64::from(items.offset)).wrapping_add(index * size);
                let pointer = pointer_of(runtime, item)?;
                if pointer & IS_OBJECT != 0 {
                    *self.queued.entry(pointer & !IS_OBJECT).or_default() += 1;
                }
            }
            node = space.field(node, next)?;
            left -= 1;
        }
        Ok(())
    }
}

fn pointer_of(runtime: &Runtime<'_>, item: Address) -> Result<u64, ReadError> {
    match runtime.layouts.free_threaded.work_item.pointer {
        Some(field) => runtime.space.field(item, field),
        None => Ok(0),
    }
}

/// `count` words at `start`; none behind a NULL pointer.
fn array<'core>(runtime: &Runtime<'core>, start: Address, count: u64) -> Result<&'core [u8], ReadError> {
    if start == 0 || count > MAX_ENTRIES {
        return Ok(&[]);
    }
    runtime.space.slice(start, (count * 8) as usize)
}

/// What a thread's evaluation stack holds without being counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StackHold {
    /// A reference to this object.
    Object(Address),
    /// A frame's height was in a register: more references may stand there.
    UnknownHeight,
}

/// Calls `each` with every uncounted reference from frames and C code of `thread` that the collector of free-threaded builds
/// looks for (`gc_visit_thread_stacks`, Python/gc_free_threading.c, 3.14). What a frame's function slot holds is not
/// among them. There are none before 3.14.
pub fn uncounted_on_stack(runtime: &Runtime<'_>, thread: &ThreadState, each: &mut impl FnMut(StackHold)) {
    if !runtime.semantics.tagged_stack {
        return;
    }
    let mut report = |word: u64| {
        if let Some(StackRef { object, counted: false }) = StackRef::decode(word, true) {
            each(StackHold::Object(object));
        }
    };
    c_stack_words(runtime, thread.address).into_iter().for_each(&mut report);
    let mut unknown = false;
    for frame in frame_chain(runtime, thread.address).0 {
        unknown |= frame_words(runtime, frame, &mut report) == Ok(false);
    }
    if unknown {
        each(StackHold::UnknownHeight);
    }
}

/// Calls `each` with the words of a frame that the collector looks at; `false` if the stack's height is not known.
fn frame_words(runtime: &Runtime<'_>, frame: Address, each: &mut impl FnMut(u64)) -> Result<bool, ReadError> {
    let (space, l) = (&runtime.space, &runtime.layouts.frame);
    let (Some(owner), Some(top)) = (l.owner, l.stackpointer) else { return Ok(true) };
    if space.small(frame, owner)? >= u64::from(runtime.semantics.first_shim_owner) {
        return Ok(true);
    }
    let end = space.field(frame, top)?;
    if end == 0 {
        return Ok(false);
    }
    each(space.field(frame, l.code)?);
    let first = frame.wrapping_add(u64::from(l.localsplus.offset));
    let slots = array(runtime, first, end.saturating_sub(first) / 8)?;
    slots.as_chunks::<8>().0.iter().for_each(|slot| each(u64::from_le_bytes(*slot)));
    Ok(true)
}

/// References that C code of the thread at `thread` keeps where the collector sees them (`_PyCStackRef`, 3.14), as tagged
/// words.
fn c_stack_words(runtime: &Runtime<'_>, thread: Address) -> Vec<u64> {
    let (space, l) = (&runtime.space, &runtime.layouts);
    let mut words = Vec::new();
    let (Some(head), Some(next), Some(reference)) = (
        l.free_threaded.thread_counts.c_stack_refs,
        l.free_threaded.c_stack_ref.next,
        l.free_threaded.c_stack_ref.reference,
    ) else {
        return words;
    };
    let mut link = space.field(thread, head).unwrap_or(0);
    while link != 0 && (words.len() as u64) < MAX_ENTRIES {
        let Ok(bytes) = space.slice(link, l.free_threaded.c_stack_ref.size as usize) else { break };
        words.push(word(bytes, at(reference)));
        link = word(bytes, at(next));
    }
    words
}
