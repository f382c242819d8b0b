//! The command line as data: commands, options, their help and examples.

mod compare;
mod retained;
mod suspects;
mod view;

pub use compare::{DiffArguments, TrendArguments, WasteArguments};
pub use retained::DominatorsArguments;
pub use suspects::SuspectsArguments;
pub use view::{ViewArguments, ViewChoice};

use crate::report::types::TypeSort;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Analyses the heap of a dead CPython process from its core file.
#[derive(Debug, Parser)]
#[command(
    name = "exuvia",
    version,
    about = "Reads a core file of a CPython process and says what is on its heap, who holds it, and what leaks.",
    override_usage = "exuvia [OPTIONS] CORE\n       exuvia [OPTIONS] COMMAND CORE [ARGUMENTS]",
    after_help = "`exuvia CORE` is `exuvia overview CORE`. `exuvia COMMAND --help` shows options and an example.\n\n\
                  Exit status: 0 done, 1 a --fail-if condition holds, 2 it could not be done.",
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
pub struct Arguments {
    /// Core file, or a command and then the core file
    #[arg(value_name = "CORE", num_args = 0..)]
    pub words: Vec<PathBuf>,

    /// Options of every command.
    #[command(flatten)]
    pub common: Common,

    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Options that every command takes.
#[derive(Clone, Debug, Args)]
pub struct Common {
    /// The program the process ran, where it is not at the path the core names
    #[arg(long, value_name = "FILE", global = true, help_heading = "Where files are")]
    pub exe: Option<PathBuf>,

    /// File system the process saw: a directory, a tar of it, or a saved image (docker save, OCI layout)
    #[arg(long, value_name = "DIR|TAR", global = true, help_heading = "Where files are")]
    pub sysroot: Option<PathBuf>,

    /// Directory with separate debug files (.build-id/); may be given several times
    #[arg(long, value_name = "DIR", global = true, help_heading = "Where files are")]
    pub debug_dir: Vec<PathBuf>,

    /// Open no file of the process: what the core itself holds must do
    #[arg(long, global = true, help_heading = "Where files are", conflicts_with_all = ["exe", "sysroot", "debug_dir"])]
    pub core_only: bool,

    /// Layout table to use where there is no debug information (see `exuvia layouts`)
    #[arg(long, value_name = "FILE", global = true, help_heading = "Where files are")]
    pub layout: Option<PathBuf>,

    /// From where to learn how structs are laid out [default: the best there is]
    #[arg(long, value_name = "SOURCE", value_enum, global = true, help_heading = "Where files are")]
    pub layouts: Option<LayoutChoice>,

    /// Neither use nor keep an index: what one command works out is not there for the next
    #[arg(long, global = true, help_heading = "Where files are")]
    pub no_index: bool,

    /// Where indexes are kept [default: beside the core, else in the user's cache directory]
    #[arg(
        long,
        value_name = "DIR",
        global = true,
        help_heading = "Where files are",
        conflicts_with = "no_index"
    )]
    pub index_dir: Option<PathBuf>,

    /// Write one JSON document (docs/json-schema.md) instead of text
    #[arg(long, global = true, help_heading = "Output")]
    pub json: bool,

    /// Most entries of each list [default: what fits one screen, 20 to 50]
    #[arg(long, value_name = "N", global = true, help_heading = "Output")]
    pub limit: Option<usize>,

    /// When to use colours; `auto` heeds NO_COLOR
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = ColorChoice::Auto, global = true, help_heading = "Output")]
    pub color: ColorChoice,

    /// Worker threads [default: one for each processor]
    #[arg(short = 'j', long = "threads", value_name = "N", global = true, value_parser = clap::value_parser!(u16).range(1..=1024), help_heading = "Output")]
    pub threads: Option<u16>,

    /// Say on stderr what is being done and how long it took
    #[arg(short, long, global = true, help_heading = "Output")]
    pub verbose: bool,
}

/// A source of layouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LayoutChoice {
    /// Debug information of the interpreter's own file
    Dwarf,
    /// What the process says of itself (3.13 and later), and a table for the rest
    Runtime,
    /// A layout table: the one given with --layout, else an embedded one
    Table,
}

