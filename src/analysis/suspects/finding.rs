//! What a suspect is: where, why, how much, how sure, and what to do.
//!
//! Knows kinds and remedies; refuses to know how they are found and how they are shown.

use crate::cpython::Bound;
use crate::heap::ObjectId;

/// Why something is a suspect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SuspectKind {
    /// Cycles that no collection has freed.
    Garbage,
    /// Small views that keep large buffers.
    PinnedBuffer,
    /// Tasks and futures that are done and still held, with their results.
    FinishedTasks,
    /// Exceptions that keep the frames they passed, and these their variables.
    Exceptions,
    /// What threads keep for themselves in a `threading.local`.
    ThreadLocals,
    /// `lru_cache(maxsize=None)` or `functools.cache`.
    UnboundedCache,
    /// A container of callbacks that grows.
    Listeners,
    /// A container without a bound that a module, class, instance or default argument holds.
    Container,
    /// A container with a bound, all the same large.
    BoundedContainer,
    /// Suspended generators, coroutines or tasks of one function.
    Suspended,
    /// Instances of one class, held in several ways that begin at one object.
    Instances,
    /// Many objects of one type that nothing but C code holds.
    HeldByC,
    /// A variable of a running function, or what a thread keeps for itself.
    ThreadOwned,
    /// One object that holds much.
    Owner,
}

/// What speaks for a suspect, counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// Objects that no collection has freed.
    Unreachable(u64),
    /// Views, what they show, and what they keep.
    Views {
        /// Views that show a small part of what they keep.
        views: u64,
        /// Bytes they show.
        shown: u64,
        /// Bytes of the buffers that nothing else refers to.
        kept: u64,
    },
    /// Tasks and futures that are done.
    Finished {
        /// So many.
        finished: u64,
        /// Of so many entries.
        entries: u64,
    },
    /// Ended frames that tracebacks hold.
    Frames(u64),
    /// Threads that have values.
    Threads {
        /// So many.
        threads: u64,
        /// Of these, ended ones whose Thread objects live.
        ended: u64,
    },
    /// What a cache says of itself.
    Cache {
        /// Results that are kept.
        results: u64,
        /// Calls answered from the cache, where that can be read.
        hits: u64,
        /// Calls that were not.
        misses: u64,
        /// `maxsize`.
        bound: Bound,
    },
    /// Functions, bound methods and partials in a container.
    Callbacks(u64),
    /// Entries of a container.
    Entries {
        /// So many.
        entries: u64,
        /// `None` where nothing bounds it.
        bound: Option<u64>,
    },
    /// Suspended generators, coroutines or async generators.
    Suspended(u64),
    /// Instances of a class.
    Instances(u64),
    /// Objects that no known object or root refers to.
    HeldByC {
        /// So many.
        objects: u64,
        /// References to them that nothing known has.
        references: u64,
    },
    /// Entries of a variable's value.
    InUse(u64),
    /// Parts of an object: entries, or objects that it alone holds.
    Parts(u64),
}

/// How much speaks for a suspect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Confidence {
    /// Large, but perhaps meant to be.
    Low,
    /// Large for the program, and nothing bounds it.
    Medium,
    /// A large part of the heap, or a pattern that is hardly ever meant.
    High,
}

/// What to do about a suspect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Remedy {
    /// The collector was disabled.
    EnableCollector,
    /// Thresholds had not been reached, or a collection was under way.
    CollectSooner,
    /// The collector is the incremental one of 3.14.0 to 3.14.4.
    Upgrade,
    /// Legacy finalizers keep the collector from freeing.
    RemoveLegacyFinalizers,
    /// Keep the part, not the whole.
    CopyView,
    /// Forget tasks once they are done.
    ForgetTasks,
    /// Do not keep exceptions with their tracebacks.
    ClearTracebacks,
    /// Threads of pools do not end, and keep what they have.
    ClearThreadLocals,
    /// Thread objects keep what their threads had.
    ForgetThreads,
    /// Give the cache a size.
    BoundCache,
    /// A cache on a method keeps every instance it was called on.
    CacheOnInstance,
    /// Hold listeners weakly, or remove them.
    WeakListeners,
    /// Evict what is no longer needed, or hold it weakly.
    BoundContainer,
    /// Lower the bound, if so much is not needed.
    LowerBound,
    /// Close what is not iterated to its end, await or cancel tasks.
    CloseSuspended,
    /// Process in parts, or delete the variable sooner.
    ReleaseLocal,
    /// Native code keeps them, or has not given its references back.
    GiveBack,
    /// See who creates them and who lets go of them last.
    InspectInstances,
    /// See what it holds and whether all of it is needed.
    Inspect,
}

