//! The references of types with fixed fields: which members their `tp_traverse` visits, which they own besides.
//!
//! One line a type: `tp_name` of the type that defines the traversal, its C struct, the members visited, the members owned but not
//! visited, the members that are weak. Facts from Objects/*.c and Modules/*.c of 3.8 to 3.15. A member that a build lacks is left out; so is a type
//! whose struct no source knows (its own machine code is followed instead).

use crate::graph::EdgeKind;
use crate::layout::Resolver;
use rustc_hash::FxHashMap;

/// One fixed reference member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldEdge {
    /// Bytes from the start of the object.
    pub offset: u32,
    /// What the reference is to the collector.
    pub kind: EdgeKind,
    /// The member's name, for labels; `None` where debug information has it (see [`super::member_name`]).
    pub name: Option<&'static str>,
}

/// Fixed members by `tp_name`.
#[derive(Clone, Debug, Default)]
pub struct Shapes {
    by_name: FxHashMap<&'static str, Box<[FieldEdge]>>,
}

/// A line of the table: type, struct, visited, owned, weak.
type Line =
    (&'static str, &'static str, &'static [&'static str], &'static [&'static str], &'static [&'static str]);

const EXCEPTION: &str = "PyBaseExceptionObject";

#[rustfmt::skip]
const LINES: &[Line] = &[
    // Objects
    ("function", "PyFunctionObject", &["func_code", "func_globals", "func_builtins", "func_module", "func_defaults", "func_kwdefaults",
        "func_doc", "func_name", "func_dict", "func_closure", "func_annotations", "func_annotate", "func_typeparams", "func_qualname"], &[], &[]),
    ("cell", "PyCellObject", &["ob_ref"], &[], &[]),
    ("method", "PyMethodObject", &["im_func", "im_self"], &[], &[]),
    ("instancemethod", "PyInstanceMethodObject", &["func"], &[], &[]),
    ("builtin_function_or_method", "PyCFunctionObject", &["m_self", "m_module"], &[], &[]),
    ("property", "propertyobject", &["prop_get", "prop_set", "prop_del", "prop_doc", "prop_name"], &[], &[]),
    ("classmethod", "classmethod", &["cm_dict", "cm_callable"], &[], &[]),
    ("staticmethod", "staticmethod", &["sm_dict", "sm_callable"], &[], &[]),
    ("super", "superobject", &["type", "obj", "obj_type"], &[], &[]),
    ("mappingproxy", "mappingproxyobject", &["mapping"], &[], &[]),
    ("method-wrapper", "wrapperobject", &["descr", "self"], &[], &[]),
    ("wrapper_descriptor", "PyWrapperDescrObject", &["d_common.d_type"], &["d_common.d_name", "d_common.d_qualname"], &[]),
    ("method_descriptor", "PyMethodDescrObject", &["d_common.d_type"], &["d_common.d_name", "d_common.d_qualname"], &[]),
    ("getset_descriptor", "PyGetSetDescrObject", &["d_common.d_type"], &["d_common.d_name", "d_common.d_qualname"], &[]),
    ("member_descriptor", "PyMemberDescrObject", &["d_common.d_type"], &["d_common.d_name", "d_common.d_qualname"], &[]),
    ("classmethod_descriptor", "PyMethodDescrObject", &["d_common.d_type"], &["d_common.d_name", "d_common.d_qualname"], &[]),
    ("slice", "PySliceObject", &["start", "stop", "step"], &[], &[]),
    ("range", "rangeobject", &[], &["start", "stop", "step", "length"], &[]),
    ("longrange_iterator", "longrangeiterobject", &[], &["index", "start", "step", "len"], &[]),
    ("list_iterator", "_PyListIterObject", &["it_seq"], &[], &[]),
    ("list_reverseiterator", "listreviterobject", &["it_seq"], &[], &[]),
    ("tuple_iterator", "_PyTupleIterObject", &["it_seq"], &[], &[]),
    ("iterator", "seqiterobject", &["it_seq"], &[], &[]),
    ("callable_iterator", "calliterobject", &["it_callable", "it_sentinel"], &[], &[]),
    ("str_iterator", "unicodeiterobject", &["it_seq"], &[], &[]),
    ("str_ascii_iterator", "unicodeiterobject", &["it_seq"], &[], &[]),
    ("bytes_iterator", "bytesiterobject", &["it_seq"], &[], &[]),
    ("bytearray_iterator", "bytearrayiterobject", &["it_seq"], &[], &[]),
    ("bytearray", "PyByteArrayObject", &[], &["ob_bytes_object"], &[]),
    ("set_iterator", "setiterobject", &["si_set"], &[], &[]),
    ("dict_keys", "_PyDictViewObject", &["dv_dict"], &[], &[]),
    ("dict_values", "_PyDictViewObject", &["dv_dict"], &[], &[]),
    ("dict_items", "_PyDictViewObject", &["dv_dict"], &[], &[]),
    ("dict_keyiterator", "dictiterobject", &["di_dict", "di_result"], &[], &[]),
    ("dict_valueiterator", "dictiterobject", &["di_dict", "di_result"], &[], &[]),
    ("dict_itemiterator", "dictiterobject", &["di_dict", "di_result"], &[], &[]),
    ("dict_reversekeyiterator", "dictiterobject", &["di_dict", "di_result"], &[], &[]),
    ("dict_reversevalueiterator", "dictiterobject", &["di_dict", "di_result"], &[], &[]),
    ("dict_reverseitemiterator", "dictiterobject", &["di_dict", "di_result"], &[], &[]),
    ("enumerate", "enumobject", &["en_sit", "en_result", "en_longindex"], &["one"], &[]),
    ("reversed", "reversedobject", &["seq"], &[], &[]),
    ("map", "mapobject", &["iters", "func"], &[], &[]),
    ("filter", "filterobject", &["it", "func"], &[], &[]),
    ("zip", "zipobject", &["ittuple", "result"], &[], &[]),
    ("types.GenericAlias", "gaobject", &["origin", "args", "parameters"], &[], &[]),
    ("types.UnionType", "unionobject", &["args", "parameters"], &[], &[]),
    ("types.SimpleNamespace", "_PyNamespaceObject", &["ns_dict"], &[], &[]),
    ("traceback", "PyTracebackObject", &["tb_next", "tb_frame"], &[], &[]),
    ("memoryview", "PyMemoryViewObject", &["mbuf"], &[], &[]),
    ("managedbuffer", "_PyManagedBufferObject", &["master.obj"], &[], &[]),
    ("weakref", "PyWeakReference", &["wr_callback"], &[], &["wr_object"]),
    ("weakref.ReferenceType", "PyWeakReference", &["wr_callback"], &[], &["wr_object"]),
    ("weakproxy", "PyWeakReference", &["wr_callback"], &[], &["wr_object"]),
    ("weakref.ProxyType", "PyWeakReference", &["wr_callback"], &[], &["wr_object"]),
    ("weakcallableproxy", "PyWeakReference", &["wr_callback"], &[], &["wr_object"]),
    ("weakref.CallableProxyType", "PyWeakReference", &["wr_callback"], &[], &["wr_object"]),
    // A plain generator never sets gi_origin_or_finalizer.
    ("generator", "PyGenObject", &["gi_frame", "gi_code", "gi_name", "gi_qualname", "gi_exc_state.exc_type", "gi_exc_state.exc_value",
        "gi_exc_state.exc_traceback"], &[], &[]),
    ("coroutine", "PyGenObject|PyCoroObject", &["gi_frame", "gi_code", "gi_name", "gi_qualname", "gi_exc_state.exc_type", "gi_exc_state.exc_value",
        "gi_exc_state.exc_traceback"], &["gi_origin_or_finalizer", "cr_origin"], &[]),
    ("async_generator", "PyGenObject|PyAsyncGenObject", &["gi_origin_or_finalizer", "ag_finalizer", "gi_frame", "gi_code", "gi_name", "gi_qualname", "gi_exc_state.exc_type",
        "gi_exc_state.exc_value", "gi_exc_state.exc_traceback"], &[], &[]),
    ("frame", "PyFrameObject", &["f_back", "f_code", "f_builtins", "f_globals", "f_locals", "f_trace", "f_extra_locals", "f_locals_cache", "f_overwritten_fast_locals"], &[], &[]),
    ("code", "PyCodeObject", &[], &["co_consts", "co_names", "co_exceptiontable", "co_localsplusnames", "co_localspluskinds",
        "co_filename", "co_name", "co_qualname", "co_linetable", "_co_code", "co_code", "co_varnames", "co_freevars", "co_cellvars", "co_lnotab"], &[]),
    ("lazy_import", "PyLazyImportObject", &["lz_builtins", "lz_from", "lz_attr", "lz_code"], &[], &[]),
    ("module", "PyModuleObject", &["md_dict"], &["md_name"], &[]),
    // Exceptions
    ("BaseException", EXCEPTION, &["dict", "args", "notes", "traceback", "cause", "context"], &[], &[]),
    // Modules
    ("collections.defaultdict", "defdictobject", &["default_factory"], &[], &[]),
    ("collections._tuplegetter", "_tuplegetterobject|tuplegetterobject", &["doc"], &[], &[]),
    ("functools.partial", "partialobject", &["fn", "args", "kw", "dict"], &[], &[]),
    ("functools._lru_cache_wrapper", "lru_cache_object", &["cache", "func", "kwd_mark", "lru_list_elem_type", "cache_info_type", "dict"], &[], &[]),
    ("itertools.chain", "chainobject", &["source", "active"], &[], &[]),
    ("itertools.count", "countobject", &["long_cnt", "long_step"], &[], &[]),
    ("itertools.cycle", "cycleobject", &["it", "saved"], &[], &[]),
    ("itertools.repeat", "repeatobject", &["element"], &[], &[]),
    ("itertools.islice", "isliceobject", &["it"], &[], &[]),
    ("itertools.starmap", "starmapobject", &["it", "func"], &[], &[]),
    ("itertools.takewhile", "takewhileobject", &["it", "func"], &[], &[]),
    ("itertools.dropwhile", "dropwhileobject", &["it", "func"], &[], &[]),
    ("itertools.filterfalse", "filterfalseobject", &["it", "func"], &[], &[]),
    ("itertools.compress", "compressobject", &["data", "selectors"], &[], &[]),
    ("itertools.accumulate", "accumulateobject", &["binop", "it", "total", "initial"], &[], &[]),
];

impl Shapes {
    /// Resolves every line whose struct the sources know.
    pub fn resolve(resolver: &mut Resolver<'_>) -> Self {
        let mut by_name = FxHashMap::default();
        for &(name, c_struct, visited, owned, weak) in LINES {
            if resolver.size_of(c_struct).is_none() {
                continue;
            }
            let mut fields = Vec::new();
            for (paths, kind) in
                [(visited, EdgeKind::Visited), (owned, EdgeKind::Owned), (weak, EdgeKind::Weak)]
            {
                for &path in paths {
                    if let Some(field) = resolver.optional(c_struct, path) {
                        let label = path.rsplit('.').next().unwrap_or(path);
                        fields.push(FieldEdge { offset: field.offset, kind, name: Some(label) });
                    }
                }
            }
            by_name.insert(name, fields.into_boxed_slice());
        }
        Self { by_name }
    }

    /// The fixed members of the type named `tp_name`.
    pub fn get(&self, tp_name: &str) -> Option<&[FieldEdge]> {
        self.by_name.get(tp_name).map(AsRef::as_ref)
    }
}
