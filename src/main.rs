//! The `exuvia` program: hands the command line to the library and maps its answer to an exit code.

fn main() {}
