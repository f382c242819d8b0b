//! L7: the command line. Knows arguments, the terminal and exit codes; refuses to know anything below reports but
//! in which order the phases of an analysis follow each other.

mod alive;
pub mod args;
mod capture_command;
mod commands;
mod compare_commands;
pub mod dump;
mod free_if_command;
mod glob;
mod graph_commands;
mod index_command;
mod interrupt;
mod kept_index;
mod layout_commands;
mod output;
mod retained_commands;
mod save_command;
mod session;
mod suspects_command;
mod views_commands;

use args::{Arguments, Command, CoreArgument, DevCommand, LayoutsCommand};
use clap::{CommandFactory, Parser};
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

/// What the program's exit status says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Done,
    /// A `--fail-if` condition holds.
    ConditionHolds,
    /// It could not be done: bad arguments, or a core that cannot be read or decoded.
    Failed,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        ExitCode::from(match outcome {
            Outcome::Done => 0,
            Outcome::ConditionHolds => 1,
            Outcome::Failed => 2,
        })
    }
}

/// Runs the program with the arguments of the process.
pub fn run() -> Outcome {
    let arguments = match Arguments::try_parse_from(asked_for_help(std::env::args_os())) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are errors to clap, and go to standard output.
            let outcome = if error.use_stderr() { Outcome::Failed } else { Outcome::Done };
            let _ = error.print();
            return outcome;
        }
    };
    match execute(arguments) {
        Ok(outcome) => outcome,
        Err(error) => {
            output::print_error(&error);
            Outcome::Failed
        }
    }
}

/// `exuvia help` and `exuvia help COMMAND` as `exuvia [COMMAND] --help`; anything else as it is.
fn asked_for_help(words: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut words: Vec<OsString> = words.collect();
    let is_help = words.get(1).is_some_and(|word| word == "help");
    let of_command = words.iter().skip(2).all(|word| is_command(Path::new(word)));
    if is_help && of_command && words.len() <= 3 {
        words.remove(1);
        words.push("--help".into());
    }
    words
}

fn is_command(word: &Path) -> bool {
    Arguments::command().get_subcommands().any(|command| word.as_os_str() == command.get_name())
}

fn execute(arguments: Arguments) -> anyhow::Result<Outcome> {
    let Arguments { words, common, command } = arguments;
    if matches!(command, Some(Command::Capture(_) | Command::Save(_))) {
        // Before there are other threads: they all must leave signals to the one that cleans up.
        interrupt::watch()?;
    }
    if matches!(command, Some(Command::Save(_))) {
        interrupt::allow_suspend();
    }
    if let Some(threads) = common.threads {
        rayon::ThreadPoolBuilder::new().num_threads(usize::from(threads)).build_global()?;
    }
    let command = match (command, words.as_slice()) {
        (Some(command), []) => command,
        (Some(_), [word, ..]) => {
            anyhow::bail!("{} stands before the command; try `exuvia COMMAND {0}`", word.display())
        }
        (None, [core]) => Command::Overview(CoreArgument { core: core.clone() }),
        (None, []) => anyhow::bail!("no core file was given; see `exuvia --help`"),
        (None, [word, next, ..]) if is_command(next) => {
            anyhow::bail!("{} stands before the command; try `exuvia {} {0}`", word.display(), next.display())
        }
        (None, [word, ..]) => {
            anyhow::bail!("no command is called {}; `exuvia --help` lists them all", word.display())
        }
    };
    let done: anyhow::Result<()> = match command {
        Command::Overview(arguments) => commands::overview(&arguments, &common),
        Command::Info(arguments) => commands::info(&arguments, &common),
        Command::Types(arguments) => commands::types(&arguments, &common),
        Command::Objects(arguments) => commands::objects(&arguments, &common),
        Command::Show(arguments) => commands::show(&arguments, &common),
        Command::Referrers(arguments) => graph_commands::referrers(&arguments, &common),
        Command::Referents(arguments) => graph_commands::referents(&arguments, &common),
        Command::Paths(arguments) => graph_commands::paths(&arguments, &common),
        Command::FreeIf(arguments) => free_if_command::free_if(&arguments, &common),
        Command::Cycles(arguments) => graph_commands::cycles(&arguments, &common),
        Command::Suspects(arguments) => return suspects_command::suspects(&arguments, &common),
        Command::Diff(arguments) => compare_commands::diff(&arguments, &common),
        Command::Trend(arguments) => compare_commands::trend(&arguments, &common),
        Command::Waste(arguments) => compare_commands::waste(&arguments, &common),
        Command::Dominators(arguments) => retained_commands::dominators(&arguments, &common),
        Command::Cuts(arguments) => retained_commands::cuts(&arguments, &common),
        Command::View(arguments) => views_commands::view(&arguments, &common),
        Command::Threads(arguments) => commands::threads(&arguments, &common),
        Command::Index(arguments) => index_command::index(&arguments, &common),
        Command::Capture(arguments) => capture_command::capture(&arguments, &common),
        Command::Save(arguments) => save_command::save(&arguments, &common),
        Command::Layouts(arguments) => match arguments.command {
            None => layout_commands::list(),
            Some(LayoutsCommand::Extract { binaries, release, output }) => {
                layout_commands::extract(&binaries, release.as_deref(), output.as_deref(), &common)
            }
        },
        Command::Dev(DevCommand::Dump { core, prefix }) => commands::dev_dump(&core, &prefix, &common),
        Command::Dev(DevCommand::Layouts { core, output }) => {
            commands::dev_layouts(&core, output.as_deref(), &common)
        }
    };
    done.map(|()| Outcome::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_may_stand_before_a_command() {
        let asked = |words: &str| {
            let words = asked_for_help(words.split(' ').map(OsString::from));
            words.into_iter().map(|word| word.into_string().unwrap()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(asked("exuvia help"), "exuvia --help");
        assert_eq!(asked("exuvia help free-if"), "exuvia free-if --help");
        assert_eq!(asked("exuvia help core"), "exuvia help core");
        assert_eq!(asked("exuvia help types core"), "exuvia help types core");
        assert_eq!(asked("exuvia types core"), "exuvia types core");
    }
}
