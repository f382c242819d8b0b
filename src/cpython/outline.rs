//! The little that can be said of an interpreter whose structs no source describes: its threads and their stacks, by what
//! the process says of its own layouts.
//!
//! Knows `_Py_DebugOffsets` and nothing else; refuses to take the layouts of a similar release, and reads no object but code
//! and its names. The order of the words of a release that is not known may be that of one that is: it is taken where the
//! threads and frames it leads to prove it, and the answer says so.

use super::debug_offsets::DebugOffsets;
use super::lines::line_in_table;
use super::locate::find_runtime;
use super::{PyVersion, ReadField};
use crate::corefile::{Address, AddressSpace, Inputs};
use crate::debuginfo::Binaries;
use crate::layout::{Field, LayoutSource};

/// Most interpreters, and threads of each.
const MAX_CHAIN: usize = 10_000;
/// Most frames of one thread.
const MAX_FRAMES: usize = 100_000;
/// Longest name of a function or file, in characters.
const MAX_TEXT: u64 = 4096;
/// Longest location table, in bytes.
const MAX_TABLE: u64 = 1 << 24;
/// Bits of a reference in a frame that are no address (Include/internal/pycore_stackref.h, 3.14).
const TAG_BITS: u64 = 3;
/// Frames with this owner or a higher one are no Python frames (Include/internal/pycore_frame.h, 3.13 to 3.15).
const FIRST_SHIM_OWNER: u8 = 3;
/// Bytes of a code unit.
const CODE_UNIT: u64 = 2;

/// Threads of a process, newest first within each interpreter.
#[derive(Clone, Debug)]
pub struct Outline {
    /// The release.
    pub version: PyVersion,
    /// Whether the build has no GIL.
    pub free_threaded: bool,
    /// Whose order of `_Py_DebugOffsets` it was read in, where that of its own release is not known.
    pub in_order_of: Option<&'static str>,
    /// The threads.
    pub threads: Vec<OutlineThread>,
}

/// One thread.
#[derive(Clone, Debug)]
pub struct OutlineThread {
    /// Id of its interpreter.
    pub interpreter: u64,
    /// Its `PyThreadState`.
    pub state: Address,
    /// `threading.get_ident()`.
    pub ident: u64,
    /// `threading.get_native_id()`.
    pub native_id: u64,
    /// Its frames, innermost first.
    pub frames: Vec<OutlineFrame>,
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutlineFrame {
    /// Its code object.
    pub code: Address,
    /// Qualified name of the function; `None` where it is not plain ASCII or not readable.
    pub function: Option<String>,
    /// File of its code.
    pub file: Option<String>,
    /// Line that was running.
    pub line: Option<u32>,
}

impl Outline {
    /// Reads threads and stacks; `None` where the process does not describe itself in an order that is known.
    pub fn read(inputs: &Inputs) -> Option<Self> {
        let space = inputs.space();
        let binaries = Binaries::new(inputs);
        let (_, runtime) = find_runtime(inputs, &space, &binaries, None).ok()?;
        if let Some(offsets) = DebugOffsets::read(&space, runtime) {
            return Reader { space: &space, offsets: &offsets }.outline(runtime);
        }
        DebugOffsets::in_other_orders(&space, runtime).find_map(|(release, offsets)| {
            let reader = Reader { space: &space, offsets: &offsets };
            let outline = reader.outline(runtime)?;
            let proved = outline.has_thread_of(inputs) && reader.is_of_code(&outline);
            proved.then_some(Self { in_order_of: Some(release), ..outline })
        })
    }

    /// Whether a thread that the core has registers of is among those with frames.
    fn has_thread_of(&self, inputs: &Inputs) -> bool {
        let known = |thread: &OutlineThread| {
            !thread.frames.is_empty()
                && inputs.notes().threads.iter().any(|note| u64::try_from(note.tid) == Ok(thread.native_id))
        };
        self.threads.iter().any(known)
    }
}

struct Reader<'a, 'core> {
    space: &'a AddressSpace<'core>,
    offsets: &'a DebugOffsets,
}

impl Reader<'_, '_> {
    fn outline(&self, runtime: Address) -> Option<Outline> {
        let mut threads = Vec::new();
        let mut interpreter = self.word(runtime, "_PyRuntimeState", "interpreters.head")?;
        for _ in 0..MAX_CHAIN {
            if interpreter == 0 {
                break;
            }
            threads.extend(self.threads(interpreter).unwrap_or_default());
            interpreter = self.word(interpreter, "PyInterpreterState", "next").unwrap_or(0);
        }
        (!threads.is_empty()).then_some(Outline {
            version: self.offsets.version,
            free_threaded: self.offsets.free_threaded,
            in_order_of: None,
            threads,
        })
    }