impl From<LayoutChoice> for crate::layout::Origin {
    fn from(choice: LayoutChoice) -> Self {
        match choice {
            LayoutChoice::Dwarf => Self::Dwarf,
            LayoutChoice::Runtime => Self::Runtime,
            LayoutChoice::Table => Self::Table,
        }
    }
}

/// When to colour text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// In any case.
    Always,
    /// Not at all.
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// One screen: what died, heap totals, top types, garbage, what to run next
    #[command(after_help = "Example:\n  exuvia overview core.4242")]
    Overview(CoreArgument),

    /// Process, Python, modules and their files, and which answers are exact
    #[command(after_help = "Example:\n  exuvia info core.4242 --sysroot ./container-root")]
    Info(InfoArguments),

    /// Objects by type: count, size, share
    #[command(after_help = "Example:\n  exuvia types core.4242 --filter 'app.*' --sort count --limit 20")]
    Types(TypesArguments),

    /// Instances of a type, largest first
    #[command(after_help = "Example:\n  exuvia objects core.4242 app.cache.Entry --min-size 4096")]
    Objects(ObjectsArguments),

    /// An object as Python would show it: header, value, attributes and items
    #[command(
        after_help = "Example:\n  exuvia show core.4242 'app.cache.SESSIONS[\"k\"][0].owner' --depth 2"
    )]
    Show(ShowArguments),

    /// Python stacks with their variables, who held the GIL, exceptions being handled
    #[command(after_help = "Example:\n  exuvia threads core.4242 --values")]
    Threads(ThreadsArguments),

    /// Who refers to an object, or to the instances of a type, with labels
    #[command(after_help = "Example:\n  exuvia referrers core.4242 app.cache.Entry")]
    Referrers(TargetArguments),

    /// What an object, or the instances of a type, refer to, with labels
    #[command(after_help = "Example:\n  exuvia referents core.4242 app.cache.SESSIONS")]
    Referents(TargetArguments),

    /// How roots reach an object, or the instances of a type: what keeps them alive
    #[command(after_help = "Example:\n  exuvia paths core.4242 app.cache.Entry")]
    Paths(TargetArguments),

    /// What keeps most memory alive, as a tree: what would be freed with each object
    #[command(after_help = "Example:\n  exuvia dominators core.4242 app.cache.SESSIONS --depth 3")]
    Dominators(DominatorsArguments),

    /// Which single reference, removed, frees most
    #[command(after_help = "Example:\n  exuvia cuts core.4242")]
    Cuts(CoreArgument),

    /// What would be freed if a reference or an object were let go of, at once and by the collector, and what would stay
    #[command(after_help = "Example:\n  exuvia free-if core.4242 'app.cache.SESSIONS[\"k\"]'\n\n\
                      A path names the reference at its end, as `del` does; an address, the object: everything lets go of it; a \
                      type, all its instances. --object means the object for a path and for a class too, --class-itself the \
                      reference for a path that names a class.")]
    FreeIf(FreeIfArguments),

    /// Garbage by the shape of its cycles, and why it was not collected
    #[command(after_help = "Example:\n  exuvia cycles core.4242")]
    Cycles(CoreArgument),

    /// What to look at first: what keeps most, named by its path, with evidence and what to do about it
    #[command(after_help = suspects::EXAMPLES)]
    Suspects(SuspectsArguments),

    /// What could be saved: equal values, empty and oversized containers, attributes without slots
    #[command(after_help = "Example:\n  exuvia waste core.4242")]
    Waste(WasteArguments),

    /// Tasks, generators, caches, exceptions: what they say of themselves, and who keeps them
    #[command(after_help = "Examples:\n  exuvia view\n  exuvia view tasks core.4242")]
    View(ViewArguments),

    /// Work out what the next commands need, and keep it beside the core
    #[command(
        after_help = "Example:\n  exuvia index core.4242 && exuvia referrers core.4242 app.cache.Entry"
    )]
    Index(CoreArgument),

    /// What grew between two cores, by type, holder and suspect; what is new and what is gone
    #[command(after_help = "Example:\n  exuvia diff core.monday core.tuesday")]
    Diff(DiffArguments),

    /// What grew in every step of a row of cores, and how fast
    #[command(after_help = "Example:\n  exuvia trend core.1 core.2 core.3")]
    Trend(TrendArguments),

    /// Take the heap of a process that goes on running; it stands still only while its memory is copied
    #[command(after_help = "Example:\n  exuvia capture 4242 -o heap.core.zst")]
    Capture(CaptureArguments),

    /// Write what any later analysis needs of a core into a small file of its own, to keep or to share
    #[command(after_help = "Example:\n  exuvia save core.4242 -o heap.core.zst")]
    Save(SaveArguments),

    /// Layout tables of interpreters: lists the embedded ones, and writes new ones
    Layouts(LayoutsArguments),

    /// Tools for those who check or extend this program
    #[command(subcommand)]
    Dev(DevCommand),
}

