//! What only looks like an object, planted in live blocks of a core of a program that is linked to low addresses.

use super::core_image::CoreImage;
use super::program::fixtures;
use exuvia::corefile::{Inputs, SearchOptions};
use exuvia::cpython::{ReadField, Runtime};
use exuvia::heap::census;
use std::collections::BTreeSet;
use std::path::Path;

/// What the tests need to know of a heap.
struct Heap {
    objects: BTreeSet<u64>,
    int: u64,
    list: u64,
    bytes: u64,
    /// Where the items of a list begin that has room for eight: a block of 64 bytes.
    block: u64,
}

impl Heap {
    fn read(core: &Path) -> Self {
        let options = SearchOptions { core_only: true, ..SearchOptions::default() };
        let inputs = Inputs::open(core, &options).expect("a core");
        let mut runtime = Runtime::open(&inputs, None).expect("a heap");
        let objects = census(&mut runtime).expect("objects").counted.objects;
        let named = |name: &str| {
            let found = runtime.types.iter().find(|(_, info)| &*info.name == name);
            found.map(|(id, info)| (id, info.address)).expect("a builtin type")
        };
        let (lists, list) = named("builtins.list");
        let l = &runtime.layouts.list;
        let room = |&object: &u64| runtime.space.field(object, l.allocated) == Ok(8);
        let addresses = || objects.ids().map(|id| (id, objects.address(id)));
        let mut all_lists = addresses().filter(|&(id, _)| objects.type_id(id) == lists);
        let roomy = all_lists.find(|(_, object)| room(object)).expect("a list of up to eight").1;
        Self {
            int: named("builtins.int").1,
            bytes: named("builtins.bytes").1,
            list,
            block: runtime.space.field(roomy, l.items).expect("its items"),
            objects: addresses().map(|(_, object)| object).collect(),
        }
    }
}

/// Objects that are there when the block of 64 bytes holds `words`, and were not before; `place` is within it.
fn is_counted(core: &CoreImage, heap: &Heap, words: [u64; 8], place: u64) -> bool {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("core");
    std::fs::write(&path, core.with_words(heap.block, &words).bytes()).expect("the core is written");
    let found = Heap::read(&path).objects;
    let more: Vec<u64> = found.difference(&heap.objects).copied().collect();
    assert!(more.iter().all(|&object| object == heap.block + place), "{more:x?}");
    !more.is_empty()
}

#[test]
fn a_block_of_pointers_that_look_like_a_count_and_a_type_is_no_object() {
    for fixture in
        fixtures().iter().filter(|fixture| ["3.14.10-bare", "3.15.2-bare"].contains(&&*fixture.name))
    {
        let (core, heap) = (&fixture.core, Heap::read(&fixture.packed));
        let counted = |words, place| is_counted(core, &heap, words, place);
        assert!(heap.int < 1 << 32, "{}: not linked to low addresses", fixture.name);
        // The same with a small count does look like an object: the test sees what is planted.
        assert!(counted([2, heap.int, 8, 7, 0, 0, 0, 0], 0));
        assert!(counted([heap.block, heap.block, 2, heap.list, 0, 0, 0, 0], 16));
        assert!(counted([2, heap.bytes, 20, u64::MAX, 0, 0, 0, 0], 0));
        // Items of a list whose block an int had before.
        assert!(!counted([heap.list, heap.int, 8, 7, 0, 0, 0, 0], 0));
        // A module's state: one type after another, or what is no object before a type.
        assert!(!counted([heap.int, heap.list, heap.bytes, heap.list, 0, 0, 0, 0], 16));
        assert!(!counted([heap.block, heap.block, heap.int + 8, heap.list, 0, 0, 0, 0], 16));
        assert!(!counted([heap.int, heap.block, heap.int + 8, heap.list, 0, 0, 0, 0], 16));
        // More items than the block has room for.
        assert!(!counted([2, heap.bytes, 1 << 20, u64::MAX, 0, 0, 0, 0], 0));
        assert!(!counted([2, heap.int, 1 << 40, 7, 0, 0, 0, 0], 0));
    }
}