    /// Whether what the frames run is code: objects of one type, with functions and files. (Not each may have a name that
    /// can be read here.)
    fn is_of_code(&self, outline: &Outline) -> bool {
        let frames = || outline.threads.iter().flat_map(|thread| &thread.frames);
        let mut types = frames().map(|frame| self.word(frame.code, "PyObject", "ob_type"));
        let first = types.next().flatten().filter(|&type_| type_ != 0);
        first.is_some()
            && types.all(|type_| type_ == first)
            && frames().any(|frame| frame.function.is_some() && frame.file.is_some())
    }

    fn field(&self, ty: &str, path: &str) -> Option<Field> {
        self.offsets.field(ty, path)
    }

    fn word(&self, base: Address, ty: &str, path: &str) -> Option<u64> {
        self.space.field(base, self.field(ty, path)?).ok()
    }

    fn threads(&self, interpreter: Address) -> Option<Vec<OutlineThread>> {
        let id = self.word(interpreter, "PyInterpreterState", "id")?;
        let mut state = self.word(interpreter, "PyInterpreterState", "threads.head")?;
        let mut threads = Vec::new();
        while state != 0 && threads.len() < MAX_CHAIN {
            let word = |path| self.word(state, "PyThreadState", path);
            if word("interp") != Some(interpreter) {
                break;
            }
            threads.push(OutlineThread {
                interpreter: id,
                state,
                ident: word("thread_id")?,
                native_id: word("native_thread_id")?,
                frames: self.frames(word("current_frame")?),
            });
            state = word("next")?;
        }
        Some(threads)
    }

    fn frames(&self, innermost: Address) -> Vec<OutlineFrame> {
        let mut frames = Vec::new();
        let mut frame = innermost;
        let mut steps = 0;
        while frame != 0 && steps < MAX_FRAMES {
            steps += 1;
            if self.owner(frame).is_some_and(|owner| owner < FIRST_SHIM_OWNER) {
                frames.push(self.frame(frame));
            }
            frame = self.word(frame, "_PyInterpreterFrame", "previous").unwrap_or(0);
        }
        frames
    }

    fn owner(&self, frame: Address) -> Option<u8> {
        let field = self.field("_PyInterpreterFrame", "owner")?;
        self.space.read_u8(frame.wrapping_add(u64::from(field.offset))).ok()
    }

    fn frame(&self, frame: Address) -> OutlineFrame {
        let code = self.word(frame, "_PyInterpreterFrame", "f_executable").unwrap_or(0) & !TAG_BITS;
        let text = |path| self.text(self.word(code, "PyCodeObject", path)?);
        OutlineFrame {
            code,
            function: text("co_qualname"),
            file: text("co_filename"),
            line: self.line(frame, code),
        }
    }

    /// Of bytecode that belongs to one thread only (free-threaded builds, 3.14 and later), the line cannot be told.
    fn line(&self, frame: Address, code: Address) -> Option<u32> {
        let first = self.field("PyCodeObject", "co_code_adaptive")?;
        let start = code.wrapping_add(u64::from(first.offset));
        let at = self.word(frame, "_PyInterpreterFrame", "instr_ptr")?.checked_sub(start)? / CODE_UNIT;
        let first_line = self.space.small(code, self.field("PyCodeObject", "co_firstlineno")?).ok()?;
        let table = self.bytes(self.word(code, "PyCodeObject", "co_linetable")?)?;
        line_in_table(table, i64::try_from(first_line).ok()?, at)
    }

    fn bytes(&self, object: Address) -> Option<&[u8]> {
        let start = self.field("PyBytesObject", "ob_sval")?;
        let size = self.word(object, "PyVarObject", "ob_size").filter(|&size| size <= MAX_TABLE)?;
        self.space.slice(object.wrapping_add(u64::from(start.offset)), usize::try_from(size).ok()?).ok()
    }

    /// A str of ASCII: what else a str may be, the process does not say.
    fn text(&self, object: Address) -> Option<String> {
        let start = self.offsets.size_of("PyASCIIObject")?;
        let length = self.word(object, "PyASCIIObject", "length").filter(|&length| length <= MAX_TEXT)?;
        let bytes =
            self.space.slice(object.wrapping_add(u64::from(start)), usize::try_from(length).ok()?).ok()?;
        let plain = bytes.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ');
        plain.then(|| String::from_utf8_lossy(bytes).into_owned())
    }
}