/// The core file.
#[derive(Debug, Args)]
pub struct CoreArgument {
    /// Core file, plain or compressed (zstd, lz4, gzip, xz); `-` reads standard input
    #[arg(value_name = "CORE")]
    pub core: PathBuf,
}

/// `info`.
#[derive(Debug, Args)]
pub struct InfoArguments {
    /// Core file, plain or compressed (zstd, lz4, gzip, xz); `-` reads standard input
    #[arg(value_name = "CORE")]
    pub core: PathBuf,

    /// List every struct and field with offset, size and where that was learnt
    #[arg(long)]
    pub show_layouts: bool,
}

/// `types`.
#[derive(Debug, Args)]
pub struct TypesArguments {
    /// Core file, plain or compressed (zstd, lz4, gzip, xz); `-` reads standard input
    #[arg(value_name = "CORE")]
    pub core: PathBuf,

    /// Order of the rows [default: bytes, or retained with --retained]
    #[arg(long, value_enum)]
    pub sort: Option<SortKey>,

    /// Only types whose qualified name matches: `*` stands for any text, `?` for one character
    #[arg(long, value_name = "GLOB")]
    pub filter: Option<String>,

    /// One row for each module instead of each type
    #[arg(long)]
    pub by_module: bool,

    /// One row for each top-level package, by the files of the modules in sys.modules
    #[arg(long, conflicts_with = "by_module")]
    pub by_package: bool,

    /// What would be freed if all instances of the row's types went, each object counted once
    #[arg(long, conflicts_with_all = ["garbage", "generation"])]
    pub retained: bool,

    /// Only what a full collection would free
    #[arg(long)]
    pub garbage: bool,

    /// Only objects on this list of the collector
    #[arg(long, value_name = "GENERATION", value_enum)]
    pub generation: Option<GenerationChoice>,
}

/// `objects`.
#[derive(Debug, Args)]
pub struct ObjectsArguments {
    /// Core file, plain or compressed (zstd, lz4, gzip, xz); `-` reads standard input
    #[arg(value_name = "CORE")]
    pub core: PathBuf,

    /// Type: `app.cache.Entry`, the end of its name, or a pattern such as `app.*`
    #[arg(value_name = "TYPE")]
    pub target: String,

    /// Least sys.getsizeof() in bytes
    #[arg(long, value_name = "BYTES")]
    pub min_size: Option<u64>,

    /// Greatest sys.getsizeof() in bytes
    #[arg(long, value_name = "BYTES")]
    pub max_size: Option<u64>,

    /// Least refcount
    #[arg(long, value_name = "N")]
    pub min_refcount: Option<u64>,

    /// Greatest refcount; leaves out immortal objects
    #[arg(long, value_name = "N")]
    pub max_refcount: Option<u64>,

    /// Only objects on this list of the collector
    #[arg(long, value_name = "GENERATION", value_enum)]
    pub generation: Option<GenerationChoice>,
}

/// `show`.
#[derive(Debug, Args)]
pub struct ShowArguments {
    /// Core file, plain or compressed (zstd, lz4, gzip, xz); `-` reads standard input
    #[arg(value_name = "CORE")]
    pub core: PathBuf,

    /// Object: an address, or a Python path such as `sys.modules["app"].BUS`
    #[arg(value_name = "TARGET")]
    pub target: String,

