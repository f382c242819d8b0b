//! The README shows what the program prints, not what it once printed.

use std::path::Path;
use std::process::Command;

/// How the README runs the program.
const COMMAND: &str = "$ cargo run --release -- ";

/// The commands in the README's console blocks with the output shown below each.
fn demonstrations(readme: &str) -> Vec<(&str, String)> {
    readme
        .split("```console\n")
        .skip(1)
        .filter_map(|block| block.split("```").next()?.strip_prefix(COMMAND)?.split_once('\n'))
        .map(|(arguments, output)| (arguments, tidied(output)))
        .collect()
}

/// Without spaces at the ends of lines and empty lines at the end.
fn tidied(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().map(str::trim_end).collect();
    lines.join("\n")
}

#[test]
fn its_demonstrations_are_what_the_program_prints() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).expect("README.md");
    let shown = demonstrations(&readme);
    assert!(!shown.is_empty(), "the README shows nothing");
    for (arguments, expected) in shown {
        let output = Command::new(env!("CARGO_BIN_EXE_exuvia"))
            .args(arguments.split(' '))
            .current_dir(root)
            .output()
            .expect("the program starts");
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
        let printed = tidied(&String::from_utf8_lossy(&output.stdout));
        assert!(printed == expected, "README.md shows for {arguments}\n{expected}\n\nbut it is\n{printed}");
    }
}

#[test]
fn demonstrations_are_found() {
    let readme =
        "a\n```console\n$ cargo run --release -- types core\n 1  \n\n```\nb\n```console\n$ make\n```\n";
    assert_eq!(demonstrations(readme), [("types core", " 1".to_owned())]);
}
