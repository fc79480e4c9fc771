//! A closed set of codes, each written down once, with its name and its entry.

/// Makes an enum whose every value has a name and an entry: `Variant = "NAME": meaning; cause; advice.`
macro_rules! listed {
    (
        $(#[$about:meta])*
        pub enum $set:ident {
            $($code:ident = $name:literal: $meaning:literal; $cause:literal; $advice:literal,)+
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $set {
            $(#[doc = $meaning] $code,)+
        }

        impl $set {
            /// All of them.
            pub const ALL: [$set; [$($set::$code,)+].len()] = [$($set::$code,)+];

            /// The code as it is shown.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $($set::$code => $name,)+
                }
            }

            /// What the catalogue says of it.
            #[must_use]
            pub const fn entry(self) -> $crate::catalogue::Entry {
                match self {
                    $($set::$code => $crate::catalogue::Entry { meaning: $meaning, cause: $cause, advice: $advice },)+
                }
            }

            /// The code of this name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<$set> {
                $set::ALL.into_iter().find(|code| code.name() == name)
            }
        }

        impl std::fmt::Display for $set {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

pub(super) use listed;
