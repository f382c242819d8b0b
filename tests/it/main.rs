//! Tests of the program from outside: its command line, its documents, its messages.

mod cli;
