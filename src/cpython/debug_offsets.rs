//! What a process says of its own layouts: the struct `_Py_DebugOffsets` at the start of `_PyRuntime`, since 3.13.
//!
//! Knows the order of its words, which each minor release fixes (Include/internal/pycore_debug_offsets.h; in 3.13
//! Include/internal/pycore_runtime.h); refuses to guess it for a release it does not know. This file compares versions, as
//! the struct says of itself nothing but its release.

use super::PyVersion;
use crate::corefile::{Address, AddressSpace};
use crate::layout::{Field, LayoutSource, Origin};

/// What `_PyRuntime` begins with.
const COOKIE: u64 = u64::from_le_bytes(*b"xdebugpy");
/// Bytes of cookie, version and flavour, in front of the first offset.
const HEADER: u64 = 24;
/// No offset or size in the struct is larger: the largest structs have some hundred kilobytes.
const MAX_OFFSET: u64 = 16 << 20;

/// A word of the struct: what it tells of which C struct. Path `""` is the struct's size; a word of no use here has the
/// struct `""`. The number is the size of the field in bytes.
type Word = (&'static str, &'static str, u32);

/// A word that answers no question of this crate, or whose meaning differs from a plain offset.
const UNUSED: Word = ("", "", 0);

const RUNTIME: &[Word] = &[
    ("_PyRuntimeState", "", 0),
    UNUSED, // finalizing
    ("_PyRuntimeState", "interpreters.head", 8),
];
const INTERPRETER_START: &[Word] = &[
    ("PyInterpreterState", "", 0),
    ("PyInterpreterState", "id", 8),
    ("PyInterpreterState", "next", 8),
    ("PyInterpreterState", "threads.head", 8),
];
/// Since 3.14.
const THREADS_MAIN: &[Word] = &[("PyInterpreterState", "threads.main", 8)];
const INTERPRETER_REST: &[Word] = &[
    ("PyInterpreterState", "gc", 0),
    ("PyInterpreterState", "imports.modules", 8),
    ("PyInterpreterState", "sysdict", 8),
    ("PyInterpreterState", "builtins", 8),
    ("PyInterpreterState", "ceval.gil", 8),
    UNUSED, // gil_runtime_state: of the member _gil
    UNUSED, // gil_runtime_state_enabled
    UNUSED, // gil_runtime_state_locked
    UNUSED, // gil_runtime_state_holder
];
/// code_object_generation, tlbc_generation; since 3.14.
const GENERATIONS: &[Word] = &[UNUSED, UNUSED];
const THREAD_START: &[Word] = &[
    ("PyThreadState", "", 0),
    ("PyThreadState", "prev", 8),
    ("PyThreadState", "next", 8),
    ("PyThreadState", "interp", 8),
    ("PyThreadState", "current_frame", 8),
];
/// base_frame, last_profiled_frame, last_profiled_frame_seq; since 3.15.
const THREAD_PROFILE: &[Word] = &[UNUSED, UNUSED, UNUSED];
const THREAD_REST: &[Word] = &[
    ("PyThreadState", "thread_id", 8),
    ("PyThreadState", "native_thread_id", 8),
    ("PyThreadState", "datastack_chunk", 8),
    UNUSED, // status
];
/// Since 3.15.
const THREAD_EXCEPTIONS: &[Word] = &[
    UNUSED, // holds_gil
    UNUSED, // gil_requested
    ("PyThreadState", "current_exception", 8),
    ("PyThreadState", "exc_state", 0),
    ("_PyErr_StackItem", "exc_value", 8),
];
const FRAME: &[Word] = &[
    ("_PyInterpreterFrame", "", 0),
    ("_PyInterpreterFrame", "previous", 8),
    ("_PyInterpreterFrame", "f_executable", 8),
    ("_PyInterpreterFrame", "instr_ptr", 8),
    ("_PyInterpreterFrame", "localsplus", 0),
    ("_PyInterpreterFrame", "owner", 1),
];
/// Since 3.14.
const FRAME_STACK: &[Word] =
    &[("_PyInterpreterFrame", "stackpointer", 8), ("_PyInterpreterFrame", "tlbc_index", 4)];
