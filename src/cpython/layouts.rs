//! THE list: every C struct and field of CPython that this crate reads, once, by its C name.
//!
//! A field is `required` (its absence stops the run, naming it) or `optional` (an `Option`, never a sentinel).
//! Several spellings of one meaning stand side by side, newest first. Resolved once, into plain offsets; nothing
//! here knows a version: what exists under a name is used, what does not is `None`.

use crate::layout::{Field, LayoutError, Resolver};

#[macro_use]
mod declare;
mod allocators;
mod free_threaded;

pub use allocators::Allocators;
pub use free_threaded::FreeThreaded;

layouts! {
    Layouts { allocators: Allocators, free_threaded: FreeThreaded }
    /// Include/object.h: the header of every object.
    object: ObjectHeader = "PyObject|_object" {
        refcnt: optional("ob_refcnt"),
        thread_id: optional("ob_tid"),
        ref_local: optional("ob_ref_local"),
        ref_shared: optional("ob_ref_shared"),
        gc_bits: optional("ob_gc_bits"),
        refcnt_split: optional("ob_refcnt_split"),
        chain_next: optional("_ob_next"),
        overflow: optional("ob_overflow"),
        type_: required("ob_type"),
    }
    /// Include/object.h: the header of objects of variable size.
    var_object: VarObject = "PyVarObject" {
        ob_size: required("ob_size"),
    }
    /// Include/internal/pycore_gc.h: the two words before an object the collector knows.
    gc_head: GcHead = "PyGC_Head" {
        next: required("_gc_next" | "gc.gc_next"),
        prev: required("_gc_prev" | "gc.gc_prev"),
        refs: optional("gc.gc_refs"),
    }
    /// Include/internal/pycore_runtime.h.
    runtime: RuntimeState = "_PyRuntimeState|pyruntimestate" {
        interpreters_head: required("interpreters.head"),
        interpreters_main: required("interpreters.main"),
        interpreters_next_id: optional("interpreters.next_id"),
        gil: optional("ceval.gil"),
        tstate_current: optional("gilstate.tstate_current"),
        gc: optional("gc"),
        cached_interned: optional("cached_objects.interned_strings"),
        interpreter_leaks: optional("obmalloc.interpreter_leaks"),
    }
    /// Include/internal/pycore_interp.h. Members that hold objects are roots.
    interpreter: InterpreterState = "PyInterpreterState|_is" {
        next: required("next"),
        id: required("id"),
        threads_head: required("threads.head" | "tstate_head"),
        gc: optional("gc"),
        sysdict: required("sysdict"),
        builtins: required("builtins"),
        modules: required("imports.modules" | "modules"),
        dict: optional("dict"),
        gil: optional("ceval.gil"),
        own_gil: optional("_gil"),
        obmalloc: optional("obmalloc"),
        unique_ids: optional("unique_ids"),
        feature_flags: optional("feature_flags"),
        mem_free_queue: optional("mem_free_queue.head"),
        types_builtins: optional("types.builtins.initialized" | "types.builtins"),
        types_for_extensions: optional("types.for_extensions.initialized"),
        interned: optional("cached_objects.interned_strings"),
        sysdict_copy: optional("sysdict_copy"),
        builtins_copy: optional("builtins_copy"),
        modules_by_index: optional("imports.modules_by_index" | "modules_by_index"),
        importlib: optional("imports.importlib" | "importlib"),
        import_func: optional("imports.import_func" | "import_func"),
        lazy_import_func: optional("imports.lazy_import_func"),
        lazy_imports_filter: optional("imports.lazy_imports_filter"),
        lazy_modules: optional("imports.lazy_modules"),
        lazy_importing_modules: optional("imports.lazy_importing_modules"),
        lazy_pending_submodules: optional("imports.lazy_pending_submodules"),
        codec_search_path: optional("codecs.search_path" | "codec_search_path"),
        codec_search_cache: optional("codecs.search_cache" | "codec_search_cache"),
        codec_error_registry: optional("codecs.error_registry" | "codec_error_registry"),
        before_forkers: optional("before_forkers"),
        after_forkers_parent: optional("after_forkers_parent"),
        after_forkers_child: optional("after_forkers_child"),
        warnings_filters: optional("warnings.filters"),
        warnings_once_registry: optional("warnings.once_registry"),
        warnings_default_action: optional("warnings.default_action"),
        warnings_context: optional("warnings.context"),
        audit_hooks: optional("audit_hooks"),
        atexit_callbacks: optional("atexit.callbacks"),
        atexit_ncallbacks: optional("atexit.ncallbacks"),
        monitoring_callables: optional("monitoring_callables"),
        monitoring_tool_names: optional("monitoring_tool_names"),
        interpreter_trampoline: optional("interpreter_trampoline"),
        errnomap: optional("exc_state.errnomap"),
        exception_group: optional("exc_state.PyExc_ExceptionGroup"),
        not_shareable_error: optional("xi.PyExc_NotShareableError"),
        str_replace_inf: optional("cached_objects.str_replace_inf"),
        objreduce: optional("cached_objects.objreduce"),
        type_slots_pname: optional("cached_objects.type_slots_pname"),
        generic_type: optional("cached_objects.generic_type"),
        typevar_type: optional("cached_objects.typevar_type"),
        typevartuple_type: optional("cached_objects.typevartuple_type"),
        paramspec_type: optional("cached_objects.paramspec_type"),
        paramspecargs_type: optional("cached_objects.paramspecargs_type"),
        paramspeckwargs_type: optional("cached_objects.paramspeckwargs_type"),
        constevaluator_type: optional("cached_objects.constevaluator_type"),
        dict_descriptor: optional("cached_objects.dict_descriptor"),
        weakref_descriptor: optional("cached_objects.weakref_descriptor"),
        common_consts: optional("common_consts"),
        ast: optional("ast"),
        ast_first_type: optional("ast.AST_type"),
        small_ints: optional("small_ints"),
        empty_bytes: optional("bytes.empty_string"),
        one_byte: optional("bytes.characters"),
        empty_str: optional("unicode.empty_string"),
        latin1: optional("unicode.latin1"),
        unicode_ids: optional("unicode.ids.array"),
        unicode_ids_count: optional("unicode.ids.size"),
        mimalloc_abandoned: optional("mimalloc.abandoned_pool.abandoned"),
        mimalloc_visited: optional("mimalloc.abandoned_pool.abandoned_visited"),
        mimalloc_subproc: optional("mimalloc.subproc"),
    }
    /// Include/cpython/pystate.h.
    thread: ThreadState = "PyThreadState|_ts" {
        next: required("next"),
        prev: required("prev"),
        interp: required("interp"),
        current_frame: optional("current_frame"),
        cframe: optional("cframe"),
        frame: optional("frame"),
        thread_id: required("thread_id"),
        native_thread_id: optional("native_thread_id"),
        exc_info: required("exc_info"),
        exc_state: optional("exc_state"),
        current_exception: optional("current_exception" | "curexc_value"),
        current_exception_type: optional("curexc_type"),
        current_exception_traceback: optional("curexc_traceback"),
        dict: required("dict"),
        context: optional("context"),
        async_exc: optional("async_exc"),
        c_profileobj: optional("c_profileobj"),
        c_traceobj: optional("c_traceobj"),
        async_gen_firstiter: optional("async_gen_firstiter"),
        async_gen_finalizer: optional("async_gen_finalizer"),
        threading_local_key: optional("threading_local_key"),
        threading_local_sentinel: optional("threading_local_sentinel"),
        datastack_chunk: optional("datastack_chunk"),
    }
    /// Include/cpython/pystate.h, 3.11 and 3.12: the C stack's link between frames.
    cframe: CFrame = "_PyCFrame" {
        current_frame: optional("current_frame"),
    }
    /// Include/cpython/pystate.h: one level of handled exceptions.
    err_stack_item: ErrStackItem = "_PyErr_StackItem|_err_stackitem" {
        exc_value: required("exc_value"),
        exc_type: optional("exc_type"),
        exc_traceback: optional("exc_traceback"),
        previous: required("previous_item"),
    }
    /// Modules/atexitmodule.c, Include/internal/pycore_atexit.h: one registered function.
    atexit_callback: AtexitCallback = "atexit_py_callback|atexit_callback" {
        func: optional("func"),
        args: optional("args"),
        kwargs: optional("kwargs"),
    }
    /// Include/internal/pycore_gil.h.
    gil: Gil = "_gil_runtime_state" {
        enabled: optional("enabled"),
        last_holder: optional("last_holder"),
        locked: optional("locked"),
    }
    /// Include/internal/pycore_gc.h.
    gc: GcState = "_gc_runtime_state" {
        enabled: required("enabled"),
        debug: required("debug"),
        generations: optional("generations"),
        young: optional("young"),
        old: optional("old"),
        visited_space: optional("visited_space"),
        permanent: required("permanent_generation"),
        stats: optional("generation_stats"),
        collecting: required("collecting"),
        garbage: required("garbage"),
        callbacks: required("callbacks"),
        long_lived_total: optional("long_lived_total"),
        long_lived_pending: optional("long_lived_pending"),
    }
    /// Include/internal/pycore_gc.h: one generation.
    gc_generation: GcGeneration = "gc_generation" {
        head: required("head"),
        threshold: required("threshold"),
        count: required("count"),
    }
    /// Include/internal/pycore_gc.h: what one generation's collections did.
    gc_stats: GcGenerationStats = "gc_generation_stats" {
        collections: optional("collections"),
        collected: optional("collected"),
        uncollectable: optional("uncollectable"),
    }
    /// Include/internal/pycore_interp_structs.h, 3.15: figures of the last collections of each generation.
    gc_stats_buffers: GcStatsBuffers = "gc_stats" {
        young: optional("young"),
        old: optional("old"),
    }
    /// Include/internal/pycore_interp_structs.h, 3.15: figures of the youngest generation, a ring.
    gc_young_stats: GcYoungStats = "gc_young_stats_buffer" {
        items: optional("items"),
        index: optional("index"),
    }
    /// Include/internal/pycore_interp_structs.h, 3.15: figures of an older generation, a ring.
    gc_old_stats: GcOldStats = "gc_old_stats_buffer" {
        items: optional("items"),
        index: optional("index"),
    }
    /// Include/cpython/object.h.
    type_: TypeObject = "PyTypeObject|_typeobject" {
        name: required("tp_name"),
        basicsize: required("tp_basicsize"),
        itemsize: required("tp_itemsize"),
        dealloc: required("tp_dealloc"),
        flags: required("tp_flags"),
        traverse: required("tp_traverse"),
        clear: required("tp_clear"),
        weaklistoffset: required("tp_weaklistoffset"),
        iternext: required("tp_iternext"),
        methods: required("tp_methods"),
        base: required("tp_base"),
        dict: required("tp_dict"),
        dictoffset: required("tp_dictoffset"),
        is_gc: required("tp_is_gc"),
        bases: required("tp_bases"),
        mro: required("tp_mro"),
        cache: required("tp_cache"),
        subclasses: required("tp_subclasses"),
        weaklist: required("tp_weaklist"),
        del: required("tp_del"),
        finalize: required("tp_finalize"),
        allocs: optional("tp_allocs"),
        frees: optional("tp_frees"),
        maxalloc: optional("tp_maxalloc"),
    }
    /// Include/cpython/object.h: what follows in a type object made at run time.
    heap_type: HeapType = "PyHeapTypeObject|_heaptypeobject" {
        name: required("ht_name"),
        slots: required("ht_slots"),
        qualname: required("ht_qualname"),
        cached_keys: required("ht_cached_keys"),
        module: optional("ht_module"),
    }
    /// Include/structmember.h, Include/descrobject.h: one entry of a type's member table.
    member_def: MemberDef = "PyMemberDef" {
        name: required("name"),
        type_: required("type"),
        offset: required("offset"),
        flags: required("flags"),
    }
    /// Include/internal/pycore_typeobject.h: per-interpreter state of a static builtin type, 3.12 and later.
    static_type: StaticTypeState = "managed_static_type_state|static_builtin_state" {
        type_: optional("type"),
        dict: optional("tp_dict"),
        subclasses: optional("tp_subclasses"),
    }
    /// Include/cpython/dictobject.h.
    dict: Dict = "PyDictObject" {
        used: required("ma_used"),
        keys: required("ma_keys"),
        values: required("ma_values"),
    }
    /// Include/internal/pycore_dict.h.
    dict_keys: DictKeys = "PyDictKeysObject|_dictkeysobject" {
        refcnt: required("dk_refcnt"),
        slots: optional("dk_size"),
        lookup: optional("dk_lookup"),
        log2_size: optional("dk_log2_size"),
        log2_index_bytes: optional("dk_log2_index_bytes"),
        kind: optional("dk_kind"),
        usable: required("dk_usable"),
        nentries: required("dk_nentries"),
        indices: required("dk_indices"),
    }
    /// Include/internal/pycore_dict.h: an entry of a table with keys of any type.
    dict_entry: DictEntry = "PyDictKeyEntry" {
        key: required("me_key"),
        value: required("me_value"),
    }
    /// Include/internal/pycore_dict.h: an entry of a table whose keys are all `str`, 3.11 and later.
    dict_unicode_entry: DictUnicodeEntry = "PyDictUnicodeEntry" {
        key: optional("me_key"),
        value: optional("me_value"),
    }
    /// Include/internal/pycore_dict.h: the values of a split table, or of an instance.
    dict_values: DictValues = "PyDictValues|_dictvalues" {
        capacity: optional("capacity"),
        size_used: optional("size"),
        embedded: optional("embedded"),
        valid: optional("valid"),
        values: optional("values"),
    }
    /// Include/internal/pycore_object.h: present where a word tells a dict from values (3.12 only).
    dict_or_values: DictOrValues = "PyDictOrValues" {
        dict: optional("dict"),
    }
    /// Include/cpython/listobject.h.
    list: List = "PyListObject" {
        items: required("ob_item"),
        allocated: required("allocated"),
    }
    /// Include/cpython/tupleobject.h.
    tuple: Tuple = "PyTupleObject" {
        items: required("ob_item"),
    }
    /// Include/cpython/setobject.h.
    set: Set = "PySetObject" {
        fill: required("fill"),
        used: required("used"),
        mask: required("mask"),
        table: required("table"),
        smalltable: required("smalltable"),
    }
    /// Include/cpython/unicodeobject.h: the part every str has.
    ascii: AsciiStr = "PyASCIIObject" {
        length: required("length"),
        hash: required("hash"),
        interned: required("state.interned"),
        kind: required("state.kind"),
        compact: required("state.compact"),
        ascii: required("state.ascii"),
        wstr: optional("wstr"),
    }
    /// Include/cpython/unicodeobject.h: the part a str with other than ASCII has.
    compact_unicode: CompactStr = "PyCompactUnicodeObject" {
        utf8_length: required("utf8_length"),
        utf8: required("utf8"),
        wstr_length: optional("wstr_length"),
    }
    /// Include/cpython/unicodeobject.h: a str whose text lies elsewhere (subclasses of str).
    unicode: LegacyStr = "PyUnicodeObject" {
        text: required("data"),
    }
    /// Include/cpython/longintrepr.h.
    long: Long = "PyLongObject|_longobject" {
        lv_tag: optional("long_value.lv_tag"),
        digits: required("long_value.ob_digit" | "ob_digit"),
    }
    /// Include/cpython/floatobject.h.
    float: Float = "PyFloatObject" {
        value: required("ob_fval"),
    }
    /// Include/cpython/complexobject.h.
    complex: Complex = "PyComplexObject" {
        value: optional("cval"),
    }
    /// Include/cpython/bytesobject.h.
    bytes: Bytes = "PyBytesObject" {
        value: required("ob_sval"),
    }
    /// Include/cpython/bytearrayobject.h.
    bytearray: ByteArray = "PyByteArrayObject" {
        alloc: required("ob_alloc"),
        bytes: required("ob_bytes"),
        start: required("ob_start"),
        bytes_object: optional("ob_bytes_object"),
    }
    /// Include/cpython/funcobject.h.
    function: Function = "PyFunctionObject" {
        globals: required("func_globals"),
        builtins: optional("func_builtins"),
        name: required("func_name"),
        qualname: required("func_qualname"),
        code: required("func_code"),
        defaults: required("func_defaults"),
        kwdefaults: required("func_kwdefaults"),
        closure: required("func_closure"),
        doc: required("func_doc"),
        dict: required("func_dict"),
        module: required("func_module"),
        annotations: required("func_annotations"),
        annotate: optional("func_annotate"),
        typeparams: optional("func_typeparams"),
    }
    /// Include/cpython/code.h.
    code: Code = "PyCodeObject" {
        consts: required("co_consts"),
        names: required("co_names"),
        exceptiontable: optional("co_exceptiontable"),
        flags: required("co_flags"),
        argcount: required("co_argcount"),
        kwonlyargcount: required("co_kwonlyargcount"),
        stacksize: required("co_stacksize"),
        firstlineno: required("co_firstlineno"),
        nlocalsplus: optional("co_nlocalsplus"),
        nlocals: optional("co_nlocals"),
        varnames: optional("co_varnames"),
        cellvars: optional("co_cellvars"),
        freevars: optional("co_freevars"),
        framesize: optional("co_framesize"),
        localsplusnames: optional("co_localsplusnames"),
        localspluskinds: optional("co_localspluskinds"),
        filename: required("co_filename"),
        name: required("co_name"),
        qualname: optional("co_qualname"),
        linetable: optional("co_linetable"),
        lnotab: optional("co_lnotab"),
        code_bytes: optional("_co_code" | "co_code"),
        cell2arg: optional("co_cell2arg"),
        opcache: optional("co_opcache"),
        opcache_size: optional("co_opcache_size"),
        cached: optional("_co_cached"),
        extra: required("co_extra"),
        code_adaptive: optional("co_code_adaptive"),
        firsttraceable: optional("_co_firsttraceable"),
        tlbc: optional("co_tlbc"),
    }
    /// Python/ceval.c: one entry of a code object's cache, 3.8 to 3.10.
    opcache: OpCache = "_PyOpcache" {}
    /// Include/cpython/code.h: attributes of a code object computed on demand, 3.12 and later.
    code_cached: CodeCached = "_PyCoCached" {
        code: optional("_co_code"),
        varnames: optional("_co_varnames"),
        cellvars: optional("_co_cellvars"),
        freevars: optional("_co_freevars"),
    }
    /// Include/internal/pycore_frame.h: the frame object, made only when asked for.
    frame_object: FrameObject = "PyFrameObject|_frame" {
        back: required("f_back"),
        frame: optional("f_frame"),
        trace: required("f_trace"),
        lineno: required("f_lineno"),
        extra_locals: optional("f_extra_locals"),
        locals_cache: optional("f_locals_cache"),
        frame_data: optional("_f_frame_data"),
    }
    /// Include/internal/pycore_frame.h; up to 3.10, when the frame object was the frame, Include/cpython/frameobject.h.
    frame: InterpreterFrame = "_PyInterpreterFrame|PyFrameObject|_frame" {
        code: required("f_executable" | "f_code"),
        tagged: optional("f_executable.bits"),
        previous: required("previous" | "f_back"),
        function: optional("f_funcobj" | "f_func"),
        globals: required("f_globals"),
        builtins: required("f_builtins"),
        locals: required("f_locals"),
        frame_obj: optional("frame_obj"),
        prev_instr: optional("prev_instr"),
        instr_ptr: optional("instr_ptr"),
        tlbc_index: optional("tlbc_index"),
        stacktop: optional("stacktop"),
        stackpointer: optional("stackpointer"),
        owner: optional("owner"),
        is_entry: optional("is_entry"),
        localsplus: required("localsplus" | "f_localsplus"),
        valuestack: optional("f_valuestack"),
        object_stacktop: optional("f_stacktop"),
        object_stackdepth: optional("f_stackdepth"),
        lasti: optional("f_lasti"),
        generator: optional("f_gen"),
    }
    /// Include/cpython/genobject.h: generators, coroutines and async generators share it.
    generator: Generator = "PyGenObject" {
        code: optional("gi_code"),
        name: required("gi_name"),
        qualname: required("gi_qualname"),
        exc_value: required("gi_exc_state.exc_value"),
        origin_or_finalizer: optional("gi_origin_or_finalizer"),
        frame_state: optional("gi_frame_state"),
        iframe: optional("gi_iframe"),
        frame: optional("gi_frame"),
    }
    /// Include/cpython/cellobject.h.
    cell: Cell = "PyCellObject" {
        contents: required("ob_ref"),
    }
    /// Include/cpython/classobject.h.
    method: Method = "PyMethodObject" {
        func: required("im_func"),
        self_: required("im_self"),
    }
    /// Include/cpython/methodobject.h.
    cfunction: CFunction = "PyCFunctionObject" {
        def: required("m_ml"),
        self_: required("m_self"),
        module: required("m_module"),
    }
    /// Include/cpython/methodobject.h: a builtin method that knows its class.
    cmethod: CMethod = "PyCMethodObject" {
        class: optional("mm_class"),
    }
    /// Include/descrobject.h: a method made in C, as its class has it.
    method_descr: MethodDescr = "PyMethodDescrObject" {
        method: optional("d_method"),
    }
    /// Objects/capsule.c.
    capsule: Capsule = "PyCapsule" {
        pointer: optional("pointer"),
    }
    /// Include/methodobject.h.
    method_def: MethodDef = "PyMethodDef" {
        name: required("ml_name"),
        function: required("ml_meth"),
        flags: required("ml_flags"),
    }
    /// Include/internal/pycore_moduleobject.h.
    module: Module = "PyModuleObject" {
        dict: required("md_dict"),
        def: optional("md_def"),
        state: required("md_state"),
        state_size: optional("md_state_size"),
        state_traverse: optional("md_state_traverse"),
        name: required("md_name"),
    }
    /// Include/moduleobject.h.
    module_def: ModuleDef = "PyModuleDef" {
        size_of_state: required("m_size"),
        traverse: required("m_traverse"),
    }
    /// Include/cpython/weakrefobject.h.
    weakref: WeakRef = "PyWeakReference|_PyWeakReference" {
        object: required("wr_object"),
        callback: required("wr_callback"),
        next: required("wr_next"),
    }
    /// Include/cpython/pyerrors.h.
    exception: BaseException = "PyBaseExceptionObject" {
        dict: required("dict"),
        args: required("args"),
        notes: optional("notes"),
        traceback: required("traceback"),
        context: required("context"),
        cause: required("cause"),
    }
    /// Include/cpython/traceback.h.
    traceback: Traceback = "PyTracebackObject|_traceback" {
        next: required("tb_next"),
        frame: required("tb_frame"),
        lineno: required("tb_lineno"),
        lasti: required("tb_lasti"),
    }
    /// Include/descrobject.h: what all descriptors share.
    descr: Descr = "PyDescrObject" {
        type_: required("d_type"),
        name: required("d_name"),
        qualname: required("d_qualname"),
    }
    /// Modules/_collectionsmodule.c.
    deque: Deque = "dequeobject" {
        leftblock: required("leftblock"),
        leftindex: required("leftindex"),
        maxlen: optional("maxlen"),
    }
    /// Modules/_collectionsmodule.c: 64 elements of a deque.
    deque_block: DequeBlock = "BLOCK" {
        items: required("data"),
        right: required("rightlink"),
    }
    /// Objects/odictobject.c.
    odict: OrderedDict = "PyODictObject|_odictobject" {
        fast_nodes_size: required("od_fast_nodes_size"),
        first: required("od_first"),
        inst_dict: required("od_inst_dict"),
    }
    /// Objects/odictobject.c.
    odict_node: OrderedDictNode = "_odictnode" {
        key: required("key"),
        next: required("next"),
    }
    /// Modules/_functoolsmodule.c.
    lru_cache: LruCache = "lru_cache_object" {
        root: required("root"),
        func: required("func"),
        maxsize: required("maxsize"),
        misses: required("misses"),
        hits: required("hits"),
        cache: required("cache"),
        kwd_mark: optional("kwd_mark"),
        elem_type: optional("lru_list_elem_type"),
        cache_info_type: required("cache_info_type"),
        dict: required("dict"),
    }
    /// Include/cpython/memoryobject.h.
    memory_view: MemoryView = "PyMemoryViewObject" {
        length: optional("view.len"),
    }
    /// Modules/_functoolsmodule.c: one remembered call.
    lru_elem: LruElement = "lru_list_elem" {
        next: required("next"),
        key: required("key"),
        result: required("result"),
    }
}
