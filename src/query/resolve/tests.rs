//! Names and paths resolved against built heaps.

use super::super::parse::parse;
use super::*;
use std::collections::BTreeMap;

/// A few objects, by made-up addresses.
#[derive(Default)]
struct World {
    interpreters: Vec<BTreeMap<&'static str, Address>>,
    builtins: BTreeMap<&'static str, Address>,
    attributes: BTreeMap<(Address, &'static str), Lookup>,
    keys: BTreeMap<(Address, &'static str), Address>,
    lists: BTreeMap<Address, Vec<Address>>,
    locals: BTreeMap<(Address, &'static str), Address>,
    types: Vec<(&'static str, Address)>,
}

impl Objects for World {
    fn interpreters(&self) -> usize {
        self.interpreters.len()
    }
    fn module(&self, interpreter: usize, name: &str) -> Option<Address> {
        self.interpreters.get(interpreter)?.get(name).copied()
    }
    fn builtin(&self, _: usize, name: &str) -> Option<Address> {
        self.builtins.get(name).copied()
    }
    fn root_names(&self) -> Vec<String> {
        let modules = self.interpreters.iter().flat_map(|modules| modules.keys());
        modules.chain(self.builtins.keys()).map(|name| (*name).to_owned()).collect()
    }
    fn attribute(&self, object: Address, name: &str) -> Lookup {
        let found = self.attributes.iter().find(|((holder, known), _)| *holder == object && *known == name);
        found.map_or(Lookup::Missing, |(_, &lookup)| lookup)
    }
    fn local(&self, frame: Address, name: &str) -> Option<Address> {
        self.locals
            .iter()
            .find(|((holder, known), _)| *holder == frame && *known == name)
            .map(|(_, &local)| local)
    }
    fn attribute_names(&self, object: Address) -> Vec<String> {
        let names = self.attributes.keys().filter(|(holder, _)| *holder == object);
        names.map(|(_, name)| (*name).to_owned()).collect()
    }
    fn item(&self, container: Address, key: &ItemKey) -> Item {
        if let Some(items) = self.lists.get(&container) {
            return match key {
                ItemKey::Int(index) => {
                    match usize::try_from(*index).ok().and_then(|index| items.get(index)) {
                        Some(&item) => Item::Found(item),
                        None => Item::OutOfRange(items.len()),
                    }
                }
                _ => Item::NotAPosition,
            };
        }
        if !self.keys.keys().any(|(holder, _)| *holder == container) {
            return Item::NotAContainer;
        }
        let literal = key.to_string();
        let found = self.keys.iter().find(|((holder, known), _)| *holder == container && *known == literal);
        found.map_or(Item::NoKey, |(_, &item)| Item::Found(item))
    }
    fn key_labels(&self, container: Address) -> Vec<String> {
        self.keys
            .keys()
            .filter(|(holder, _)| *holder == container)
            .map(|(_, key)| (*key).to_owned())
            .collect()
    }
    fn type_name(&self, object: Address) -> String {
        if object == 90 { "property".to_owned() } else { "list".to_owned() }
    }
    fn as_type(&self, object: Address) -> Option<TypeId> {
        self.types.iter().position(|&(_, address)| address == object).map(|index| TypeId(index as u32))
    }
    fn types(&self) -> Vec<(TypeId, String, Address)> {
        let numbered = self.types.iter().enumerate();
        numbered.map(|(index, &(name, address))| (TypeId(index as u32), name.to_owned(), address)).collect()
    }
    fn object_at(&self, address: Address) -> Result<(), String> {
        if address < 100 { Ok(()) } else { Err("nothing".to_owned()) }
    }
}

/// Modules app (1), app.cache (2) and, in a second interpreter, other (3); dict app.cache.SESSIONS (10) with a list
/// (11) of one object (12); a class app.cache.Entry (20) made twice.
fn world() -> World {
    let found = |address| Lookup::Found(address);
    World {
        interpreters: vec![
            BTreeMap::from([("app", 1), ("app.cache", 2), ("json", 4), ("__main__", 5)]),
            BTreeMap::from([("other", 3)]),
        ],
        builtins: BTreeMap::from([("dict", 30)]),
        attributes: BTreeMap::from([
            ((2, "SESSIONS"), found(10)),
            ((2, "Entry"), found(20)),
            ((2, "size"), Lookup::Computed(90)),
            ((2, "_size"), found(13)),
            ((2, "__name__"), found(14)),
            ((2, "evict"), found(15)),
            ((2, "lookup"), found(16)),
            ((2, "settings"), found(17)),
            ((3, "BUS"), found(40)),
            ((5, "cache_of_main"), found(70)),
            ((12, "owner"), found(50)),
        ]),
        keys: BTreeMap::from([((10, "'session-3'"), 11), ((10, "3"), 12)]),
        lists: BTreeMap::from([(11, vec![12])]),
        locals: BTreeMap::from([((60, "request"), 61)]),
        types: vec![
            ("app.cache.Entry", 20),
            ("app.cache.Entry", 21),
            ("builtins.dict", 30),
            ("app.f.<locals>.Inner", 22),
            ("app.a.Same", 23),
            ("app.b.Same", 24),
        ],
    }
}

fn find(text: &str) -> Result<Target, QueryError> {
    resolve_in(&world(), &parse(text).unwrap())
}

fn object(text: &str) -> Option<Address> {
    find(text).unwrap().object
}

fn types(text: &str) -> Vec<u32> {
    find(text).unwrap().types.iter().map(|id| id.0).collect()
}

fn message(text: &str) -> String {
    find(text).unwrap_err().to_string()
}

#[test]
fn paths_begin_at_the_longest_module_name() {
    assert_eq!(object("app.cache.SESSIONS['session-3'][0].owner"), Some(50));
    assert_eq!(object("app"), Some(1));
}

#[test]
fn other_interpreters_and_builtins_follow_the_main_one() {
    assert_eq!(object("other.BUS"), Some(40));
    assert_eq!(object("dict"), Some(30));
}

#[test]
fn steps_follow_an_address() {
    assert_eq!(object("0xc.owner"), Some(50));
    assert_eq!(message("0x100"), "0x100 is no object: nothing");
}

#[test]
fn variables_of_frames_are_items_of_their_f_locals() {
    assert_eq!(object("0x3c.f_locals['request']"), Some(61));
}

#[test]
fn a_class_is_an_object_and_all_types_of_its_name() {
    assert_eq!(object("app.cache.Entry"), Some(20));
    assert_eq!(types("app.cache.Entry"), [0, 1]);
    assert_eq!(types("dict"), [2]);
    assert_eq!(types("app.cache.SESSIONS"), [0u32; 0]);
}

#[test]
fn types_that_no_path_leads_to_are_found_by_name() {
    assert_eq!((object("app.f.<locals>.Inner"), types("app.f.<locals>.Inner")), (Some(22), vec![3]));
    assert_eq!((object("Inner"), types("Inner")), (Some(22), vec![3]));
    assert_eq!((object("Entry"), types("Entry")), (None, vec![0, 1]));
    assert_eq!(types("builtins.dict"), [2]);
    assert_eq!(
        message("Same"),
        "Same could be any of app.a.Same, app.b.Same; write one in full, or *.Same for all"
    );
}

#[test]
fn patterns_name_types() {
    assert_eq!(types("app.?.Same"), [4, 5]);
    assert_eq!(types("*Inner*"), [3]);
    assert!(message("*.Nothing").starts_with("no type matches *.Nothing"));
    let error = find("app.?.Same").unwrap().require_object().unwrap_err();
    assert_eq!(
        error.to_string(),
        "app.?.Same names 2 types, not one object; write the full name of one, or its address"
    );
}

#[test]
fn a_failed_step_is_named_with_what_is_nearest() {
    assert_eq!(message("app.cache.SESION"), "app.cache has no attribute 'SESION'; nearest: SESSIONS");
    assert_eq!(
        message("app.cache.size"),
        "app.cache.size is computed by a property, and no code of the core is run; nearest: _size"
    );
    assert_eq!(
        message("app.cache.SESSIONS['session-4']"),
        "app.cache.SESSIONS has no key 'session-4'; nearest: 'session-3', 3"
    );
    assert_eq!(
        message("app.cache.SESSIONS['session-3'][-9]"),
        "app.cache.SESSIONS['session-3'] has no item [-9]: its length is 1"
    );
    assert_eq!(
        message("app.cache.SESSIONS['session-3']['x']"),
        "app.cache.SESSIONS['session-3'] is a list: its items are found by position, not by 'x'"
    );
    assert_eq!(
        message("app.cache.SESSIONS[3][0]"),
        "app.cache.SESSIONS[3] is a list, whose items cannot be had without running code; name an attribute of it; \
         nearest: owner"
    );
    assert_eq!(
        message("jsn.decoder"),
        "no imported module, builtin or type is called jsn.decoder; nearest: json"
    );
    assert_eq!(
        message("cache_of_main['a'].owner"),
        "no imported module, builtin or type is called cache_of_main; nearest: __main__.cache_of_main"
    );
}

#[test]
fn patterns_backtrack() {
    let check = |pattern: &str, name: &str| matches(&pattern.chars().collect::<Vec<_>>(), name);
    assert!(check("*a*b", "xaxbxab"));
    assert!(check("**", ""));
    assert!(check("a?c", "abc"));
    assert!(!check("a?c", "ac"));
    assert!(!check("*a*b", "xaxc"));
    assert!(!check("ab", "abc"));
}
