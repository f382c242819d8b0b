//! L3: the interpreter's data in CPython's own words.
//!
//! Knows interpreters, threads, frames, the collector's lists, allocators, types, and how each type's instances refer to
//! other objects. Refuses to know analyses and output. Layouts come in by name ([`layouts`]); what names cannot say
//! is decided in [`semantics`], the only file here that compares versions.

mod attributes;
mod beside;
mod blocks;
mod bounds;
mod choice;
mod contents;
mod debug_offsets;
mod dict;
mod embedded;
mod error;
pub mod extracted;
mod facts;
mod fit;
mod frame;
mod futures;
mod gc;
mod gc_columns;
mod gc_heaps;
mod greenlets;
mod header;
mod instance;
mod interpreter;
mod items;
mod landmarks;
pub mod layouts;
mod lines;
mod locate;
mod members;
mod mimalloc;
mod mimalloc_page;
mod names;
mod object_chain;
mod old_lines;
mod open;
mod outline;
mod outside_counts;
mod own_data;
mod preview;
mod printed;
mod probe;
mod processor;
mod program;
mod pymalloc;
mod references;
mod room;
mod roots;
pub mod semantics;
mod shapes;
mod size;
mod size_modules;
mod slot;
mod sources;
mod stack_ref;
mod standard_library;
mod statics;
mod thread_name;
mod tracebacks;
mod type_search;
mod types;
mod values;
pub mod version;
mod views;
mod words;

pub use attributes::{
    AttributeName, Lookup, class_namespaces, dict_object, get_attribute, instance_attributes, lookup,
};
pub use beside::Beside;
pub use blocks::{
    AllocatorFigures, AllocatorKind, Area, Contents, LiveBlocks, PADDING, PaddedBlock, Region, Regions,
    for_each_area, regions,
};
pub use bounds::{Bound, CacheFigures, bound_of, cache_figures};
pub use contents::{PlainValue, ValueKind, each_element, value_length};
pub use debug_offsets::DebugOffsets;
pub use dict::{DictItems, DictTable, dict_get, dict_items};
pub use embedded::{EMBEDDED, EmbeddedTable, embedded_tables};
pub use error::PythonError;
pub use facts::{Facts, StaticNames};
pub use frame::{
    Frame, FrameLocal, Generator, GeneratorState, StackDamage, ThreadExceptions, frame_of_object,
    generator_frame, generator_state, read_alone as frame_at, thread_exceptions, thread_frames,
};
pub use futures::{
    FutureState, TaskFacts, awaited_through, inherits, is_future, is_task, state_in_attribute, task_facts,
    task_name,
};
pub use gc::{GcList, GcState, Generation, GenerationCounters, is_listed};
pub use gc_columns::{read_lists, write_lists};
pub use greenlets::{GREENLET, Greenlet, GreenletLayout, GreenletState};
pub use header::{GcBits, Header, RefCount};
pub use instance::DictPlace;
pub use interpreter::{Gil, Interpreter, ThreadState};
pub use items::{ItemKey, Items, get_item, items, key_equals, text_equals};
pub use landmarks::Landmarks;
pub use lines::line_of;
pub use members::{MemberNames, ask_member_names, member_name, member_value};
pub use mimalloc::{HeapFigures, MimallocFigures};
pub use names::type_module;
pub use object_chain::chained_objects;
pub use open::Known;
pub use outline::{Outline, OutlineFrame, OutlineThread};
pub use outside_counts::{OutsideCounts, StackHold, uncounted_on_stack};
pub use preview::{
    Preview, PreviewLimits, Values, escape_text, float_repr, preview, quote_bytes, quote_text,
};
pub use program::Program;
pub use pymalloc::{Arena, ClassFigures, PymallocFigures, RawBlocks};
pub use references::{
    Attributes, Disagreement, Gap, References, Referent, dict_slot, managed_place, uncounted_referents,
};
pub use room::{AttributeRoom, Growing, Room, attribute_room, room, shared_names, slotted_size};
pub use roots::{RootKind, RootReference, roots};
pub use semantics::{PyVersion, Semantics, Support, type_flags};
pub use size::{SizeRule, bytes_in_block, object_size, size_of};
pub use slot::Slot;
pub use standard_library::standard_modules;
pub use thread_name::{name_of_thread, thread_name, thread_objects};
pub use tracebacks::{TracebackEntry, traceback_entries};
pub use type_search::is_type;
pub use types::{AllocationCounts, TypeId, TypeInfo, TypeTable, Walk, WalkKind};
pub use values::{
    REMOVED_HASH, StrText, is_str, read_bytes, read_count, read_int, read_str, str_text, tuple_items,
};
pub use views::{MappedMemory, mapped_memory, view_length};
pub use words::{ReadField, half, word};

use crate::corefile::{Address, AddressSpace, Machine};
use crate::debuginfo::Binaries;
use crate::layout::{Resolution, Table};
use layouts::Layouts;
use shapes::Shapes;
use std::borrow::Cow;

/// A CPython found in a core file: where its state lies and how to read it.
#[derive(Debug)]
pub struct Runtime<'core> {
    /// All memory of the process.
    pub space: AddressSpace<'core>,
    /// Symbols and debug information of the mapped files.
    pub binaries: Binaries<'core>,
    /// The layout table that stands in for debug information; one given by the user also knows symbols.
    pub table: Option<Cow<'core, Table>>,
    /// What is known of types whose code is not there.
    pub facts: Facts,
    /// Names of static types that cannot be read from the process.
    pub static_names: StaticNames,
    /// Offsets of every struct.
    pub layouts: Layouts,
    /// The header of every object.
    pub header: Header,
    /// What offsets do not say.
    pub semantics: Semantics,
    /// Fixed reference fields of the interpreter's own types.
    pub shapes: Shapes,
    /// Every question asked of the layout sources, with its answer and origin.
    pub resolutions: Vec<Resolution>,
    /// Descriptions of the layout sources, most trusted first.
    pub layout_sources: Vec<String>,
    /// `_PyRuntime`.
    pub address: Address,
    /// Index of the module that holds it, among the core's modules.
    pub module: usize,
    /// Name of that module.
    pub module_name: String,
    /// The main interpreter first.
    pub interpreters: Vec<Interpreter>,
    /// Addresses of objects everything else is recognised by.
    pub landmarks: Landmarks,
    /// Bytes of memory with contents: the bound of every list walk.
    pub mapped_bytes: u64,
    /// Bytes of memory the process had, in the core or not: no object is larger.
    pub described_bytes: u64,
    /// Objects on the collector's lists.
    pub gc_lists: Vec<GcList>,
    /// All types.
    pub types: TypeTable,
    /// Reference counts kept outside of headers.
    pub outside_counts: OutsideCounts,
    /// Names of members that labels have asked for.
    pub member_names: MemberNames,
    /// Contents of objects were overwritten when the heap was saved: there is nothing to show.
    pub redacted: bool,
}

impl Runtime<'_> {
    /// Run-time address of a symbol of the module that holds the interpreter.
    pub fn symbol(&self, name: &str) -> Option<Address> {
        locate::find_symbol(&self.binaries, self.table.as_deref(), self.module, name)
    }

    /// Whether there is code to be read at `address`, and of a processor whose code can be followed.
    pub(crate) fn has_code(&self, address: Address) -> bool {
        self.binaries.machine() == Machine::X86_64 && self.space.read_u8(address).is_ok()
    }

    /// Whether `address` lies in the module that holds the interpreter.
    pub fn is_own_code(&self, address: Address) -> bool {
        self.binaries.module(self.module).is_some_and(|module| module.contains(address))
    }
}
