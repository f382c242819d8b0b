//! Which program an interpreter runs.
//!
//! Knows `sys.argv`; refuses to know arguments behind the first, which differ between runs of one program.

use super::items::{Items, items};
use super::values::{is_str, read_str};
use super::{Runtime, dict_get};
use crate::corefile::Inputs;
use std::fmt;

/// Longest path that is read, in characters.
const MAX_PATH: usize = 4096;

/// A program, by the names of its files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// The script: the last part of `sys.argv[0]`, with its directory if it is a package's `__main__.py`. `None` where that
    /// cannot be read, was overwritten, or there is none.
    pub script: Option<String>,
    /// The executable, without version.
    pub executable: Option<String>,
}

impl Program {
    /// Reads it.
    pub fn of(inputs: &Inputs, runtime: &Runtime<'_>) -> Self {
        let path = inputs.executable().map(|module| module.path.as_str());
        Self {
            script: script(runtime),
            executable: path.and_then(|path| path.rsplit('/').next()).map(|name| {
                name.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | 't' | 'd')).to_owned()
            }),
        }
    }

    /// Whether both are the same program, as far as their names tell; `None` if they do not.
    pub fn is_same(&self, other: &Self) -> Option<bool> {
        let same = |one: &Option<String>, two: &Option<String>| Some(one.as_ref()? == two.as_ref()?);
        same(&self.script, &other.script).or_else(|| same(&self.executable, &other.executable))
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            self.script.as_ref().or(self.executable.as_ref()).map_or("an unknown program", String::as_str),
        )
    }
}

fn script(runtime: &Runtime<'_>) -> Option<String> {
    let main = runtime.interpreters.first().filter(|_| !runtime.redacted)?;
    let Items::Sequence(arguments) = items(runtime, dict_get(runtime, main.sysdict, "argv")?)? else {
        return None;
    };
    let first = arguments.first().copied().filter(|&first| is_str(runtime, first))?;
    name_of(&read_str(runtime, first, MAX_PATH).ok()?)
}

/// The part of a script's path that is the same wherever it is installed; `None` of none (`-c`, an embedded interpreter).
fn name_of(path: &str) -> Option<String> {
    let mut parts = path.rsplit('/').filter(|part| !part.is_empty());
    let name = parts.next().filter(|name| !name.starts_with('-'))?;
    Some(match (name, parts.next()) {
        ("__main__.py", Some(package)) => format!("{package}/{name}"),
        _ => name.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_known_by_its_name_wherever_it_lies() {
        for (path, name) in [
            ("/srv/one/app.py", Some("app.py")),
            ("app.py", Some("app.py")),
            ("/usr/lib/python3/site/tool/__main__.py", Some("tool/__main__.py")),
            ("-c", None),
            ("", None),
        ] {
            assert_eq!(name_of(path).as_deref(), name, "{path}");
        }
    }

    #[test]
    fn programs_are_the_same_by_script_and_only_without_one_by_executable() {
        let program = |script: Option<&str>, executable: Option<&str>| Program {
            script: script.map(str::to_owned),
            executable: executable.map(str::to_owned),
        };
        let app = program(Some("app.py"), Some("python"));
        assert_eq!(app.is_same(&program(Some("app.py"), Some("pypy"))), Some(true));
        assert_eq!(app.is_same(&program(Some("other.py"), Some("python"))), Some(false));
        assert_eq!(app.is_same(&program(None, Some("python"))), Some(true));
        assert_eq!(app.is_same(&program(None, None)), None);
    }
}