    /// How deep attributes and items are followed
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub depth: u8,

    /// Types and lengths instead of values
    #[arg(long)]
    pub hide_values: bool,
}

/// `referrers`, `referents` and `paths`.
#[derive(Debug, Args)]
pub struct TargetArguments {
    /// Core file, plain or compressed (zstd, lz4, gzip, xz); `-` reads standard input
    #[arg(value_name = "CORE")]
    pub core: PathBuf,

    /// Object, by address or Python path, or a type, which stands for all its instances
    #[arg(value_name = "TARGET")]
    pub target: String,

    /// Take a class for the object it is, not for its instances
    #[arg(long)]
    pub class_itself: bool,
}

/// `free-if`.
#[derive(Debug, Args)]
pub struct FreeIfArguments {
    /// Core file, plain or compressed (zstd, lz4, gzip, xz); `-` reads standard input
    #[arg(value_name = "CORE")]
    pub core: PathBuf,

    /// A reference by its Python path, an object by its address, or a type, which stands for all its instances
    #[arg(value_name = "TARGET")]
    pub target: String,

    /// The object itself, with every reference to it, though a path or a class names it
    #[arg(long)]
    pub object: bool,

    /// Take a class for the object it is, not for its instances
    #[arg(long, conflicts_with = "object")]
    pub class_itself: bool,

    /// List what would be freed, by address
    #[arg(long)]
    pub list: bool,
}

/// `threads`.
#[derive(Debug, Args)]
pub struct ThreadsArguments {
    /// Core file, plain or compressed (zstd, lz4, gzip, xz); `-` reads standard input
    #[arg(value_name = "CORE")]
    pub core: PathBuf,

    /// Show the values of variables, not only their types; they may be secrets
    #[arg(long)]
    pub values: bool,
}

/// `capture`.
#[derive(Debug, Args)]
pub struct CaptureArguments {
    /// Process id
    #[arg(value_name = "PID", value_parser = clap::value_parser!(i32).range(1..))]
    pub pid: i32,

    /// File to write, readable for its owner only; it is there when it is complete
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,

    /// Replace the file if it exists
    #[arg(long)]
    pub force: bool,

    /// Write all memory as it is, as an uncompressed core, whatever the process is
    #[arg(long, conflicts_with_all = ["redact", "level"])]
    pub raw: bool,

    /// How the heap is written.
    #[command(flatten)]
    pub form: SavedForm,
}

/// `save`.
#[derive(Debug, Args)]
pub struct SaveArguments {
    /// Core file, plain or compressed (zstd, lz4, gzip, xz); `-` reads standard input
    #[arg(value_name = "CORE")]
    pub core: PathBuf,

    /// File to write, readable for its owner only: an ELF core, compressed with zstd
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,

    /// Replace the file if it exists
    #[arg(long)]
    pub force: bool,

    /// How the heap is written.
    #[command(flatten)]
    pub form: SavedForm,
}

/// How a heap is written: options of `save` and `capture`.
#[derive(Clone, Copy, Debug, Args)]
pub struct SavedForm {
    /// Overwrite what objects contain (text, bytes, numbers, buffers) and all memory that no answer needs; with `names`,
    /// names too
    #[arg(long, value_name = "WHAT", value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "values")]
    pub redact: Option<RedactChoice>,

    /// How hard to compress: 1 is fastest, 19 is smallest [default: 19 for small heaps, down to 3 for large ones]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=19))]
    pub level: Option<i32>,
}

/// What is overwritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RedactChoice {
    /// Contents; names of types, modules, functions and attributes stay
    Values,
    /// Names as well, each by the same other name throughout; those of Python itself stay
    Names,
}

impl From<RedactChoice> for crate::corefile::Redaction {
    fn from(choice: RedactChoice) -> Self {
        match choice {
            RedactChoice::Values => Self::Values,
            RedactChoice::Names => Self::Names,
        }
    }
}

/// Order of types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SortKey {
    /// Most objects first
    Count,
    /// Largest first
    Bytes,
    /// Alphabetically
    Name,
    /// What keeps most bytes alive first (needs --retained)
    Retained,
}

