//! L7: the command line. Knows arguments, the terminal and exit codes; refuses to know anything below reports.

pub mod dump;