const CODE: &[Word] = &[
    ("PyCodeObject", "", 0),
    ("PyCodeObject", "co_filename", 8),
    ("PyCodeObject", "co_name", 8),
    ("PyCodeObject", "co_qualname", 8),
    ("PyCodeObject", "co_linetable", 8),
    ("PyCodeObject", "co_firstlineno", 4),
    ("PyCodeObject", "co_argcount", 4),
    ("PyCodeObject", "co_localsplusnames", 8),
    ("PyCodeObject", "co_localspluskinds", 8),
    ("PyCodeObject", "co_code_adaptive", 0),
];
/// co_tlbc; since 3.14.
const CODE_COPIES: &[Word] = &[UNUSED];
const OBJECT: &[Word] = &[("PyObject", "", 0), ("PyObject", "ob_type", 8)];
const TYPE: &[Word] = &[
    ("PyTypeObject", "", 0),
    ("PyTypeObject", "tp_name", 8),
    ("PyTypeObject", "tp_repr", 8),
    ("PyTypeObject", "tp_flags", 8),
];
/// Since 3.15.
const TYPE_SIZES: &[Word] = &[
    ("PyTypeObject", "tp_basicsize", 8),
    ("PyTypeObject", "tp_dictoffset", 8),
    ("PyHeapTypeObject", "", 0),
    ("PyHeapTypeObject", "ht_cached_keys", 8),
];
const SEQUENCES: &[Word] = &[
    ("PyTupleObject", "", 0),
    ("PyTupleObject", "ob_item", 0),
    ("PyVarObject", "ob_size", 8),
    ("PyListObject", "", 0),
    ("PyListObject", "ob_item", 8),
    UNUSED, // ob_size of a list
];
/// Since 3.14.
const SET: &[Word] = &[
    ("PySetObject", "", 0),
    ("PySetObject", "used", 8),
    ("PySetObject", "table", 8),
    ("PySetObject", "mask", 8),
];
const VALUES: &[Word] = &[
    ("PyDictObject", "", 0),
    ("PyDictObject", "ma_keys", 8),
    ("PyDictObject", "ma_values", 8),
    ("PyFloatObject", "", 0),
    ("PyFloatObject", "ob_fval", 8),
    ("PyLongObject", "", 0),
    ("PyLongObject", "long_value.lv_tag", 8),
    ("PyLongObject", "long_value.ob_digit", 0),
    ("PyBytesObject", "", 0),
    UNUSED, // ob_size of bytes
    ("PyBytesObject", "ob_sval", 0),
    ("PyUnicodeObject", "", 0),
    UNUSED, // state: holds bit-fields
    ("PyASCIIObject", "length", 8),
    ("PyASCIIObject", "", 0),
];
/// Since 3.15.
const COMPACT: &[Word] = &[("PyCompactUnicodeObject", "", 0)];
const COLLECTOR: &[Word] = &[("_gc_runtime_state", "", 0), ("_gc_runtime_state", "collecting", 4)];

/// The words behind the header in 3.13.
const OF_3_13: &[&[Word]] = &[
    RUNTIME,
    INTERPRETER_START,
    INTERPRETER_REST,
    THREAD_START,
    THREAD_REST,
    FRAME,
    CODE,
    OBJECT,
    TYPE,
    SEQUENCES,
    VALUES,
    COLLECTOR,
];
/// In 3.14. What follows serves generators and remote debuggers.
const OF_3_14: &[&[Word]] = &[
    RUNTIME,
    INTERPRETER_START,
    THREADS_MAIN,
    INTERPRETER_REST,
    GENERATIONS,
    THREAD_START,
    THREAD_REST,
    FRAME,
    FRAME_STACK,
    CODE,
    CODE_COPIES,
    OBJECT,
    TYPE,
    SEQUENCES,
    SET,
    VALUES,
    COLLECTOR,
];
/// In 3.15, from its fourth beta on.
const OF_3_15: &[&[Word]] = &[
    RUNTIME,
    INTERPRETER_START,
    THREADS_MAIN,
    INTERPRETER_REST,
    GENERATIONS,
    THREAD_START,
    THREAD_PROFILE,
    THREAD_REST,
    THREAD_EXCEPTIONS,
    FRAME,
    FRAME_STACK,
    CODE,
    CODE_COPIES,
    OBJECT,
    TYPE,
    TYPE_SIZES,
    SEQUENCES,
    SET,
    VALUES,
    COMPACT,
    COLLECTOR,
];
/// The orders there are, newest first.
const ORDERS: [(&str, &[&[Word]]); 3] = [("3.15", OF_3_15), ("3.14", OF_3_14), ("3.13", OF_3_13)];

/// What was read from one process.
#[derive(Clone, Debug)]
pub struct DebugOffsets {
    /// The release that wrote it.
    pub version: PyVersion,
    /// Whether the build has no GIL.
    pub free_threaded: bool,
    answers: Vec<(Word, u32)>,
}

impl DebugOffsets {
    /// Reads the struct at `runtime`, the address of `_PyRuntime`; `None` where there is none, or the order of its words is
    /// not known.
    pub fn read(space: &AddressSpace<'_>, runtime: Address) -> Option<Self> {
        Self::read_in(space, runtime, words_of(stated_version(space, runtime)?)?)
    }

    /// Reads the struct of a release that is not known here in the order of each that is, newest first, with that release's
    /// name. What one of them says is to be proved before it is believed.
    pub fn in_other_orders(
        space: &AddressSpace<'_>,
        runtime: Address,
    ) -> impl Iterator<Item = (&'static str, Self)> {
        ORDERS
            .iter()
            .filter_map(move |&(release, words)| Some((release, Self::read_in(space, runtime, words)?)))
    }