impl From<SortKey> for TypeSort {
    fn from(key: SortKey) -> Self {
        match key {
            SortKey::Count => Self::Count,
            SortKey::Bytes => Self::Bytes,
            SortKey::Name => Self::Name,
            SortKey::Retained => Self::Retained,
        }
    }
}

/// A list of the collector, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GenerationChoice {
    /// The youngest
    #[value(name = "0")]
    Young,
    /// The middle one
    #[value(name = "1")]
    Middle,
    /// The oldest
    #[value(name = "2")]
    Old,
    /// Objects that collections leave alone (gc.freeze())
    Permanent,
    /// Objects the collector does not track
    Untracked,
}

impl GenerationChoice {
    /// The choice as objects carry it.
    pub fn generation(self) -> Option<crate::cpython::Generation> {
        use crate::cpython::Generation;
        match self {
            Self::Young => Some(Generation::Young),
            Self::Middle => Some(Generation::Middle),
            Self::Old => Some(Generation::Old),
            Self::Permanent => Some(Generation::Permanent),
            Self::Untracked => None,
        }
    }
}

/// `layouts`.
#[derive(Debug, Args)]
pub struct LayoutsArguments {
    /// What to do; without it, the embedded tables are listed.
    #[command(subcommand)]
    pub command: Option<LayoutsCommand>,
}

/// What to do with layout tables.
#[derive(Debug, Subcommand)]
pub enum LayoutsCommand {
    /// Write a layout table from the debug information of an interpreter, for use with --layout
    #[command(
        after_help = "Example:\n  exuvia layouts extract /usr/lib/libpython3.12.so.1.0 lib-dynload/*.so -o 3.12.layout"
    )]
    Extract {
        /// The interpreter's executable or library, whichever has its code; then extension modules, for sizes and references
        /// of their types
        #[arg(value_name = "BINARY", required = true)]
        binaries: Vec<PathBuf>,
        /// The release, where the binary does not tell
        #[arg(long, value_name = "X.Y.Z")]
        release: Option<String>,
        /// File to write instead of standard output
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

/// `dev`.
#[derive(Debug, Subcommand)]
pub enum DevCommand {
    /// Write what was decoded, as binary files for a comparison with the interpreter's own answers
    #[command(after_help = "Example:\n  exuvia dev dump core.4242 /tmp/mine")]
    Dump {
        /// Core file, plain or compressed (zstd, lz4, gzip, xz); `-` reads standard input
        #[arg(value_name = "CORE")]
        core: PathBuf,
        /// Start of the names of the files: PREFIX.objs.bin and others
        #[arg(value_name = "PREFIX")]
        prefix: PathBuf,
    },

    /// Print the layout table of the core's interpreter, for use with --layout
    #[command(after_help = "Example:\n  exuvia dev layouts core.4242 -o python-3.12.1.layout")]
    Layouts {
        /// Core file, plain or compressed (zstd, lz4, gzip, xz); `-` reads standard input
        #[arg(value_name = "CORE")]
        core: PathBuf,
        /// File to write instead of standard output
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_shows_an_example() {
        let root = Arguments::command();
        let leaves = root.get_subcommands().flat_map(|command| {
            let inner: Vec<_> = command.get_subcommands().collect();
            if inner.is_empty() { vec![command] } else { inner }
        });
        for command in leaves {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let has_example =
                ["Example", "Examples"].iter().any(|word| help.contains(&format!("{word}:\n  exuvia ")));
            assert!(has_example, "{} has no example", command.get_name());
        }
    }

    #[test]
    fn options_are_understood_before_and_behind_the_command() {
        for line in ["exuvia --json types core", "exuvia types --json core", "exuvia types core --json"] {
            let arguments = Arguments::try_parse_from(line.split(' ')).expect(line);
            assert!(arguments.common.json && matches!(arguments.command, Some(Command::Types(_))), "{line}");
        }
        let arguments =
            Arguments::try_parse_from(["exuvia", "--limit", "3", "core.1"]).expect("a core alone");
        assert!(arguments.command.is_none() && arguments.words == [PathBuf::from("core.1")]);
    }
}
