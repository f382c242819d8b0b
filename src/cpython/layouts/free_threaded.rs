//! The part of the list that only free-threaded builds have (3.13 and later): counts and queues of threads, copies of code.
//!
//! Knows names, as the rest of the list does; refuses to know what the fields mean.

use crate::layout::{Field, LayoutError, Resolver};

layouts! {
    FreeThreaded {}
    /// Objects/listobject.c: the items of a list in a free-threaded build, behind their number.
    list_array: ListArray = "_PyListArray" {
        allocated: optional("allocated"),
        items: optional("ob_item"),
    }
    /// Include/internal/pycore_tstate.h, 3.13 and later: counts and queues of a thread in free-threaded builds.
    thread_counts: ThreadCounts = "_PyThreadStateImpl" {
        mem_free_queue: optional("mem_free_queue"),
        c_stack_refs: optional("c_stack_refs"),
        to_merge: optional("brc.objects_to_merge.head"),
        local_to_merge: optional("brc.local_objects_to_merge.head"),
        alloc_count: optional("gc.alloc_count"),
        refcounts: optional("refcounts.values"),
        refcounts_size: optional("refcounts.size"),
    }
    /// Include/cpython/code.h, free-threaded 3.14: copies of a code object's instructions, one for each thread.
    code_array: CodeArray = "_PyCodeArray" {
        size_used: optional("size"),
        entries: optional("entries"),
    }
    /// Include/internal/pycore_stackref.h, free-threaded 3.14: references on the C stack.
    c_stack_ref: CStackRef = "_PyCStackRef" {
        reference: optional("ref"),
        next: optional("next"),
    }
    /// Include/internal/pycore_interp_structs.h, free-threaded 3.14: objects that threads count themselves.
    unique_id_pool: UniqueIdPool = "_Py_unique_id_pool" {
        table: optional("table"),
        size_used: optional("size"),
    }
    /// Include/internal/pycore_object_stack.h: a piece of a stack of objects.
    object_stack: ObjectStackChunk = "_PyObjectStackChunk|_Py_object_stack_chunk" {
        previous: optional("prev"),
        used: optional("n"),
        objects: optional("objs"),
    }
    /// Include/internal/pycore_llist.h: a link of a ring.
    list_node: ListNode = "llist_node" {
        next: optional("next"),
    }
    /// Objects/obmalloc.c: memory to be freed when no thread looks at it any more.
    work_chunk: WorkChunk = "_mem_work_chunk" {
        read: optional("rd_idx"),
        written: optional("wr_idx"),
        items: optional("array"),
    }
    /// Objects/obmalloc.c: one piece of that memory.
    work_item: WorkItem = "_mem_work_item" {
        pointer: optional("ptr"),
    }
}
