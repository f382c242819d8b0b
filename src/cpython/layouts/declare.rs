//! How the list is written down: the macro that makes Rust structs, and the questions to sources, of each C struct.
//!
//! Knows the form of the list; refuses to know any struct.

/// Declares the structs below: a Rust struct of [`Field`]s for each C struct, and one that holds them all, with other such parts
/// of the list.
macro_rules! layouts {
    ($all:ident { $( $part:ident : $part_type:ty ),* } $(
        $(#[$meta:meta])*
        $member:ident : $name:ident = $c_type:literal {
            $( $field:ident : $kind:ident ( $($path:literal)|+ ) ),* $(,)?
        }
    )*) => {
        $(
            $(#[$meta])*
            #[derive(Clone, Copy, Debug)]
            pub struct $name {
                /// `sizeof`, in bytes; 0 when this interpreter has no such struct.
                pub size: u32,
                $(
                    #[doc = concat!("Field ", $("`", $path, "` ",)+ "(", stringify!($kind), ").")]
                    pub $field: layouts!(@type $kind),
                )*
            }

            impl $name {
                fn resolve(resolver: &mut Resolver<'_>) -> Result<Self, LayoutError> {
                    Ok(Self {
                        size: resolver.size_of($c_type).unwrap_or(0),
                        $( $field: layouts!(@get $kind, resolver, $c_type, &[$($path),+]), )*
                    })
                }
            }
        )*

        /// Every struct of the list, resolved for one interpreter build.
        #[derive(Clone, Copy, Debug)]
        pub struct $all {
            $(
                #[doc = concat!("`", $c_type, "`.")]
                pub $member: $name,
            )*
            $(
                #[doc = concat!("Structs of ", stringify!($part), " builds.")]
                pub $part: $part_type,
            )*
        }

        impl $all {
            /// Asks `resolver` for every field of the list, whether or not it is required, so that its answers are all
            /// that is known.
            pub fn ask(resolver: &mut Resolver<'_>) {
                $(
                    resolver.size_of($c_type);
                    $( resolver.one_of($c_type, &[$($path),+]); )*
                )*
                $( <$part_type>::ask(resolver); )*
            }

            /// Asks `resolver` for every field of the list.
            ///
            /// # Errors
            /// The first required field that no source knows, by name.
            pub fn resolve(resolver: &mut Resolver<'_>) -> Result<Self, LayoutError> {
                Ok(Self {
                    $( $member: $name::resolve(resolver)?, )*
                    $( $part: <$part_type>::resolve(resolver)?, )*
                })
            }
        }
    };
    (@type required) => { Field };
    (@type optional) => { Option<Field> };
    (@get required, $resolver:ident, $c_type:literal, $paths:expr) => {
        match $resolver.one_of($c_type, $paths) {
            Some((_, field)) => field,
            None => $resolver.required($c_type, $paths[0])?,
        }
    };
    (@get optional, $resolver:ident, $c_type:literal, $paths:expr) => {
        $resolver.one_of($c_type, $paths).map(|(_, field)| field)
    };
}