/// The type that most of a suspect's bytes are of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mostly {
    /// Its name.
    pub type_name: String,
    /// So many of its instances.
    pub objects: u64,
    /// Their sizes, in bytes.
    pub bytes: u64,
}

/// One suspect.
#[derive(Clone, Debug)]
pub struct Suspect {
    /// Why.
    pub kind: SuspectKind,
    /// Its name as Python would write it.
    pub path: String,
    /// The object, where it is one.
    pub object: Option<ObjectId>,
    /// Its type.
    pub type_name: String,
    /// What speaks for it.
    pub evidence: Evidence,
    /// Objects it reaches first.
    pub objects: u64,
    /// Bytes of these: reachable through data and first claimed, see [`super::suspects`].
    pub bytes: u64,
    /// Bytes that would be freed with it alone; only where dominance was computed ([`super::retained_by_suspects`]).
    pub retained: Option<u64>,
    /// Share of all objects' bytes, in basis points, by [`Suspect::kept`].
    pub share: u32,
    /// How sure.
    pub confidence: Confidence,
    /// What to do.
    pub remedy: Remedy,
    /// What it holds most of; only where dominance was computed.
    pub mostly: Option<Mostly>,
    /// Paths of smaller suspects that would be freed with it, and are no suspects of their own therefore.
    pub inside: Vec<String>,
}

impl Suspect {
    /// Bytes it keeps: what would be freed with it alone; where others hold the same objects as well, what it is the first
    /// to reach. Else a leak with two holders would be nobody's.
    pub fn kept(&self) -> u64 {
        self.bytes.max(self.retained.unwrap_or(0))
    }
}

impl Evidence {
    /// The number that counts most.
    pub fn count(self) -> u64 {
        match self {
            Self::Views { views, .. } => views,
            Self::Finished { finished, .. } => finished,
            Self::Threads { threads, .. } => threads,
            Self::Cache { results, .. } => results,
            Self::Entries { entries, .. } => entries,
            Self::HeldByC { objects, .. } => objects,
            Self::Unreachable(count)
            | Self::Frames(count)
            | Self::Callbacks(count)
            | Self::Suspended(count)
            | Self::Instances(count)
            | Self::InUse(count)
            | Self::Parts(count) => count,
        }
    }
}

impl Remedy {
    /// The remedy in words.
    pub fn text(self) -> &'static str {
        match self {
            Self::EnableCollector => "call gc.enable(), or gc.collect() at quiet moments",
            Self::CollectSooner => {
                "call gc.collect() after bursts, or lower gc.set_threshold(); see `cycles`"
            }
            Self::Upgrade => {
                "upgrade to 3.14.5 or later: the incremental collector of 3.14.0 to 3.14.4 is late; or call gc.collect()"
            }
            Self::RemoveLegacyFinalizers => {
                "these have tp_del: break the cycle by hand, or update the extension type"
            }
            Self::CopyView => {
                "keep a copy of the part, not a view: bytes(view), array.copy(); then the buffer is freed"
            }
            Self::ForgetTasks => {
                "take its result() and drop it: task.add_done_callback(tasks.discard), or a TaskGroup"
            }
            Self::ClearTracebacks => {
                "keep str(exc), not exc: del exc, or traceback.clear_frames(exc.__traceback__)"
            }
            Self::ClearThreadLocals => {
                "threads that wait for work keep their values: del local.NAME when a job is done"
            }
            Self::ForgetThreads => {
                "drop the Thread objects of ended threads: their values live as long; or use threading.local of C"
            }
            Self::BoundCache => "bound it: lru_cache(maxsize=…), or call .cache_clear()",
            Self::CacheOnInstance => {
                "the cache keeps every `self`: use cached_property, a cache per instance, or maxsize=…"
            }
            Self::WeakListeners => {
                "unsubscribe listeners, or hold them weakly: weakref.WeakSet, weakref.WeakMethod"
            }
            Self::BoundContainer => {
                "if it grows, bound it: evict old entries, deque(maxlen=…), or WeakValueDictionary"
            }
            Self::LowerBound => "lower its bound if so many entries are not needed",
            Self::CloseSuspended => "close() generators that are not finished; await or cancel tasks",
            Self::GiveBack => {
                "an extension keeps them, or lacks a Py_DECREF: see what creates them and is given them in C"
            }
            Self::ReleaseLocal => "work in batches, or del the variable before waiting",
            Self::InspectInstances => {
                "see who creates them and what lets go of them last: `paths`, `referrers`"
            }
            Self::Inspect => "see whether all that it holds is needed: `show`, `referents`",
        }
    }
}
