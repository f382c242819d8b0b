//! What holds for the sources themselves: the direction of the layers, where the exceptions live, what never lands.

mod repository;
mod rules;
mod source;

use rules::Rule;
use source::Source;

/// Fails with every offending line.
fn check(rule: Rule) {
    let offences: Vec<String> = repository::rust_sources().iter().flat_map(rule).collect();
    assert!(offences.is_empty(), "\n{}\n", offences.join("\n"));
}

#[test]
fn layers_use_only_what_lies_below_them() {
    check(rules::layer_order);
}

#[test]
fn every_layer_has_its_place_in_the_order() {
    let lib = repository::read("src/lib.rs");
    assert_eq!(rules::declared_layers(&lib), [rules::LAYERS, &["testkit"]].concat());
}

#[test]
fn the_general_layers_know_nothing_of_python() {
    check(rules::no_python_below_cpython);
}

#[test]
fn files_are_of_readable_length() {
    check(rules::length);
}

#[test]
fn every_file_begins_by_saying_what_it_knows() {
    check(rules::module_comment);
}

#[test]
fn unsafe_code_is_in_one_file() {
    check(rules::unsafe_code);
}

#[test]
fn versions_are_compared_in_two_files() {
    check(rules::version_comparison);
}

#[test]
fn only_the_command_line_prints() {
    check(rules::printing);
}

#[test]
fn only_reports_are_serialised() {
    check(rules::serialisation);
}

#[test]
fn nothing_is_left_unfinished() {
    check(rules::unfinished);
}

#[test]
fn no_file_names_a_directory_of_somebodys_machine() {
    let offences: Vec<String> =
        repository::text_files().iter().flat_map(|(path, text)| rules::machine_paths(path, text)).collect();
    assert!(offences.is_empty(), "\n{}\n", offences.join("\n"));
}

#[test]
fn the_readme_lists_the_commands_there_are() {
    let readme = repository::read("README.md");
    assert_eq!(rules::commands_in_table(&readme), repository::commands());
}

#[test]
fn files_named_in_the_documentation_exist() {
    let documents = ["README.md", "CONTRIBUTING.md", "docs/ARCHITECTURE.md", "fixtures/README.md"];
    let missing: Vec<String> = documents
        .iter()
        .flat_map(|document| {
            let text = repository::read(document);
            let named = rules::files_named(&text);
            named
                .into_iter()
                .filter(|path| !repository::exists(path))
                .map(move |path| format!("{document}: {path}"))
        })
        .collect();
    assert!(missing.is_empty(), "\n{}\n", missing.join("\n"));
}
