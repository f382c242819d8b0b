//! What resolution asks of the dead process, and the answers of a real one.
//!
//! The trait is the seam at which tests put a small world of their own.

use crate::corefile::Address;
use crate::cpython::{
    AttributeName, ItemKey, Items, Lookup, PreviewLimits, ReadField, Runtime, TypeId, Values,
    class_namespaces, dict_items, frame_of_object, get_item, instance_attributes, is_type, items, lookup,
    preview,
};

/// Longest name that is offered as the nearest one, in characters.
const MAX_NAME: usize = 80;

/// How a key is found in a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// The object under it.
    Found(Address),
    /// A mapping without that key.
    NoKey,
    /// A sequence of this length.
    OutOfRange(usize),
    /// A sequence, but the key is no position.
    NotAPosition,
    /// Not a container that can be read.
    NotAContainer,
}

/// The objects of a process, by name.
pub trait Objects {
    /// How many interpreters there are; the main one is 0.
    fn interpreters(&self) -> usize;
    /// The module of this name in an interpreter's `sys.modules`.
    fn module(&self, interpreter: usize, name: &str) -> Option<Address>;
    /// The builtin of this name.
    fn builtin(&self, interpreter: usize, name: &str) -> Option<Address>;
    /// Names of all modules and builtins.
    fn root_names(&self) -> Vec<String>;
    /// The attribute of an object.
    fn attribute(&self, object: Address, name: &str) -> Lookup;
    /// The variable of a frame object; `None` when it is no frame, or has no such variable.
    fn local(&self, frame: Address, name: &str) -> Option<Address>;
    /// Names of an object's attributes and of its classes'.
    fn attribute_names(&self, object: Address) -> Vec<String>;
    /// The item of a container.
    fn item(&self, container: Address, key: &ItemKey) -> Item;
    /// Keys of a mapping, as literals.
    fn key_labels(&self, container: Address) -> Vec<String>;
    /// Name of an object's type, without `builtins.`.
    fn type_name(&self, object: Address) -> String;
    /// The type whose type object this is.
    fn as_type(&self, object: Address) -> Option<TypeId>;
    /// All types: full name and type object.
    fn types(&self) -> Vec<(TypeId, String, Address)>;
    /// Whether an object starts at the address; if not, what is there.
    ///
    /// # Errors
    /// A description of the memory.
    fn object_at(&self, address: Address) -> Result<(), String>;
}

impl Objects for Runtime<'_> {
    fn interpreters(&self) -> usize {
        self.interpreters.len()
    }

    fn module(&self, interpreter: usize, name: &str) -> Option<Address> {
        let modules = self.interpreters.get(interpreter)?.modules;
        get_item(self, modules, &ItemKey::Str(name.to_owned()))
    }

    fn builtin(&self, interpreter: usize, name: &str) -> Option<Address> {
        let builtins = self.interpreters.get(interpreter)?.builtins;
        get_item(self, builtins, &ItemKey::Str(name.to_owned()))
    }

    fn root_names(&self) -> Vec<String> {
        let dicts =
            self.interpreters.iter().flat_map(|interpreter| [interpreter.modules, interpreter.builtins]);
        dicts
            .flat_map(|dict| dict_items(self, dict))
            .filter_map(|(key, _)| AttributeName::Key(key).text(self, MAX_NAME))
            .collect()
    }

    fn attribute(&self, object: Address, name: &str) -> Lookup {
        lookup(self, object, name)
    }

    fn local(&self, frame: Address, name: &str) -> Option<Address> {
        frame_of_object(self, frame)?
            .locals
            .into_iter()
            .find(|local| local.name == name)
            .map(|local| local.object)
    }

    fn attribute_names(&self, object: Address) -> Vec<String> {
        let own =
            instance_attributes(self, object).into_iter().filter_map(|(name, _)| name.text(self, MAX_NAME));
        let inherited = class_namespaces(self, object)
            .into_iter()
            .flat_map(|dict| dict_items(self, dict))
            .filter_map(|(key, _)| AttributeName::Key(key).text(self, MAX_NAME));
        own.chain(inherited).collect()
    }

    fn item(&self, container: Address, key: &ItemKey) -> Item {
        if let Some(found) = get_item(self, container, key) {
            return Item::Found(found);
        }
        match (items(self, container), key) {
            (None, _) => Item::NotAContainer,
            (Some(Items::Mapping(_)), _) => Item::NoKey,
            (Some(Items::Sequence(items)), ItemKey::Int(_)) => Item::OutOfRange(items.len()),
            (Some(Items::Sequence(_)), _) => Item::NotAPosition,
        }
    }

    fn key_labels(&self, container: Address) -> Vec<String> {
        let limits = PreviewLimits { max_chars: MAX_NAME, max_items: 4, max_depth: 2 };
        let mut labels = Vec::new();
        if let Some(Items::Mapping(view)) = items(self, container) {
            // Keys are shown, as in the labels of references: a path is made of them. Unreadable ones are missing.
            let _ = view.for_each(self, |key, _| labels.push(preview(self, key, Values::Shown, limits).text));
        }
        labels
    }

    fn type_name(&self, object: Address) -> String {
        let type_ = self.space.field(object, self.layouts.object.type_).unwrap_or(0);
        match self.types.of(type_) {
            Some(info) => info.name.strip_prefix("builtins.").unwrap_or(&info.name).to_owned(),
            None => format!("thing of the unknown type {type_:#x}"),
        }
    }

    fn as_type(&self, object: Address) -> Option<TypeId> {
        if is_type(self, object) { self.types.id_of(object) } else { None }
    }

    fn types(&self) -> Vec<(TypeId, String, Address)> {
        self.types.iter().map(|(id, info)| (id, info.name.to_string(), info.address)).collect()
    }

    fn object_at(&self, address: Address) -> Result<(), String> {
        if super::place::is_object(self, address) {
            Ok(())
        } else {
            Err(super::place::describe(self, address))
        }
    }
}
