//! Tests of the merge of sources and of the table format.

use proptest::prelude::*;

use super::table::TableSymbol;
use super::*;
use crate::debuginfo::{DwarfIndex, ElfImage};
use crate::testkit::dwarf_builder::DwarfBuilder;

/// A source that says what it is told to.
struct Fixed {
    origin: Origin,
    name: &'static str,
    sizes: Vec<(&'static str, u32)>,
    fields: Vec<(&'static str, &'static str, Field)>,
}

impl LayoutSource for Fixed {
    fn origin(&self) -> Origin {
        self.origin
    }

    fn describe(&self) -> String {
        self.name.to_owned()
    }

    fn size_of(&self, ty: &str) -> Option<u32> {
        self.sizes.iter().find(|(name, _)| *name == ty).map(|(_, size)| *size)
    }

    fn field(&self, ty: &str, path: &str) -> Option<Field> {
        self.fields.iter().find(|(t, p, _)| *t == ty && *p == path).map(|(_, _, field)| *field)
    }
}

fn fixed(origin: Origin, name: &'static str, fields: &[(&'static str, &'static str, Field)]) -> Fixed {
    Fixed { origin, name, sizes: Vec::new(), fields: fields.to_vec() }
}

const AT_8: Field = Field::bytes(8, 8);
const AT_16: Field = Field::bytes(16, 8);

#[test]
fn the_most_trusted_source_answers_and_others_fill_in() {
    let first = fixed(Origin::Dwarf, "first", &[("node", "next", AT_8)]);
    let second = fixed(Origin::Table, "second", &[("node", "next", AT_16), ("node", "value", AT_16)]);
    let mut resolver = Resolver::new(vec![&first, &second]);
    assert_eq!(resolver.optional("node", "next"), Some(AT_8));
    assert_eq!(resolver.optional("node", "value"), Some(AT_16));
    assert_eq!(resolver.optional("node", "absent"), None);
    // A table may be of another build: its opinion is no conflict.
    assert_eq!(resolver.conflict(), None);
    let origins: Vec<_> = resolver.resolved().iter().map(|r| (r.path.as_deref(), r.origin)).collect();
    let expected =
        [(Some("next"), Some(Origin::Dwarf)), (Some("value"), Some(Origin::Table)), (Some("absent"), None)];
    assert_eq!(origins, expected);
}

#[test]
fn a_question_asked_twice_is_kept_once() {
    let source = fixed(Origin::Dwarf, "first", &[("node", "next", AT_8)]);
    let mut resolver = Resolver::new(vec![&source]);
    for _ in 0..2 {
        assert_eq!(resolver.optional("node", "next"), Some(AT_8));
        assert_eq!(resolver.size_of("node"), None);
    }
    assert_eq!(resolver.resolved().len(), 2);
}

#[test]
fn a_missing_field_names_type_field_and_sources() {
    let first = fixed(Origin::Dwarf, "DWARF of a.so", &[]);
    let second = fixed(Origin::Table, "table of b", &[]);
    let mut resolver = Resolver::new(vec![&first, &second]);
    let text = resolver.required("node", "next").unwrap_err().to_string();
    for part in ["`next`", "`node`", "DWARF of a.so, table of b", "layout table made from"] {
        assert!(text.contains(part), "{part:?} in {text:?}");
    }
    let text = resolver.required_size("node").unwrap_err().to_string();
    assert!(text.contains("size of `node`") && text.contains("DWARF of a.so"), "{text:?}");
    let text = Resolver::new(Vec::new()).required("node", "next").unwrap_err().to_string();
    assert!(text.contains("no source at all"), "{text:?}");
}

#[test]
fn alternative_spellings_of_types_and_fields_are_tried_in_order() {
    let old = fixed(Origin::Dwarf, "old", &[("_node", "link", AT_8)]);
    let mut resolver = Resolver::new(vec![&old]);
    assert_eq!(resolver.optional("node|_node", "link"), Some(AT_8));
    assert_eq!(resolver.one_of("node|_node", &["next", "link"]), Some((1, AT_8)));
    assert_eq!(resolver.one_of("node|_node", &["a", "b"]), None);
    // Kept under the spelling that was answered, or under all of them.
    assert_eq!(resolver.resolved()[0].ty, "_node");
    assert_eq!(resolver.resolved()[1].ty, "node|_node");

    let both = fixed(Origin::Dwarf, "both", &[("_node", "link", AT_8), ("node", "link", AT_16)]);
    let trusted = fixed(Origin::Runtime, "trusted", &[("_node", "other", AT_8)]);
    let mut resolver = Resolver::new(vec![&trusted, &both]);
    assert_eq!(resolver.optional("node|_node", "link"), Some(AT_16), "newest spelling first");
}

#[test]
fn exact_sources_that_disagree_are_a_conflict() {
    let dwarf = fixed(Origin::Dwarf, "DWARF of a.so", &[("node", "next", AT_8), ("node", "same", AT_8)]);
    let offset_only = Field::bytes(8, 0);
    let runtime =
        fixed(Origin::Runtime, "the process", &[("node", "next", AT_16), ("node", "same", offset_only)]);
    let mut resolver = Resolver::new(vec![&dwarf, &runtime]);
    assert_eq!(resolver.optional("node", "same"), Some(AT_8));
    assert_eq!(resolver.conflict(), None, "a source that knows no size does not disagree on it");
    assert_eq!(resolver.optional("node", "next"), Some(AT_8));
    let text = resolver.conflict().unwrap().to_string();
    for part in ["`next`", "`node`", "DWARF of a.so says offset 8", "the process says offset 16"] {
        assert!(text.contains(part), "{part:?} in {text:?}");
    }
}

#[test]
fn exact_sources_that_disagree_on_a_size_are_a_conflict() {
    let sized = |origin, name, size| Fixed { sizes: vec![("node", size)], ..fixed(origin, name, &[]) };
    let (dwarf, runtime) = (sized(Origin::Dwarf, "one", 48), sized(Origin::Runtime, "two", 56));
    let mut resolver = Resolver::new(vec![&dwarf, &runtime]);
    assert_eq!(resolver.size_of("node"), Some(48));
    assert!(matches!(resolver.conflict(), Some(LayoutError::Conflict { path, .. }) if path == "(size)"));
}

#[test]
fn debug_information_printed_as_a_table_answers_the_same() {
    let mut builder = DwarfBuilder::new(5);
    builder.unit("a.c");
    let int = builder.base("int", 4);
    let s = builder.structure(Some("_node"), 24);
    let items = builder.array(int, &[Some(3)]);
    builder.member(s, Some("items"), items, 4);
    builder.bit_field(s, "flag", int, 130, 3, 4);
    let file = builder.build();
    let kept = crate::corefile::Kept::default();
    let index = DwarfIndex::build(&ElfImage::parse(&file).unwrap(), &kept).unwrap();
    let source = DwarfSource::new(&index, "a.so");
    assert_eq!(source.describe(), "DWARF of a.so");

    let mut resolver = Resolver::new(vec![&source]);
    let questions = ["items", "items[2]", "flag", "absent"];
    let size = resolver.size_of("node|_node");
    let answers: Vec<_> = questions.iter().map(|path| resolver.optional("node|_node", path)).collect();
    assert_eq!(size, Some(24));
    let module = TableModule { name: "a.so".to_owned(), ..TableModule::default() };
    let text = resolver.to_table(vec![("producer".to_owned(), "test".to_owned())], vec![module]).to_string();

    let table = Table::parse(&text).unwrap();
    let mut again = Resolver::new(vec![&table]);
    assert_eq!(again.size_of("node|_node"), size);
    let repeated: Vec<_> = questions.iter().map(|path| again.optional("node|_node", path)).collect();
    assert_eq!(repeated, answers);
    assert!(answers[..3].iter().all(Option::is_some));
}

const SAMPLE: &str = "\
# a comment
format 1
producer some compiler 12.2

module libfoo.so.1 build-id 0a1b2c
symbol foo_root 5a10e0 2048
module plain
struct node size 48
  next 8 8
  state.flags[2] 16 1 bits 2 3
struct open
\tstruct 0 4
";

#[test]
fn a_table_is_read() {
    let table = Table::parse(SAMPLE).unwrap();
    assert_eq!(table.header_value("producer"), Some("some compiler 12.2"));
    assert_eq!(table.describe(), "layout table (some compiler 12.2)");
    assert_eq!(table.module("libfoo.so.1").unwrap().build_id, Some(vec![0x0a, 0x1b, 0x2c]));
    assert_eq!(table.module("plain").unwrap().build_id, None);
    assert_eq!(table.symbol("libfoo.so.1", "foo_root"), Some((0x5a_10e0, 2048)));
    assert_eq!(table.symbol("plain", "foo_root"), None);
    assert_eq!(table.size_of("node"), Some(48));
    assert_eq!(table.size_of("open"), None);
    assert_eq!(LayoutSource::field(&table, "node", "next"), Some(AT_8));
    let flags = Field { offset: 16, size: 1, bits: Some(Bits { offset: 2, width: 3 }) };
    assert_eq!(LayoutSource::field(&table, "node", "state.flags[2]"), Some(flags));
    assert_eq!(LayoutSource::field(&table, "open", "struct"), Some(Field::bytes(0, 4)));
}

#[test]
fn lines_at_fault_are_named_with_number_and_text() {
    let faults = [
        ("bogus", "neither"),
        ("struct", "without a name"),
        ("struct node size x", "not a number"),
        ("struct node", "described before"),
        ("module", "without a name"),
        ("module a build-id 123", "hexadecimal"),
        ("symbol a 10", "symbol NAME HEXADDRESS SIZE"),
        ("symbol a xyz 8", "symbol NAME HEXADDRESS SIZE"),
        ("  next 1", "PATH OFFSET SIZE"),
        ("  next 1 99999999999", "PATH OFFSET SIZE"),
        ("  next 1 1 bits 8 1", "below 8"),
        ("  next 1 1 bits 0 0", "below 8"),
        ("  next 1 1 2 3 4 5 6 7 8", "PATH OFFSET SIZE"),
        ("  a..b 1 1", "joined by dots"),
    ];
    for (line, reason) in faults {
        let text = format!("format 1\nmodule m\nstruct node\n\n{line}\n");
        let error = Table::parse(&text).unwrap_err().to_string();
        assert!(error.contains("line 5") && error.contains(reason) && error.contains(line.trim()), "{error}");
    }
    let twice = Table::parse("format 1\nstruct a\n  x 0 1\n  x 0 1\n").unwrap_err().to_string();
    assert!(twice.contains("line 4") && twice.contains("described before"), "{twice}");
    let orphan = Table::parse("format 1\n  x 0 1\n").unwrap_err().to_string();
    assert!(orphan.contains("outside a struct"), "{orphan}");
    let symbol = Table::parse("format 1\nsymbol x 0 1\n").unwrap_err().to_string();
    assert!(symbol.contains("outside a module"), "{symbol}");
}

#[test]
fn texts_that_are_no_tables_are_refused() {
    assert_eq!(Table::parse(""), Err(TableError::NoFormat));
    assert_eq!(Table::parse("producer x\n"), Err(TableError::NoFormat));
    assert!(matches!(Table::parse("format 2\n"), Err(TableError::Format { line: 1, .. })));
    assert!(matches!(Table::parse("struct a\n"), Err(TableError::Line { line: 1, .. })));
    let long = format!("format 1\nstruct a\n{}\n", "x".repeat(1 << 20));
    assert!(Table::parse(&long).unwrap_err().to_string().len() < 400);
    assert!(matches!(Table::parse(&"#".repeat(17 << 20)), Err(TableError::TooLarge { .. })));
}

fn any_field() -> impl Strategy<Value = Field> {
    let bits = proptest::option::of((0u8..8, 1u8..=255).prop_map(|(offset, width)| Bits { offset, width }));
    (any::<u32>(), any::<u32>(), bits).prop_map(|(offset, size, bits)| Field { offset, size, bits })
}

fn any_struct() -> impl Strategy<Value = (Option<u32>, std::collections::BTreeMap<String, Field>)> {
    let path = "[a-z_]{1,4}(\\[[0-9]{1,3}\\])?(\\.[a-z]{1,3}){0,2}";
    (any::<Option<u32>>(), proptest::collection::btree_map(path, any_field(), 0..5))
}

fn any_table() -> impl Strategy<Value = Table> {
    let symbol = ("[a-zA-Z_.@]{1,9}", any::<u64>(), any::<u64>());
    let symbol = symbol.prop_map(|(name, address, size)| TableSymbol { name, address, size });
    let id = proptest::option::of(proptest::collection::vec(any::<u8>(), 1..20));
    let module = ("[a-z][a-z. 0-9]{0,8}[a-z]", id, proptest::collection::vec(symbol, 0..4));
    let module = module.prop_map(|(name, build_id, symbols)| TableModule { name, build_id, symbols });
    let structs = proptest::collection::btree_map("[A-Za-z_]{1,8}", any_struct(), 0..5);
    let structs = structs.prop_map(|structs| {
        let one = |(name, (size, fields)): (String, (_, std::collections::BTreeMap<_, _>))| TableStruct {
            name,
            size,
            fields: fields.into_iter().collect(),
            absent: Vec::new(),
        };
        structs.into_iter().map(one).collect()
    });
    let header = proptest::collection::vec(("key[a-z]{0,4}", "[a-z0-9]{1,5}( [a-z0-9]{1,5}){0,2}"), 0..3);
    (header, proptest::collection::vec(module, 0..3), structs).prop_map(|(header, modules, structs)| Table {
        header,
        modules,
        structs,
        variants: Vec::new(),
        facts: Vec::new(),
    })
}

const WITH_VARIANTS: &str = "\
format 1
struct node size 48
  next 8 8
  gone 16 4
struct leaf size 8
variant 1.2.0 1.2.3
struct node size 40
  next 16 8
  added 24 8
  gone -
variant 1.2.4rc1 1.2.9
struct leaf size 16
";

#[test]
fn a_variant_changes_adds_and_removes_fields() {
    let table = Table::parse(WITH_VARIANTS).unwrap();
    assert_eq!(table.variants.len(), 2);
    assert_eq!(
        (table.size_of("node"), table.structure("node").unwrap().field("next")),
        (Some(48), Some(AT_8))
    );
    let first = table.variant(0);
    assert_eq!((first.size_of("node"), first.size_of("leaf")), (Some(40), Some(8)));
    let node = first.structure("node").unwrap();
    assert_eq!((node.field("next"), node.field("gone")), (Some(AT_16), None));
    assert_eq!(node.field("added"), Some(Field::bytes(24, 8)));
    let second = table.variant(1);
    assert_eq!(
        (second.size_of("leaf"), second.structure("node").unwrap().field("gone")),
        (Some(16), Some(Field::bytes(16, 4)))
    );
    assert_eq!(table.variant(2).structs, table.structs);
    assert_eq!(Table::parse(&table.to_string()), Ok(table));
    let orphan = Table::parse("format 1\nstruct a\n  x -\n").unwrap_err().to_string();
    assert!(orphan.contains("line 3") && orphan.contains("only a variant"), "{orphan}");
}

proptest! {
    #[test]
    fn a_printed_table_reads_back_the_same(table in any_table()) {
        prop_assert_eq!(Table::parse(&table.to_string()), Ok(table));
    }

    #[test]
    fn any_text_is_read_or_refused(text in "(format 1\n)?((struct|symbol|module|  a|[a-z ]{0,6}|build-id|size|bits|[0-9]{1,12}|.)[ \n]){0,30}") {
        let _ = Table::parse(&text);
    }
}
