//! The command line as data: which commands there are, what each is for, and an example. What one command takes stands with its
//! group: a module of its own.

mod common;
mod compare;
mod heap;
mod retained;
mod saving;
mod suspects;
mod tools;
mod view;

pub use common::{ColorChoice, Common, LayoutChoice};
pub use compare::{DiffArguments, TrendArguments, WasteArguments};
pub use heap::{
    GenerationChoice, InfoArguments, ObjectsArguments, ShowArguments, SortKey, TargetArguments,
    ThreadsArguments, TypesArguments,
};
pub use retained::{DominatorsArguments, FreeIfArguments};
pub use saving::{CaptureArguments, RedactChoice, SaveArguments, SavedForm};
pub use suspects::SuspectsArguments;
pub use tools::{DevCommand, LayoutsArguments, LayoutsCommand};
pub use view::{ViewArguments, ViewChoice};

use clap::{Args, Parser, Subcommand};
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