    fn read_in(space: &AddressSpace<'_>, runtime: Address, words: &[&'static [Word]]) -> Option<Self> {
        let at = |offset: u64| space.read_u64(runtime.wrapping_add(offset)).ok();
        if at(0)? != COOKIE {
            return None;
        }
        let version = PyVersion(u32::try_from(at(8)?).ok()?);
        let free_threaded = at(16)? != 0;
        let mut answers = Vec::new();
        for (word, offset) in words.iter().copied().flatten().zip((HEADER..).step_by(8)) {
            let value = at(offset).filter(|&value| value < MAX_OFFSET)?;
            if !word.0.is_empty() {
                answers.push((*word, u32::try_from(value).ok()?));
            }
        }
        Some(Self { version, free_threaded, answers })
    }

    fn answer(&self, ty: &str, path: &str) -> Option<(u32, u32)> {
        let found = self.answers.iter().find(|((of, at, _), _)| *of == ty && *at == path);
        found.map(|&((_, _, size), value)| (value, size))
    }
}

/// The release that the `_Py_DebugOffsets` at `runtime` states, whether or not its words are known.
pub fn stated_version(space: &AddressSpace<'_>, runtime: Address) -> Option<PyVersion> {
    let at = |offset: u64| space.read_u64(runtime.wrapping_add(offset)).ok();
    if at(0)? != COOKIE {
        return None;
    }
    u32::try_from(at(8)?).ok().map(PyVersion)
}

/// The order of the words in a release: `None` where it is not known.
fn words_of(version: PyVersion) -> Option<&'static [&'static [Word]]> {
    // Include/internal/pycore_runtime.h of 3.13.0; pycore_debug_offsets.h of 3.14.0 and 3.15.0b4, which was the last to add
    // words in the middle.
    match version.0 {
        0x030d_00f0..0x030e_0000 => Some(OF_3_13),
        0x030e_00f0..0x030f_0000 => Some(OF_3_14),
        0x030f_00b4..0x0310_0000 => Some(OF_3_15),
        _ => None,
    }
}

impl LayoutSource for DebugOffsets {
    fn origin(&self) -> Origin {
        Origin::Runtime
    }

    fn describe(&self) -> String {
        format!("_Py_DebugOffsets of the process ({})", self.version)
    }

    fn size_of(&self, ty: &str) -> Option<u32> {
        self.answer(ty, "").map(|(size, _)| size)
    }

    fn field(&self, ty: &str, path: &str) -> Option<Field> {
        if path.is_empty() {
            return None;
        }
        self.answer(ty, path).map(|(offset, size)| Field::bytes(offset, size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(of: &[&[Word]], ty: &str, path: &str) -> Option<u64> {
        let words = of.iter().copied().flatten().zip((HEADER..).step_by(8));
        words.into_iter().find(|((a, b, _), _)| *a == ty && *b == path).map(|(_, at)| at)
    }

    /// Offsets within the struct, as debug information of 3.13.18, 3.14.10 and 3.15.2 has them.
    #[test]
    fn words_stand_where_debug_information_says() {
        for (of, ty, path, at) in [
            (OF_3_13, "PyInterpreterState", "builtins", 104),
            (OF_3_13, "PyThreadState", "current_frame", 184),
            (OF_3_13, "_PyInterpreterFrame", "owner", 264),
            (OF_3_13, "PyCodeObject", "co_code_adaptive", 344),
            (OF_3_13, "PyTypeObject", "tp_flags", 392),
            (OF_3_13, "PyLongObject", "long_value.ob_digit", 504),
            (OF_3_13, "_gc_runtime_state", "collecting", 576),
            (OF_3_14, "PyInterpreterState", "gc", 88),
            (OF_3_14, "PyThreadState", "current_frame", 208),
            (OF_3_14, "_PyInterpreterFrame", "stackpointer", 296),
            (OF_3_14, "PySetObject", "", 496),
            (OF_3_14, "PyASCIIObject", "", 640),
            (OF_3_14, "_gc_runtime_state", "", 648),
            (OF_3_15, "PyThreadState", "thread_id", 240),
            (OF_3_15, "PyThreadState", "current_exception", 288),
            (OF_3_15, "_PyErr_StackItem", "exc_value", 304),
            (OF_3_15, "PyTypeObject", "tp_basicsize", 512),
            (OF_3_15, "PyTupleObject", "", 544),
            (OF_3_15, "PyUnicodeObject", "", 712),
            (OF_3_15, "_gc_runtime_state", "collecting", 760),
        ] {
            assert_eq!(position(of, ty, path), Some(at), "{ty}.{path}");
        }
    }

    #[test]
    fn releases_that_are_not_known_have_no_order() {
        for hex in [0x030c_01f0, 0x030d_00a1, 0x030f_00a8, 0x0310_00a0, 0x0311_00f0] {
            assert!(words_of(PyVersion(hex)).is_none(), "{hex:#x}");
        }
        assert!(words_of(PyVersion(0x030f_02f0)).is_some());
    }
}
