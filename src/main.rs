//! The `exuvia` program: hands the command line to the library and maps its answer to an exit code.

fn main() -> std::process::ExitCode {
    exuvia::cli::run().into()
}
