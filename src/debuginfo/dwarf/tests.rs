//! Tests of the index against DWARF that the test kit writes.

use gimli::constants as dw;
use proptest::prelude::*;

use super::*;
use crate::debuginfo::Bits;
use crate::testkit::dwarf_builder::{DwarfBuilder, Entry};
use crate::testkit::elf_builder::ElfBuilder;

const VERSIONS: [u16; 2] = [4, 5];

/// Runs a check on the index of what `describe` describes, in every encoding a compiler may choose.
fn with_index(describe: impl Fn(&mut DwarfBuilder), check: impl Fn(&DwarfIndex<'_>)) {
    for version in VERSIONS {
        for siblings in [true, false] {
            let mut builder = DwarfBuilder::new(version);
            if !siblings {
                builder = builder.without_siblings();
            }
            describe(&mut builder);
            let file = builder.build();
            let elf = ElfImage::parse(&file).unwrap();
            let kept = Kept::default();
            check(&DwarfIndex::build(&elf, &kept).unwrap());
        }
    }
}

fn bytes(offset: u32, size: u32) -> Option<Field> {
    Some(Field::bytes(offset, size))
}

fn bits(offset: u32, size: u32, first: u8, width: u8) -> Option<Field> {
    Some(Field { offset, size, bits: Some(Bits { offset: first, width }) })
}

#[test]
fn members_have_offsets_and_sizes() {
    let describe = |b: &mut DwarfBuilder| {
        b.unit("a.c");
        let int = b.base("int", 4);
        let long = b.base("long", 8);
        let pair = b.structure(Some("pair"), 16);
        b.member(pair, Some("left"), int, 0);
        b.member(pair, Some("right"), long, 8);
        let outer = b.structure(Some("outer"), 40);
        b.member(outer, Some("one"), pair, 8);
        let p = b.pointer(Some(pair));
        b.member(outer, Some("next"), p, 24);
    };
    with_index(describe, |index| {
        assert_eq!(index.struct_size("pair"), Some(16));
        assert_eq!(index.field("pair", "left"), bytes(0, 4));
        assert_eq!(index.field("outer", "one"), bytes(8, 16));
        assert_eq!(index.field("outer", "one.right"), bytes(16, 8));
        assert_eq!(index.field("outer", "next"), bytes(24, 8));
        // Paths do not lead through pointers, into numbers, or to what is not there.
        for path in ["next.left", "one.right.x", "two", "left", "one[0]", "", "one."] {
            assert_eq!(index.field("outer", path), None, "{path}");
        }
        assert_eq!(index.field("absent", "left"), None);
        assert_eq!(index.struct_size("int"), None);
    });
}

#[test]
fn bit_fields_are_counted_from_the_lowest_bit_in_both_dwarf_versions() {
    let describe = |b: &mut DwarfBuilder| {
        b.unit("a.c");
        let int = b.base("unsigned", 4);
        let s = b.structure(Some("flags"), 24);
        b.bit_field(s, "first", int, 64, 2, 4);
        b.bit_field(s, "second", int, 66, 3, 4);
        b.bit_field(s, "crossing", int, 71, 3, 4);
        b.bit_field(s, "wide", int, 96, 24, 4);
    };
    with_index(describe, |index| {
        assert_eq!(index.field("flags", "first"), bits(8, 1, 0, 2));
        assert_eq!(index.field("flags", "second"), bits(8, 1, 2, 3));
        assert_eq!(index.field("flags", "crossing"), bits(8, 2, 7, 3));
        assert_eq!(index.field("flags", "wide"), bits(12, 3, 0, 24));
    });
}

#[test]
fn anonymous_structs_and_unions_are_looked_through() {
    let describe = |b: &mut DwarfBuilder| {
        b.unit("a.c");
        let int = b.base("int", 4);
        let long = b.base("long", 8);
        let inner = b.structure(None, 8);
        b.member(inner, Some("low"), int, 0);
        b.member(inner, Some("high"), int, 4);
        let either = b.union(None, 8);
        b.variant(either, Some("whole"), long);
        b.variant(either, None, inner);
        let s = b.structure(Some("counted"), 24);
        b.member(s, None, either, 8);
        b.member(s, Some("last"), int, 16);
    };
    with_index(describe, |index| {
        assert_eq!(index.field("counted", "whole"), bytes(8, 8));
        assert_eq!(index.field("counted", "high"), bytes(12, 4));
        let members = index.members("counted").unwrap();
        let seen: Vec<_> =
            members.iter().map(|m| (m.name.as_str(), m.field.offset, m.type_name.as_str())).collect();
        assert_eq!(seen, [("whole", 8, "long"), ("low", 8, "int"), ("high", 12, "int"), ("last", 16, "int")]);
    });
}

#[test]
fn arrays_are_subscripted() {
    let describe = |b: &mut DwarfBuilder| {
        b.unit("a.c");
        let int = b.base("int", 4);
        let cell = b.structure(Some("cell"), 12);
        b.member(cell, Some("value"), int, 8);
        let row = b.array(cell, &[Some(3)]);
        let grid = b.array(int, &[Some(2), Some(5)]);
        let open = b.array(cell, &[None]);
        let s = b.structure(Some("arrays"), 100);
        b.member(s, Some("row"), row, 4);
        b.member(s, Some("grid"), grid, 40);
        b.member(s, Some("open"), open, 80);
    };
    with_index(describe, |index| {
        let field = |path| index.field("arrays", path);
        assert_eq!(field("row"), bytes(4, 36));
        assert_eq!(field("row[2]"), bytes(28, 12));
        assert_eq!(field("row[2].value"), bytes(36, 4));
        assert_eq!(field("row[3]"), None);
        assert_eq!(field("grid"), bytes(40, 40));
        assert_eq!(field("grid[1]"), bytes(60, 20));
        assert_eq!(field("grid[1][4]"), bytes(76, 4));
        assert_eq!(field("grid[0][5]"), None);
        assert_eq!(field("grid[0][0][0]"), None);
        assert_eq!(field("row.value"), None);
        assert_eq!(field("open"), bytes(80, 0));
        assert_eq!(field("open[2].value"), bytes(112, 4));
    });
}

#[test]
fn typedefs_name_anonymous_structs_and_lead_to_other_names() {
    let describe = |b: &mut DwarfBuilder| {
        b.unit("a.c");
        let int = b.base("int", 4);
        let anonymous = b.structure(None, 12);
        b.member(anonymous, Some("x"), int, 8);
        b.typedef("point", anonymous);
        let tagged = b.structure(Some("_long_name"), 20);
        b.member(tagged, Some("y"), int, 16);
        let constant = b.constant(tagged);
        let first = b.typedef("short_name", constant);
        b.typedef("shorter", first);
        b.typedef("number", int);
    };
    with_index(describe, |index| {
        assert_eq!(index.field("point", "x"), bytes(8, 4));
        assert_eq!(index.field("_long_name", "y"), bytes(16, 4));
        assert_eq!(index.field("shorter", "y"), bytes(16, 4));
        assert_eq!(index.struct_size("short_name"), Some(20));
        assert_eq!(index.struct_size("number"), None);
        assert_eq!(index.name_of(index.struct_named("point").unwrap()), Some("point"));
        assert_eq!(index.name_of(index.struct_named("shorter").unwrap()), Some("_long_name"));
    });
}

#[test]
fn a_declaration_is_not_a_definition() {
    let describe = |b: &mut DwarfBuilder| {
        b.unit("user.c");
        let declared = b.declaration("_state");
        b.typedef("State", declared);
        let only = b.declaration("opaque");
        b.typedef("Opaque", only);
        b.unit("state.c");
        let defined = b.structure(Some("_state"), 48);
        let int = b.base("int", 4);
        b.member(defined, Some("id"), int, 40);
    };
    with_index(describe, |index| {
        assert_eq!(index.field("_state", "id"), bytes(40, 4));
        // The unit with the typedef does not have the definition.
        assert_eq!(index.field("State", "id"), bytes(40, 4));
        assert_eq!(index.struct_size("Opaque"), None);
        assert_eq!(index.struct_size("opaque"), None);
        assert_eq!(index.members("opaque"), None);
    });
}

#[test]
fn the_first_of_different_definitions_answers_and_the_others_can_be_reached() {
    let describe = |b: &mut DwarfBuilder| {
        for (unit, size) in [("src/one.c", 8), ("src/two.c", 16), ("src/three.c", 24)] {
            b.unit(unit);
            let int = b.base("int", 4);
            let s = b.structure(Some("entry"), size);
            b.member(s, Some("last"), int, size - 4);
            let anonymous = b.structure(None, size * 2);
            b.typedef("pair", anonymous);
        }
    };
    with_index(describe, |index| {
        assert_eq!(index.field("entry", "last"), bytes(4, 4));
        let third = index.struct_in_unit("/three.c", "entry").unwrap();
        assert_eq!(third.size, 24);
        assert_eq!(index.field_in(third, "last"), bytes(20, 4));
        assert_eq!(index.members_in(third).unwrap().len(), 1);
        assert_eq!(index.struct_in_unit("two.c", "pair").unwrap().size, 32);
        assert_eq!(index.struct_in_unit("four.c", "entry"), None);
    });
}

#[test]
fn types_inside_functions_are_not_indexed() {
    let describe = |b: &mut DwarfBuilder| {
        b.unit("a.c");
        let function = b.function("f", Some(0x1000));
        b.child(function, dw::DW_TAG_structure_type, Some("local"));
        let block = b.block(function);
        b.child(block, dw::DW_TAG_structure_type, Some("deeper"));
        b.structure(Some("after"), 4);
    };
    with_index(describe, |index| {
        assert_eq!(index.struct_size("after"), Some(4));
        assert_eq!(index.struct_named("local"), None);
        assert_eq!(index.struct_named("deeper"), None);
    });
}

#[test]
fn enumerators_have_values() {
    let describe = |b: &mut DwarfBuilder| {
        b.unit("a.c");
        b.enumeration(Some("colour"), &[("RED", 1), ("NONE", -1)]);
        b.unit("b.c");
        b.enumeration(None, &[("RED", 7), ("BLUE", 1 << 40)]);
    };
    with_index(describe, |index| {
        assert_eq!(index.enumerator("RED"), Some(1));
        assert_eq!(index.enumerator("NONE"), Some(-1));
        assert_eq!(index.enumerator("BLUE"), Some(1 << 40));
        assert_eq!(index.enumerator("GREEN"), None);
    });
}

/// `object` (16 bytes) starts `node` (48 bytes), which a family of functions works on.
struct Nodes {
    object: Entry,
    node_pointer: Entry,
    object_pointer: Entry,
}

fn describe_nodes(b: &mut DwarfBuilder) -> Nodes {
    let long = b.base("long", 8);
    let object = b.structure(Some("_object"), 16);
    b.member(object, Some("count"), long, 0);
    let object_name = b.typedef("object", object);
    let object_pointer = b.pointer(Some(object_name));
    let node = b.structure(None, 48);
    let node_name = b.typedef("node", node);
    let node_pointer = b.pointer(Some(node_name));
    b.member(node, Some("head"), object_name, 0);
    b.member(node, Some("value"), object_pointer, 16);
    b.member(node, Some("next"), node_pointer, 24);
    b.member(node, Some("size"), long, 32);
    // As large as a node, but not an object.
    let other = b.structure(Some("settings"), 48);
    b.member(other, Some("level"), long, 0);
    let other_pointer = b.pointer(Some(other));
    b.typedef("settings_pointer", other_pointer);
    Nodes { object: object_name, node_pointer, object_pointer }
}

fn starts_object(name: &str) -> bool {
    name == "object"
}

#[test]
fn functions_are_found_by_the_address_they_start_at() {
    let describe = |b: &mut DwarfBuilder| {
        b.unit("a.c");
        b.function("declared", None);
        b.function("plain", Some(0x1000));
        b.split_function("hot_and_cold", &[(0x2000, 0x2040), (0x9000, 0x9010)]);
        let general = b.function("general", None);
        b.unit("<artificial>");
        b.instance(general, 0x3000);
    };
    with_index(describe, |index| {
        let at = |address| index.function_at(address).map(|f| (f.name, f.unit));
        let named = |name: &str, unit: &str| Some((name.to_owned(), Some(unit.to_owned())));
        assert_eq!(at(0x1000), named("plain", "a.c"));
        assert_eq!(at(0x1001), None);
        assert_eq!(at(0x2000), named("hot_and_cold", "a.c"));
        assert_eq!(at(0x9000), named("hot_and_cold", "a.c"));
        assert_eq!(at(0x3000), named("general", "a.c"));
        assert_eq!(at(0), None);
    });
}

#[test]
fn a_function_works_on_what_its_first_parameter_or_a_local_points_to() {
    let describe = |b: &mut DwarfBuilder| {
        b.unit("a.c");
        let nodes = describe_nodes(b);
        let typed = b.function("typed", Some(0x1000));
        b.parameter(typed, "self", nodes.node_pointer);

        let cast = b.function("cast", Some(0x2000));
        b.parameter(cast, "self", nodes.object_pointer);
        let block = b.block(cast);
        b.variable(block, "node", nodes.node_pointer);

        let callee = b.function("callee", None);
        let callee_local = b.variable(callee, "node", nodes.node_pointer);
        let caller = b.function("caller", Some(0x3000));
        b.parameter(caller, "self", nodes.object_pointer);
        let inlined = b.child(caller, dw::DW_TAG_inlined_subroutine, None);
        b.instance_of(inlined, dw::DW_TAG_variable, callee_local);

        let general = b.function("general", None);
        let parameter = b.parameter(general, "self", nodes.object_pointer);
        b.variable(general, "node", nodes.node_pointer);
        b.unit("b.c");
        // The local was optimised away here, but the function it is an instance of still has it.
        let instance = b.instance(general, 0x4000);
        b.instance_of(instance, dw::DW_TAG_formal_parameter, parameter);
    };
    with_index(describe, |index| {
        let node = index.struct_named("node");
        assert!(node.is_some());
        for address in [0x1000, 0x2000, 0x3000, 0x4000] {
            assert_eq!(index.object_struct_of(address, 48, &starts_object), node, "{address:#x}");
            assert_eq!(index.object_struct_of(address, 40, &starts_object), None, "{address:#x}");
        }
        assert_eq!(index.object_struct_of(0x2000, 16, &starts_object), index.struct_named("_object"));
        assert_eq!(index.object_struct_of(0x5000, 48, &starts_object), None);
    });
}

#[test]
fn a_struct_of_the_right_size_that_is_no_object_is_not_taken() {
    let describe = |b: &mut DwarfBuilder| {
        b.unit("a.c");
        let nodes = describe_nodes(b);
        let settings = b.structure(Some("wrong"), 48);
        let wrong = b.pointer(Some(settings));
        let function = b.function("f", Some(0x1000));
        b.parameter(function, "settings", wrong);
        b.variable(function, "node", nodes.node_pointer);
    };
    with_index(describe, |index| {
        assert_eq!(index.object_struct_of(0x1000, 48, &starts_object), index.struct_named("node"));
    });
}

#[test]
fn pointer_members_are_found_through_structs_unions_and_arrays() {
    let describe = |b: &mut DwarfBuilder| {
        b.unit("a.c");
        let nodes = describe_nodes(b);
        let long = b.base("long", 8);
        let number_pointer = b.pointer(Some(long));
        let declared = b.declaration("_late");
        let late_pointer = b.pointer(Some(declared));
        let opaque = b.declaration("opaque");
        let opaque_pointer = b.pointer(Some(opaque));
        let pair = b.structure(None, 16);
        b.member(pair, Some("skip"), number_pointer, 0);
        b.member(pair, Some("hold"), nodes.object_pointer, 8);
        let pairs = b.array(pair, &[Some(2)]);
        let grid = b.array(nodes.object_pointer, &[Some(1), Some(2)]);
        let either = b.union(None, 8);
        b.variant(either, Some("as_node"), nodes.node_pointer);
        b.variant(either, Some("as_object"), nodes.object_pointer);
        let bag = b.structure(Some("bag"), 136);
        b.member(bag, Some("head"), nodes.object, 0);
        b.member(bag, Some("late"), late_pointer, 16);
        b.member(bag, Some("opaque"), opaque_pointer, 24);
        b.member(bag, None, either, 32);
        b.member(bag, Some("grid"), grid, 40);
        b.member(bag, Some("pairs"), pairs, 56);
        b.member(bag, Some("many"), nodes.object_pointer, 88);
        b.unit("late.c");
        let object = describe_nodes(b).object;
        let late = b.structure(Some("_late"), 24);
        b.member(late, Some("head"), object, 0);
    };
    with_index(describe, |index| {
        let found = index.pointer_members(index.struct_named("bag").unwrap(), &starts_object);
        let found: Vec<_> = found.iter().map(|m| (m.path.as_str(), m.offset)).collect();
        let expected = [
            ("late", 16),
            ("as_node", 32),
            ("grid[0][0]", 40),
            ("grid[0][1]", 48),
            ("pairs[0].hold", 64),
            ("pairs[1].hold", 80),
            ("many", 88),
        ];
        assert_eq!(found, expected);
        for (path, offset) in expected {
            assert_eq!(index.field("bag", path), bytes(offset, 8), "{path}");
        }
    });
}

#[test]
fn long_arrays_of_pointers_are_cut_off() {
    let describe = |b: &mut DwarfBuilder| {
        b.unit("a.c");
        let nodes = describe_nodes(b);
        let array = b.array(nodes.object_pointer, &[Some(1 << 40)]);
        let s = b.structure(Some("huge"), 16);
        b.member(s, Some("items"), array, 0);
    };
    with_index(describe, |index| {
        let found = index.pointer_members(index.struct_named("huge").unwrap(), &starts_object);
        assert_eq!(found.len(), 4096);
    });
}

#[test]
fn types_that_contain_themselves_end() {
    let describe = |b: &mut DwarfBuilder| {
        b.unit("a.c");
        let s = b.structure(Some("loop"), 16);
        b.member(s, None, s, 0);
        b.member(s, Some("again"), s, 8);
        let array = b.array(s, &[Some(3)]);
        b.member(s, Some("items"), array, 0);
        b.endless_typedef("endless");
        let long = b.base("long", 8);
        b.member(s, Some("end"), long, 8);
    };
    with_index(describe, |index| {
        assert_eq!(index.field("loop", "absent"), None);
        assert_eq!(index.struct_size("endless"), None);
        let found = index.pointer_members(index.struct_named("loop").unwrap(), &starts_object);
        assert_eq!(found, []);
        index.members("loop").unwrap();
    });
}

#[test]
fn files_without_readable_debug_information_say_why() {
    let build = |elf: ElfBuilder| {
        let file = elf.build();
        let kept = Kept::default();
        DwarfIndex::build(&ElfImage::parse(&file).unwrap(), &kept).map(|_| ())
    };
    assert!(matches!(build(ElfBuilder::new()), Err(DebugInfoError::NoDebugInfo)));
    let empty = ElfBuilder::new().section(".debug_info", b"");
    assert!(matches!(build(empty), Err(DebugInfoError::NoDebugInfo)));
    let compressed = ElfBuilder::new().compressed_section(".debug_info", b"????");
    assert!(
        matches!(build(compressed), Err(DebugInfoError::Compressed { section, .. }) if section == ".debug_info")
    );
    let noise = ElfBuilder::new().section(".debug_info", b"not a unit, not even close to one");
    assert!(matches!(build(noise), Err(DebugInfoError::MalformedDwarf { .. })));
}

#[test]
fn a_broken_unit_does_not_hide_the_others() {
    let mut b = DwarfBuilder::new(5);
    b.unit("broken.c");
    b.structure(Some("lost"), 8);
    b.unit("whole.c");
    b.structure(Some("kept"), 16);
    let mut sections = b.sections();
    for (name, bytes) in &mut sections {
        if *name == ".debug_info" {
            // The abbreviation offset of the first unit (DWARF 5: after length, version, type and address size).
            bytes[8..12].copy_from_slice(&0x00ff_0000u32.to_le_bytes());
        }
    }
    let elf = sections.iter().fold(ElfBuilder::new(), |elf, (name, bytes)| elf.section(name, bytes));
    let file = elf.build();
    let kept = Kept::default();
    let index = DwarfIndex::build(&ElfImage::parse(&file).unwrap(), &kept).unwrap();
    assert_eq!(index.struct_size("kept"), Some(16));
    assert_eq!(index.struct_size("lost"), None);
}

/// Debug information with a bit of everything.
fn mixed_sections() -> Vec<(&'static str, Vec<u8>)> {
    let mut b = DwarfBuilder::new(5);
    b.unit("a.c");
    let nodes = describe_nodes(&mut b);
    b.enumeration(Some("colour"), &[("RED", 1)]);
    let array = b.array(nodes.node_pointer, &[Some(4), Some(2)]);
    let s = b.structure(Some("many"), 64);
    b.member(s, Some("array"), array, 0);
    let function = b.function("f", Some(0x1000));
    b.parameter(function, "self", nodes.object_pointer);
    b.variable(function, "node", nodes.node_pointer);
    b.sections()
}

/// Asks everything there is to ask; the answers do not matter.
fn exercise(file: &[u8]) {
    let Ok(elf) = ElfImage::parse(file) else { return };
    let kept = Kept::default();
    let Ok(index) = DwarfIndex::build(&elf, &kept) else { return };
    for ty in ["object", "_object", "node", "many", "settings", "colour"] {
        index.members(ty);
        index.field(ty, "array[1][1].next");
        if let Some(found) = index.struct_named(ty) {
            index.pointer_members(found, &starts_object);
            index.name_of(found);
        }
    }
    index.enumerator("RED");
    index.object_struct_of(0x1000, 48, &starts_object);
}

proptest! {
    #[test]
    fn random_bytes_never_panic(info in proptest::collection::vec(any::<u8>(), 0..300), abbrev in proptest::collection::vec(any::<u8>(), 0..200)) {
        let elf = ElfBuilder::new().section(".debug_info", &info).section(".debug_abbrev", &abbrev);
        exercise(&elf.build());
    }

    #[test]
    fn damaged_debug_information_never_panics(
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 1..12),
    ) {
        let mut sections = mixed_sections();
        sections.retain(|(_, bytes)| !bytes.is_empty());
        for (section, byte, value) in damage {
            let chosen = section.index(sections.len());
            let at = byte.index(sections[chosen].1.len());
            sections[chosen].1[at] = value;
        }
        let elf = sections.iter().fold(ElfBuilder::new(), |elf, (name, bytes)| elf.section(name, bytes));
        exercise(&elf.build());
    }

    #[test]
    fn damaged_files_never_panic(
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        keep in any::<prop::sample::Index>(),
    ) {
        let sections = mixed_sections();
        let elf = sections.iter().fold(ElfBuilder::new(), |elf, (name, bytes)| elf.section(name, bytes));
        let mut file = elf.build();
        for (at, value) in damage {
            let at = at.index(file.len());
            file[at] = value;
        }
        exercise(&file);
        file.truncate(keep.index(file.len()));
        exercise(&file);
    }
}
