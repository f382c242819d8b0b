//! Containers: sequences, mappings, sets, and the collections module's.

use super::Painter;
use crate::corefile::Address;
use crate::cpython::DictItems;
use crate::cpython::attributes::{class_lookup, field_at, get_attribute};
use crate::cpython::items::{Items, deque_items, items};
use crate::cpython::values::{REMOVED_HASH, is_str, list_items, tuple_items};
use crate::cpython::words::{ReadField, word};

impl<'core> Painter<'_, 'core> {
    /// Writes a container of exactly the type `tp_name`; `false` when that is none.
    pub(super) fn container(&mut self, object: Address, tp_name: &str) -> bool {
        match tp_name {
            "list" => {
                let items = list_items(self.runtime, object).ok();
                self.sequence(object, "[", items, "]");
            }
            "tuple" => self.tuple(object),
            "dict" => self.dict(object, "{", "}"),
            "set" => self.set_items(object, "{", "}", "set()"),
            "frozenset" => self.set_items(object, "frozenset({", "})", "frozenset()"),
            // frozendict_repr, Objects/dictobject.c, 3.15.
            "frozendict" => match DictItems::read(self.runtime, object) {
                Ok(view) if view.used == 0 => self.push("frozendict()"),
                _ => self.dict(object, "frozendict({", "})"),
            },
            "mappingproxy" => {
                self.push("mappingproxy(");
                let mapping = field_at(self.runtime, object, "mapping").unwrap_or(0);
                self.nested(object, |painter| painter.object(mapping));
                self.push(")");
            }
            "dict_keys" | "dict_values" | "dict_items" => self.dict_view(object, tp_name),
            "types.SimpleNamespace" => self.namespace(object),
            "collections.deque" | "collections.defaultdict" | "collections.OrderedDict" => {
                self.push(tp_name.rsplit('.').next().unwrap_or(tp_name));
                self.named_container(object, tp_name);
            }
            _ => return false,
        }
        true
    }

    /// Writes what follows the name of a deque, defaultdict or OrderedDict.
    pub(super) fn named_container(&mut self, object: Address, tp_name: &str) {
        self.push("(");
        match tp_name {
            "collections.deque" => self.deque(object),
            "collections.defaultdict" => {
                let factory = field_at(self.runtime, object, "default_factory");
                self.nested(object, |painter| {
                    painter.object(factory.unwrap_or(painter.runtime.landmarks.none))
                });
                self.push(", ");
                self.dict(object, "{", "}");
            }
            _ => self.ordered_dict(object),
        }
        self.push(")");
    }

    /// Writes items with commas between them, as many as the limit admits of the `total` there are.
    pub(super) fn list_of<T>(
        &mut self,
        items: impl Iterator<Item = T>,
        total: u64,
        mut each: impl FnMut(&mut Self, T),
    ) {
        for (index, item) in items.enumerate() {
            if self.overflow {
                return;
            }
            if index > 0 {
                self.push(", ");
            }
            if index >= self.limits.max_items {
                self.push(&format!("… {} more", total.saturating_sub(index as u64)));
                self.truncated = true;
                return;
            }
            each(self, item);
        }
    }

    fn sequence(&mut self, object: Address, open: &str, items: Option<Vec<Address>>, close: &str) {
        let Some(items) = items else { return self.unreadable("sequence", object) };
        self.push(open);
        if !items.is_empty() {
            self.nested(object, |painter| {
                painter.list_of(items.iter(), items.len() as u64, |painter, &item| painter.object(item));
            });
        }
        self.push(close);
    }

    fn tuple(&mut self, object: Address) {
        let items = tuple_items(self.runtime, object).ok();
        let close = if items.as_ref().is_some_and(|items| items.len() == 1) { ",)" } else { ")" };
        self.sequence(object, "(", items, close);
    }

    /// A namedtuple with its field names (as `collections.namedtuple` writes it), any other class's name and the tuple.
    pub(super) fn tuple_subclass(&mut self, object: Address, type_: Address) {
        self.push_short_name(type_);
        let values = tuple_items(self.runtime, object).unwrap_or_default();
        let fields = class_lookup(self.runtime, type_, "_fields")
            .filter(|&fields| matches!(items(self.runtime, fields), Some(Items::Sequence(_))))
            .and_then(|fields| tuple_items(self.runtime, fields).ok())
            .filter(|fields| {
                fields.len() == values.len() && fields.iter().all(|&name| is_str(self.runtime, name))
            });
        self.push("(");
        match fields {
            Some(fields) => self.nested(object, |painter| {
                let pairs = fields.iter().zip(&values);
                painter.list_of(pairs, values.len() as u64, |painter, (&name, &item)| {
                    painter.push_code_name(Some(name));
                    painter.push("=");
                    painter.object(item);
                });
            }),
            None => self.tuple(object),
        }
        self.push(")");
    }

    /// Writes the items of a dict, in order.
    fn dict(&mut self, object: Address, open: &str, close: &str) {
        let Ok(view) = DictItems::read(self.runtime, object) else { return self.unreadable("dict", object) };
        let shown = self.first_items(&view);
        self.push(open);
        if view.used > 0 {
            self.nested(object, |painter| {
                painter.list_of(shown.iter(), view.used, |painter, &(key, value)| {
                    painter.object(key);
                    painter.push(": ");
                    painter.object(value);
                });
            });
        }
        self.push(close);
    }

    /// The items that will be shown, and one more if there is one.
    fn first_items(&self, view: &DictItems<'core>) -> Vec<(Address, Address)> {
        let wanted = self.limits.max_items.saturating_add(1);
        if view.split_values.is_none() {
            return view
                .table
                .entries()
                .filter(|&(key, value)| key != 0 && value != 0)
                .take(wanted)
                .collect();
        }
        let mut found = Vec::new();
        // Split tables are small: they have the attributes of one class. Unreadable values leave the list short.
        let _ = view.for_each(self.runtime, |key, value| {
            if found.len() < wanted {
                found.push((key, value));
            }
        });
        found
    }

    /// An OrderedDict's own order (Objects/odictobject.c): that of its nodes.
    fn ordered_dict(&mut self, object: Address) {
        let (space, l) = (&self.runtime.space, &self.runtime.layouts);
        let Ok(view) = DictItems::read(self.runtime, object) else { return self.unreadable("dict", object) };
        let mut keys = Vec::new();
        let mut node = space.field(object, l.odict.first).unwrap_or(0);
        while node != 0 && keys.len() <= self.limits.max_items {
            keys.push(space.field(node, l.odict_node.key).unwrap_or(0));
            node = space.field(node, l.odict_node.next).unwrap_or(0);
        }
        let mut found = vec![0; keys.len()];
        let _ = view.for_each(self.runtime, |key, value| {
            // The node and the table share the key object.
            if let Some(index) = keys.iter().position(|&candidate| candidate == key)
                && let Some(slot) = found.get_mut(index)
            {
                *slot = value;
            }
        });
        if view.used == 0 {
            return;
        }
        self.push("{");
        self.nested(object, |painter| {
            painter.list_of(keys.iter().zip(&found), view.used, |painter, (&key, &value)| {
                painter.object(key);
                painter.push(": ");
                painter.object(value);
            });
        });
        self.push("}");
    }

    fn deque(&mut self, object: Address) {
        let items = deque_items(self.runtime, object);
        self.sequence(object, "[", items, "]");
        if let Some(maxlen) = self.deque_maxlen(object) {
            self.push(&format!(", maxlen={maxlen}"));
        }
    }

    /// `maxlen` of a deque: the word behind `leftindex`, `rightindex` and `state` (Modules/_collectionsmodule.c; one
    /// layout from 3.8 to 3.13); negative means unbounded.
    fn deque_maxlen(&self, object: Address) -> Option<i64> {
        let place =
            object.wrapping_add(u64::from(self.runtime.layouts.deque.leftindex.offset)).wrapping_add(24);
        self.runtime.space.read_i64(place).ok().filter(|&maxlen| maxlen >= 0)
    }

    /// Writes the elements of a set in the order of its table, which is Python's.
    pub(super) fn set_items(&mut self, object: Address, open: &str, close: &str, empty: &str) {
        let Some(elements) = self.set_elements(object) else { return self.unreadable("set", object) };
        if elements.is_empty() {
            return self.push(empty);
        }
        self.push(open);
        self.nested(object, |painter| {
            painter.list_of(elements.iter(), elements.len() as u64, |painter, &item| painter.object(item));
        });
        self.push(close);
    }

    fn set_elements(&self, object: Address) -> Option<Vec<Address>> {
        let (space, l) = (&self.runtime.space, &self.runtime.layouts.set);
        let slots = space.field(object, l.mask).ok()?.checked_add(1)?;
        let table = space.field(object, l.table).ok()?;
        let bytes = space.slice(table, usize::try_from(slots.checked_mul(16)?).ok()?).ok()?;
        let entries = bytes.as_chunks::<16>().0.iter().filter(|&entry| word(entry, 8) != REMOVED_HASH);
        Some(entries.map(|entry| word(entry, 0)).filter(|&key| key != 0).collect())
    }

    /// `dict_keys([…])`, `dict_values([…])`, `dict_items([(…), …])`.
    fn dict_view(&mut self, object: Address, tp_name: &str) {
        let dict = field_at(self.runtime, object, "dv_dict").unwrap_or(0);
        let Some(Items::Mapping(view)) = items(self.runtime, dict) else {
            return self.unreadable("dict view", object);
        };
        let shown = self.first_items(&view);
        self.push(tp_name);
        self.push("([");
        self.nested(object, |painter| {
            painter.list_of(shown.iter(), view.used, |painter, &(key, value)| match tp_name {
                "dict_keys" => painter.object(key),
                "dict_values" => painter.object(value),
                _ => {
                    painter.push("(");
                    painter.object(key);
                    painter.push(", ");
                    painter.object(value);
                    painter.push(")");
                }
            });
        });
        self.push("])");
    }

    /// `namespace(a=1)`.
    fn namespace(&mut self, object: Address) {
        let dict = get_attribute(self.runtime, object, "__dict__").unwrap_or(0);
        let Some(Items::Mapping(view)) = items(self.runtime, dict) else { return self.push("namespace()") };
        let shown = self.first_items(&view);
        self.push("namespace(");
        self.nested(object, |painter| {
            painter.list_of(shown.iter(), view.used, |painter, &(key, value)| {
                painter.push_code_name(Some(key));
                painter.push("=");
                painter.object(value);
            });
        });
        self.push(")");
    }
}
