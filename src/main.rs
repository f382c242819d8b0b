//! The `exuvia` program: hands the command line to the library and maps its answer to an exit code.

mod allocator;

#[global_allocator]
static ALLOCATOR: allocator::HugePages = allocator::HugePages;

fn main() -> std::process::ExitCode {
    exuvia::cli::run().into()
}
